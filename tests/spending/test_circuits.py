"""Circuits: a dependency that keeps failing is left alone for a while, by all who name it."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from spenders import AT_ONCE, Clock, Spender, State, graph

from coordgate import (
    Budget,
    Circuit,
    CircuitOpen,
    ConfigurationError,
    Degrade,
    Fallback,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import NEVER, RecordingTracer, scripted

SORRY = Degrade({"draft": "sorry"})
RESET = ConnectionError("reset by peer")
both = pytest.mark.parametrize("how", ["sync", "async"])


@gate
def good(output: State) -> Verdict:
    """Pass what says good."""
    return Verdict.accept() if output["draft"] == "good" else Verdict.reject("is not good")


def run(app: Any, how: str) -> Any:
    """Run a graph, sync or async."""
    return app.invoke({}) if how == "sync" else asyncio.run(app.ainvoke({}))


def calling(circuit: Any, *rungs: Any, retries: int = 1, gates: Any = ()) -> NodeGuard:
    """Return the guard of a node that calls a dependency."""
    again = Retry(retries, circuit=circuit, **AT_ONCE)
    return NodeGuard(gates=gates, policy=Policy(again, *rungs))


# The state machine


class Breaking(RuleBasedStateMachine):
    """A circuit beside the simplest thing that says the same: a list of what has happened."""

    def __init__(self) -> None:
        """Begin closed."""
        super().__init__()
        self.clock = Clock()
        self.circuit = Circuit("x", failures=3, seconds=10, clock=self.clock)
        self.under_way: list[tuple[int, int]] = []
        self.changes = 0
        self.row = 0
        self.until: float | None = None
        self.probe: int | None = None

    def change(self) -> None:
        """Note that calls from before have no say any more."""
        self.changes += 1

    @rule()
    def enter(self) -> None:
        """Begin a call, if that may be."""
        allowed = self.until is None or self.clock.now >= self.until
        if not allowed:
            with pytest.raises(CircuitOpen) as refused:
                self.circuit.enter("node")
            assert refused.value.seconds == self.until - self.clock.now
            assert refused.value.failures >= 3
            return
        era = self.circuit.enter("node")
        if self.until is not None:  # it probes, and nobody else does until its time is over
            self.until = self.clock.now + 10
            self.change()
            self.probe = self.changes
        self.under_way.append((era, self.changes))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), came=st.sampled_from(["passed", "failed", "unknown"]))
    def leave(self, data: Any, came: Any) -> None:
        """End one of the calls that are under way."""
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        era, begun = self.under_way.pop(at)
        self.circuit.leave(era, came, "ConnectionError: reset")
        if begun != self.changes:
            return
        if came == "passed":
            if self.until is not None:
                self.change()
            self.row, self.until, self.probe = 0, None, None
        elif came == "failed":
            self.row += 1
            if self.until is not None or self.row >= 3:
                self.until, self.probe = self.clock.now + 10, None
                self.change()
        elif self.until is not None:
            self.until, self.probe = self.clock.now, None

    @rule(seconds=st.sampled_from([1.0, 9.0, 10.0, 11.0]))
    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.now += seconds

    @invariant()
    def it_stands_as_said(self) -> None:
        """The state is what has happened."""
        if self.until is None:
            assert self.circuit.state == "closed"
        elif self.probe is None and self.clock.now < self.until:
            assert self.circuit.state == "open"
        else:
            assert self.circuit.state == "half-open"


Breaking.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestBreaking = Breaking.TestCase


def test_one_thread_probes_and_the_others_go_on() -> None:
    """Of twenty callers at once, when its time is over, one is let through."""
    clock = Clock()
    circuit = Circuit("x", failures=1, seconds=10, clock=clock)
    circuit.leave(circuit.enter("node"), "failed", "gone")
    clock.now = 10
    entered: list[int] = []
    refused: list[str] = []
    together = threading.Barrier(20)

    def call() -> None:
        together.wait()
        try:
            entered.append(circuit.enter("node"))
        except CircuitOpen as error:
            refused.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(entered), len(refused)) == (1, 19)
    assert "circuit open: 'x' has failed 1 times in a row, at last with gone" in refused[0]


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Circuit(""),
        lambda: Circuit("x", failures=0),
        lambda: Circuit("x", seconds=0),
        lambda: Retry(1, circuit=""),
        lambda: Retry(1, circuit=3),
        lambda: Policy(Retry(1, circuit="a"), Fallback(dict), Retry(1, circuit="b")),
    ],
)
def test_a_circuit_that_means_nothing_is_refused(declare: Any) -> None:
    """A name, numbers above nothing, and one circuit for a node."""
    with pytest.raises(ConfigurationError):
        declare()


# On the ladder


@both
def test_it_opens_and_the_ladder_goes_on_above_retry(how: str) -> None:
    """After the failure that opens it no retry is made, and later runs do not call the body."""
    clock = Clock()
    circuit = Circuit("x", failures=2, seconds=30, clock=clock)
    call, other = Spender("call", *[RESET] * 9), Spender("other")
    nodes = {"call": calling(circuit, Fallback(other), retries=3)}
    tracer = RecordingTracer()
    app = guard(graph(call), nodes, tracer=tracer).compile()
    for _ in range(3):
        assert run(app, how)["ran"] == ["other"]
    assert (call.calls, other.calls) == (2, 3)
    rungs = [(each.rung, each.outcome) for each in tracer.attempts("call")]
    assert rungs[:3] == [("first", "raised"), ("retry", "raised"), ("fallback:other", "accepted")]
    assert rungs[3:] == [("first", "raised"), ("fallback:other", "accepted")] * 2
    assert "circuit open: 'x'" in tracer.attempts("call")[-2].reasons[0]


@both
def test_it_closes_when_the_probe_passes(how: str) -> None:
    """After its time one run calls the body; a failure opens it again, an answer closes it."""
    clock = Clock()
    circuit = Circuit("x", failures=1, seconds=30, clock=clock)
    call = Spender("call", RESET, RESET)
    app = guard(graph(call), {"call": calling(circuit, SORRY)}).compile()
    drafts = []
    for now in (0, 29, 30, 59, 60, 61):
        clock.now = now
        drafts.append(run(app, how)["draft"])
    assert drafts == ["sorry", "sorry", "sorry", "sorry", "good", "good"]
    assert call.calls == 4
    assert circuit.state == "closed"


@both
def test_rejected_content_is_an_answer(how: str) -> None:
    """What a gate or the contract rejects does not count, and ends a row of failures."""
    circuit = Circuit("x", failures=2, seconds=30, clock=Clock())
    call = Spender("call", RESET, "bad", RESET, "bad", 3, RESET, "good")
    app = guard(graph(call), {"call": calling(circuit, retries=9, gates=[good])}).compile()
    assert run(app, how)["draft"] == "good"
    assert call.calls == 7


@both
def test_a_mistake_in_the_node_does_not_count(how: str) -> None:
    """ValueError, KeyError and their kin are the program's; the probe they end is free again."""
    clock = Clock()
    circuit = Circuit("x", failures=1, seconds=30, clock=clock)
    call = Spender("call", *[KeyError("draft")] * 3, RESET, TypeError("no"), "good")
    app = guard(graph(call), {"call": calling(circuit, SORRY, retries=3)}).compile()
    assert run(app, how)["draft"] == "sorry"
    clock.now = 30
    assert run(app, how)["draft"] == "good"
    assert call.calls == 6


