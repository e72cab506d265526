"""What a front end sees of a rejected attempt: taken back, or held until the verdict."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from coordgate import Fallback, GateRejected, NodeGuard, Policy, Retry, feedback, gate, guard
from coordgate.testing import ScriptedModel, scripted


class Chat(TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


async def collected(flow: Any) -> list[Any]:
    """Read an async stream to its end."""
    return [chunk async for chunk in flow]


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


@both
def test_a_message_taken_back_and_handed_over_whole_is_shown(how: str) -> None:
    """Streamed by a rejected attempt, then returned without a model under its old id: shown."""
    model = ScriptedModel(AIMessage("I promise", id="a"))

    def chat(state: Chat) -> Any:
        if feedback() is None:
            return {"messages": model.invoke(state["messages"])}
        return {"messages": AIMessage("No idea", id="a")}

    builder = StateGraph(Chat)
    builder.add_node("chat", chat)
    builder.add_edge(START, "chat")
    app = guard(builder, {"chat": NodeGuard(**RETRY)}).compile()
    assert shown(streamed(app, how, "messages")) == "No idea"
