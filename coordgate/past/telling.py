"""How a backtest looks in a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from coordgate.audit.intervals import rate
from coordgate.audit.words import of_rate
from coordgate.past.backtest import Backtest, Change, GateTurn, Retries
from coordgate.past.labelled import Confusion
from coordgate.show import counted, duration, printable


def lines(found: Backtest, *, limit: int | None = None) -> Iterator[str]:
    """Yield a backtest in words, with at most `limit` of its changes."""
    outputs, runs = counted(found.outputs, "recorded output"), counted(found.runs, "run")
    yield f"{outputs} of {runs}, judged by today's gates"
    if found.gates:
        yield from _table(found.gates)
    yield from _labelled(found)
    for each in found.retries:
        yield from _cost(each)
    yield from _changes(found.changes, limit)
    for name in found.not_asked:
        yield f"not asked, since it waits (--slow asks it) or looks at a model's answers: {name}"
    for why, count in found.not_judged.items():
        yield f"not judged: {counted(count, 'output')}: {printable(why)}"
    for doubt in found.doubts:
        yield f"not sure: {printable(doubt)}"


def _table(gates: list[GateTurn]) -> Iterator[str]:
    width = max([24, *(len(f"{turn.node}: {turn.gate}") for turn in gates)])
    yield ""
    yield f"{'GATE':{width}}  {'REJECTED THEN':>14}  {'NOW':>14}  {'NEWLY REJECTED':>14}  PASSED"
    for turn in gates:
        then = _of(turn.rejected_then, turn.asked_then)
        now = _of(turn.rejected_now, turn.asked_now)
        name = printable(f"{turn.node}: {turn.gate}")
        moved = f"{turn.now_rejected:>14}  {turn.now_passed:>6}"
        yield f"{name:{width}}  {then:>14}  {now:>14}  {moved}"
        if turn.broken_now:
            yield f"    {turn.broken_now} of these because the gate raised or returned nonsense"


def _of(count: int, total: int) -> str:
    return f"{count} of {total}" if total else "not asked"


def _labelled(found: Backtest) -> Iterator[str]:
    turns = [
        turn for turn in found.gates if _total(turn.labelled_now) or _total(turn.labelled_then)
    ]
    runs = _total(found.stopped_now)
    if not turns and not runs:
        return
    yield ""
    yield "against the labels (precision: of those rejected, how many were wrong; recall: of those"
    yield "wrong, how many were rejected):"
    for turn in turns:
        yield f"  {printable(turn.node)}: {printable(turn.gate)}"
        rejected = (turn.rejected_then, turn.rejected_now)
        yield from _beside(turn.labelled_then, turn.labelled_now, *rejected)
    if runs:
        yield f"  whole runs ({runs} labelled; rejected: a gate rejects something that shipped)"
        yield from _beside(found.stopped_then, found.stopped_now)


def _beside(then: Confusion, now: Confusion, *rejected: int) -> Iterator[str]:
    """Yield the two shares then and now; `rejected` is how many were, with a label or without."""
    for when, each, stopped in zip(("then", "now"), (then, now), rejected or (0, 0), strict=True):
        precision, recall = _share(*each.of_rejected), _share(*each.of_wrong)
        if _one_sided(each, stopped):
            recall = "- (what it rejected has no label)"
        yield f"    {when:5} precision {precision:36} recall {recall}"


def _one_sided(each: Confusion, rejected: int) -> bool:
    """Return whether nothing that was rejected has a label: what share is found is not known."""
    return bool(rejected) and not each.of_rejected[1]


def _share(count: int, total: int) -> str:
    return f"{of_rate(rate(count, total))} ({count} of {total})" if total else "- (none)"


def _total(each: Confusion) -> int:
    return each.rejected_right + each.rejected_wrong + each.passed_right + each.passed_wrong


def _cost(each: Retries) -> Iterator[str]:
    yield ""
    shipped = f"{each.now_rejected} that shipped would not"
    yield f"{printable(each.node)}: {shipped}, {each.now_passed} that did not ship would"
    if each.now_rejected and not each.retries:
        yield "  its policy has no Retry: these would have gone on to the next rung, or failed"
    parts = [f"{each.more:.1f} attempts more", f"{each.fewer} fewer"]
    parts.append(f"{'-' if each.seconds < 0 else '+'}{duration(abs(each.seconds))}")
    if each.tokens is not None:
        parts.append(f"{each.tokens:+.0f} tokens")
    if each.usd is not None:
        parts.append(f"{each.usd:+.4f} USD")
    yield f"  in retries: {', '.join(parts)}"


def _changes(changes: list[Change], limit: int | None) -> Iterator[str]:
    if not changes:
        return
    yield ""
    yield "verdicts that change:"
    for each in changes[:limit]:
        was = "not asked" if each.was is None else "passed" if each.was else "rejected"
        now = "passes" if each.passes else "rejects"
        where = f"run {each.run} transition {each.transition} attempt {each.attempt}"
        reason = f": {printable(each.reason)}" if each.reason else ""
        yield f"  {where}  {each.node}: {each.gate} {was}, now {now}{reason}"
    if limit is not None and len(changes) > limit:
        yield f"  and {len(changes) - limit} more (--limit 0 shows all)"


def as_json(found: Backtest) -> dict[str, Any]:
    """Return a backtest as JSON has it."""
    shown = asdict(found)
    for turn, gate in zip(shown["gates"], found.gates, strict=True):
        turn |= {"then": _rates(gate, then=True), "now": _rates(gate, then=False)}
        del turn["labelled_then"], turn["labelled_now"]
    del shown["stopped_then"], shown["stopped_now"]
    runs = {"then": _precision(found.stopped_then), "now": _precision(found.stopped_now)}
    return {**shown, "labelled_runs": runs}


def _rates(turn: GateTurn, *, then: bool) -> dict[str, Any]:
    if then:
        return _precision(turn.labelled_then, turn.rejected_then)
    return _precision(turn.labelled_now, turn.rejected_now)


def _precision(each: Confusion, rejected: int = 0) -> dict[str, Any]:
    precision = rate(*each.of_rejected)
    recall = rate(0, 0) if _one_sided(each, rejected) else rate(*each.of_wrong)
    return {**asdict(each), "precision": asdict(precision), "recall": asdict(recall)}
