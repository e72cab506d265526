"""Costs: what the recorded model calls spent, by node, model or run, and what of it was wasted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from coordgate.prices import Prices
from coordgate.record import WASTED, Attempt, Call, Run, Transition, path_of

By = Literal["node", "model", "run"]
"""What spending is summed over."""


@dataclass(slots=True)
class Spending:
    """What some model calls spent; what is not known is counted, and never taken for 0."""

    name: str
    """The node with those around it, the model, or the run."""
    attempts: int = 0
    """How many attempts called a model."""
    calls: int = 0
    """How many calls there were."""
    failed: int = 0
    """How many of them raised, or were never finished."""
    silent: int = 0
    """How many of those that failed said nothing of what they took."""
    uncounted: int = 0
    """How many were answered without all their token counts."""
    unpriced: int = 0
    """How many were answered and have no known cost."""
    tokens_in: int = 0
    """Tokens sent, as far as they are known."""
    tokens_out: int = 0
    """Tokens received, as far as they are known."""
    cost: float = 0.0
    """In US dollars, as far as it is known."""
    gate_tokens: int = 0
    """Of the tokens, those that gates spent."""
    wasted_tokens: int = 0
    """Of the tokens, those of attempts that were not accepted."""
    wasted_cost: float = 0.0
    """Of the cost, that of attempts that were not accepted."""

    @property
    def tokens(self) -> int:
        """Tokens sent and received."""
        return self.tokens_in + self.tokens_out

    @property
    def known(self) -> bool:
        """Whether the cost is known, but for calls that failed and said nothing of it."""
        return not self.unpriced and self.calls > self.silent

    @property
    def wasted(self) -> float | None:
        """The share of the spending that was wasted: of its cost if that is known, or of tokens."""
        if self.known and self.cost:
            return self.wasted_cost / self.cost
        return self.wasted_tokens / self.tokens if self.tokens else None

    def add(self, call: Call, cost: float | None, *, wasted: bool) -> None:
        """Add a call."""
        self.calls += 1
        failed = call.error is not None or call.seconds is None
        self.failed += failed
        if failed and call.tokens_in is None and call.tokens_out is None:
            self.silent += 1
        else:
            self.uncounted += call.tokens_in is None or call.tokens_out is None
            self.unpriced += cost is None
        sent, received = call.tokens_in or 0, call.tokens_out or 0
        self.tokens_in += sent
        self.tokens_out += received
        self.cost += cost or 0.0
        if call.gate is not None:
            self.gate_tokens += sent + received
        if wasted:
            self.wasted_tokens += sent + received
            self.wasted_cost += cost or 0.0


@dataclass(frozen=True, slots=True)
class Costs:
    """All spending, the greatest first."""

    by: By
    """What it is summed over."""
    rows: tuple[Spending, ...]
    """One for each."""
    total: Spending
    """All together."""

    @property
    def share_of(self) -> Literal["cost", "tokens"]:
        """What shares are of: the cost, or the tokens where a part of the cost is unknown."""
        return "cost" if self.total.known and self.total.cost else "tokens"

    def share(self, row: Spending) -> float | None:
        """Return the share of the whole that one of the rows has."""
        part, whole = (
            (row.cost, self.total.cost)
            if self.share_of == "cost"
            else (row.tokens, self.total.tokens)
        )
        return part / whole if whole else None


def costs(
    runs: Iterable[tuple[Run, Iterable[Transition]]], *, by: By, prices: Prices | None = None
) -> Costs:
    """Sum up what the calls in some runs spent; with `prices`, by these and not as recorded."""
    rows: dict[str, Spending] = {}
    total = Spending("total")
    for run, transitions in runs:
        for transition in transitions:
            for attempt in transition.attempts:
                wasted = attempt.outcome in WASTED and transition.status != "observed"
                seen: set[str] = set()
                for call in attempt.calls or _in_one(attempt):
                    name = _name(by, run, transition, call)
                    row = rows.setdefault(name, Spending(name))
                    cost = call.cost if prices is None else _priced(call, prices)
                    for each in (row, total):
                        each.add(call, cost, wasted=wasted)
                        each.attempts += each.name not in seen
                        seen.add(each.name)
    found = Costs(by, tuple(rows.values()), total)
    ranked = sorted(found.rows, key=lambda row: (-(found.share(row) or 0), row.name))
    return Costs(by, tuple(ranked), total)


def as_json(store: str, found: Costs) -> str:
    """Return the spending as one JSON document; docs/cli.md tells its keys."""
    rows = [_row(each, found) for each in found.rows]
    document = {
        "store": store,
        "by": found.by,
        "share_of": found.share_of,
        "rows": rows,
        "total": _row(found.total, found),
    }
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False)


def told(found: Costs) -> Iterator[str]:
    """Yield what the table does not say: who spends most, and what is unknown."""
    total = found.total
    if found.rows and total.tokens:
        first = found.rows[0]
        share = found.share(first) or 0.0
        wasted = first.wasted or 0.0
        yield f"{first.name} spends {share:.0%} of all {found.share_of}, {wasted:.0%} of it wasted"
    if total.unpriced:
        yield (
            f"{total.unpriced} of {total.calls} calls have no known cost: shares are of tokens, "
            "and sums of cost leave these calls out; --prices FILE gives prices"
        )
    if total.uncounted:
        yield f"{total.uncounted} of {total.calls} calls came without token counts"
    if total.silent:
        yield f"{total.silent} of {total.calls} calls failed; whether they cost anything is unknown"


def _name(by: By, run: Run, transition: Transition, call: Call) -> str:
    match by:
        case "node":
            return path_of(transition)
        case "model":
            return call.model or "(unknown)"
        case "run":
            return run.id


def _in_one(attempt: Attempt) -> Iterator[Call]:
    """Yield what an attempt spent whose calls were not recorded one by one."""
    if attempt.tokens_in is not None or attempt.tokens_out is not None:
        yield Call(
            attempt.model, "", attempt.tokens_in, attempt.tokens_out, None, attempt.cost, 0.0
        )


def _priced(call: Call, prices: Prices) -> float | None:
    details: dict[str, int] = json.loads(call.details) if call.details else {}
    return prices.cost(call.model, call.tokens_in, call.tokens_out, details)


def _row(row: Spending, found: Costs) -> dict[str, Any]:
    return {
        "name": row.name,
        "attempts": row.attempts,
        "calls": row.calls,
        "failed": row.failed,
        "uncounted": row.uncounted,
        "unpriced": row.unpriced,
        "tokens_in": row.tokens_in,
        "tokens_out": row.tokens_out,
        "gate_tokens": row.gate_tokens,
        "wasted_tokens": row.wasted_tokens,
        "cost": row.cost if row.known else None,
        "known_cost": row.cost,
        "wasted_cost": row.wasted_cost if row.known else None,
        "share": found.share(row),
        "wasted_share": row.wasted,
    }
