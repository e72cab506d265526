"""The store in memory: for tests, notebooks and the demo."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Self

from coordgate.stores.base import as_it_stands, first, the_one
from coordgate.tracer import Record, Run, RunStatus, Transition


class MemoryStore:
    """Keeps runs and transitions in memory, for as long as the store lives."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._transitions: dict[str, list[Transition]] = {}

    def __repr__(self) -> str:
        """Return what opens it."""
        return "MemoryStore()"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch."""
        with self._lock:
            for record in records:
                if isinstance(record, Run):
                    self._runs[record.id] = record
                else:
                    self._transitions.setdefault(record.run, []).append(record)

    def runs(
        self,
        *,
        limit: int | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
    ) -> Iterator[Run]:
        """Return the runs in the order of their start."""
        with self._lock:
            known = sorted(self._runs.values(), key=attrgetter("started", "id"))
        if newest_first:
            known.reverse()
        return first(map(self._as_it_stands, known), limit, status)

    def run(self, id_or_prefix: str) -> Run:
        """Return one run by its id, or by a beginning of it that is unique."""
        with self._lock:
            found = [run for id, run in self._runs.items() if id.startswith(id_or_prefix)]
        return self._as_it_stands(the_one(found, id_or_prefix, "memory:"))

    def transitions(self, run_id: str, *, after: int = -1) -> Iterator[Transition]:
        """Return the transitions of a run numbered above `after`, in the order of their ending."""
        with self._lock:
            found = [each for each in self._transitions.get(run_id, ()) if each.number > after]
            known = sorted(found, key=attrgetter("number"))
        return iter(known)

    def close(self) -> None:
        """Keep everything: what was recorded can still be read."""

    def _as_it_stands(self, run: Run) -> Run:
        last = max((each.started + each.seconds for each in self.transitions(run.id)), default=0.0)
        return as_it_stands(run, last, time.time())
