"""The next gate: what a gate on each hand-over that loses something would bring, and cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from coordgate.audit.intervals import Interval, Rate, rate
from coordgate.audit.labels import Judged
from coordgate.audit.parts import Units, totals
from coordgate.audit.report import Compared, Handoff, NextGate, NodeReport
from coordgate.audit.tally import Spending, Tally
from coordgate.show import counted

DETECTION: Final = 0.9
"""How likely a gate that is not there yet is taken to reject a wrong hand-over."""

FALSE_ALARM: Final = 0.02
"""How likely it is taken to reject a right one."""


@dataclass(frozen=True, slots=True)
class _Loss:
    """How a node's hand-overs were seen to go wrong."""

    rate: Rate
    """How often."""
    reason: str
    """What was seen, in words."""
    labelled: bool = False
    """Whether only labels have found it: contract and gates passed."""
    unseen: bool = False
    """Whether runs count as good in spite of it: hand-overs have labels, and runs have none."""

    @property
    def detection(self) -> float:
        """How likely the gate finds such a one."""
        return DETECTION if self.labelled else 1.0


def next_gates(
    tally: Tally,
    units: Units,
    nodes: Sequence[NodeReport],
    handoffs: Sequence[Handoff],
    whole: Compared,
    known: Sequence[Judged],
    unexplained: Rate | None,
) -> tuple[NextGate, ...]:
    """Return what a gate with one retry on each node's hand-over would bring, the best first.

    Of a hand-over that goes wrong with chance w, the gate finds a share d, and the repeat is right
    with chance r; of a right one it rejects a share f, which is repeated as well. So the share that
    is right grows from c = 1 - w to c (1 - f) + (c f + w d) r (1 - f), and the whole in the same
    proportion, once for each time that a run comes by, if nodes fail independently. Where labels
    of hand-overs are all that is known of w, and runs have none, a run counts as good only if those
    hand-overs are right. The interval takes w and r at the ends of theirs.

    Args:
        tally: What was read.
        units: Its nodes.
        nodes: Their reports, in the same order.
        handoffs: The handoffs.
        whole: How often runs come out well.
        known: The hand-overs of which it is known whether they were correct.
        unexplained: How often runs whose hand-overs were all accepted were not correct; None
            without labels of runs.
    """
    if whole.observed.estimate is None:
        return ()
    found: list[NextGate] = []
    for node, losses in zip(nodes, _losses(tally, units, nodes, known, unexplained), strict=True):
        advised = [
            _advised(tally, node, handoffs, loss, whole.observed.estimate)
            for loss in losses
            if loss.rate.estimate and node.transitions
        ]
        # One gate may find what was stopped as well as what was labelled: the greater gain counts.
        found += sorted(advised, key=lambda each: -(each.gain.estimate or 0.0))[:1]
    found = [each for each in found if (each.gain.estimate or 0.0) > 0]
    return tuple(sorted(found, key=lambda each: -each.gain_per_call))


def _advised(
    tally: Tally, node: NodeReport, handoffs: Sequence[Handoff], loss: _Loss, whole: float
) -> NextGate:
    again = _again(tally, node)
    visits = node.transitions / max(1, tally.runs)
    low, middle, high = (
        _gain(w, r, loss, visits, whole)
        for w, r in (
            (loss.rate.low, again.low),
            (loss.rate.estimate or 0.0, again.estimate or 0.0),
            (loss.rate.high, again.high),
        )
    )
    calls = _calls(loss, visits)
    tokens, seconds = _each(tally, node)
    checking = visits * _checking(tally)
    return NextGate(
        producer=node.node,
        consumer=" | ".join(h.consumer for h in handoffs if h.producer == node.node),
        reason=loss.reason,
        loss=loss.rate,
        gain=Interval(middle, min(low, middle), max(high, middle)),
        calls=calls,
        tokens=None if tokens is None else _scaled(calls, tokens, 0.0),
        seconds=_scaled(calls, seconds, checking),
        gain_per_call=middle / calls.estimate if calls.estimate else 0.0,
    )


def _gain(wrong: float, again: float, loss: _Loss, visits: float, whole: float) -> float:
    right, alarm = 1 - wrong, FALSE_ALARM
    if loss.labelled:
        again *= right  # of what passes so many are right
    better = right * (1 - alarm) + (right * alarm + wrong * loss.detection) * again * (1 - alarm)
    if loss.unseen:
        return whole * (math.pow(better, visits) - math.pow(right, visits))
    if right <= 0:
        return (1 - whole) * loss.detection * again
    return min(1 - whole, whole * (math.pow(better / right, visits) - 1))


