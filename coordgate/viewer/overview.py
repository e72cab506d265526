"""Overviews: one run's head and a stretch of its transitions, as its page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from coordgate.record import Run
from coordgate.stores import Store
from coordgate.viewer.outline import Line, Totals, numbers_after, outline, totals
from coordgate.viewer.pages import run_asked, run_url, site_of

MOST_LINES: Final = 200
"""So many transitions stand on one page."""

_LATE = 64
"""A transition may be written after so many others that have greater numbers."""

_MOST_NEW = 1_000
"""So many new transitions are counted to tell that there are some."""

_MOST_LOOKS = 10
"""So many stretches are gone through to find those of a node inside a subgraph."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which transitions are asked for."""

    after: int | None = None
    """Only those with greater numbers; None for the newest of a running run, else the first."""
    node: str | None = None
    """Only those of this node, named as in the graph: `sub:draft`."""
    troubled: bool = False
    """Only those that were not accepted at once."""

    @property
    def query(self) -> dict[str, Any]:
        """Return it as the query of an address."""
        return {"node": self.node, "filter": "troubled" if self.troubled else None}


@dataclass(frozen=True, slots=True)
class Overview:
    """A run with some of its transitions in short."""

    run: Run
    """The run."""
    totals: Totals
    """What its transitions sum up to."""
    seconds: float | None
    """From its start to its end; to that of its last transition if it has not ended."""
    choice: Choice
    """Which transitions were asked for."""
    lines: tuple[Line, ...]
    """Those, in the order of their ending."""
    earlier: int | None
    """After which number the stretch before begins; None if there is none."""
    later: int | None
    """After which number the next stretch begins; None if there is none."""
    state: str
    """What changes whenever the page has to."""

    @property
    def is_running(self) -> bool:
        """Whether more may come."""
        return self.run.status == "running"


def state_of(store: Store, run: Run, last: int) -> str:
    """Return what changes whenever a run's page has to; `last` was its last transition's number.

    Parallel nodes may be written out of order: the numbers shortly before are counted again.
    """
    numbers = numbers_after(store, run.id, max(0, last - _LATE), _MOST_NEW)
    return _state(run, numbers)


def _state(run: Run, numbers: Sequence[int]) -> str:
    return f"{run.status}.{len(numbers)}.{max(numbers, default=0)}"


def number_asked(request: Request, name: str) -> int | None:
    """Return a number in the query; None if there is none.

    Raises:
        HTTPException: what is there is no number (404).
    """
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise HTTPException(404, f"{name}={text[:40]!r} is no number")
    return int(text)


def overview_asked(request: Request) -> Overview:
    """Return the overview that a request is for."""
    query = request.query_params
    choice = Choice(
        number_asked(request, "after"), query.get("node") or None, query.get("filter") == "troubled"
    )
    run = run_asked(request, request.query_params.get("id", ""))
    return overview(site_of(request).store, run, choice, number_asked(request, "number"))


def overview(store: Store, run: Run, choice: Choice, selected: int | None = None) -> Overview:
    """Return a run with a stretch of its transitions: that of `selected`, if no other is chosen."""
    summed = totals(store, run.id)
    is_whole = choice.node is None and not choice.troubled
    after = choice.after
    if after is None:
        after = 0
        if is_whole and selected is not None:
            after = (selected - 1) // MOST_LINES * MOST_LINES
            choice = replace(choice, after=after)
        elif is_whole and run.status == "running":
            after = max(0, (summed.last * 2 // MOST_LINES - 1) * (MOST_LINES // 2))
    # Before the lines are read: what comes meanwhile is then told again, and never missed.
    late = numbers_after(store, run.id, max(0, summed.last - _LATE), _MOST_NEW)
    state = _state(run, [number for number in late if number <= summed.last])
    lines = _lines(store, run.id, after, choice)
    end = run.ended if run.ended is not None else summed.ended
    return Overview(
        run,
        summed,
        None if end is None else max(0.0, end - run.started),
        choice,
        tuple(lines[:MOST_LINES]),
        max(0, after - MOST_LINES) if is_whole and after > 0 else None,
        lines[MOST_LINES - 1].number if len(lines) > MOST_LINES else None,
        state,
    )


def _lines(store: Store, run: str, after: int, choice: Choice) -> list[Line]:
    name = None if choice.node is None else choice.node.rpartition(":")[2]
    found: list[Line] = []
    for _ in range(_MOST_LOOKS):
        some = outline(
            store, run, after=after, most=MOST_LINES + 1, node=name, troubled=choice.troubled
        )
        found += (each for each in some if choice.node in (None, each.key))
        if len(some) <= MOST_LINES or len(found) > MOST_LINES:
            break
        after = some[-1].number
    return found


def choice_url(request: Request, overview: Overview, **query: Any) -> str:
    """Return the address of a run's page, with the same choice unless another is given."""
    return run_url(request, overview.run.id, **(overview.choice.query | query))
