"""Nodes that LangGraph runs in ways of their own: Send targets, deferred, cached, timed."""

import asyncio
from typing import Annotated, Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.errors import NodeTimeoutError
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy
from special_graphs import Draft, State, both, check_drafts, map_reduce, run

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
    guard,
)
from coordgate.testing import NEVER, RecordingTracer, scripted

FAST = {"wait": 0.0, "jitter": False}


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
    builder.add_node("write", node, timeout=0.3)
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
