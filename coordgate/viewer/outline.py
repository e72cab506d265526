"""Outlines: the transitions of a run in short, without what they read and wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Final

from coordgate.record import WASTED, Attempt, Transition
from coordgate.stores import SqliteStore, Store
from coordgate.stores.rows import transition_of
from coordgate.viewer.outcome import How, how_it_went

MOST_SUMMED: Final = 50_000
"""A run's totals are those of its transitions up to this number."""

_LONGEST_REASON = 300
"""An outline shows so many characters of a reason."""


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt in short."""

    rung: str
    """Its rung, as recorded."""
    outcome: str
    """How it ended."""
    decided: bool
    """Whether a person decided."""
    reason: str
    """Why it was not accepted, cut; empty if it was."""


@dataclass(frozen=True, slots=True)
class Line:
    """A transition in short."""

    number: int
    """Its place in the run."""
    namespace: str
    """LangGraph's checkpoint namespace of the task."""
    step: int
    """LangGraph's step number."""
    node: str
    """The node's name."""
    status: str
    """How it ended."""
    started: float
    """UTC, seconds since the epoch."""
    seconds: float
    """How long it took."""
    producers: tuple[str, ...]
    """The nodes that handed over to it."""
    goto: tuple[str, ...]
    """Where control went next."""
    tries: tuple[Try, ...]
    """Its attempts, the oldest first."""

    @property
    def how(self) -> How:
        """Return how it went."""
        return how_it_went(
            self.status,
            [each.rung for each in self.tries],
            any(each.decided for each in self.tries),
        )

    @property
    def is_troubled(self) -> bool:
        """Return whether it was not accepted at once."""
        return self.status not in ("accepted", "handed_up") or len(self.tries) > 1

    @property
    def key(self) -> str:
        """Return the names of the nodes around it and its own: `sub:draft`."""
        return ":".join((*self.scope, self.node))

    @property
    def scope(self) -> tuple[str, ...]:
        """Return the nodes that the graph of this node runs in, the outermost first."""
        return scope_of(self.namespace)

    @property
    def reason(self) -> str:
        """Return why its first attempt that was not accepted was not."""
        return next((each.reason for each in self.tries if each.reason), "")


@dataclass(frozen=True, slots=True)
class Totals:
    """What the transitions of a run sum up to."""

    transitions: int = 0
    """How many there are in all."""
    last: int = 0
    """The number of the last one."""
    summed: int = 0
    """How many of them the rest is about."""
    attempts: int = 0
    """How many attempts they made."""
    ended: float | None = None
    """When the last of them ended: UTC, seconds since the epoch; None if there are none."""
    tokens_in: int | None = None
    """Tokens sent; None if no attempt counted any."""
    tokens_out: int | None = None
    """Tokens received; None if no attempt counted any."""
    cost: float | None = None
    """In US dollars, as far as it is known; None if none of it is."""
    unpriced: int = 0
    """How many attempts spent tokens whose cost is not known."""
    wasted_tokens: int = 0
    """Tokens of attempts that were not accepted."""
    wasted_cost: float = 0.0
    """Known cost of attempts that were not accepted."""

    @property
    def tokens(self) -> int | None:
        """Return the tokens sent and received; None if none were counted."""
        if self.tokens_in is None and self.tokens_out is None:
            return None
        return (self.tokens_in or 0) + (self.tokens_out or 0)


def scope_of(namespace: str) -> tuple[str, ...]:
    """Return the names in a namespace, but for the task's own: `sub:1f|draft:2e` is in `sub`."""
    parts = [part.partition(":")[0] for part in namespace.split("|")[:-1]]
    return tuple(part for part in parts if not part.isdigit())


def outline(
    store: Store,
    run: str,
    *,
    after: int = 0,
    most: int,
    node: str | None = None,
    troubled: bool = False,
) -> list[Line]:
    """Return the first transitions of a run in short.

    Args:
        store: Where it is recorded.
        run: Its id.
        after: Only transitions with greater numbers.
        most: How many at most.
        node: Only those of nodes of this name.
        troubled: Only those that were not accepted at once.
    """
    if isinstance(store, SqliteStore):
        return _selected(store, run, after, most, node, troubled)
    lines = (
        _line(each) for each in store.transitions(run, after=after) if node in (None, each.node)
    )
    return list(islice((each for each in lines if not troubled or each.is_troubled), most))


def _selected(
    store: SqliteStore, run: str, after: int, most: int, node: str | None, troubled: bool
) -> list[Line]:
    some = "FROM transitions WHERE run = ? AND number > ?"
    asked: list[Any] = [_text(run), after]
    if node is not None:
        some += " AND node = ?"
        asked.append(_text(node))
    if troubled:
        some += (
            " AND (status NOT IN ('accepted', 'handed_up') OR"
            " (SELECT count(*) FROM attempts WHERE transition = transitions.id) > 1)"
        )
    some += " ORDER BY number, id LIMIT ?"
    asked.append(most)
    rows = store.query(
        "SELECT id, number, namespace, step, node, status, started, seconds, producers, goto "
        f"{some}",
        asked,
    )
    tries: dict[int, list[Try]] = {}
    for id, rung, outcome, decision, reason, error in store.query(
        "SELECT transition, rung, outcome, decision, "  # noqa: S608 - made of constants
        f"substr(CASE WHEN json_valid(reasons) THEN json_extract(reasons, '$[0]') END, 1, "
        f"{_LONGEST_REASON}), substr(error, 1, {_LONGEST_REASON}) "
        f"FROM (SELECT id {some}) AS wanted JOIN attempts ON attempts.transition = wanted.id "
        "ORDER BY attempts.rowid",
        asked,
    ):
        tries.setdefault(id, []).append(
            Try(rung, outcome, decision is not None, str(reason or error or ""))
        )
    return [
        Line(
            number=number,
            namespace=namespace,
            step=step,
            node=name,
            status=status,
            started=started,
            seconds=seconds,
            producers=_names(producers),
            goto=_names(goto),
            tries=tuple(tries.get(id, ())),
        )
        for id, number, namespace, step, name, status, started, seconds, producers, goto in rows
    ]


