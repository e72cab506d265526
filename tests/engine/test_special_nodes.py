"""Nodes that LangGraph runs in ways of their own: Send, deferred, cached, timed, agents."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeError, NodeTimeoutError
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, RetryPolicy, Send

from coordgate import (
    Contract,
    ContractViolation,
    Degrade,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    feedback,
    gate,
    gated,
    guard,
)
from coordgate.testing import NEVER, RecordingTracer, ScriptedModel, scripted

FAST = {"wait": 0.0, "jitter": False}


class State(TypedDict, total=False):
    """The state of the graphs here."""

    topics: list[str]
    topic: str
    draft: str
    drafts: Annotated[list[str], operator.add]


class Draft(TypedDict, total=False):
    """The state of graphs that write one draft."""

    topic: str
    draft: str


def check_drafts(word: str) -> Any:
    """Return a gate for drafts that say a word."""

    @gate(name=f"says {word}")
    def says(output: State) -> bool:
        return all(word in draft for draft in output["drafts"])

    return says


def map_reduce(write: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph that sends topics to one node and joins what it writes."""
    builder = StateGraph(State)
    builder.add_node("plan", lambda state: {"topic": "all"})
    builder.add_node("write", write)
    builder.add_node("join", lambda state: {"draft": " ".join(sorted(state["drafts"]))})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges(
        "plan", lambda state: [Send("write", {"topic": t}) for t in state["topics"]], ["write"]
    )
    builder.add_edge("write", "join")
    return builder


def run(app: Any, how: str, given: Any, config: Any = None) -> Any:
    """Run a graph, sync or async."""
    if how == "sync":
        return app.invoke(given, config)
    return asyncio.run(app.ainvoke(given, config))


both = pytest.mark.parametrize("how", ["sync", "async"])


@both
def test_send_targets_are_gated_one_by_one(how: str) -> None:
    """Of several Sends, the rejected one alone is repeated, and told its own reason."""
    ran: list[tuple[str, Any]] = []

    def write(state: State) -> State:
        told = feedback()
        ran.append((state["topic"], told.rejected if told else None))
        if state["topic"] == "b" and told is None:
            return {"drafts": ["b bad"]}
        return {"drafts": [f"{state['topic']} good"]}

    tracer = RecordingTracer()
    nodes = {"write": NodeGuard(gates=[check_drafts("good")], policy=Policy(Retry(1)))}
    app = guard(map_reduce(write), nodes, tracer=tracer).compile()
    result = run(app, how, {"topics": ["a", "b", "c"]})
    assert result["draft"] == "a good b good c good"
    assert sorted(ran, key=repr) == [
        ("a", None),
        ("b", None),
        ("b", {"drafts": ["b bad"]}),
        ("c", None),
    ]
    assert sorted(len(t.attempts) for t in tracer.of("write")) == [1, 1, 2]
    assert {t.producers for t in tracer.of("write")} == {("plan",)}


@both
def test_one_send_that_stays_rejected_fails_the_run(how: str) -> None:
    """A Send target past its last rung fails the run by its own name."""
    write = scripted(*[{"drafts": ["good"]}] * 2, {"drafts": ["bad"]}, name="write")
    nodes = {"write": NodeGuard(gates=[check_drafts("good")])}
    with pytest.raises(GateRejected, match="'write' was rejected by gate 'says good'"):
        run(guard(map_reduce(write), nodes).compile(), how, {"topics": ["a", "b", "c"]})


@both
def test_a_send_with_a_bad_input_names_who_sent_it(how: str) -> None:
    """`accepts` on a Send target checks what was sent."""
    nodes = {"write": NodeGuard(contract=Contract(accepts={"topic": str}))}
    app = guard(map_reduce(scripted({"drafts": []}, name="write")), nodes).compile()
    with pytest.raises(ContractViolation, match="was handed a bad input by 'plan'") as caught:
        run(app, how, {"topics": [3]})
    assert caught.value.violations[0].key == "topic"


