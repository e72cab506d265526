"""Asking the gates: quick ones in order, slow ones together, sync or async, failing closed."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Generator, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

from coordgate.gate import (
    ACCEPTED,
    Gate,
    Judgement,
    Verdict,
    as_verdict,
    jumping,
    raised,
    timed_out,
)
from coordgate.observers import Seen
from coordgate.running import RUNNING

Question: TypeAlias = tuple[Sequence[Gate], Any, Any]
"""Slow gates, the output and the state to ask them about."""

Asking: TypeAlias = Generator[Question, Sequence[Judgement], Sequence[Judgement]]
"""Yields a question at most once, is sent the answers, and returns every judgement."""


_clock = time.perf_counter

GATE: ContextVar[str | None] = ContextVar("coordgate_gate", default=None)
"""The name of the slow gate that is being asked."""


def judge(
    quick: Sequence[Gate],
    slow: Sequence[Gate],
    output: Any,
    state: Any,
    judgements: list[Judgement],
    *,
    all_of_them: bool,
) -> Asking:
    """Ask the quick gates; then, if they passed or all are wanted, yield the slow ones.

    The quick ones' answers are put into `judgements` as they come.
    """
    for gate in quick:
        judgements.append(ask(gate, output, state))
    if slow and (all_of_them or all(j.verdict.passed for j in judgements)):
        judgements += yield (slow, output, state)
    return judgements


def ask(gate: Gate, output: Any, state: Any) -> Judgement:
    """Ask one gate, now; whatever goes wrong in it is a verdict that has not passed."""
    started = time.perf_counter()
    try:
        verdict = as_verdict(
            gate.function(output, state) if gate.takes_state else gate.function(output)
        )
    except Exception as error:  # noqa: BLE001 - a gate that raises has not passed
        verdict = raised(error)
    if verdict.passed:
        return Judgement(gate.name, verdict, time.perf_counter() - started)
    return _judgement(gate, verdict, started)


def ask_all(gates: Sequence[Gate], output: Any, state: Any, judgements: list[Judgement]) -> bool:
    """Ask quick gates in order, put their answers into `judgements`; return whether all passed.

    It says what `ask` says, in as few calls as can be, since it runs on every node.
    """
    passed = True
    for gate in gates:
        started = _clock()
        try:
            result = gate.function(output, state) if gate.takes_state else gate.function(output)
        except Exception as error:  # noqa: BLE001 - a gate that raises has not passed
            judgement = _judgement(gate, raised(error), started)
            passed = False
        else:
            if result is True:
                judgement = Judgement(gate.name, ACCEPTED, _clock() - started)
            else:
                judgement = _judgement(gate, as_verdict(result), started)
                passed = passed and judgement.verdict.passed
        judgements.append(judgement)
    return passed


async def ask_async(gate: Gate, output: Any, state: Any) -> Judgement:
    """Ask one slow gate; a sync one runs in a thread, so that the loop goes on.

    Each is asked in a context of its own.
    """
    GATE.set(gate.name)
    seen = _shown(gate)
    started = time.perf_counter()
    try:
        async with asyncio.timeout(gate.timeout):
            if gate.is_async:
                answer = gate(output, state)
                result: object = await answer if inspect.isawaitable(answer) else answer
            else:
                result = await asyncio.to_thread(_called, gate, output, state)
        verdict = as_verdict(result)
    except TimeoutError as error:
        verdict = raised(error) if gate.timeout is None else timed_out(gate.timeout)
    except Exception as error:  # noqa: BLE001 - a gate that raises has not passed
        verdict = raised(error)
    finally:
        if seen is not None:
            seen.leave()
    return _judgement(gate, verdict, started)


def _shown(gate: Gate) -> Seen | None:
    """Tell those who observe the run, if anybody does, that a gate is asked which waits."""
    running = RUNNING.get()
    attempt = None if running is None else running.raw.seen
    if attempt is None:
        return None
    seen = Seen("gate", gate.name, attempt.watch, attempt.run, attempt)
    attempt.parts.append(seen)
    seen.enter()
    return seen


def _called(gate: Gate, output: Any, state: Any) -> object:
    return gate(output, state)


def _judgement(gate: Gate, verdict: Verdict, started: float) -> Judgement:
    return Judgement(gate.name, jumping(gate, verdict), time.perf_counter() - started)


async def ask_together(question: Question) -> Sequence[Judgement]:
    """Ask slow gates at the same time; the answers come in the gates' order."""
    gates, output, state = question
    return await asyncio.gather(*(ask_async(gate, output, state) for gate in gates))


def ask_in_threads(question: Question) -> Sequence[Judgement]:
    """Ask slow gates at the same time, each in a thread of its own, and wait for their answers.

    A gate that does not answer in time is left behind in a daemon thread.
    """
    gates, output, state = question
    asked = [_InThread(gate, output, state) for gate in gates]
    return [each.answer() for each in asked]


class _InThread:
    """One slow gate on its way."""

    def __init__(self, gate: Gate, output: Any, state: Any) -> None:
        self._gate = gate
        self._judgement: Judgement | None = None
        self._started = time.perf_counter()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run,
            args=(self._run, output, state),
            name=f"coordgate-gate-{gate.name}",
            daemon=True,
        )
        self._thread.start()

    def _run(self, output: Any, state: Any) -> None:
        GATE.set(self._gate.name)
        if self._gate.is_async:
            self._judgement = asyncio.run(ask_async(self._gate, output, state))
        else:
            seen = _shown(self._gate)
            self._judgement = ask(self._gate, output, state)
            if seen is not None:
                seen.leave()

    def answer(self) -> Judgement:
        timeout = self._gate.timeout
        left = None if timeout is None else self._started + timeout - time.perf_counter()
        self._thread.join(left if left is None else max(left, 0.0))
        if self._judgement is not None:
            return self._judgement
        return _judgement(self._gate, timed_out(timeout or 0.0), self._started)
