"""The tracer: takes the record of every transition out of the hot path, to a sink."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, Self, runtime_checkable

from coordgate.errors import ConfigurationError
from coordgate.observers import Observer, Observers, Seen
from coordgate.record import (
    Attempt,
    Call,
    GateVerdict,
    Mode,
    Outcome,
    Record,
    Run,
    RunId,
    RunStatus,
    ThreadId,
    Transition,
    TransitionStatus,
)
from coordgate.redaction import redact as redact_secrets
from coordgate.values import ValueText

__all__ = [
    "Attempt",
    "BeatingSink",
    "Call",
    "Capture",
    "CaptureSink",
    "GateVerdict",
    "Mode",
    "Observer",
    "Outcome",
    "Record",
    "Run",
    "RunId",
    "RunStatus",
    "Sink",
    "ThreadId",
    "Tracer",
    "Transition",
    "TransitionStatus",
]

_log = logging.getLogger("coordgate")


@runtime_checkable
class Sink(Protocol):
    """Where a tracer writes: anything with this one method."""

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch, in the order recorded. A Run with a known id replaces the earlier one."""
        ...


class Capture(Protocol):
    """A raw record, cheap to make: what the engine passes to `Tracer.record`."""

    def settle(self, text: ValueText) -> Run | Capture | None:
        """Turn raw values into redacted text, in place, or return what holds the text instead."""
        ...

    def freeze(self) -> Record:
        """Return the record, once settled."""
        ...

    def observed(self) -> Seen | None:
        """Return what observers saw of it, with its record, once settled; None if nobody did."""
        ...


@runtime_checkable
class CaptureSink(Sink, Protocol):
    """A sink that takes settled captures as they are, and is spared their frozen copies."""

    def write_settled(self, captures: Sequence[Run | Capture]) -> None:
        """Take a batch, in the order recorded."""
        ...


@runtime_checkable
class BeatingSink(Sink, Protocol):
    """A sink that says from time to time that its process still lives."""

    def beat(self) -> float | None:
        """Say so if it is due; return in how many seconds to call again, None for never."""
        ...


