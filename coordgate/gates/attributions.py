"""Attributions: which figure, bound and name a sentence gives to what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from coordgate.gates.claims import Bound, Claim
from coordgate.gates.quantities import Quantity
from coordgate.gates.words import word_set

_MOST: Final = 16
"""Of the figures and names in one sentence, so many are compared in pairs; bounds the work."""
_ALWAYS: Final = frozenset(";")
_BETWEEN: Final = word_set("; , and but while whereas ( )")


def bounds_differ(said: Claim, told: Sequence[Claim]) -> str | None:
    """Return the figure that the source makes another kind of bound: at most, more than."""
    for amount, bound in zip(said.quantities[:_MOST], said.bounds[:_MOST], strict=True):
        theirs = [
            limit
            for source in told
            for other, limit in zip(source.quantities, source.bounds, strict=True)
            if amount.said_by(other)
        ]
        if theirs and all(_contradicts(bound, limit) for limit in theirs):
            return f"the source sets another bound on {' '.join(amount.words)!r}"
    return None


def _contradicts(mine: Bound, theirs: Bound) -> bool:
    if mine.direction and theirs.direction:
        return mine.direction != theirs.direction
    return (mine.direction != 0 and mine.strict) or (theirs.direction != 0 and theirs.strict)


def figures_swapped(said: Claim, told: Sequence[Claim]) -> str | None:
    """Return the figure that the source gives for something else that the claim names."""
    theirs = [
        (other, _beside(source, other.start, other.end, source.quantities))
        for source in told
        for other in source.quantities[:_MOST]
    ]
    for amount in said.quantities[:_MOST]:
        same = [beside for other, beside in theirs if amount.said_by(other)]
        rivals = [
            beside
            for other, beside in theirs
            if other.dimension == amount.dimension and not amount.said_by(other)
        ]
        mine = _beside(said, amount.start, amount.end, said.quantities)
        if same and rivals and all(_belongs_to(mine, own, rivals) for own in same):
            return f"the source gives {' '.join(amount.words)!r} for something else"
        leads = _lead(said, amount)
        if leads:
            others = [
                _lead(source, other)
                for source in told
                for other in source.quantities[:_MOST]
                if amount.said_by(other)
            ]
            if others and all(lead and lead != leads for lead in others):
                return f"the source says '{others[0]} {' '.join(amount.words)}', not {leads!r}"
    return None


def _belongs_to(mine: Sequence[str], own: Sequence[str], rivals: Iterable[Sequence[str]]) -> bool:
    """Return whether `mine` has words that only a rival has, and none that only its own has."""
    held = frozenset(mine)
    for rival in rivals:
        only_own = [word for word in own if word not in rival]
        only_rival = frozenset(rival).difference(own)
        if not only_own or not held & only_rival:
            continue
        if not held.intersection(only_own):
            return True
        if only_rival <= held and not held.issuperset(only_own):
            return True
    return False


def _lead(said: Claim, amount: Quantity) -> str:
    before = said.words[amount.start - 1] if amount.start else ""
    return before if before in {"from", "to"} else ""


def _beside(said: Claim, start: int, end: int, anchors: Sequence[Quantity]) -> tuple[str, ...]:
    """Return the content stems that belong to what stands at `start`: up to the next such thing."""
    kind = next((a.dimension for a in anchors if a.start == start), "")
    before = max((a.end for a in anchors if a.end <= start and a.dimension == kind), default=0)
    after = min(
        (a.start for a in anchors if a.start >= end and a.dimension == kind),
        default=len(said.words),
    )
    before = max(
        [before, *(i for i in range(before, start) if said.words[i] in _breaks(before > 0))]
    )
    after = min(
        [
            after,
            *(i for i in range(end, after) if said.words[i] in _breaks(after < len(said.words))),
        ]
    )
    return tuple(root for at, root in said.content if before <= at < after)


def _breaks(between: bool) -> frozenset[str]:
    """Return the words that end a figure's surroundings; more of them between two figures."""
    return _BETWEEN if between else _ALWAYS


def names_swapped(said: Claim, told: Sequence[Claim]) -> str | None:
    """Return the name of which the claim says what the source says of another, by clauses."""
    for name in sorted(said.names)[:_MOST]:
        mine = _with(said, name)
        for source in told:
            own = _with(source, name)
            if not own or not mine:
                continue
            for other in sorted(source.names - {name})[:_MOST]:
                rival = _with(source, other)
                if rival and name not in rival and other not in own and other not in mine:
                    named = said.names | source.names
                    if _belongs_to(tuple(mine - named), tuple(own - named), [tuple(rival - named)]):
                        return f"the source says it of another than {name!r}"
    return None


def _with(said: Claim, name: str) -> frozenset[str]:
    return frozenset(
        root for clause in said.clauses if name in clause.stems for root in clause.stems
    )
