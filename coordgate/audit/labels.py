"""What labels say: of runs, of single hand-overs, and of the gates that were asked about them.

Labels come from a file (see `coordgate.labels`), and from what reviewers did with escalations: an
approved candidate was correct, an edited or rejected one was not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Final, NamedTuple

from coordgate.audit.intervals import rate
from coordgate.audit.report import GateReport
from coordgate.audit.tally import Tally
from coordgate.labels import Label
from coordgate.record import Attempt, RunId, Transition, path_of
from coordgate.stores import SqliteStore, Store
from coordgate.stores.connection import connect, said

_SHIPPED: Final = frozenset({"accepted", "observed"})
_MEANS: Final = {"approve": True, "edit": False, "reject": False}

_REVIEWED: Final = """
    SELECT DISTINCT t.thread, t.run FROM transitions t WHERE t.status = 'interrupted' OR t.id IN
        (SELECT transition FROM attempts WHERE decision IS NOT NULL)
    ORDER BY t.run
"""


class Judged(NamedTuple):
    """A hand-over of which it is known whether it was correct."""

    node: str
    """The node's name."""
    attempt: Attempt
    """The attempt that made it."""
    correct: bool
    """Whether it was."""
    shipped: bool
    """Whether it passed and went out, and the label means it and not the whole run."""


def of_runs(labels: Iterable[Label]) -> dict[str, bool]:
    """Return whether each labelled run was correct; several sources must all say so."""
    found: dict[str, bool] = {}
    for label in labels:
        if label.node is None and label.transition is None and label.attempt is None:
            found[label.run] = found.get(label.run, True) and label.correct
    return found


def judged(
    store: Store,
    labels: Iterable[Label],
    *,
    reviewed: bool,
    within: Callable[[str], bool] | None = None,
) -> Iterator[Judged]:
    """Yield the hand-overs that are labelled, or that a reviewer has decided on, each once.

    A label of a whole run is taken as that of the hand-over that went out, the last one that ended
    the graph, where that has none of its own. Of a run that was stopped nothing went out: that it
    came to no right answer says nothing of the hand-over that stopped it.

    Args:
        store: The store.
        labels: Its labels.
        reviewed: Whether there is anything that waited for a person.
        within: Of a run's id, whether its reviews count.
    """
    by_run: dict[str, list[Label]] = {}
    for label in labels:
        by_run.setdefault(label.run, []).append(label)
    for run, given in by_run.items():
        transitions = list(store.transitions(run))
        said = {each.number: of_attempts(given, each) for each in transitions}
        last = [each for each in transitions if not each.goto and "|" not in each.namespace][-1:]
        whole = of_runs(given).get(run)
        for each in transitions:
            for attempt in each.attempts:
                correct = said[each.number].get(attempt.number)
                shipped = attempt is each.attempts[-1] and each.status in _SHIPPED
                if correct is not None:
                    passed = shipped and each.status == "accepted"
                    yield Judged(each.node, attempt, correct, passed)
                elif whole is not None and shipped and each in last:
                    yield Judged(each.node, attempt, whole, shipped=False)
    if reviewed:
        yield from _reviews(store, within)


def of_attempts(labels: Iterable[Label], transition: Transition) -> dict[int, bool]:
    """Return what labels of a run say of one transition's attempts, by their numbers.

    A label without an attempt is about what shipped, the last one. Several sources must all say
    that it was correct.
    """
    found: dict[int, bool] = {}
    for label in labels:
        particular = label.node is not None or label.transition is not None
        here = label.node in {None, transition.node, path_of(transition)}
        if particular and here and label.transition in {None, transition.number}:
            last = transition.attempts[-1].number if transition.attempts else 0
            number = last if label.attempt is None else label.attempt
            found[number] = found.get(number, True) and label.correct
    return found


def _reviews(store: Store, within: Callable[[str], bool] | None) -> Iterator[Judged]:
    asked: dict[tuple[str | None, str], Attempt] = {}
    for thread, run in _reviewed(store):
        if within is not None and not within(run):
            continue
        for each in store.transitions(run):
            task = (thread, each.namespace)
            for attempt in each.attempts:
                correct = _MEANS.get(attempt.decision or "")
                candidate = asked.get(task)
                if attempt.decision and candidate is not None and correct is not None:
                    yield Judged(each.node, candidate, correct, shipped=False)
                if attempt.verdicts or not attempt.rung.startswith("escalate:"):
                    asked[task] = attempt
            if each.status != "interrupted":
                asked.pop(task, None)


def _reviewed(store: Store) -> Iterator[tuple[str | None, str]]:
    if not isinstance(store, SqliteStore):
        for run in store.runs(newest_first=False):
            yield run.thread, run.id
        return
    with said(store.path, "read"), closing(connect(store.path, "read", 5.0)) as database:
        for thread, run in database.execute(_REVIEWED):
            yield thread, RunId(run)


def gate_reports(tally: Tally, known: Iterable[Judged]) -> tuple[GateReport, ...]:
    """Return what is known of each gate that was asked about a hand-over with a label."""
    seen: dict[tuple[str, str], Counter[tuple[bool, bool]]] = {}
    for each in known:
        for verdict in each.attempt.verdicts:
            counts = seen.setdefault((each.node, verdict.gate), Counter())
            counts[verdict.passed, each.correct] += 1
    return tuple(
        _gate_report(tally, node, gate, counts) for (node, gate), counts in sorted(seen.items())
    )


def _gate_report(
    tally: Tally, node: str, gate: str, counts: Mapping[tuple[bool, bool], int]
) -> GateReport:
    passed_right, passed_wrong = counts.get((True, True), 0), counts.get((True, False), 0)
    stopped_right, stopped_wrong = counts.get((False, True), 0), counts.get((False, False), 0)
    passed, stopped = passed_right + passed_wrong, stopped_right + stopped_wrong
    said_of = tally.verdicts.get((node, gate))
    asked, let_by = (said_of.asked, said_of.passed) if said_of else (0, 0)
    # Labels of what passed alone, or of what did not, say nothing of the share that it finds.
    both = (passed or not let_by) and (stopped or asked == let_by)
    wrong, right = (passed_wrong + stopped_wrong, passed_right + stopped_right) if both else (0, 0)
    return GateReport(
        node=node,
        gate=gate,
        asked=asked,
        passed=let_by,
        labelled=passed + stopped,
        precision=rate(stopped_wrong, stopped),
        recall=rate(stopped_wrong if both else 0, wrong),
        false_accept=rate(passed_wrong if both else 0, wrong),
        false_reject=rate(stopped_right if both else 0, right),
        correct_if_passed=rate(passed_right, passed),
    )