@both
def test_a_deferred_node_is_gated(how: str) -> None:
    """A deferred node runs last, and its hand-over is judged like any other."""

    def build() -> StateGraph[Any, Any, Any, Any]:
        builder = StateGraph(State)
        builder.add_node("a", lambda s: {"drafts": ["a"]})
        builder.add_node("b", lambda s: {"drafts": ["b"]})
        builder.add_node("b2", lambda s: {"drafts": ["b2"]})

        def join(state: State) -> State:
            return {"draft": "".join(state["drafts"]) + ("!" if feedback() else "")}

        builder.add_node("join", join, defer=True)
        builder.add_edge(START, "a")
        builder.add_edge(START, "b")
        builder.add_edge("b", "b2")
        builder.add_edge("a", "join")
        builder.add_edge("b2", "join")
        return builder

    bare = run(build().compile(), how, {})
    assert run(guard(build()).compile(), how, {}) == bare

    @gate
    def loud(output: State) -> bool:
        return output["draft"] == "abb2!"

    nodes = {"join": NodeGuard(gates=[loud], policy=Policy(Retry(1)))}
    assert run(guard(build(), nodes).compile(), how, {})["draft"] == "abb2!"


def cached(node: Any, nodes: Any, cache: InMemoryCache[Any]) -> Any:
    """Return a guarded graph of one cached node."""
    builder = StateGraph(State)
    builder.add_node("write", node, cache_policy=CachePolicy())
    builder.add_edge(START, "write")
    return guard(builder, nodes).compile(cache=cache)


@both
def test_a_cached_node_is_judged_once_and_then_hit(how: str) -> None:
    """What passed is cached, what was rejected is not, and a hit does not run the node."""
    asked: list[str] = []

    @gate
    def good(output: State) -> bool:
        asked.append(output["draft"])
        return output["draft"] == "good"

    cache: InMemoryCache[Any] = InMemoryCache()
    nodes = {"write": NodeGuard(gates=[good], policy=Policy(Retry(1)))}
    write = scripted({"draft": "bad"}, {"draft": "good"}, name="write")
    app = cached(write, nodes, cache)
    for _ in range(3):
        assert run(app, how, {"topic": "x"})["draft"] == "good"
    assert write.calls == 2
    assert asked == ["bad", "good"]


@both
def test_a_changed_gate_misses_the_cache(how: str) -> None:
    """A hit would skip the new gate, so the node runs again and the gate judges."""
    cache: InMemoryCache[Any] = InMemoryCache()
    write = scripted({"draft": "ok"}, {"draft": "ok"}, {"draft": "ok"}, name="write")
    run(
        cached(write, {"write": NodeGuard(gates=[gate(lambda o: True)])}, cache),
        how,
        {"topic": "x"},
    )
    rejecting = {"write": NodeGuard(gates=[gate(lambda o: False)])}
    with pytest.raises(GateRejected):
        run(cached(write, rejecting, cache), how, {"topic": "x"})
    assert write.calls == 2


@both
def test_a_changed_threshold_misses_the_cache(how: str) -> None:
    """Two gates of one function that differ in what they close over are two gates."""

    def at_least(bar: int) -> Any:
        @gate(name="long enough")
        def long_enough(output: State) -> bool:
            return len(output["draft"]) >= bar

        return long_enough

    cache: InMemoryCache[Any] = InMemoryCache()
    write = scripted({"draft": "ok"}, {"draft": "ok"}, name="write")
    run(cached(write, {"write": NodeGuard(gates=[at_least(1)])}, cache), how, {"topic": "x"})
    with pytest.raises(GateRejected):
        run(cached(write, {"write": NodeGuard(gates=[at_least(9)])}, cache), how, {"topic": "x"})


@both
def test_a_changed_contract_misses_the_cache(how: str) -> None:
    """What was cached under another contract is not handed over under this one."""
    cache: InMemoryCache[Any] = InMemoryCache()
    write = scripted({"draft": "ok"}, {"draft": "ok"}, name="write")
    loose = {"write": NodeGuard(contract=Contract(returns={"draft": str}))}
    strict = {"write": NodeGuard(contract=Contract(returns={"draft": Annotated[str, "short"]}))}
    run(cached(write, loose, cache), how, {"topic": "x"})
    run(cached(write, loose, cache), how, {"topic": "x"})
    assert write.calls == 1
    run(cached(write, strict, cache), how, {"topic": "x"})
    assert write.calls == 2


