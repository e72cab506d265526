"""Every way to run a graph, and what streams out of it: bare and guarded say the same."""

import asyncio
import operator
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import Runnable
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Interrupt, interrupt

from coordgate import Fallback, GateRejected, NodeGuard, Policy, Retry, feedback, gate, guard
from coordgate.testing import RecordingTracer, ScriptedModel, scripted

MODES = ["values", "updates", "custom", "messages", "debug", "tasks", "checkpoints"]


class Draft(TypedDict, total=False):
    """A state without ids in it."""

    topic: str
    draft: str
    log: Annotated[list[str], operator.add]


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


@gate
def anything(output: Any) -> bool:
    """Pass whatever there is."""
    return bool(output)


def drafting() -> StateGraph[Any, Any, Any, Any]:
    """Return a graph with a model, a writer, a router, a reducer and a subgraph."""

    def write(state: Draft) -> Draft:
        get_stream_writer()({"writing": state["topic"]})
        said = ScriptedModel("one two three").invoke(state["topic"])
        return {"draft": said.text, "log": ["write"]}

    inner = StateGraph(Draft)
    inner.add_node("polish", lambda state: {"draft": state["draft"] + ".", "log": ["polish"]})
    inner.add_edge(START, "polish")
    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_node("sub", inner.compile())
    builder.add_conditional_edges("write", lambda state: "sub", ["sub"])
    builder.add_edge(START, "write")
    return builder


NODES = {
    "write": NodeGuard(gates=[anything], policy=Policy(Retry(1))),
    "sub|polish": NodeGuard(gates=[anything]),
}
IDS = {
    "id",
    "checkpoint_id",
    "checkpoint_ns",
    "langgraph_checkpoint_ns",
    "timestamp",
    "ts",
    "run_id",
}
IDS |= {"parent_ids", "checkpoint_map", "langgraph_checkpoint_map", "v"}