def _losses(
    tally: Tally,
    units: Units,
    nodes: Sequence[NodeReport],
    known: Sequence[Judged],
    unexplained: Rate | None,
) -> Iterator[list[_Loss]]:
    """Yield the ways in which each node's hand-overs were seen to go wrong."""
    refused = _refused(tally)
    labelled: Counter[tuple[str, bool]] = Counter(
        (each.node, each.correct) for each in known if each.shipped
    )
    silent = [node.node for node in nodes if not node.gates]
    for node, seen in zip(nodes, totals(units, tally), strict=True):
        plain = node.node.rpartition("|")[2]
        failed = seen[0] - seen[2] - refused[node.node, "own"]
        handed = refused[node.node, "on"]
        wrong, right = labelled[plain, False], labelled[plain, True]
        found: list[_Loss] = []
        if failed + handed > 0:
            trials = seen[0] - refused[node.node, "own"]
            words = [
                f"{count} of {trials} {what}"
                for count, what in (
                    (failed, "did not pass in the end"),
                    (handed, f"{_were(handed)} refused by who was handed {_them(handed)}"),
                )
                if count
            ]
            lost = min(trials, failed + handed)
            found.append(_Loss(rate(lost, trials), "; ".join(words)))
        if wrong:
            said = f"{wrong} of {wrong + right} that passed {_were(wrong)} labelled wrong"
            unseen = unexplained is None
            found.append(_Loss(rate(wrong, wrong + right), said, labelled=True, unseen=unseen))
        told = found or right or node.node not in silent
        if unexplained is not None and unexplained.estimate and not told:
            share = unexplained.estimate / len(silent)
            shared = Rate(unexplained.n, None, share, 0.0, unexplained.high)
            said = (
                f"no gate looks at it, and of {counted(unexplained.n, 'run')} whose hand-overs all "
                f"passed {unexplained.successes} {_were(unexplained.successes)} wrong"
            )
            if len(silent) > 1:
                said += f"; split evenly among {len(silent)} such nodes"
            found.append(_Loss(shared, said, labelled=True))
        yield found


def _were(count: int | None) -> str:
    return "was" if count == 1 else "were"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _refused(tally: Tally) -> Counter[tuple[str, str]]:
    """Count inputs refused: of each node its own, and those that it handed on."""
    counts: Counter[tuple[str, str]] = Counter()
    for number, kind in enumerate(tally.kinds):
        if kind.refused and kind.counts:
            counts[kind.node, "own"] += tally.seen[number]
            for producer in kind.producers:
                counts[producer, "on"] += tally.seen[number]
    return counts


def _again(tally: Tally, node: NodeReport) -> Rate:
    """Return how often a repeat passes: the node's own repeats, else anybody's, else firsts.

    That a repeat is as good as a first attempt is what the last resort supposes.
    """
    own: list[int] = [0, 0]
    anybody: list[int] = [0, 0]
    for number, kind in enumerate(tally.kinds):
        for rung, outcome in kind.attempts[1:]:
            if rung == "retry":
                for counts in (own, anybody) if kind.node == node.node else (anybody,):
                    counts[0] += tally.seen[number] * (outcome == "accepted")
                    counts[1] += tally.seen[number]
    for good, made in (own, anybody):
        if made:
            return rate(good, made)
    return node.first_pass


def _each(tally: Tally, node: NodeReport) -> tuple[float | None, float]:
    """Return the tokens and seconds of one attempt, on average."""
    spent = [tally.spending.get((node.node, good), Spending()) for good in (True, False)]
    attempts = sum(each.attempts for each in spent)
    metered = sum(each.metered for each in spent)
    tokens = sum(each.tokens_in + each.tokens_out for each in spent)
    seconds = sum(each.seconds for each in spent)
    return (tokens / metered if metered else None), seconds / max(1, attempts)


def _checking(tally: Tally) -> float:
    """Return the seconds that one look of a gate takes, on average of those that there are."""
    asked = sum(each.asked for each in tally.verdicts.values())
    return sum(each.seconds for each in tally.verdicts.values()) / max(1, asked)


def _calls(loss: _Loss, visits: float) -> Interval:
    """Return how many further bodies run: one for each hand-over that the gate rejects."""
    low, middle, high = (
        visits * ((1 - wrong) * FALSE_ALARM + wrong * loss.detection)
        for wrong in (loss.rate.low, loss.rate.estimate or 0.0, loss.rate.high)
    )
    return Interval(middle, min(low, middle), max(high, middle))


def _scaled(amount: Interval, by: float, plus: float) -> Interval:
    return Interval(
        (amount.estimate or 0.0) * by + plus, amount.low * by + plus, amount.high * by + plus
    )