@both
def test_langgraphs_repeats_stop_when_it_opens(how: str) -> None:
    """A RetryPolicy of LangGraph's on the node does not go on calling what is down."""
    circuit = Circuit("x", failures=2, seconds=30, clock=Clock())
    call = Spender("call", *[RESET] * 9)
    often = RetryPolicy(max_attempts=8, initial_interval=0.0, jitter=False)
    app = guard(graph(call, retry_policy=often), {"call": calling(circuit, SORRY)}).compile()
    assert run(app, how)["draft"] == "sorry"
    assert call.calls == 2


@both
def test_nodes_share_a_circuit_by_its_name(how: str) -> None:
    """A name is one circuit in the process; another name is another."""
    name = f"shared {how}"
    one = Spender("one", *[RESET] * 5)
    two, three = Spender("two"), Spender("three")
    nodes = {
        "one": calling(name, SORRY, retries=4),
        "two": calling(name, SORRY),
        "three": calling(f"{name}, another", SORRY),
    }
    result = run(guard(graph(one, two, three), nodes).compile(), how)
    assert result["ran"] == ["three"]
    assert (one.calls, two.calls, three.calls) == (5, 0, 1)


def test_without_a_rung_above_it_the_error_says_what_is_open() -> None:
    """The run fails with CircuitOpen: what, since when, and the cure."""
    circuit = Circuit("payments", failures=1, seconds=30, clock=Clock())
    app = guard(graph(Spender("call", RESET)), {"call": calling(circuit)}).compile()
    with pytest.raises(ConnectionError):
        app.invoke({})
    with pytest.raises(CircuitOpen, match=r"'payments' has failed 1 times.*in 30.0 s") as caught:
        app.invoke({})
    assert caught.value.node == "call"
    assert caught.value.last == "ConnectionError: reset by peer"


