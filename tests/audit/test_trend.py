"""The audit's trend, and audits of a part of the runs: by graph, and by when they began."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from lines import is_good, line

from coordgate import (
    Approve,
    Escalate,
    GateRejected,
    NodeGuard,
    Policy,
    Reject,
    Retry,
    Tracer,
    guard,
)
from coordgate.audit import audit
from coordgate.audit.trend import Trend
from coordgate.labels import Label
from coordgate.record import Record, Run
from coordgate.stores import MemoryStore, Store, open_store

HOUR = 3600.0


def answered() -> MemoryStore:
    """Return the record of runs that retry, ask a person, fail, and stay paused."""
    store = MemoryStore()
    chance = random.Random(5)  # noqa: S311 - a simulation
    nodes = {
        "make_a": NodeGuard(gates=[is_good("a")], policy=Policy(Retry(1))),
        "make_b": NodeGuard(gates=[is_good("b")], policy=Policy(Escalate("editor"))),
    }
    with Tracer(store) as tracer:
        guarded = guard(line({"a": 0.7, "b": 0.6}, chance), nodes, tracer=tracer)
        app = guarded.compile(checkpointer=InMemorySaver())
        for thread in range(60):
            config = {"configurable": {"thread_id": str(thread)}}
            try:
                asked = "__interrupt__" in app.invoke({}, config)
                if asked and thread % 4:
                    given = Approve() if thread % 3 else Reject("no")
                    app.invoke(Command(resume=given), config)
            except GateRejected:
                continue
    return store


def test_the_trend_adds_up_to_the_whole() -> None:
    """What runs came to over time is what the audit says of them all, pauses and retries too."""
    report = audit(answered())
    assert {report.runs.failed > 5, report.runs.interrupted > 5} == {True}
    for whole, parts in (
        (report.accepted, [each.accepted for each in report.trend]),
        (report.first_pass.observed, [each.first_pass for each in report.trend]),
    ):
        assert 0 < (whole.successes or 0) < whole.n
        assert sum(each.n for each in parts) == whole.n
        assert sum(each.successes or 0 for each in parts) == whole.successes
    assert report.first_pass.observed.successes != report.accepted.successes


def test_periods_are_as_short_as_their_number_and_runs_allow() -> None:
    """Minutes of an hour are told apart, of a month its days; of few runs not so many periods."""
    for starts, width in (
        ([0.0, 59.0, 60.0, 3600.0], 60),
        ([0.0, 101 * 60.0], 600),
        ([0.0, 30 * 24 * HOUR], 24 * HOUR),
        ([minute * 60.0 for minute in range(12)], 60),
        ([minute * 60.0 for minute in range(13)], 600),
        ([minute * 60.0 for minute in range(13)] * 20, 60),
    ):
        trend = Trend()
        for start in starts:
            trend.take(start, accepted=True, first_pass=False)
        found = trend.periods()
        assert {each.seconds for each in found} == {width}
        assert [each.start for each in found] == sorted({each // width * width for each in starts})
        assert sum(each.accepted.n for each in found) == len(starts)
        assert {each.first_pass.successes for each in found} == {0}


@given(
    st.lists(
        st.tuples(st.floats(0, 3e9) | st.floats(), st.booleans(), st.booleans()), max_size=2000
    )
)
def test_no_run_is_lost_however_long_the_time(runs: list[tuple[float, bool, bool]]) -> None:
    """Every run with a time counts in the period that holds it, also where they are many."""
    trend = Trend()
    for start, accepted, first_pass in runs:
        trend.take(start, accepted=accepted, first_pass=first_pass)
    known = [each for each in runs if 0 <= each[0] < 253402300800]
    found = trend.periods()
    assert sum(each.accepted.n for each in found) == len(known)
    assert sum(each.accepted.successes or 0 for each in found) == sum(each[1] for each in known)
    for period in found:
        within = [
            each for each in known if each[0] // period.seconds * period.seconds == period.start
        ]
        assert len(within) == period.accepted.n


def apart(written: list[Record]) -> list[Record]:
    """Return records of runs that began an hour apart, the later half of another graph."""
    runs = sorted({each.id for each in written if isinstance(each, Run)})
    place = {run: number for number, run in enumerate(runs)}
    return [
        replace(
            each,
            started=place[each.id] * HOUR,
            graph="late" if place[each.id] >= len(runs) // 2 else "early",
        )
        if isinstance(each, Run)
        else each
        for each in written
    ]


def everything(store: Store) -> list[Record]:
    """Return all that a store holds."""
    runs = list(store.runs(newest_first=False))
    return [*runs, *(each for run in runs for each in store.transitions(run.id))]


@pytest.mark.parametrize("name", ["all.db", "all.jsonl"])
def test_a_part_of_the_runs_is_audited_as_if_alone(tmp_path: Path, name: str) -> None:
    """By graph or by time: every figure is that of a store that holds nothing else."""
    written = apart(everything(answered()))
    runs = [each for each in written if isinstance(each, Run)]
    labels = [Label(each.id, correct=number % 3 > 0, by="me") for number, each in enumerate(runs)]
    with open_store(tmp_path / name, mode="write") as store:
        store.write(written)
    middle = len(runs) // 2 * HOUR
    for chosen, of_run in (
        ({"graph": "late"}, [each for each in runs if each.graph == "late"]),
        ({"since": middle}, [each for each in runs if each.started >= middle]),
        ({"until": middle}, [each for each in runs if each.started < middle]),
        ({"graph": "late", "until": middle}, []),
    ):
        alone = MemoryStore()
        ids = {each.id for each in of_run}
        alone.write(
            [each for each in written if (each.id if isinstance(each, Run) else each.run) in ids]
        )
        kept = [each for each in labels if each.run in ids]
        expected = audit(alone, labels=kept)
        found = audit(tmp_path / name, labels=labels, **chosen)  # type: ignore[arg-type]
        assert found.runs.total == len(of_run)
        assert replace(found, store="") == replace(expected, store="")
