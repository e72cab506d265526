"""LangSmith: attempts under their node's run, verdicts as feedback, contract and policy on it.

`Tracer("traces.db", observers=[LangSmith()])`, and `LANGSMITH_TRACING=true` as for any graph. The
runs themselves are LangChain's: nothing is traced twice. With tracing off this does nothing.
"""

# What the client's signatures leave open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import atexit
import json
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextvars import Token
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from langchain_core.tracers.context import tracing_v2_callback_var
from langchain_core.tracers.langchain import LangChainTracer
from langchain_core.tracers.schemas import Run
from langsmith import Client
from langsmith.run_helpers import get_tracing_context
from langsmith.utils import LangSmithNotFoundError, tracing_is_enabled

from coordgate.exporters.langsmith_runs import NodeRun, NodeTracer, annotate, take_place
from coordgate.observers import Seen
from coordgate.printable import one_line
from coordgate.record import Attempt, GateVerdict, Transition
from coordgate.values import ValueText

_log = logging.getLogger("coordgate")

_MOST = 10_000
"""How many nodes wait to be told of before the oldest are dropped."""
_PAUSE = 30.0
"""After a failure no feedback is sent for so many seconds; what comes meanwhile is dropped."""
_AT_EXIT = 2.0
"""The end of the process is held up for so many seconds at most."""
_TRIES = 3
"""A project is there about a second after its first run; so often it is looked for."""


class LangSmith:
    """Tells LangSmith what the gates said, and hangs the attempts at a node under its run.

    A server that is slow, refuses or is not there costs a run nothing: what is sent waits on a
    thread, what cannot be sent is dropped and counted.
    """

    def __init__(self) -> None:
        """Do nothing yet: nothing is made before the first node is traced."""
        self._sender = _Sender()

    def __repr__(self) -> str:
        """Return it, with what went wrong."""
        errors, lost = self.errors, self.lost
        return f"LangSmith({f'{errors} errors, {lost} lost' if errors or lost else ''})"

    @property
    def errors(self) -> int:
        """Return how often the server has refused, or could not be asked."""
        return self._sender.errors

    @property
    def lost(self) -> int:
        """Return how many verdicts could not be sent."""
        return self._sender.lost

    def rests(self) -> bool:
        """Return whether tracing is off."""
        return tracing_v2_callback_var.get() is None and not tracing_is_enabled()

    def enter(self, seen: Seen) -> None:
        """Have what begins traced by our tracer, where LangChain's would."""
        if seen.kind == "run":
            if not self.rests():
                kept = seen.kept.setdefault(self, _Kept(_tracer(seen)))
                kept.tokens.append(tracing_v2_callback_var.set(kept.tracer))
        elif seen.kind == "attempt" and seen.above is not None:
            known: NodeRun | None = seen.above.kept.get(self)
            node = take_place(seen, known)
            if node is not None and known is None:
                seen.above.kept[self] = node
                _run_of(seen).kept.setdefault(self._sender, {})[id(node)] = node
                self._sender.start()

    def leave(self, seen: Seen) -> None:
        """Leave LangChain's tracer in its place where the run does not work."""
        kept = seen.kept.get(self) if seen.kind == "run" else None
        if kept is not None and kept.tokens:
            tracing_v2_callback_var.reset(kept.tokens.pop())

    def recorded(self, seen: Seen, text: ValueText) -> None:
        """Have the ends of a node's runs sent, and the verdicts on it."""
        if seen.kind == "node" and isinstance(seen.record, Transition):
            node: NodeRun | None = seen.kept.pop(self, None)
            made = [each.record for each in seen.parts if isinstance(each.record, Attempt)]
            if node is not None:
                _run_of(seen).kept.get(self._sender, {}).pop(id(node), None)
                self._end(node, seen.record, made)
        elif seen.kind == "run":
            for left in seen.kept.pop(self._sender, {}).values():
                self._end(left, None, [])  # its record was lost

    def _end(self, node: NodeRun, record: Transition | None, attempts: list[Attempt]) -> None:
        if node.run is not None:
            self._sender.put(_Ended(node, node.run, record, attempts))

    def flush(self, seconds: float = 10.0) -> bool:
        """Wait until all that the tracer has recorded is handed on; return whether it is.

        Call it after `Tracer.flush()`. LangChain's `wait_for_all_tracers()` waits for the rest.
        """
        return self._sender.flush(seconds)


