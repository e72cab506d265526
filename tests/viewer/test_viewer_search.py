"""Finding runs: what passes which filter, in every kind of store, and in steps of any size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordgate.record import Attempt, GateVerdict, Run, RunId, ThreadId, Transition
from coordgate.stores import MemoryStore, Store, open_store
from coordgate.viewer.filters import Filters, Place
from coordgate.viewer.search import search
from coordgate.viewer.sources import MOST_TALLIED, source_of, tally

START = 1_750_000_000.0


def a_run(place: int, **given: object) -> Run:
    """Return a run that began so many seconds after the first."""
    fields = {"thread": None, "status": "completed", "error": None, **given}
    return Run(
        RunId(f"run-{place:02}"),
        "brief",
        fields["thread"],  # type: ignore[arg-type]
        "enforce",
        fields["status"],  # type: ignore[arg-type]
        START + place,
        START + place + 1,
        fields["error"],  # type: ignore[arg-type]
    )


def a_transition(place: int, number: int, node: str, *attempts: Attempt) -> Transition:
    """Return a transition of a run."""
    return Transition(
        RunId(f"run-{place:02}"),
        number,
        None,
        "",
        number,
        node,
        "accepted",
        START + place,
        0.5,
        reads=f'{{"question":"Größe of {node}?"}}',
        writes='{"quote":"she said \\"no\\""}',
        attempts=attempts,
    )


def rejected(gate: str, reason: str) -> Attempt:
    """Return an attempt that a gate rejected."""
    verdict = GateVerdict(gate, False, None, reason)
    return Attempt(
        1, "first", "rejected", 0.1, (f"{gate}: {reason}",), verdicts=(verdict,), cost=0.25
    )


def accepted(gate: str, output: str = "{}") -> Attempt:
    """Return an attempt that a gate passed."""
    verdict = GateVerdict(gate, True)
    return Attempt(
        2, "retry", "accepted", 0.1, output=output, verdicts=(verdict,), tokens_in=5, cost=0.5
    )


RECORDS = [
    a_run(0, thread=ThreadId("letters")),
    a_transition(0, 1, "plan", accepted("short")),
    a_transition(0, 2, "draft", rejected("cites", "no source"), accepted("cites", '"a HERON"')),
    a_run(1, status="failed", error="ValueError: out of reach"),
    a_transition(1, 1, "plan", rejected("short", "too long")),
    a_run(2),
    a_transition(2, 1, "draft", accepted("cites")),
    a_transition(2, 2, "plan"),
    a_run(3, status="interrupted"),
    a_run(4, thread=ThreadId("numbers")),
    a_transition(4, 1, "plan", rejected("cites", "no source")),
    a_transition(4, 2, "draft", accepted("short")),
]


@pytest.fixture(params=["memory", "t.db", "t.jsonl"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give a store of each kind that holds the records."""
    if request.param == "memory":
        memory = MemoryStore()
        memory.write(RECORDS)
        yield memory
        return
    path = tmp_path / request.param
    with open_store(path, mode="write") as writing:
        writing.write(RECORDS)
    with open_store(path) as reading:
        yield reading


def places(store: Store, filters: Filters) -> list[int]:
    """Return which runs pass."""
    return [
        int(run.id[4:]) for run, _ in search(source_of(store), filters, most=50, seconds=60).runs
    ]


@pytest.mark.parametrize(
    ("filters", "passing"),
    [
        (Filters(), [4, 3, 2, 1, 0]),
        (Filters(status="failed"), [1]),
        (Filters(status="lost"), []),
        (Filters(node="draft"), [4, 2, 0]),
        (Filters(verdict="rejected"), [4, 1, 0]),
        (Filters(verdict="passed", gate="short"), [4, 0]),
        (Filters(gate="cites"), [4, 2, 0]),
        (Filters(node="draft", verdict="rejected"), [0]),
        (Filters(node="plan", gate="cites"), [4]),
        (Filters(text="LETTERS"), [0]),
        (Filters(text="run-03"), [3]),
        (Filters(text="out of Reach"), [1]),
        (Filters(text="no source"), [4, 0]),
        (Filters(text="a heron"), [0]),
        (Filters(text='said "no"'), [4, 2, 1, 0]),
        (Filters(text="GRÖSSE of plan"), [4, 2, 1, 0]),
        (Filters(text="nowhere"), []),
        (Filters(text="letters", node="plan", verdict="rejected"), []),
        (Filters(text="letters", node="plan"), [0]),
        (Filters(since=START + 3), [4, 3]),
        (Filters(before=START + 1), [0]),
        (Filters(since=START + 1, before=START + 3, node="plan"), [2, 1]),
    ],
    ids=lambda each: str(each.query()) if isinstance(each, Filters) else "",
)
def test_the_runs_that_pass_are_found(store: Store, filters: Filters, passing: list[int]) -> None:
    """Each filter lets through the runs that have it, the newest first, in every kind of store."""
    assert places(store, filters) == passing


