"""Outcomes: how a transition, a node or a run went, as the pages mark and colour it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

How: TypeAlias = Literal[
    "accepted",
    "recovered",
    "observed",
    "escalated",
    "waiting",
    "rerouted",
    "degraded",
    "cancelled",
    "failed",
    "expected",
    "unreached",
]
"""How it went; `recovered`: accepted, but not at the first attempt; `expected`: runs, or will."""


class Mark(NamedTuple):
    """How an outcome is shown without its colour."""

    sign: str
    """One character."""
    words: str
    """What the legend says."""


MARKS: Final[dict[How, Mark]] = {
    "accepted": Mark("✓", "accepted at once"),
    "recovered": Mark("↻", "accepted after a retry or fallback"),
    "observed": Mark("◐", "shipped though it did not pass (observe)"),
    "escalated": Mark("☺", "decided by a person"),
    "waiting": Mark("‖", "waits for an answer"),
    "rerouted": Mark("↷", "rerouted or sent back"),
    "degraded": Mark("▽", "degraded to a stated answer"),
    "cancelled": Mark("⊘", "cancelled"),
    "failed": Mark("✗", "failed"),
    "expected": Mark("▸", "runs now, or next"),
    "unreached": Mark("·", "not reached"),
}
"""From the best to the worst, and then what has no outcome yet."""

_RANK: Final[dict[How, int]] = {how: rank for rank, how in enumerate(MARKS)}


_OF_STATUS: Final[dict[str, How]] = {
    "observed": "observed",
    "degraded": "degraded",
    "rerouted": "rerouted",
    "sent_back": "rerouted",
    "interrupted": "waiting",
    "cancelled": "cancelled",
}


def how_it_went(status: str, rungs: Sequence[str], decided: bool) -> How:
    """Return how a transition went.

    Args:
        status: The transition's status.
        rungs: The rungs of its attempts, in order.
        decided: Whether a person decided any of them.
    """
    if status in ("accepted", "handed_up"):
        if decided:
            return "escalated"
        return "recovered" if len(rungs) > 1 else "accepted"
    return _OF_STATUS.get(status, "failed")


def worst(hows: Iterable[How]) -> How:
    """Return the worst of some outcomes; `unreached` of none."""
    found: How = "unreached"
    for how in hows:
        if found == "unreached" or _RANK[how] > _RANK[found]:
            found = how
    return found