@both
def test_an_unguarded_run_does_not_feed_the_cache_of_a_guarded_one(how: str) -> None:
    """What a bare graph cached was never judged."""
    cache: InMemoryCache[Any] = InMemoryCache()
    write = scripted({"draft": "bad"}, {"draft": "bad"}, name="write")
    builder = StateGraph(State)
    builder.add_node("write", write, cache_policy=CachePolicy())
    builder.add_edge(START, "write")
    app = builder.compile(cache=cache)
    run(app, how, {"topic": "x"})
    rejecting = {"write": NodeGuard(gates=[gate(lambda o: False)])}
    with pytest.raises(GateRejected):
        run(guard(app, rejecting), how, {"topic": "x"})


def timed(node: Any, policy: Policy, tracer: RecordingTracer | None = None) -> Any:
    """Return a guarded graph of one node with a timeout."""
    builder = StateGraph(Draft)
    builder.add_node("write", node, timeout=0.05)
    builder.add_edge(START, "write")
    return guard(builder, {"write": NodeGuard(policy=policy)}, tracer=tracer).compile()


def test_a_timed_out_attempt_is_retried_and_told() -> None:
    """The timeout is for each attempt; the next one is told that the last took too long."""
    tracer = RecordingTracer()
    write = scripted(NEVER, NEVER, {"draft": "done"}, name="write", kind="async")
    app = timed(write, Policy(Retry(2, **FAST)), tracer)
    assert asyncio.run(app.ainvoke({}))["draft"] == "done"
    assert write.calls == 3
    told = write.feedbacks[1]
    assert told is not None
    assert "NodeTimeoutError" in told.reasons[0]
    (transition,) = tracer.of("write")
    assert [a.outcome for a in transition.attempts] == ["raised", "raised", "accepted"]
    assert transition.status == "accepted"


def test_a_timed_out_node_falls_back() -> None:
    """A node that hangs is replaced by its fallback."""
    write = scripted(NEVER, NEVER, name="write", kind="async")
    app = timed(write, Policy(Retry(1, **FAST), Fallback(lambda state: {"draft": "spare"})))
    assert asyncio.run(app.ainvoke({}))["draft"] == "spare"
    assert write.calls == 2


def test_a_timed_out_node_degrades() -> None:
    """A node that hangs ships its stated answer."""
    app = timed(scripted(NEVER, kind="async"), Policy(Degrade({"draft": "sorry"})))
    assert asyncio.run(app.ainvoke({}))["draft"] == "sorry"


def test_a_node_that_always_times_out_fails_as_such() -> None:
    """Past the last rung the timeout comes out, with a note on what was tried."""
    tracer = RecordingTracer()
    app = timed(scripted(NEVER, NEVER, kind="async"), Policy(Retry(1, **FAST)), tracer)
    with pytest.raises(NodeTimeoutError) as caught:
        asyncio.run(app.ainvoke({}))
    assert any("after 2 attempt" in note for note in caught.value.__notes__)
    (transition,) = tracer.of("write")
    assert (transition.status, len(transition.attempts)) == ("failed", 2)


def test_a_timed_node_that_is_rejected_is_repeated() -> None:
    """Under a timeout, a gate's rejection goes up the ladder like any other."""
    write = scripted({"draft": "bad"}, {"draft": "good"}, name="write", kind="async")
    builder = StateGraph(Draft)
    builder.add_node("write", write, timeout=5.0)
    builder.add_edge(START, "write")
    builder.add_node("after", lambda state: {"topic": state["draft"]})
    builder.add_edge("write", "after")
    nodes = {"write": NodeGuard(gates=[lambda o: o["draft"] == "good"], policy=Policy(Retry(1)))}
    tracer = RecordingTracer()
    result = asyncio.run(guard(builder, nodes, tracer=tracer).compile().ainvoke({}))
    assert result == {"draft": "good", "topic": "good"}
    assert tracer.of("write")[0].goto == ("after",)
    assert tracer.of("after")[0].producers == ("write",)


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sun in {city}" + ("!" if feedback() else "")


def agent(*answers: Any) -> Any:
    """Return an agent whose model says the answers."""
    return create_agent(ScriptedModel(*answers), tools=[weather])


CALL = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "1"}])