class Tracer:
    """Takes records out of the hot path: keeps them in memory, and writes them on a thread.

    `Tracer("traces.db")`. A failing sink never fails a node: it is reported once on the logger
    `coordgate`, tried again, and what is lost is counted. In the child of a fork a tracer starts
    anew: what waited belongs to the parent.
    """

    def __init__(
        self,
        sink: Sink | str | os.PathLike[str],
        *,
        redact: bool | Callable[[str], str] = True,
        flush_seconds: float = 0.1,
        max_value_chars: int = 20_000,
        max_waiting: int = 100_000,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Open the sink, if a path or URL is given.

        Args:
            sink: A `Sink`, or a path or URL for `open_store`.
            redact: Whether secrets are taken out of everything written, or your own function
                from text to text; `coordgate.redaction.Redactor` makes one with more patterns.
            flush_seconds: How long a record waits, about, before it is written.
            max_value_chars: Where a recorded value is cut.
            max_waiting: How many records wait for a failing sink before the oldest are dropped.
            observers: Who is told of a run while it goes on, such as an exporter; a sink that is an
                `Observer` is one by itself.

        Raises:
            ConfigurationError: `sink` is none, `redact` is no function, or an observer is none.
            StoreError: the path cannot be written, or holds something else.
        """
        self.closed = True
        """Whether `close` was called."""
        if isinstance(sink, type) or not isinstance(sink, str | os.PathLike | Sink):  # pyright: ignore[reportUnnecessaryIsInstance] - for callers without a type checker
            raise ConfigurationError(
                f"Tracer({sink!r}): give a path such as 'traces.db', a URL, or a sink: an object "
                "with a method write(records)"
            )
        if not (isinstance(redact, bool) or callable(redact)):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
            raise ConfigurationError(
                f"Tracer(redact={redact!r}): give True, False, or a function from text to text"
            )
        for each in observers:
            if not isinstance(each, Observer):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
                raise ConfigurationError(
                    f"Tracer(observers=[{each!r}]): give objects with the methods enter, leave and "
                    "recorded, such as coordgate.exporters.otel.OpenTelemetry()"
                )
        itself = [sink] if isinstance(sink, Observer) and sink not in observers else []
        redactor = redact_secrets if redact is True else redact or None
        self.observers = Observers([*observers, *itself], redactor)
        """Who is told of a run while it goes on."""
        self._owns_sink = not isinstance(sink, Sink)
        if isinstance(sink, Sink):
            self.sink: Sink = sink
        else:
            from coordgate.stores import open_store  # noqa: PLC0415 - the one import upwards

            self.sink = open_store(sink, mode="write")
        self.errors = 0
        """How often the sink has failed."""
        self.lost = 0
        """How many records were dropped."""
        self._text = ValueText(redactor, max_value_chars)
        self._flush_seconds = flush_seconds
        self._max_waiting = max_waiting
        self._reported = False
        self.closed = False
        self.start_anew()
        _living.add(self)
        # Exit hooks run in reverse: before those of what the sink and the observers send to.
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)

    def __repr__(self) -> str:
        """Return where it writes, and what went wrong there."""
        failed = f", {self.errors} errors, {self.lost} lost" if self.errors or self.lost else ""
        return f"Tracer({self.sink!r}{failed})"

    def start_anew(self) -> None:
        """Forget what waits and the thread: at the start, and in the child of a fork."""
        self._queue: deque[Run | Capture] = deque()
        self._settled: list[Run | Capture] = []
        self._failures = 0
        self._asleep = True
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._writing = threading.RLock()

    def record(self, capture: Run | Capture) -> None:
        """Take a record. Never waits for the sink, never raises for its sake."""
        queue = self._queue
        queue.append(capture)
        if self._asleep:
            self._rouse()
        elif len(queue) > self._max_waiting:
            self._drop_oldest()

    def flush(self) -> bool:
        """Write everything recorded so far; return whether that succeeded."""
        with self._writing:
            return self._drain()

    def close(self) -> None:
        """Write what waits, stop the thread, and close the sink if this tracer opened it.

        What cannot be written now is lost, counted, and reported. Safe to call twice.
        """
        if self.closed:
            return
        self.closed = True
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._asleep = True
        self._write_or_lose()
        if self.lost:
            _log.warning("coordgate: %d records were lost on the way to %r", self.lost, self.sink)
        close = getattr(self.sink, "close", None)
        if self._owns_sink and close is not None:
            close()
        _living.discard(self)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Close, as a file does."""
        if not getattr(self, "closed", True):
            self.close()

    def _rouse(self) -> None:
        """Wake the thread, or start it; after `close`, write at once."""
        if self.closed:
            self._write_or_lose()
            return
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(
                    target=_work,
                    args=(weakref.ref(self), self._wake),
                    name="coordgate-tracer",
                    daemon=True,
                )
                # At interpreter exit no thread can start any more; the exit hook writes the rest.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
            self._asleep = self._thread is None
        self._wake.set()

    def _drop_oldest(self) -> None:
        with self._lock:
            if len(self._queue) > self._max_waiting:
                self._queue.popleft()
                self.lost += 1

    def turn(self, quiet: int) -> tuple[float | None, int]:
        """Do one round of the thread's work.

        Takes for how many rounds there was nothing to write; returns that, and how many seconds
        to wait for the next round, None for until a record comes.
        """
        with self._writing:
            quiet = 0 if self._queue or self._settled else quiet + 1
            if not self._drain():
                return min(5.0, self._flush_seconds * 2.0 ** min(self._failures, 10)), 0
            pause = self._beat()
        if quiet < _QUIET_ROUNDS:
            return self._flush_seconds, quiet
        self._asleep = True
        if self._queue:  # recorded just before that line, by one who saw no need to wake
            self._asleep = False
            return self._flush_seconds, 0
        return pause, quiet

    def _drain(self) -> bool:
        """Settle and write what waits now, a batch at a time; the caller holds `_writing`."""
        waiting = len(self._queue)
        while self._settled or waiting > 0:
            if not self._settled:
                taken = min(waiting, _BATCH)
                waiting -= taken
                self._settled = self._take(taken)
            try:
                self._write(self._settled)
            except Exception as error:  # noqa: BLE001 - a sink may raise anything, and fails no node
                self._failures += 1
                self._report("the trace sink failed, and is tried again", error)
                return False
            self._failures = 0
            self._settled = []
        return True

    def _take(self, count: int) -> list[Run | Capture]:
        settled: list[Run | Capture] = []
        for _ in range(count):
            try:
                capture = self._queue.popleft()
            except IndexError:  # the oldest were dropped meanwhile
                break
            raw = capture
            try:
                if not isinstance(capture, Run):
                    capture = capture.settle(self._text) or capture
                elif capture.error is not None:
                    capture = replace(capture, error=self._text.words(capture.error))
            except Exception as error:  # noqa: BLE001 - whatever a value does, the rest is written
                self.lost += 1
                self._report(f"a record could not be made of {capture!r}", error)
                continue
            settled.append(capture)
            if self.observers.each and not isinstance(raw, Run):
                seen = raw.observed()
                if seen is not None:
                    self.observers.recorded(seen, self._text)
        return settled

    def _write(self, settled: Sequence[Run | Capture]) -> None:
        sink = self.sink
        if isinstance(sink, CaptureSink):
            sink.write_settled(settled)
        else:
            sink.write([each if isinstance(each, Run) else each.freeze() for each in settled])

    def _write_or_lose(self) -> None:
        with self._writing:
            if not self._drain():
                self.lost += len(self._queue) + len(self._settled)
                self._queue.clear()
                self._settled = []

    def _beat(self) -> float | None:
        if not isinstance(self.sink, BeatingSink):
            return None
        try:
            return self.sink.beat()
        except Exception as error:  # noqa: BLE001 - a sink may raise anything, and fails no node
            self._report("the trace sink failed, and is tried again", error)
            return 5.0

    def _report(self, what: str, error: Exception) -> None:
        """Count an error; log the first one only, so that a full disk does not fill the log too."""
        self.errors += 1
        if not self._reported:
            self._reported = True
            _log.warning("coordgate: %s (said once): %s: %s", what, type(error).__name__, error)


_QUIET_ROUNDS = 10
"""After so many rounds without work the thread sleeps until it is woken."""

_BATCH = 256
"""How many records are settled and written at once: the nodes wait for about 1 ms of it."""

_living: weakref.WeakSet[Tracer] = weakref.WeakSet()
"""The tracers that are not closed: for the end of the process, and for forks of it."""


def _work(tracer_ref: weakref.ref[Tracer], wake: threading.Event) -> None:
    """Run a tracer's thread; it ends when the tracer is closed or nobody holds it any more."""
    quiet = 0
    while (tracer := tracer_ref()) is not None and not tracer.closed:
        pause, quiet = tracer.turn(quiet)
        del tracer
        wake.wait(pause)
        wake.clear()


def _at_exit() -> None:
    for tracer in list(_living):
        tracer.close()


def _after_fork() -> None:
    for tracer in list(_living):
        tracer.start_anew()


os.register_at_fork(after_in_child=_after_fork)
