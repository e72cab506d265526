"""How a run ends: completed, failed, interrupted or cancelled."""

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from recorded_graphs import CONFIG, State, both, line, run, statuses

from coordgate import (
    Degrade,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    guard,
)
from coordgate.testing import NEVER, RecordingTracer, scripted


@both
def test_a_run_that_ends_is_completed(how: str) -> None:
    """A completed run has a graph, a thread, a mode, a beginning and an end."""
    tracer = RecordingTracer()
    app = guard(line("a"), tracer=tracer).compile(checkpointer=InMemorySaver(), name="row")
    run(app, how, config=CONFIG)
    (record,) = tracer.runs
    assert (record.graph, record.thread, record.mode) == ("row", "t", "enforce")
    assert (record.status, record.error) == ("completed", None)
    assert record.ended is not None
    assert record.ended >= record.started
    assert tracer.transitions[0].run == record.id
    assert tracer.transitions[0].thread == "t"


@both
def test_a_run_that_raises_is_failed(how: str) -> None:
    """A failed run tells what ended it, and so does its last transition."""
    tracer = RecordingTracer()
    app = guard(line("a", "b", b=scripted(ValueError("boom"))), tracer=tracer).compile()
    with pytest.raises(ValueError, match="boom"):
        run(app, how)
    (record,) = tracer.runs
    assert (record.status, record.error) == ("failed", "ValueError: boom")
    assert [(t.node, t.status) for t in tracer.transitions] == [("a", "accepted"), ("b", "failed")]


@both
def test_a_run_that_is_rejected_is_failed(how: str) -> None:
    """The error of a rejected run is in its record."""
    tracer = RecordingTracer()
    app = guard(line("a"), {"a": NodeGuard(gates=[lambda output: False])}, tracer=tracer).compile()
    with pytest.raises(GateRejected):
        run(app, how)
    (record,) = tracer.runs
    assert record.status == "failed"
    assert "GateRejected: node 'a'" in (record.error or "")


@both
def test_a_run_that_waits_for_a_person_is_interrupted(how: str) -> None:
    """`interrupt()` ends a run as interrupted; resuming it is a run of its own."""
    tracer = RecordingTracer()
    builder = line("a", "ask", "b", ask=lambda state: {"draft": interrupt("ok?")})
    app = guard(builder, tracer=tracer).compile(checkpointer=InMemorySaver())
    run(app, how, config=CONFIG)
    assert statuses(tracer) == ["interrupted"]
    assert run(app, how, Command(resume="yes"), CONFIG)["draft"] == "yes"
    assert statuses(tracer) == ["interrupted", "completed"]
    assert [(t.node, t.status) for t in tracer.transitions] == [
        ("a", "accepted"),
        ("ask", "interrupted"),
        ("ask", "accepted"),
        ("b", "accepted"),
    ]


@both
def test_an_interrupt_inside_a_subgraph_interrupts_the_run(how: str) -> None:
    """A pause deep below is a pause of the whole."""
    tracer = RecordingTracer()
    inner = line("ask", ask=lambda state: {"draft": interrupt("ok?")}).compile()
    app = guard(line("sub", sub=inner), tracer=tracer).compile(checkpointer=InMemorySaver())
    run(app, how, config=CONFIG)
    assert statuses(tracer) == ["interrupted"]
    run(app, how, Command(resume="yes"), CONFIG)
    assert statuses(tracer) == ["interrupted", "completed"]
    assert [(t.node, t.status) for t in tracer.transitions] == [
        ("ask", "interrupted"),
        ("sub", "interrupted"),
        ("ask", "accepted"),
        ("sub", "accepted"),
    ]


@both
@pytest.mark.parametrize("when", ["interrupt_before", "interrupt_after"])
@pytest.mark.parametrize("given", ["compile", "call"])
def test_a_stop_before_or_after_a_node_interrupts_the_run(how: str, when: str, given: str) -> None:
    """Static breakpoints end a run as interrupted while there is more to do, and only then."""
    tracer = RecordingTracer()
    stops: Any = {when: ["b"]}
    compiling = stops if given == "compile" else {}
    app = guard(line("a", "b", "c"), tracer=tracer).compile(
        checkpointer=InMemorySaver(), **compiling
    )
    calling = stops if given == "call" else {}
    run(app, how, config=CONFIG, **calling)
    assert statuses(tracer) == ["interrupted"]
    app.invoke(None, CONFIG)
    assert statuses(tracer) == ["interrupted", "completed"]


