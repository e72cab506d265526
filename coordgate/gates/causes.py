"""Causes: which part of a sentence is the cause, condition or earlier event, and which follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from coordgate.gates.words import word_set

_EFFECT_FIRST: Final = word_set("because since after if when once unless")
_CAUSE_FIRST: Final = word_set(
    """
    so therefore consequently thus hence before until led leads caused causes triggered triggers
    meant means resulted results
    """
)
_CAUSAL: Final = word_set(
    """
    because so therefore consequently thus hence led leads caused causes triggered resulted results
    """
)
_NO_CONDITION: Final = frozenset({("even", "if"), ("as", "if"), ("only", "if")})

_Order = Literal["effect first", "cause first"]


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause, condition or earlier event, and what follows from it."""

    first: frozenset[str]
    """The stems of the cause."""
    then: frozenset[str]
    """The stems of the effect."""
    causal: bool
    """Whether a cause is claimed, not only a condition or an order in time."""
    conditional: bool
    """Whether it is a condition: if, unless, except."""


def cause_in(
    words: Sequence[str], content: Sequence[tuple[int, str]], figures: set[int]
) -> Cause | None:
    """Return the first cause, condition or order in time; `figures` are the tokens of numbers."""
    opening = content[0][0] if content else 0
    for at, word in enumerate(words):
        link = _link(words, at, figures)
        if link is None:
            continue
        start, end, order, causal = link
        first, then = (0, start), (end, len(words))
        if order == "effect first":
            first, then = then, first
            if start <= opening:
                # "Because it rained, the match was off": the cause ends at the comma.
                comma = next((i for i in range(at, len(words)) if words[i] == ","), 0)
                if not comma:
                    continue
                first, then = (end, comma), (comma, len(words))
        sides = [frozenset(root for i, root in content if a <= i < b) for a, b in (first, then)]
        if all(sides):
            return Cause(sides[0], sides[1], causal, word in {"if", "unless"})
        return None
    return None


def _link(words: Sequence[str], at: int, figures: set[int]) -> tuple[int, int, _Order, bool] | None:
    """Return where the words that join cause and effect start and end, and what they mean."""
    word, after = words[at], at + 1
    following = words[after] if after < len(words) else ""
    if word in {"due", "owing", "thanks"} and following == "to":
        return at, after, "effect first", True
    if word in {"caused", "triggered"} and following == "by":
        return at, after, "effect first", True
    if word in {"result", "consequence"} and tuple(words[max(0, at - 2) : at]) == ("as", "a"):
        return at - 2, after, "effect first" if following == "of" else "cause first", True
    if after in figures:
        return None
    if word in _CAUSE_FIRST:
        purpose = word == "so" and following == "that"
        other = word in {"resulted", "results"} and following != "in"
        return None if purpose or other else (at, after, "cause first", word in _CAUSAL)
    if word in _EFFECT_FIRST and (words[at - 1] if at else "", word) not in _NO_CONDITION:
        return at, after, "effect first", word in _CAUSAL
    return None