def plain(value: Any) -> Any:
    """Return `value` without what differs from run to run: ids and times."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in IDS}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Interrupt):
        return ("interrupt", value.value)
    if hasattr(value, "model_dump"):
        return {"type": type(value).__name__, **plain(value.model_dump())}
    if isinstance(value, str) and (":" in value or value.count("-") == 4):
        return value.partition(":")[0] if ":" in value else "id"
    return value


def compiled(*, guarded: bool, **settings: Any) -> Any:
    """Return that graph with a checkpointer, guarded or bare."""
    builder = drafting()
    saver = InMemorySaver()
    return (guard(builder, NODES, **settings) if guarded else builder).compile(checkpointer=saver)


CONFIG = {"configurable": {"thread_id": "1"}}
GIVEN = {"topic": "owls"}


async def collected(flow: Any) -> list[Any]:
    """Read an async stream to its end."""
    return [chunk async for chunk in flow]


@pytest.mark.parametrize("mode", [*MODES, MODES])
@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("tracer", [False, True])
def test_a_stream_is_what_it_is_bare(mode: Any, subgraphs: bool, tracer: bool) -> None:
    """In every mode, sync and async, a guarded graph streams the chunks of the bare one."""
    settings = {"tracer": RecordingTracer()} if tracer else {}

    def stream(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded, **(settings if guarded else {}))
        return plain(list(app.stream(GIVEN, CONFIG, stream_mode=mode, subgraphs=subgraphs)))

    def astream(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded, **(settings if guarded else {}))
        flow = app.astream(GIVEN, CONFIG, stream_mode=mode, subgraphs=subgraphs)
        return plain(asyncio.run(collected(flow)))

    assert stream(guarded=True) == stream(guarded=False)
    assert astream(guarded=True) == astream(guarded=False)


@pytest.mark.parametrize("mode", MODES)
def test_the_second_version_of_streams_and_results_is_what_it_is_bare(mode: Any) -> None:
    """`version="v2"` gives the same parts and outputs, sync and async."""

    def everything(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded)
        stream = list(app.stream(GIVEN, CONFIG, stream_mode=mode, version="v2"))
        flow = compiled(guarded=guarded).astream(GIVEN, CONFIG, stream_mode=mode, version="v2")
        result = compiled(guarded=guarded).invoke(GIVEN, CONFIG, version="v2")
        return plain([stream, asyncio.run(collected(flow)), [result.value, result.interrupts]])

    assert everything(guarded=True) == everything(guarded=False)


def test_a_run_that_stops_shows_the_same_interrupts_in_every_stream() -> None:
    """An interrupt streams as it does bare."""

    def chunks(*, guarded: bool) -> Any:
        builder = StateGraph(Draft)
        builder.add_node("ask", lambda state: {"draft": interrupt("what?")})
        builder.add_edge(START, "ask")
        app = (guard(builder) if guarded else builder).compile(checkpointer=InMemorySaver())
        return plain(list(app.stream(GIVEN, CONFIG, stream_mode=MODES)))

    bare = chunks(guarded=False)
    assert "what?" in str(bare)
    assert chunks(guarded=True) == bare


def test_astream_events_are_what_they_are_bare() -> None:
    """`astream_events` names the same runs in the same order, with the same data."""

    def events(*, guarded: bool) -> Any:
        app = compiled(guarded=guarded, **({"tracer": RecordingTracer()} if guarded else {}))
        return plain(asyncio.run(collected(app.astream_events(GIVEN, CONFIG, version="v2"))))

    bare = events(guarded=False)
    assert [each["event"] for each in bare].count("on_chat_model_stream") >= 3
    assert events(guarded=True) == bare


def test_invoke_and_batch_give_what_they_give_bare() -> None:
    """`invoke`, `ainvoke`, `batch` and `abatch` return the same."""

    def everything(app: Runnable[Any, Any]) -> list[Any]:
        many = [{"topic": "a"}, {"topic": "b"}]
        return [
            app.invoke(GIVEN),
            asyncio.run(app.ainvoke(GIVEN)),
            app.batch(many),
            asyncio.run(app.abatch(many)),
        ]

    bare = everything(drafting().compile())
    assert bare[0] == {
        "topic": "owls",
        "draft": "one two three.",
        "log": ["write", "write", "polish"],
    }
    assert everything(guard(drafting(), NODES).compile()) == bare
    assert everything(guard(drafting().compile(), NODES)) == bare


def test_batch_repeats_only_what_was_rejected() -> None:
    """In a batch one run's rejection does not touch the others."""

    def write(state: Draft) -> Draft:
        return {"draft": state["topic"] + ("!" if feedback() else "")}

    @gate
    def not_b(output: Draft) -> bool:
        return output["draft"] != "b"

    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    nodes = {"write": NodeGuard(gates=[not_b], policy=Policy(Retry(1)))}
    app = guard(builder, nodes).compile()
    many = [{"topic": "a"}, {"topic": "b"}, {"topic": "c"}]
    assert [each["draft"] for each in app.batch(many)] == ["a", "b!", "c"]
    assert [each["draft"] for each in asyncio.run(app.abatch(many))] == ["a", "b!", "c"]
    alone = guard(builder, {"write": NodeGuard(gates=[not_b])}).compile()
    results = alone.batch(many, return_exceptions=True)
    assert [type(each) for each in results] == [dict, GateRejected, dict]


# What a front end sees of a rejected attempt


@gate
def no_promise(output: Any) -> bool:
    """Reject what promises."""
    messages = output["messages"]
    return "promise" not in (messages if isinstance(messages, list) else [messages])[-1].text


def chatting(spec: NodeGuard, *answers: Any, how: str = "sync", nested: bool = False) -> Any:
    """Return a guarded graph of one model node, or of one in a subgraph."""
    model = ScriptedModel(*answers)

    def chat(state: Chat) -> Any:
        get_stream_writer()("thinking")
        return {"messages": model.invoke(state["messages"])}

    async def achat(state: Chat) -> Any:
        get_stream_writer()("thinking")
        return {"messages": await model.ainvoke(state["messages"])}

    builder = StateGraph(Chat)
    builder.add_node("chat", chat if how == "sync" else achat)
    builder.add_edge(START, "chat")
    if not nested:
        return guard(builder, {"chat": spec}).compile()
    outer = StateGraph(Chat)
    outer.add_node("sub", builder.compile())
    outer.add_edge(START, "sub")
    return guard(outer, {"sub|chat": spec}).compile()