def _names(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))


def _line(given: Transition) -> Line:
    tries = tuple(
        Try(each.rung, each.outcome, each.decision is not None, _reason(each))
        for each in given.attempts
    )
    kept = {each.name: getattr(given, each.name) for each in fields(Line) if each.name != "tries"}
    return Line(**kept, tries=tries)


def _reason(attempt: Attempt) -> str:
    return next(iter(attempt.reasons), attempt.error or "")[:_LONGEST_REASON]


def one_transition(store: Store, run: str, number: int) -> Transition | None:
    """Return a transition with all it holds; None if there is none of that number."""
    if not isinstance(store, SqliteStore):
        found = next(iter(store.transitions(run, after=number - 1)), None)
        return found if found is not None and found.number == number else None
    rows = store.query(
        "SELECT * FROM transitions WHERE run = ? AND number = ? ORDER BY id LIMIT 1",
        [_text(run), number],
    )
    if not rows:
        return None

    def parts(table: str) -> list[Sequence[Any]]:
        return store.query(
            f"SELECT * FROM {table} WHERE transition = ? ORDER BY rowid",  # noqa: S608 - of ours
            [rows[0][0]],
        )

    return transition_of(rows[0], parts("attempts"), parts("verdicts"), parts("calls"))


def numbers_after(store: Store, run: str, after: int, most: int) -> list[int]:
    """Return the numbers of the first transitions of a run that are above `after`."""
    if isinstance(store, SqliteStore):
        rows = store.query(
            "SELECT number FROM transitions WHERE run = ? AND number > ? ORDER BY number LIMIT ?",
            [_text(run), after, most],
        )
        return [number for (number,) in rows]
    return [each.number for each in islice(store.transitions(run, after=after), most)]


def totals(store: Store, run: str) -> Totals:
    """Return what a run's transitions sum up to."""
    if not isinstance(store, SqliteStore):
        return totals_of(store.transitions(run))
    asked: list[Any] = [_text(run)]
    [(count, last)] = store.query(
        "SELECT count(*), max(number) FROM transitions WHERE run = ?", asked
    )
    asked.append(MOST_SUMMED)
    some = "transitions WHERE run = ? AND number <= ?"
    [(summed, ended)] = store.query(f"SELECT count(*), max(started + seconds) FROM {some}", asked)  # noqa: S608 - made of constants
    wasted = f"outcome IN ({', '.join(map(repr, sorted(WASTED)))}) AND status <> 'observed'"
    [spent] = store.query(
        "SELECT count(*), "  # noqa: S608 - made of constants
        # Not sum(): it fails where integers grow beyond 64 bits.
        "CASE WHEN count(tokens_in) THEN total(tokens_in) END, "
        "CASE WHEN count(tokens_out) THEN total(tokens_out) END, sum(cost), "
        "total(cost IS NULL AND coalesce(tokens_in, tokens_out) IS NOT NULL), "
        f"total(CASE WHEN {wasted} THEN coalesce(tokens_in, 0) + coalesce(tokens_out, 0) END), "
        f"total(CASE WHEN {wasted} THEN cost END) "
        f"FROM (SELECT id, status FROM {some}) AS wanted "
        "JOIN attempts ON attempts.transition = wanted.id",
        asked,
    )
    attempts, tokens_in, tokens_out, cost, unpriced, wasted_tokens, wasted_cost = spent
    return Totals(
        count,
        last or 0,
        summed,
        attempts,
        ended,
        None if tokens_in is None else int(tokens_in),
        None if tokens_out is None else int(tokens_out),
        cost,
        int(unpriced),
        int(wasted_tokens),
        wasted_cost,
    )


def totals_of(transitions: Iterator[Transition] | Sequence[Transition]) -> Totals:
    """Return what some transitions sum up to."""
    kept: list[tuple[Attempt, bool]] = []
    count = last = 0
    ended: float | None = None
    for each in transitions:
        count, last = count + 1, max(last, each.number)
        ended = max(ended or 0.0, each.started + each.seconds)
        kept += [
            (one, one.outcome in WASTED and each.status != "observed") for one in each.attempts
        ]
    attempts = [attempt for attempt, _ in kept]
    wasted = [attempt for attempt, is_wasted in kept if is_wasted]
    costs = [each.cost for each in attempts if each.cost is not None]
    sent = [each.tokens_in for each in attempts if each.tokens_in is not None]
    received = [each.tokens_out for each in attempts if each.tokens_out is not None]
    return Totals(
        count,
        last,
        count,
        len(attempts),
        ended,
        sum(sent) if sent else None,
        sum(received) if received else None,
        sum(costs) if costs else None,
        sum(each.cost is None and _spent(each) is not None for each in attempts),
        sum(_spent(each) or 0 for each in wasted),
        sum(each.cost or 0.0 for each in wasted),
    )


def _spent(attempt: Attempt) -> int | None:
    if attempt.tokens_in is None and attempt.tokens_out is None:
        return None
    return (attempt.tokens_in or 0) + (attempt.tokens_out or 0)


def _text(value: str) -> str:
    """Return what SQLite can be asked for; no stored text has a lone surrogate."""
    return value.encode("utf-8", "replace").decode()
