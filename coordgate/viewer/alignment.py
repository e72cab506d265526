"""Alignments: the transitions of two runs beside one another, and where they part first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from coordgate.record import Transition
from coordgate.viewer.outcome import How, how_it_went
from coordgate.viewer.outline import scope_of

Visit: TypeAlias = tuple[str, int]
"""A node, named with those around it, and which of its visits it is."""

Kind: TypeAlias = Literal["same", "moved", "differs", "only_a", "only_b"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A transition of one run, the one of the other that it answers to, or both."""

    kind: Kind
    """`same`: both wrote the same, and ended alike; `moved`: but elsewhere in the order."""
    key: str
    """The node, named with those around it."""
    visit: int
    """Which of its visits it is, from 1."""
    a: Transition | None
    """The one of the first run."""
    b: Transition | None
    """The one of the second run."""
    differs_in: tuple[str, ...] = ()
    """In what they differ: outcome, attempts, values, where it went."""

    @property
    def how_a(self) -> How:
        """Return how the one of the first run went."""
        return "unreached" if self.a is None else _how(self.a)

    @property
    def how_b(self) -> How:
        """Return how the one of the second run went."""
        return "unreached" if self.b is None else _how(self.b)


def align(a: Sequence[Transition], b: Sequence[Transition]) -> list[Pair]:
    """Return two runs' transitions in pairs: the n-th visit of a node with the other's n-th.

    The order is that of the first run; what only the second one has stands where it came there.
    """
    ones, others = _visits(a), _visits(b)
    names, other_names = list(ones), list(others)
    pairs: list[Pair] = []
    for tag, start, end, other_start, other_end in SequenceMatcher(
        None, names, other_names, autojunk=False
    ).get_opcodes():
        for name in names[start:end]:
            pairs.append(_pair(name, ones[name], others.get(name), is_moved=tag != "equal"))
        if tag != "equal":
            pairs += (
                _pair(name, None, others[name], is_moved=False)
                for name in other_names[other_start:other_end]
                if name not in ones
            )
    return pairs


def first_divergence(pairs: Iterable[Pair]) -> int | None:
    """Return the place of the first pair in which the runs are not alike; None if they are."""
    return next((at for at, pair in enumerate(pairs) if pair.kind != "same"), None)


def _visits(transitions: Sequence[Transition]) -> dict[Visit, Transition]:
    counts: Counter[str] = Counter()
    found: dict[Visit, Transition] = {}
    for each in _in_order(transitions):
        key = ":".join((*scope_of(each.namespace), each.node))
        counts[key] += 1
        found[key, counts[key]] = each
    return found


def _in_order(transitions: Sequence[Transition]) -> list[Transition]:
    """Return transitions with those of one node that ran side by side in the order of their input.

    They end in any order: what they were handed tells which of them answers to which.
    """
    together: dict[tuple[str, str, int], list[Transition]] = {}
    for each in transitions:
        above = each.namespace.rpartition("|")[0]
        together.setdefault((above, each.node, each.step), []).append(each)
    for some in together.values():
        some.sort(key=lambda each: (each.reads or "", each.number), reverse=True)
    return [
        together[each.namespace.rpartition("|")[0], each.node, each.step].pop()
        for each in transitions
    ]


def _pair(name: Visit, a: Transition | None, b: Transition | None, *, is_moved: bool) -> Pair:
    if a is None or b is None:
        return Pair("only_b" if a is None else "only_a", *name, a, b)
    found = tuple(
        what
        for what, one, other in (
            ("outcome", a.status, b.status),
            ("attempts", _tried(a), _tried(b)),
            ("what it read", a.reads, b.reads),
            ("what it wrote", a.writes, b.writes),
            ("where it went", a.goto, b.goto),
        )
        if one != other
    )
    kind: Kind = "differs" if found else "moved" if is_moved else "same"
    return Pair(kind, *name, a, b, found)


def _tried(transition: Transition) -> list[tuple[str, str]]:
    return [(each.rung, each.outcome) for each in transition.attempts]


def _how(transition: Transition) -> How:
    return how_it_went(
        transition.status,
        [each.rung for each in transition.attempts],
        any(each.decision is not None for each in transition.attempts),
    )
