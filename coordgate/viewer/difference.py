"""Differences: two values line by line, and within changed lines by sentences and words.

The work is bounded, whatever is compared: what is too long, or too different, counts as replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final, Literal, NamedTuple, TypeAlias

from coordgate.viewer.pretty import shown

Kind: TypeAlias = Literal["same", "changed", "removed", "added", "folded"]

MOST_PARTS: Final = 400
"""More lines, or sentences or words of one line, are not compared one by one."""

_CONTEXT = 2
"""So many unchanged lines are kept around changed ones."""

MOST_LINES: Final = 1_500
"""So many lines of each value are compared."""

MOST_ROWS: Final = 500
"""So many rows of a difference are shown."""

_LEVELS: Final[tuple[Callable[[str], list[str]], ...]] = (
    re.compile(r"(?<=[.!?;,:])(?=\s)|(?<=\\n)").split,
    re.compile(r"\\.|\w+|\s+|.", re.DOTALL).findall,
)
"""What takes a line apart: into sentences, then into words."""


class Piece(NamedTuple):
    """A part of a line."""

    text: str
    """What stands there."""
    is_new: bool
    """Whether the other side has it not."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the left side beside one of the right."""

    kind: Kind
    """What became of it."""
    left: tuple[Piece, ...] = ()
    """The line on the left; empty if it was added."""
    right: tuple[Piece, ...] = ()
    """The line on the right; empty if it was removed."""
    folded: int = 0
    """How many unchanged lines stand here unseen."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one value became another."""

    rows: tuple[Row, ...]
    """The lines side by side; long unchanged stretches are folded."""
    is_same: bool
    """Whether the values are the same, to the last character."""
    is_cut: bool
    """Whether only their beginnings were compared, or are shown."""
    removed: int
    """How many lines of the left side were changed or removed."""
    added: int
    """How many lines of the right side were changed or added."""


def difference(left: str, right: str) -> Difference:
    """Return how one recorded value became another."""
    one, other = shown(left), shown(right)
    if left == right:
        return Difference((), True, False, 0, 0)
    before, after = one.text.split("\n"), other.text.split("\n")
    rows = _rows(before[:MOST_LINES], after[:MOST_LINES])
    changed = [row.kind for row in rows]
    folded = _folded(rows)
    is_long = max(len(before), len(after)) > MOST_LINES or len(folded) > MOST_ROWS
    return Difference(
        tuple(folded[:MOST_ROWS]),
        False,
        one.is_cut or other.is_cut or is_long,
        sum(kind in ("changed", "removed") for kind in changed),
        sum(kind in ("changed", "added") for kind in changed),
    )


def _rows(left: Sequence[str], right: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for is_same, one, other in _matched(left, right):
        if is_same:
            rows += (Row("same", (Piece(line, False),), (Piece(line, False),)) for line in one)
            continue
        for before, after in zip_longest(one, other):
            if before is None:
                rows.append(Row("added", right=(Piece(after or "", True),)))
            elif after is None:
                rows.append(Row("removed", left=(Piece(before, True),)))
            else:
                rows.append(Row("changed", *_pieces(before, after)))
    return rows


def _pieces(left: str, right: str, level: int = 0) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Return two lines in pieces, those that the other has not marked."""
    if level == len(_LEVELS):
        return _new(left), _new(right)
    ones: list[Piece] = []
    others: list[Piece] = []
    one_parts, other_parts = _LEVELS[level](left), _LEVELS[level](right)
    for is_same, one, other in _matched(one_parts, other_parts):
        if is_same:
            ones.append(Piece("".join(one), False))
            others.append(Piece("".join(other), False))
        else:
            before, after = _pieces("".join(one), "".join(other), level + 1)
            ones += before
            others += after
    return _joined(ones), _joined(others)


def _new(text: str) -> tuple[Piece, ...]:
    return (Piece(text, True),) if text else ()


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return pieces with neighbours of one kind made one."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].is_new == piece.is_new:
            joined[-1] = Piece(joined[-1].text + piece.text, piece.is_new)
        elif piece.text:
            joined.append(piece)
    return tuple(joined)


def _matched(
    left: Sequence[str], right: Sequence[str]
) -> list[tuple[bool, Sequence[str], Sequence[str]]]:
    """Return stretches of two sequences: whether they are the same, and what each side has."""
    start = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        start += 1
    end = 0
    for one, other in zip(reversed(left[start:]), reversed(right[start:]), strict=False):
        if one != other:
            break
        end += 1
    inner, outer = left[start : len(left) - end], right[start : len(right) - end]
    found: list[tuple[bool, Sequence[str], Sequence[str]]] = []
    if start:
        found.append((True, left[:start], right[:start]))
    if len(inner) > MOST_PARTS or len(outer) > MOST_PARTS or not inner or not outer:
        if inner or outer:
            found.append((False, inner, outer))
    else:
        found += (
            (tag == "equal", inner[a:b], outer[c:d])
            for tag, a, b, c, d in SequenceMatcher(None, inner, outer).get_opcodes()
        )
    if end:
        found.append((True, left[len(left) - end :], right[len(right) - end :]))
    return found


def _folded(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with long unchanged stretches as one row each."""
    near = {
        place
        for at, row in enumerate(rows)
        if row.kind != "same"
        for place in range(at - _CONTEXT, at + _CONTEXT + 1)
    }
    kept: list[Row] = []
    for at, row in enumerate(rows):
        if at in near:
            kept.append(row)
        elif kept and kept[-1].kind == "folded":
            kept[-1] = Row("folded", folded=kept[-1].folded + 1)
        else:
            kept.append(Row("folded", folded=1))
    return kept