def streamed(app: Any, how: str, mode: Any, *, subgraphs: bool = False) -> list[Any]:
    """Read a stream to its end, sync or async."""
    given = {"messages": [HumanMessage("Sun?")]}
    if how == "sync":
        return list(app.stream(given, stream_mode=mode, subgraphs=subgraphs))
    return asyncio.run(collected(app.astream(given, stream_mode=mode, subgraphs=subgraphs)))


def shown(chunks: Iterator[Any] | list[Any]) -> str:
    """Return what a front end shows that keeps to the protocol: tokens in, RemoveMessage out."""
    texts: dict[str, str] = {}
    for message, _ in chunks:
        if isinstance(message, RemoveMessage):
            assert message.id is not None
            del texts[message.id]
        else:
            texts[message.id] = texts.get(message.id, "") + message.text
    return "|".join(texts.values())


RETRY = {"gates": [no_promise], "policy": Policy(Retry(2))}
places = pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
both = pytest.mark.parametrize("how", ["sync", "async"])


@both
@places
def test_a_rejected_attempt_is_taken_back_from_the_messages(how: str, nested: bool) -> None:
    """Under `messages` each rejected message is followed by its RemoveMessage, with the reasons."""
    app = chatting(
        NodeGuard(**RETRY), "I promise", "promise again", "No idea", how=how, nested=nested
    )
    chunks = streamed(app, how, "messages", subgraphs=nested)
    chunks = [chunk for _, chunk in chunks] if nested else chunks
    taken = [(m, meta["coordgate"]) for m, meta in chunks if isinstance(m, RemoveMessage)]
    assert [(note["event"], note["node"], note["attempt"]) for _, note in taken] == [
        ("rejected", "chat", 1),
        ("rejected", "chat", 2),
    ]
    assert "no_promise" in taken[0][1]["reasons"][0]
    assert shown(chunks) == "No idea"


@both
@places
def test_a_rejected_attempt_is_announced_under_custom(how: str, nested: bool) -> None:
    """Under `custom` each rejection is announced once, with node, attempt and reasons."""
    app = chatting(
        NodeGuard(**RETRY), "I promise", "promise again", "No idea", how=how, nested=nested
    )
    chunks = streamed(app, how, "custom", subgraphs=nested)
    chunks = [chunk for _, chunk in chunks] if nested else chunks
    assert [chunk for chunk in chunks if chunk == "thinking"] == ["thinking"] * 3
    announced = [chunk["coordgate"] for chunk in chunks if isinstance(chunk, dict)]
    assert [(a["event"], a["node"], a["attempt"]) for a in announced] == [
        ("rejected", "chat", 1),
        ("rejected", "chat", 2),
    ]


@both
@places
def test_custom_and_messages_name_the_same_message(how: str, nested: bool) -> None:
    """The announcement under `custom` lists the ids of the messages that were streamed."""
    app = chatting(NodeGuard(**RETRY), "I promise", "No idea", how=how, nested=nested)
    chunks = streamed(app, how, ["messages", "custom"], subgraphs=nested)
    pairs = [chunk[-2:] for chunk in chunks]
    (removed,) = [c[0].id for m, c in pairs if m == "messages" and isinstance(c[0], RemoveMessage)]
    (note,) = [c["coordgate"] for m, c in pairs if m == "custom" and isinstance(c, dict)]
    assert note["message_ids"] == [removed]


@both
@places
def test_a_held_node_shows_only_what_passed(how: str, nested: bool) -> None:
    """`stream="hold"` lets nothing out before the verdict, and then all of it, in order."""
    spec = NodeGuard(**RETRY, stream="hold")
    app = chatting(spec, "I promise", "No idea at all", how=how, nested=nested)
    chunks = streamed(app, how, ["messages", "custom"], subgraphs=nested)
    pairs = [chunk[-2:] for chunk in chunks]
    assert [chunk for mode, chunk in pairs if mode == "custom"] == ["thinking"]
    messages = [chunk for mode, chunk in pairs if mode == "messages"]
    assert not any(isinstance(message, RemoveMessage) for message, _ in messages)
    assert [message.text for message, _ in messages if message.text] == [
        "No ",
        "idea ",
        "at ",
        "all",
    ]
    if nested:
        assert {len(chunk[0]) for chunk in chunks} == {1}


