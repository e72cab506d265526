"""Searching the runs: newest first, for a bounded time, to go on later from where it stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from coordgate.record import Run
from coordgate.viewer.filters import Filters, Place
from coordgate.viewer.sources import Source, Tally, tally

_FIRST: Final = 16
_MOST: Final = 1024
_QUICK: Final = 0.004
"""Transitions are read so many at once, twice as many if that was quicker than this."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found so far."""

    runs: tuple[tuple[Run, Tally], ...]
    """The newest first."""
    place: Place | None
    """Where to go on; None if all has been searched."""
    full: bool
    """Whether it stopped since it has found as many as were wanted."""


def search(
    source: Source,
    filters: Filters,
    *,
    after: Place | None = None,
    most: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Found:
    """Return the newest runs that pass, as far as they are found in time.

    However short the time, each search gets further than the one before it.

    Args:
        source: Where runs are.
        filters: What they must have.
        after: Where an earlier search stopped.
        most: How many runs are wanted.
        seconds: How long to search.
        clock: The seconds, from any zero.
    """
    ongoing = _Search(source, filters, most, clock, clock() + seconds)
    stopped = ongoing.stops_at(after)
    full = len(ongoing.found) >= most
    return Found(tuple(ongoing.found), stopped, full and stopped is not None)


class _Search:
    """A search under way."""

    def __init__(
        self,
        source: Source,
        filters: Filters,
        most: int,
        clock: Callable[[], float],
        until: float,
    ) -> None:
        self.found: list[tuple[Run, Tally]] = []
        self._source = source
        self._filters = filters
        self._most = most
        self._clock = clock
        self._until = until
        self._step = _FIRST

    def stops_at(self, after: Place | None) -> Place | None:
        """Look from a place on; return where it is time to stop, or None at the end."""
        if after is not None and after.number is not None:
            run = self._source.run(after)
            stopped = None if run is None else self._take(run, after.number)
            if stopped is not None:
                return stopped
        for each in self._source.runs(self._filters, after):
            if not isinstance(each, Place):
                stopped = self._take(each, -1)
            else:
                stopped = each if self._clock() >= self._until else None
            if stopped is not None:
                return stopped
        return None

    def _take(self, run: Run, number: int) -> Place | None:
        """Look at a run, from a transition on, and return where to stop, if it is time."""
        passed = self._passes(run, number)
        if isinstance(passed, Place):
            return passed
        if passed:
            self.found.append((run, tally(self._source, run)))
        if len(self.found) >= self._most or self._clock() >= self._until:
            return Place(run.started, run.id)
        return None

    def _passes(self, run: Run, number: int) -> bool | Place:
        """Return whether a run passes, or where it stopped for lack of time."""
        if not self._filters.looks_into(run):
            return True
        while True:
            began = self._clock()
            look = self._source.look(run, self._filters, number, self._step)
            if look.found or look.last is None:
                return look.found
            number = look.last
            now = self._clock()
            if now >= self._until:
                return Place(run.started, run.id, number)
            quick = now - began < _QUICK
            self._step = min(_MOST, self._step * 2) if quick else max(1, self._step // 2)