@both
def test_a_breakpoint_that_is_not_reached_does_not_interrupt(how: str) -> None:
    """A run to its end is completed, whatever breakpoints there are."""
    tracer = RecordingTracer()
    app = guard(line("a", "b"), tracer=tracer).compile(
        checkpointer=InMemorySaver(), interrupt_after=["b"]
    )
    run(app, how, config=CONFIG)
    assert statuses(tracer) == ["completed"]


def test_a_stream_closed_early_is_cancelled() -> None:
    """Whoever stops reading ends the run as cancelled."""
    tracer = RecordingTracer()
    app = guard(line("a", "b"), tracer=tracer).compile()
    flow: Any = app.stream({})
    next(flow)
    flow.close()
    assert statuses(tracer) == ["cancelled"]


def test_an_async_stream_closed_early_is_cancelled() -> None:
    """The same, async."""
    tracer = RecordingTracer()
    app = guard(line("a", "b"), tracer=tracer).compile()

    async def read_one() -> None:
        flow: Any = app.astream({})
        await anext(flow)
        await flow.aclose()

    asyncio.run(read_one())
    assert statuses(tracer) == ["cancelled"]


def test_a_stream_that_is_never_read_is_no_run() -> None:
    """Where nothing has run, nothing is recorded, and nothing is left running."""
    tracer = RecordingTracer()
    app = guard(line("a"), tracer=tracer).compile()
    flow: Any = app.stream({})
    flow.close()
    assert tracer.runs == []


@pytest.mark.parametrize("streaming", [False, True])
def test_a_cancelled_task_cancels_the_run(streaming: bool) -> None:
    """Asyncio's cancellation goes through, and the open transition ends with its run."""
    tracer = RecordingTracer()
    started = asyncio.Event()

    async def hang(state: State) -> State:
        started.set()
        await asyncio.Event().wait()
        return {}

    nodes = {"b": NodeGuard(policy=Policy(Retry(3), Degrade({"draft": "never"})))}
    app = guard(line("a", "b", b=hang), nodes, tracer=tracer).compile()

    async def work() -> None:
        if streaming:
            async for _ in app.astream({}):
                pass
        else:
            await app.ainvoke({})

    async def cancel() -> None:
        running = asyncio.create_task(work())
        await started.wait()
        running.cancel()
        await running

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert statuses(tracer) == ["cancelled"]
    assert [(t.node, t.status) for t in tracer.transitions] == [
        ("a", "accepted"),
        ("b", "cancelled"),
    ]


def test_a_timeout_around_a_run_cancels_it() -> None:
    """`asyncio.timeout` around a run cancels it, and not only its node."""
    tracer = RecordingTracer()
    nodes = {"a": NodeGuard(policy=Policy(Degrade({"draft": "never"})))}
    app = guard(line("a", a=scripted(NEVER, kind="async")), nodes, tracer=tracer).compile()

    async def work() -> None:
        async with asyncio.timeout(0.05):
            await app.ainvoke({})

    with pytest.raises(TimeoutError):
        asyncio.run(work())
    assert statuses(tracer) == ["cancelled"]


def test_a_keyboard_interrupt_cancels_the_run() -> None:
    """Ctrl-C passes through, and the run is cancelled, not failed."""
    tracer = RecordingTracer()
    nodes = {"a": NodeGuard(policy=Policy(Retry(3), Degrade({"draft": "never"})))}
    node = scripted(KeyboardInterrupt(), name="a")
    app = guard(line("a", a=node), nodes, tracer=tracer).compile()
    with pytest.raises(KeyboardInterrupt):
        app.invoke({})
    assert node.calls == 1
    assert statuses(tracer) == ["cancelled"]
    assert [t.status for t in tracer.transitions] == ["cancelled"]


@both
def test_a_recursion_limit_fails_the_run(how: str) -> None:
    """A loop without end fails in LangGraph's words, and is recorded as failed."""
    tracer = RecordingTracer()
    builder = line("a")
    builder.add_edge("a", "a")
    with pytest.raises(RecursionError):
        run(guard(builder, tracer=tracer).compile(), how, config={"recursion_limit": 3})
    assert statuses(tracer) == ["failed"]
    assert len(tracer.transitions) == 3
