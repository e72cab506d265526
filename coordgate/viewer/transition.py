"""One transition as a page shows it: its values, its attempts side by side, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from coordgate.record import Attempt, Transition
from coordgate.show import unsaid
from coordgate.viewer.difference import Difference, difference
from coordgate.viewer.outcome import How, how_it_went
from coordgate.viewer.outline import scope_of
from coordgate.viewer.pretty import Shown, shown

MOST_ATTEMPTS: Final = 20
"""So many attempts are shown, the last one among them."""


@dataclass(frozen=True, slots=True)
class Change:
    """How what one attempt handed over differs from what another did."""

    before: Attempt
    """The attempt that was not accepted."""
    after: Attempt
    """The one that was, or else the next one."""
    difference: Difference
    """The lines of both."""


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt as it is shown."""

    attempt: Attempt
    """The attempt."""
    reasons: tuple[str, ...]
    """Why it was not accepted, where no verdict says so."""
    output: Shown | None
    """What it handed over; None if nothing, or if it is what was written."""
    is_written: bool
    """Whether what it handed over is what was written."""
    accepts: int
    """How many of its verdicts passed."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A transition as it is shown."""

    transition: Transition
    """The transition."""
    scope: tuple[str, ...]
    """The nodes that the graph of this node runs in."""
    how: How
    """How it went."""
    reads: Shown | None
    """What it was handed."""
    writes: Shown | None
    """What it wrote."""
    attempts: tuple[Tried, ...]
    """Its attempts; of very many the first ones, and the last one."""
    unseen: int
    """How many attempts are not shown."""
    changes: tuple[Change, ...]
    """What the attempts that were not accepted handed over, beside what one that was did."""
    later: int | None
    """The number of the transition after it; None if it is the last one."""


def sight_of(transition: Transition, later: int | None) -> Sight:
    """Return a transition as it is shown; `later` is the next one's number."""
    attempts = transition.attempts
    if len(attempts) > MOST_ATTEMPTS:
        attempts = (*attempts[: MOST_ATTEMPTS - 1], attempts[-1])
    return Sight(
        transition,
        scope_of(transition.namespace),
        how_it_went(
            transition.status,
            [each.rung for each in transition.attempts],
            any(each.decision is not None for each in transition.attempts),
        ),
        _shown(transition.reads),
        _shown(transition.writes),
        tuple(_tried(each, transition.writes) for each in attempts),
        len(transition.attempts) - len(attempts),
        tuple(_changes(attempts)),
        later,
    )


def _shown(text: str | None) -> Shown | None:
    return None if text is None else shown(text)


def _tried(attempt: Attempt, written: str | None) -> Tried:
    is_written = attempt.output is not None and attempt.output == written
    return Tried(
        attempt,
        tuple(unsaid(attempt)),
        None if is_written else _shown(attempt.output),
        is_written,
        sum(each.passed for each in attempt.verdicts),
    )


def _changes(attempts: Sequence[Attempt]) -> list[Change]:
    """Return each rejected output beside the accepted one; if there is none, beside the next."""
    given = [each for each in attempts if each.output is not None]
    accepted = next((each for each in reversed(given) if each.outcome == "accepted"), None)
    pairs = [
        (before, accepted or after)
        for before, after in pairwise(given)
        if before.outcome != "accepted"
    ]
    return [
        Change(before, after, difference(before.output or "", after.output or ""))
        for before, after in pairs
    ]