@both
@places
def test_a_held_node_that_fails_shows_nothing(how: str, nested: bool) -> None:
    """Past the last rung, nothing of a held node has streamed."""
    spec = NodeGuard(gates=[no_promise], stream="hold")
    app = chatting(spec, "I promise", how=how, nested=nested)
    seen: list[Any] = []

    def watch() -> None:
        given = {"messages": [HumanMessage("Sun?")]}
        seen.extend(app.stream(given, stream_mode=["messages", "custom"], subgraphs=True))

    async def awatch() -> None:
        given = {"messages": [HumanMessage("Sun?")]}
        async for chunk in app.astream(given, stream_mode=["messages", "custom"], subgraphs=True):
            seen.append(chunk)

    with pytest.raises(GateRejected):
        watch() if how == "sync" else asyncio.run(awatch())
    assert seen == []


@both
def test_a_held_subgraph_holds_what_its_nodes_stream(how: str) -> None:
    """`stream="hold"` on a subgraph node holds everything below it."""
    model = ScriptedModel("I promise", "No idea")
    inner = StateGraph(Chat)
    inner.add_node("chat", lambda state: {"messages": model.invoke(state["messages"])})
    inner.add_edge(START, "chat")
    outer = StateGraph(Chat)
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "sub")
    app = guard(outer, {"sub": NodeGuard(**RETRY, stream="hold")}).compile()
    chunks = [chunk for _, chunk in streamed(app, how, "messages", subgraphs=True)]
    assert shown(chunks) == "No idea"
    assert not any(isinstance(message, RemoveMessage) for message, _ in chunks)


@both
def test_a_held_node_lets_a_fallback_stream(how: str) -> None:
    """A fallback's own tokens come out once they have passed."""
    spare = ScriptedModel("Ask a forecaster")
    policy = Policy(Fallback(lambda state: {"messages": spare.invoke(state["messages"])}))
    spec = NodeGuard(gates=[no_promise], policy=policy, stream="hold")
    chunks = streamed(chatting(spec, "I promise", how=how), how, "messages")
    assert shown(chunks) == "Ask a forecaster"


@both
def test_a_message_that_did_not_stream_tokens_is_shown_once(how: str) -> None:
    """A message made without a model is streamed when it ships, and only the one that passed."""
    node = scripted(
        {"messages": AIMessage("I promise", id="a")},
        {"messages": AIMessage("No idea", id="b")},
        name="chat",
    )
    builder = StateGraph(Chat)
    builder.add_node("chat", node)
    builder.add_edge(START, "chat")
    app = guard(builder, {"chat": NodeGuard(**RETRY)}).compile()
    assert shown(streamed(app, how, "messages")) == "No idea"


@both
def test_the_same_message_id_rejected_and_accepted_is_shown(how: str) -> None:
    """A message taken back and given again under its old id is streamed again."""
    model = ScriptedModel(AIMessage("I promise", id="a"), AIMessage("No idea", id="a"))
    builder = StateGraph(Chat)
    builder.add_node("chat", lambda state: {"messages": model.invoke(state["messages"])})
    builder.add_edge(START, "chat")
    app = guard(builder, {"chat": NodeGuard(**RETRY)}).compile()
    assert shown(streamed(app, how, "messages")) == "No idea"


@both
def test_updates_and_values_hold_only_what_passed(how: str) -> None:
    """Rejected attempts leave no trace in `updates` and `values`."""
    app = chatting(NodeGuard(**RETRY), "I promise", "No idea", how=how)
    updates = streamed(app, how, "updates")
    assert [u["chat"]["messages"].text for u in updates] == ["No idea"]
    app = chatting(NodeGuard(**RETRY), "I promise", "No idea", how=how)
    values = streamed(app, how, "values")
    assert [len(v["messages"]) for v in values] == [1, 2]


def test_astream_events_do_not_break_on_a_rejection() -> None:
    """`astream_events` goes on over a rejected attempt to the end."""
    app = chatting(NodeGuard(**RETRY), "I promise", "No idea", how="async")
    given = {"messages": [HumanMessage("Sun?")]}
    events = asyncio.run(collected(app.astream_events(given, version="v2")))
    assert events[-1]["event"] == "on_chain_end"
    assert events[-1]["data"]["output"]["messages"][-1].text == "No idea"
