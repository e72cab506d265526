"""What the body or a gate raises, and how long is waited after it."""

import asyncio
import time
from typing import Any

import pytest
from ladders import AT_ONCE, BAD, GOOD, Draft, app_of, both, good, nested, run
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from coordgate import (
    ConfigurationError,
    Degrade,
    Escalate,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Reroute,
    Retry,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer, scripted


@both
def test_an_exception_goes_up_the_ladder(how: str) -> None:
    """What the body raises is a failure like any other, whatever its type."""
    tracer = RecordingTracer()
    errors = ValueError("a"), TypeError("b"), RuntimeError("c"), OSError("d")
    node = scripted(*errors, GOOD)
    app = app_of(node, Retry(4, **AT_ONCE), tracer=tracer)
    assert run(app, how) == GOOD
    assert [a.error for a in tracer.attempts("write")] == [
        "ValueError: a",
        "TypeError: b",
        "RuntimeError: c",
        "OSError: d",
        None,
    ]


@both
def test_an_exception_past_the_last_rung_comes_out_as_itself(how: str) -> None:
    """Callers that catch the node's own exceptions still do; a note says what was tried."""
    last = KeyError("b")
    node = scripted(KeyError("a"), last)
    with pytest.raises(KeyError) as caught:
        run(app_of(node, Retry(1, **AT_ONCE)), how)
    assert caught.value is last
    (note,) = [n for n in caught.value.__notes__ if n.startswith("coordgate:")]
    assert "node 'write' raised this after 2 attempt(s)" in note
    assert "no rung left" in note


@both
def test_an_exception_without_a_policy_is_what_it_is_bare(how: str) -> None:
    """A node without a policy raises as in bare LangGraph, with no note of ours."""
    with pytest.raises(KeyError) as caught:
        run(app_of(scripted(KeyError("a"))), how)
    assert not [n for n in caught.value.__notes__ if n.startswith("coordgate:")]


@both
def test_one_exception_object_raised_in_several_runs_is_retried_in_each(how: str) -> None:
    """A module-level exception, raised again and again, carries nothing over from run to run."""
    always = ConnectionError("down")
    node = scripted(*[always] * 4)
    app = app_of(node, Retry(1, **AT_ONCE))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            run(app, how)
    assert node.calls == 4
    recovering = scripted(always, GOOD)
    assert run(app_of(recovering, Retry(1, **AT_ONCE)), how) == GOOD
    assert recovering.calls == 2


@both
def test_one_exception_object_in_two_nodes_is_each_nodes_own(how: str) -> None:
    """What one node gave up on does not keep another node from its retries."""
    always = ConnectionError("down")
    first, second = scripted(always, always), scripted(always, GOOD)
    builder = StateGraph(Draft)
    builder.add_node("a", first)
    builder.add_node("b", second)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    nodes = {
        "a": NodeGuard(policy=Policy(Retry(1, **AT_ONCE), Degrade({"extra": "x"}))),
        "b": NodeGuard(policy=Policy(Retry(1, **AT_ONCE))),
    }
    assert run(guard(builder, nodes).compile(), how)["draft"] == "good"
    assert (first.calls, second.calls) == (2, 2)


@both
def test_an_exception_that_takes_no_attributes_is_retried(how: str) -> None:
    """Where nothing can be kept on an exception, its node still climbs the ladder."""

    class Slotted(Exception):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            if name != "__notes__":  # which LangGraph itself sets on every exception
                raise AttributeError(name)
            super().__setattr__(name, value)

    node = scripted(Slotted("a"), GOOD)
    assert run(app_of(node, Retry(1, **AT_ONCE)), how) == GOOD


@both
def test_a_gate_that_breaks_has_not_passed(how: str) -> None:
    """A gate that raises, returns None or nonsense fails closed and says what it did."""

    def raising(output: Any) -> bool:
        return bool(output["missing"])

    for broken, says in (
        (raising, "the gate raised KeyError: 'missing'"),
        (lambda output: None, "the gate returned NoneType"),
        (lambda output: "yes", "the gate returned str"),
        (lambda output: 1, "the gate returned int"),
    ):
        with pytest.raises(GateRejected, match=says):
            run(app_of(scripted(GOOD), gates=[gate(broken)]), how)


@both
def test_a_slow_gate_that_hangs_has_not_passed(how: str) -> None:
    """A gate that does not answer in time is a rejection with its limit."""

    @gate(timeout=0.05)
    async def hangs(output: Any) -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(GateRejected, match=r"did not answer within 0\.05 s"):
        run(app_of(scripted(GOOD), gates=[hangs]), how)


@both
def test_slow_gates_are_asked_together_and_only_after_the_quick(how: str) -> None:
    """A rejection by a quick gate spares the slow ones; slow ones wait for each other here."""
    met: list[str] = []
    both_there = asyncio.Event()

    def meeting(name: str) -> Any:
        @gate(name=name, timeout=5.0)
        async def meets(output: Any) -> bool:
            met.append(name)
            if how == "async":
                if len(met) == 2:
                    both_there.set()
                await both_there.wait()
            return True

        return meets

    gates = [meeting("one"), good, meeting("two")]
    with pytest.raises(GateRejected, match="'good'"):
        run(app_of(scripted(BAD), gates=gates), how)
    assert met == []
    assert run(app_of(scripted(GOOD), gates=gates), how) == GOOD
    assert sorted(met) == ["one", "two"]


def test_async_gates_answer_in_a_sync_run_inside_a_running_loop() -> None:
    """A sync run called from async code can still ask async gates."""

    @gate
    async def fine(output: Any) -> bool:
        await asyncio.sleep(0)
        return output == GOOD

    async def call() -> Any:
        return app_of(scripted(GOOD), gates=[fine]).invoke({})

    assert asyncio.run(call()) == GOOD


@both
def test_a_rejection_is_repeated_at_once(how: str) -> None:
    """Only exceptions wait: a rejected hand-over is repeated without any wait."""
    began = time.perf_counter()
    node = scripted(BAD, BAD, GOOD)
    assert run(app_of(node, Retry(2, wait=60.0)), how) == GOOD
    assert time.perf_counter() - began < 30


@both
def test_an_exception_waits_longer_each_time(how: str) -> None:
    """The waits are `wait`, then `wait` times `backoff`, and at most `max_wait`."""
    node = scripted(*[ValueError("x")] * 3, GOOD)
    began = time.perf_counter()
    retry = Retry(3, wait=0.01, backoff=4.0, max_wait=0.04, jitter=False)
    assert run(app_of(node, retry), how) == GOOD
    assert 0.09 <= time.perf_counter() - began < 5


@both
def test_rejections_do_not_lengthen_the_wait_after_an_exception(how: str) -> None:
    """The first exception waits `wait`, however many hand-overs were rejected before it."""
    node = scripted(*[BAD] * 5, ValueError("x"), GOOD)
    began = time.perf_counter()
    retry = Retry(6, wait=0.001, backoff=10.0, max_wait=3.0, jitter=False)
    assert run(app_of(node, retry), how) == GOOD
    assert time.perf_counter() - began < 2


@both
def test_rejections_do_not_lengthen_langgraphs_own_wait(how: str) -> None:
    """LangGraph's RetryPolicy waits its initial interval first, whatever was rejected before."""
    slow = RetryPolicy(
        max_attempts=3, initial_interval=0.001, backoff_factor=10.0, max_interval=3.0, jitter=False
    )
    node = scripted(*[BAD] * 5, ConnectionError("x"), GOOD)
    began = time.perf_counter()
    assert run(app_of(node, Retry(5), retry_policy=slow), how) == GOOD
    assert time.perf_counter() - began < 2


@both
@pytest.mark.parametrize(
    "rung",
    [
        Retry(1, **AT_ONCE),
        Fallback(scripted(GOOD)),
        Reroute("__end__"),
        Degrade(GOOD),
    ],
)
def test_no_rung_hides_that_a_graph_inside_cannot_work(rung: Any, how: str) -> None:
    """A subgraph with nobody to ask fails the run, though a rung around it would have answered."""
    node = scripted(*[BAD] * 9)
    inner = NodeGuard(gates=[good], policy=Policy(Escalate("editor")))
    app = nested(node, inner, NodeGuard(policy=Policy(rung)))
    with pytest.raises(ConfigurationError, match="no checkpointer to wait with") as caught:
        run(app, how)
    assert node.calls == 0
    assert not any("no rung left" in each for each in getattr(caught.value, "__notes__", ()))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Escalate("editor", within=float("nan")), "within=nan"),
        (lambda: Escalate("editor", within=float("inf")), "within=inf"),
        (lambda: Escalate("editor", within="1h"), "within='1h'"),
        (lambda: Policy(Escalate("a", within=1, otherwise=Degrade(GOOD)), Degrade(GOOD)), "'fail'"),
    ],
)
def test_a_deadline_is_seconds_and_the_name_of_a_rung(make: Any, says: str) -> None:
    """What is neither is an error of coordgate where it is declared."""
    with pytest.raises(ConfigurationError, match=says):
        make()