@dataclass(slots=True)
class _Kept:
    """What is kept on a run."""

    tracer: NodeTracer
    tokens: list[Token[Any]] = field(default_factory=list[Token[Any]])


def _run_of(seen: Seen) -> Seen:
    """Return the run that an attempt is a part of."""
    while seen.above is not None:
        seen = seen.above
    return seen


def _tracer(seen: Seen) -> NodeTracer:
    """Return the tracer that LangChain would make here, or has, with redaction."""
    found = tracing_v2_callback_var.get()
    if found is None:
        context = get_tracing_context()
        parent = context["parent"]
        project = context["project_name"] if parent is None else parent.session_name
        found = LangChainTracer(
            project_name=project,
            client=context["client"] if parent is None else parent.client,
            tags=context["tags"],
            metadata=context["metadata"],
        )
    return NodeTracer.around(found, seen.watch.redact)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A node that has ended, and what is to be said of it."""

    node: NodeRun
    run: Run
    record: Transition | None
    attempts: list[Attempt]

    def runs(self) -> Iterator[Run]:
        """Yield the runs of the node and its attempts, as they have ended."""
        node, run, record = self.node, self.run, self.record
        known = {each.number: each for each in self.attempts}
        if record is not None:
            annotate(run, {"coordgate.status": record.status})
        for number, tried in node.attempts.items():
            if number in known:
                _complete(tried, known[number])
            yield tried
        if not node.apart:
            return
        node.tracer.run_map.pop(str(run.id), None)
        if record is not None:
            annotate(run, {"coordgate.attempts": len(record.attempts)})
            run.end_time = datetime.fromtimestamp(record.started + record.seconds, UTC)
            run.outputs = _outputs(record.writes)
            run.error = _error(record)
        yield run

    def verdicts(self) -> Iterator[tuple[Attempt, GateVerdict]]:
        for attempt in self.attempts:
            for verdict in attempt.verdicts:
                yield attempt, verdict


class _Sender:
    """Sends on a thread what is said of nodes that have ended."""

    def __init__(self) -> None:
        self.errors = 0
        self.lost = 0
        self._waiting: deque[_Ended] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._rests_until = 0.0
        self._sessions: dict[tuple[int, str], str | None] = {}
        _living.add(self)

    def start(self) -> None:
        """Start the thread where it does not run: at first, and in the child of a fork."""
        if self._thread is None or not self._thread.is_alive():
            self._changed = threading.Condition()
            self._waiting.clear()
            self._busy = False
            self._thread = threading.Thread(
                target=self._work, name="coordgate-langsmith", daemon=True
            )
            self._thread.start()

    def put(self, ended: _Ended) -> None:
        """Take what is to be sent."""
        with self._changed:
            if len(self._waiting) >= _MOST:
                self.lost += sum(1 for _ in self._waiting.popleft().verdicts())
            self._waiting.append(ended)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent; return whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and not self._busy, max(0.0, seconds)
            )

    def _work(self) -> None:
        changed = self._changed
        while True:
            with changed:
                self._busy = False
                changed.notify_all()
                changed.wait_for(lambda: bool(self._waiting))
                ended = self._waiting.popleft()
                self._busy = True
            try:
                self._send(ended)
            except Exception as error:  # noqa: BLE001 - a server may answer anything
                self._failed(error)

    def _send(self, ended: _Ended) -> None:
        alive = threading.main_thread().is_alive()
        for run in ended.runs():
            if not alive:
                _patch(run)
            elif not run.extra.get("__disabled"):
                run.patch(exclude_inputs=True)
        for attempt, verdict in ended.verdicts():
            if time.monotonic() < self._rests_until:
                self.lost += 1
                continue
            try:
                self._feed_back(ended.run, attempt, verdict, directly=not alive)
            except Exception as error:  # noqa: BLE001 - a server may answer anything
                self.lost += 1
                self._failed(error)

    def _feed_back(
        self, run: Run, attempt: Attempt, verdict: GateVerdict, *, directly: bool
    ) -> None:
        client: Client = run.client
        score = verdict.score if verdict.score is not None else float(verdict.passed)
        client.create_feedback(
            run_id=run.id,
            trace_id=None if directly else run.trace_id,
            key=one_line(verdict.gate, 120),
            score=score,
            value="passed" if verdict.passed else "rejected",
            comment=verdict.reason or None,
            source_info={"attempt": attempt.number, "rung": attempt.rung, "by": "coordgate"},
            session_id=self._session(client, run.session_name, wait=not directly),
            start_time=run.start_time,
            stop_after_attempt=1,
        )

    def _session(self, client: Client, name: str | None, *, wait: bool) -> str | None:
        """Return the id of a project, which feedback is to name."""
        if name is None:
            return None
        key = (id(client), name)
        for tried in range(_TRIES):
            if key in self._sessions:
                break
            try:
                self._sessions[key] = str(client.read_project(project_name=name).id)
            except LangSmithNotFoundError:
                if not wait or tried + 1 == _TRIES:
                    self._sessions[key] = None
                else:
                    time.sleep(1.0)
        return self._sessions.get(key)

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self._rests_until = time.monotonic() + _PAUSE
        if self.errors == 1:
            _log.warning(
                "coordgate: LangSmith did not take feedback, and the run goes on (said once): "
                "%s: %s",
                type(error).__name__,
                one_line(str(error), 300),
            )


def _complete(run: Run, attempt: Attempt) -> None:
    """Put on an attempt's run what only the record knows."""
    seen = run.extra["metadata"].get("coordgate.outcome", "accepted")
    annotate(run, {"coordgate.outcome": attempt.outcome})
    if attempt.outcome in {"rejected", "violated"} and attempt.output is not None:
        run.outputs = _outputs(attempt.output)
    elif attempt.error is not None and attempt.outcome != seen:
        run.error = attempt.error  # what a timeout has ended, LangChain sees as cancelled