@given(
    filters=st.builds(
        Filters,
        status=st.sampled_from(["", "completed", "failed"]),
        node=st.sampled_from(["", "plan", "draft", "none"]),
        verdict=st.sampled_from(["", "passed", "rejected"]),
        text=st.sampled_from(["", "source", "heron", "letters", "nowhere"]),
    ),
    most=st.integers(1, 3),
    ticks=st.integers(0, 6),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_search_in_steps_finds_what_one_search_finds(
    store: Store, filters: Filters, most: int, ticks: int
) -> None:
    """However short each step is, going on from its place finds every run once, in order."""
    found: list[str] = []
    place, steps = None, 0
    while steps < 100:
        clock = iter(range(1_000_000))  # each look at the clock is a tick later
        step = search(
            source_of(store),
            filters,
            after=place,
            most=most,
            seconds=ticks,
            clock=lambda: next(clock),  # noqa: B023 - called in this round only
        )
        found += [run.id for run, _ in step.runs]
        assert len(step.runs) <= most
        steps += 1
        if step.place is None:
            break
        place = Place.told(str(step.place))
    whole = search(source_of(store), filters, most=50, seconds=3600)
    assert found == [run.id for run, _ in whole.runs]


def test_a_long_run_is_searched_in_parts(store: Store) -> None:
    """A run with more transitions than one step reads is left in its middle and gone on with."""
    if not isinstance(store, MemoryStore):
        path = store.path  # type: ignore[attr-defined]
        with open_store(path, mode="write") as writing:
            _write_long_run(writing)
    else:
        _write_long_run(store)
    asked = Filters(node="last")
    place, steps = None, 0
    while True:
        step = search(source_of(store), asked, after=place, most=50, seconds=0)
        steps += 1
        if step.runs or step.place is None:
            break
        place = step.place
    assert [run.id for run, _ in step.runs] == ["run-09"]
    assert steps > 2


def _write_long_run(store: Store) -> None:
    store.write([a_run(9), *(a_transition(9, number, "again") for number in range(1, 60))])
    store.write([a_transition(9, 60, "last")])


def test_a_tally_counts_what_the_attempts_were(store: Store) -> None:
    """Nodes, attempts, what was accepted and rejected, tokens and cost are those of the run."""
    source = source_of(store)
    found = tally(source, store.run("run-00"))
    assert list(found.nodes) == ["plan", "draft"]
    assert (found.transitions, found.attempts, found.accepted, found.rejected) == (2, 3, 2, 1)
    assert (found.tokens, found.cost, found.more) == (10, 1.25, False)


def test_a_tally_says_where_it_stops_counting() -> None:
    """Of a run with very many attempts, so many are counted, and it says that there are more."""
    store = MemoryStore()
    store.write([a_run(0)])
    store.write(
        [a_transition(0, n, "again", accepted("short")) for n in range(1, MOST_TALLIED + 2)]
    )
    found = tally(source_of(store), store.run("run-00"))
    assert (found.attempts, found.more) == (MOST_TALLIED, True)


@pytest.mark.parametrize("text", ["", "x", "1.0", "nan~~a", "inf~1~a", "1.0~x~a", "1.0~-1~a"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """A place in the list that an address makes up is an error, not a crash elsewhere."""
    with pytest.raises(ValueError, match=r"place|float"):
        Place.told(text)


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(), st.none() | st.integers(0, 99))
def test_a_place_is_read_as_it_was_told(started: float, id: str, number: int | None) -> None:
    """A place goes into an address and comes back, whatever the run's id holds."""
    place = Place(started, id, number)
    assert Place.told(str(place)) == place
