"""Auditing: from a store to its report."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable
from contextlib import closing
from functools import partial

from coordgate.audit.intervals import Rate, rate
from coordgate.audit.labels import gate_reports, judged, of_runs
from coordgate.audit.next_gate import next_gates
from coordgate.audit.parts import (
    Units,
    handoff_reports,
    handoffs_of,
    node_reports,
    nodes_of,
    table,
)
from coordgate.audit.reading import Which, read
from coordgate.audit.report import AuditReport
from coordgate.audit.tally import Course
from coordgate.audit.whole import compare_runs, end_rates, ended, labelled, run_counts, weakest
from coordgate.errors import StoreError
from coordgate.labels import Label, labels_beside, read_labels
from coordgate.stores import JsonlStore, SqliteStore, Store, open_store

_log = logging.getLogger("coordgate")


def audit(
    store: Store | str | os.PathLike[str],
    *,
    labels: Iterable[Label] | None = None,
    graph: str | None = None,
    since: float | None = None,
    until: float | None = None,
) -> AuditReport:
    """Audit what was recorded.

    Args:
        store: A store, or the path or URL of one.
        labels: What is known to be correct; without it, the labels file beside the store, if any.
        graph: The graph whose runs are audited; all runs without it.
        since: Runs that began earlier are left out; in seconds since the epoch.
        until: So are those that began then or later.

    Raises:
        StoreError: the store, or the labels file, cannot be read.
    """
    first = -math.inf if since is None else since
    which = Which(graph, first, math.inf if until is None else until)
    if not isinstance(store, Store):
        with closing(open_store(store)) as opened:
            return _audit(opened, os.fspath(store), labels, which)
    return _audit(store, _name(store), labels, which)


def _name(store: Store) -> str:
    return str(store.path) if isinstance(store, SqliteStore | JsonlStore) else repr(store)


def _audit(store: Store, name: str, given: Iterable[Label] | None, which: Which) -> AuditReport:
    labels = list(_beside(store) if given is None else given)
    _tell_strangers(store, name, labels)
    if not which.all:
        labels = [each for each in labels if _takes(store, each.run, which)]
    tally = read(store, of_runs(labels), which)
    courses = list(tally.courses.items())
    own, known = ended(courses), labelled(courses)
    nodes, handoffs = nodes_of(tally), handoffs_of(tally)
    by_handoff = table(handoffs, courses)
    node_rows = node_reports(tally, nodes, table(nodes, courses))
    handoff_rows = handoff_reports(tally, handoffs, by_handoff)
    accepted = compare_runs(nodes, own, "accepted")
    first_pass = compare_runs(nodes, own, "first_pass")
    compared = compare_runs(nodes, known, "correct") if known else accepted
    completed, all_accepted = end_rates(tally, accepted)
    hand_overs = list(
        judged(
            store,
            labels,
            reviewed=tally.statuses["interrupted"] > 0,
            within=None if which.all else partial(_takes, store, which=which),
        )
    )
    gates = gate_reports(tally, hand_overs)
    return AuditReport(
        store=name,
        runs=run_counts(tally),
        sampled=tally.sampled,
        nodes=node_rows,
        handoffs=handoff_rows,
        completed=completed,
        accepted=all_accepted,
        correct=compared.observed if known else None,
        basis="correct" if known else "accepted",
        product=compared.product,
        observed=compared.observed,
        gap=compared.gap,
        compared=compared,
        first_pass=first_pass,
        weakest=weakest(handoff_rows, by_handoff, tally.runs),
        gates=gates,
        next_gates=next_gates(
            tally,
            nodes,
            node_rows,
            handoff_rows,
            compared,
            hand_overs,
            _unexplained(nodes, known),
        ),
        trend=tally.trend.periods(),
    )


def _beside(store: Store) -> Iterable[Label]:
    if isinstance(store, SqliteStore | JsonlStore):
        return read_labels(labels_beside(store.path))
    return ()


def _tell_strangers(store: Store, name: str, labels: Iterable[Label]) -> None:
    """Warn of labels that count for nothing, since their runs are not in the store."""
    labelled = sorted({label.run for label in labels})
    strangers = [run for run in labelled if not _holds(store, run)]
    if strangers:
        _log.warning(
            "coordgate: %d of %d labelled runs are not in %s, such as %r: a label names a run by "
            "its whole id",
            len(strangers),
            len(labelled),
            name,
            strangers[0],
        )


def _takes(store: Store, run: str, which: Which) -> bool:
    try:
        return which.takes(store.run(run))
    except StoreError:
        return False


def _holds(store: Store, run: str) -> bool:
    try:
        return store.run(run).id == run  # it finds beginnings of ids, too
    except StoreError:
        return False


def _unexplained(nodes: Units, known: list[tuple[Course, int]]) -> Rate | None:
    """Return how often labelled runs were wrong in which every hand-over was accepted."""
    if not known:
        return None
    seen = table(nodes, known)
    clean = (seen.tried == seen.passed).all(-1)
    n = sum(times for place, (_, times) in enumerate(known) if clean[place])
    wrong = sum(
        times for place, (course, times) in enumerate(known) if clean[place] and not course.correct
    )
    return rate(wrong, n)