def _outputs(text: str | None) -> dict[str, Any] | None:
    shown: Any = None if text is None else json.loads(text)
    if isinstance(shown, dict) or shown is None:
        return shown
    return {"output": shown}


def _error(record: Transition) -> str | None:
    """Return what a node failed by; one that waits for an answer has not failed."""
    if record.status not in {"failed", "cancelled"}:
        return None
    last = record.attempts[-1] if record.attempts else None
    said = None if last is None else last.error or "; ".join(last.reasons)
    return said or record.status


def _patch(run: Run) -> None:
    """Send the end of a run at once: the client's own threads have ended."""
    body: dict[str, Any] = {
        "id": str(run.id),
        "trace_id": str(run.trace_id),
        "dotted_order": run.dotted_order,
        "parent_run_id": None if run.parent_run_id is None else str(run.parent_run_id),
        "end_time": None if run.end_time is None else run.end_time.isoformat(),
        "error": run.error,
        "outputs": run.outputs,
        "extra": {"metadata": run.extra.get("metadata", {})},
    }
    data = json.dumps(body, default=str).encode()
    run.client.request_with_retries("PATCH", f"/runs/{run.id}", request_kwargs={"data": data})


_living: weakref.WeakSet[_Sender] = weakref.WeakSet()
"""What sends: for the end of the process."""


def _at_exit() -> None:
    # Each tracer has closed by now: its own hook is younger, and such are called first.
    deadline = time.monotonic() + _AT_EXIT
    for sender in list(_living):
        sender.flush(deadline - time.monotonic())


atexit.register(_at_exit)