def test_a_timeout_of_langgraphs_counts() -> None:
    """A body that LangGraph's timeout has ended is a failure of transport."""
    circuit = Circuit("x", failures=1, seconds=30, clock=Clock())
    builder = StateGraph(State)
    builder.add_node("call", scripted(NEVER, {"draft": "good"}, kind="async"), timeout=0.05)
    builder.add_edge(START, "call")
    app = guard(builder, {"call": calling(circuit, SORRY)}).compile()
    assert asyncio.run(app.ainvoke({}))["draft"] == "sorry"
    assert circuit.state == "open"


def test_a_cancelled_probe_is_no_answer() -> None:
    """A run that is cancelled while it probes leaves the circuit as open as it was."""
    clock = Clock()
    circuit = Circuit("x", failures=1, seconds=30, clock=clock)
    probing = asyncio.Event()

    async def call(state: State) -> Any:
        if clock.now == 0:
            raise RESET
        probing.set()
        await asyncio.Event().wait()

    async def cancelled() -> None:
        app = guard(graph(call, timeout=60), {"call": calling(circuit, SORRY)}).compile()
        await app.ainvoke({})
        clock.now = 30
        run = asyncio.create_task(app.ainvoke({}))
        await probing.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(cancelled())
    assert circuit.state == "half-open"


def test_a_circuit_is_named_in_toml_too(tmp_path: Path) -> None:
    """A settings file names the dependency; one retry is meant where no number is given."""
    assert Retry(circuit="toml") == Retry(1, circuit="toml")
    settings = tmp_path / "coordgate.toml"
    settings.write_text(
        """
        [nodes.call]
        policy = [
            { retry = 9, circuit = "toml", wait = 0, jitter = false },
            { degrade = { draft = "sorry" } },
        ]
        """
    )
    call = Spender("call", *[RESET] * 9)
    app = guard(graph(call), settings).compile()
    assert [app.invoke({})["draft"] for _ in range(2)] == ["sorry"] * 2
    assert call.calls == 5


def test_a_refused_attempt_spends_nothing() -> None:
    """What the circuit or the budget refuses is counted by neither."""
    circuit = Circuit("x", failures=1, seconds=30, clock=Clock())
    app = guard(
        graph(Spender("call", RESET), Spender("last")),
        {"call": calling(circuit, SORRY)},
        budget=Budget(attempts=2),
    ).compile()
    assert app.invoke({})["draft"] == "good"
    assert app.invoke({})["draft"] == "good"
    broke = guard(app, budget=Budget(attempts=0))
    assert circuit.state == "open"
    closed = Circuit("y", failures=1, seconds=30, clock=Clock())
    refused = guard(
        broke, {"call": calling(closed, SORRY), "last": NodeGuard(policy=Policy(SORRY))}
    )
    assert refused.invoke({})["draft"] == "sorry"
    assert closed.state == "closed"


def test_observing_asks_no_circuit() -> None:
    """With `mode="observe"` policies are not in force, and neither is a circuit."""
    circuit = Circuit("x", failures=1, seconds=30, clock=Clock())
    app = guard(graph(Spender("call", RESET)), {"call": calling(circuit)}, mode="observe").compile()
    with pytest.raises(ConnectionError):
        app.invoke({})
    assert app.invoke({})["draft"] == "good"
    assert circuit.state == "closed"
