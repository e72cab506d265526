"""The spans of gates: those that wait, those that do not, and those that never answered."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from otel_traces import State, Traces, says

from coordgate import Degrade, NodeGuard, Policy, gate
from coordgate.testing import ScriptedModel


def test_gates_that_wait_and_gates_that_do_not_stand_in_the_order_asked(
    caplog: pytest.LogCaptureFixture,
):
    """Each has a span under its attempt, within its attempt's time."""
    traces = Traces()
    asked = [
        gate(lambda output: True, name="q1"),
        gate(lambda output: True, name="s1", slow=True),
        gate(lambda output: True, name="q2"),
    ]
    traces.guarded({"a": says("x")}, {"a": NodeGuard(gates=asked)}).invoke({})
    assert traces.outline()[3:] == ["      gate q1", "      gate q2", "      gate s1"]
    attempt = traces.one("attempt first")
    assert attempt.start_time is not None
    assert attempt.end_time is not None
    for name in ("q1", "q2", "s1"):
        span = traces.one(f"gate {name}")
        assert span.start_time is not None
        assert span.end_time is not None
        assert attempt.start_time <= span.start_time <= span.end_time
        assert span.end_time <= attempt.end_time + 1_000_000
    assert caplog.records == []  # no span was ended twice


def test_a_model_that_a_gate_calls_nests_in_the_gate():
    """The judge's call is not the node's."""
    traces = Traces()
    judge = ScriptedModel("yes")

    def ask(output: Any) -> bool:
        return judge.invoke("good?").text == "yes"

    guards = {"a": NodeGuard(gates=[gate(ask, name="judge", slow=True)])}
    traces.guarded({"a": says("1")}, guards).invoke({})
    assert traces.outline()[2:] == ["    attempt first", "      gate judge", "        chat"]


def test_a_gate_that_does_not_answer_in_time_is_sent():
    """Its span has the time that was waited for it, and the verdict that it was too late."""
    traces = Traces()
    left = threading.Event()

    def stuck(output: Any) -> bool:
        return left.wait()

    guards = {
        "a": NodeGuard(
            gates=[gate(stuck, name="stuck", slow=True, timeout=0.05)],
            policy=Policy(Degrade({"text": "none"})),
        )
    }
    traces.guarded({"a": says("1")}, guards).invoke({})
    told = traces.attributes("gate stuck")
    left.set()
    assert told["coordgate.gate.passed"] is False
    assert "0.05" in told["coordgate.gate.reason"]


def test_a_gate_that_was_cancelled_is_sent():
    """It says that it has not ended, and is in the attempt that was cancelled with it."""
    traces = Traces()

    async def run() -> None:
        asked = asyncio.Event()

        async def stuck(output: Any) -> bool:
            asked.set()
            return await asyncio.Event().wait()

        async def node(state: State) -> State:
            return {"text": "1"}

        app = traces.guarded({"a": node}, {"a": NodeGuard(gates=[gate(stuck, name="stuck")])})
        task = asyncio.create_task(app.ainvoke({}))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert traces.outline()[2:] == ["    attempt first", "      gate stuck"]
    assert traces.attributes("gate stuck")["output.value"] == '{"status": "not ended"}'