@both
def test_an_agent_is_guarded_unchanged(how: str) -> None:
    """An agent whose gates pass says what it says bare."""

    def texts(app: Any) -> list[str]:
        given = {"messages": [HumanMessage("Rome?")]}
        return [message.text for message in run(app, how, given)["messages"]]

    @gate
    def says_something(output: Any) -> bool:
        return bool(output["messages"])

    nodes = {
        "model": NodeGuard(gates=[says_something], policy=Policy(Retry(1))),
        "tools": NodeGuard(),
    }
    bare = texts(agent(CALL, "It is sunny."))
    assert bare == ["Rome?", "", "sun in Rome", "It is sunny."]
    assert texts(guard(agent(CALL, "It is sunny."), nodes)) == bare


@both
def test_an_agents_model_is_gated_and_repeated(how: str) -> None:
    """A gate on an agent's model rejects an answer, and a good one follows."""

    @gate
    def no_promise(output: Any) -> bool:
        return all("promise" not in message.text for message in output["messages"])

    tracer = RecordingTracer()
    nodes = {"model": NodeGuard(gates=[no_promise], policy=Policy(Retry(2)))}
    app = guard(agent(CALL, "I promise sun.", "It is sunny."), nodes, tracer=tracer)
    result = run(app, how, {"messages": [HumanMessage("Rome?")]})
    assert [message.text for message in result["messages"]] == [
        "Rome?",
        "",
        "sun in Rome",
        "It is sunny.",
    ]
    assert [len(t.attempts) for t in tracer.of("model")] == [1, 2]


@both
def test_an_agents_tools_are_gated(how: str) -> None:
    """The tools of an agent are Send targets; a gate judges each result, and the tool is told."""

    @gate
    def emphatic(output: Any) -> bool:
        return all(message.text.endswith("!") for message in output["messages"])

    nodes = {"tools": NodeGuard(gates=[emphatic], policy=Policy(Retry(1)))}
    result = run(guard(agent(CALL, "Fine."), nodes), how, {"messages": [HumanMessage("Rome?")]})
    assert result["messages"][2].text == "sun in Rome!"


def counting(*answers: Any) -> Any:
    """Return an entrypoint, and the script that is its body."""
    body = scripted(*answers, name="flow")

    @entrypoint()
    def flow(given: int) -> int:
        """Run the script."""
        return body(given, feedback())

    return flow, body


@both
def test_an_entrypoint_is_gated_and_repeated(how: str) -> None:
    """An entrypoint is one node: its value is judged, and it is run again with feedback."""
    flow, body = counting(1, 10)
    (name,) = flow.nodes
    app = guard(flow, {name: NodeGuard(gates=[lambda value: value > 5], policy=Policy(Retry(1)))})
    assert type(app) is not type(flow)
    assert isinstance(app, type(flow))
    assert run(app, how, 1) == 10
    assert body.feedbacks[1] is not None
    assert body.feedbacks[1].rejected == 1


@both
def test_what_an_entrypoint_declares_is_parsed(how: str) -> None:
    """`returns` on an entrypoint parses its value, and the parsed value ships."""
    flow, _ = counting("7")
    (name,) = flow.nodes
    app = guard(flow, {name: NodeGuard(contract=Contract(returns=int), gates=[lambda v: v == 7])})
    assert run(app, how, 1) == 7


@both
def test_an_entrypoint_that_breaks_its_contract_is_stopped(how: str) -> None:
    """A value that cannot be parsed does not come out."""
    flow, _ = counting("seven")
    (name,) = flow.nodes
    app = guard(flow, {name: NodeGuard(contract=Contract(returns=int))})
    with pytest.raises(ContractViolation, match="valid integer"):
        run(app, how, 1)


def test_an_entrypoint_final_is_judged_by_its_value_and_keeps_what_it_saves() -> None:
    """Of `entrypoint.final` the value is judged and parsed; what it saves is passed on."""

    @entrypoint(checkpointer=InMemorySaver())
    def flow(given: str, *, previous: int | None = None) -> entrypoint.final[Any, int]:
        """Count the runs."""
        return entrypoint.final(value=given, save=(previous or 0) + 1)

    (name,) = flow.nodes
    seen: list[Any] = []
    spec = NodeGuard(
        contract=Contract(returns=int), gates=[lambda value: seen.append(value) or value < 9]
    )
    app = guard(flow, {name: spec})
    config = {"configurable": {"thread_id": "1"}}
    assert app.invoke("5", config) == 5
    assert app.invoke("6", config) == 6
    assert seen == [5, 6]
    with pytest.raises(GateRejected):
        app.invoke("9", config)
    assert app.get_state(config).values == 6


