"""Following: what came to a store since the last look, run by run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from coordgate.record import Run, Transition
from coordgate.stores import Store

_LATE = 60.0
"""A run may be written so many seconds after it began, and after others that began later."""


@dataclass(slots=True)
class _Open:
    """A run that is followed."""

    run: Run
    """As it stood when it was last looked at."""
    up_to: int = 0
    """All transitions up to this number have been given."""
    beyond: set[int] = field(default_factory=set[int])
    """The numbers beyond it that have been given: parallel nodes may be written out of order."""


class Following:
    """Looks at a store again and again, and tells what is new."""

    def __init__(self, store: Store, run: Run | None = None) -> None:
        """Follow one run, or all: those that are running now, and those to come."""
        self._store = store
        self._only = run
        self._open: dict[str, _Open] = {}
        self._known: dict[str, float] = {}
        if run is None:
            self._known = {each.id: each.started for each in self._recent() if _has_ended(each)}

    def look(self) -> Iterator[Run | Transition]:
        """Yield what is new: a run that began, its transitions, the run again when it has ended."""
        for each in list(self._open.values()):
            yield from self._further(each)
        for run in [self._only] if self._only else self._recent():
            if run.id not in self._known:
                self._known[run.id] = run.started
                self._open[run.id] = _Open(run)
                yield run
                yield from self._further(self._open[run.id])

    def _further(self, each: _Open) -> Iterator[Run | Transition]:
        """Yield what is new of a run that is followed."""
        # The run first: what it says is then not older than its transitions.
        now = self._store.run(each.run.id)
        yield from self._transitions(each)
        if _has_ended(now):
            del self._open[each.run.id]
            if now != each.run:
                yield now

    @property
    def done(self) -> bool:
        """Whether nothing more can come: the one run that is followed has ended."""
        return self._only is not None and bool(self._known) and not self._open

    def _recent(self) -> list[Run]:
        """Return the runs that may be new, the oldest first; forget those that cannot be."""
        found: list[Run] = []
        newest = max(self._known.values(), default=0.0)
        for run in self._store.runs(newest_first=True):
            if run.started < newest - _LATE:
                break
            found.append(run)
        self._known = {id: at for id, at in self._known.items() if at >= newest - _LATE}
        return found[::-1]

    def _transitions(self, each: _Open) -> Iterator[Transition]:
        for transition in self._store.transitions(each.run.id, after=each.up_to):
            if transition.number in each.beyond:
                continue
            each.beyond.add(transition.number)
            yield transition
        while each.up_to + 1 in each.beyond:
            each.up_to += 1
            each.beyond.remove(each.up_to)


def _has_ended(run: Run) -> bool:
    return run.status != "running"