@both
def test_an_entrypoint_with_tasks_gives_what_it_gives_bare(how: str) -> None:
    """Tasks of a guarded entrypoint run as they do bare, and are not repeated by a retry."""
    ran: list[int] = []

    @task
    def double(value: int) -> int:
        ran.append(value)
        return value * 2

    @entrypoint(checkpointer=InMemorySaver())
    def flow(given: int) -> int:
        """Double twice."""
        return double(double(given).result()).result()

    config = {"configurable": {"thread_id": "1"}}
    assert run(guard(flow), how, 3, config) == 12
    assert ran == [3, 6]


def handled(node: Any, handler: Any, policy: Policy | None) -> Any:
    """Return a guarded graph of a node with an error handler."""
    builder = StateGraph(Draft)
    builder.add_node("write", node, error_handler=handler)
    builder.add_node("after", lambda state: {"topic": "after"})
    builder.add_edge(START, "write")
    builder.add_edge("write", "after")
    spec = NodeGuard(gates=[lambda output: output["draft"] == "good"], policy=policy)
    return guard(builder, {"write": spec}).compile()


@both
def test_an_error_handler_runs_only_past_the_last_rung(how: str) -> None:
    """LangGraph's error handler gets the rejection when the ladder has given up, not before."""
    seen: list[Any] = []

    def handler(state: Draft, error: NodeError) -> Command[Any]:
        seen.append(error.error)
        return Command(update={"draft": "handled"}, goto="after")

    write = scripted(*[{"draft": "bad"}] * 3, name="write")
    result = run(handled(write, handler, Policy(Retry(2))), how, {})
    assert result == {"draft": "handled", "topic": "after"}
    assert write.calls == 3
    assert [type(error) for error in seen] == [GateRejected]
    assert seen[0].attempts == 3


@both
def test_an_error_handler_is_spared_where_the_ladder_answers(how: str) -> None:
    """A fallback that passes leaves nothing for the error handler."""

    def handler(state: Draft, error: NodeError) -> Draft:
        raise AssertionError("not to be run")

    policy = Policy(Fallback(lambda state: {"draft": "good"}))
    result = run(handled(scripted({"draft": "bad"}), handler, policy), how, {})
    assert result == {"draft": "good", "topic": "after"}


@both
def test_an_error_handler_must_keep_the_contract_too(how: str) -> None:
    """What an error handler hands over is checked like any node's."""
    app = handled(scripted({"draft": "bad"}), lambda state: {"draft": 3}, None)
    with pytest.raises(ContractViolation):
        run(app, how, {})


@both
def test_default_retry_policies_add_to_the_ladder_and_never_multiply(how: str) -> None:
    """With a default retry policy, rejections take the ladder and errors the default."""
    errors = ConnectionError("one"), ConnectionError("two")
    write = scripted(errors[0], {"draft": "bad"}, errors[1], {"draft": "good"}, name="write")
    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    builder.set_node_defaults(
        retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)
    )
    spec = NodeGuard(gates=[lambda output: output["draft"] == "good"], policy=Policy(Retry(1)))
    tracer = RecordingTracer()
    assert run(guard(builder, {"write": spec}, tracer=tracer).compile(), how, {}) == {
        "draft": "good"
    }
    assert [(a.rung, a.outcome) for a in tracer.attempts("write")] == [
        ("first", "raised"),
        ("transport", "rejected"),
        ("retry", "raised"),
        ("transport", "accepted"),
    ]


@both
def test_a_gated_node_with_defaults_for_others_runs_as_often_as_bare(how: str) -> None:
    """A default retry policy on a node without a ladder works as it does bare."""
    write = scripted(*[ConnectionError("no")] * 3, name="write")
    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    builder.set_node_defaults(
        retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)
    )
    with pytest.raises(ConnectionError):
        run(guard(builder).compile(), how, {})
    assert write.calls == 3


def test_a_gated_node_is_guarded_wherever_it_stands() -> None:
    """`@gated` on a Send target needs no mention in `guard(nodes=...)`."""

    @gated(gates=[check_drafts("good")], policy=Policy(Retry(1)))
    def write(state: State) -> State:
        return {"drafts": ["good" if feedback() else "bad"]}

    result = guard(map_reduce(write)).compile().invoke({"topics": ["a", "b"]})
    assert result["drafts"] == ["good", "good"]
    assert END
