"""What every store does: one suite, run on each of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import runs_of_transitions
from hypothesis import given, settings
from records import NOW, a_run, a_transition, python

from coordgate.errors import StoreError
from coordgate.stores import JsonlStore, MemoryStore, SqliteStore, Store, open_store
from coordgate.stores.base import storable
from coordgate.tracer import Run, Transition

KINDS = ("memory", "jsonl", "db")
FILES = ("jsonl", "db")


def opened(kind: str, folder: Path) -> Store:
    """Open a store of a kind for writing."""
    return open_store("memory:" if kind == "memory" else folder / f"t.{kind}", mode="write")


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give an empty store of each kind."""
    kept = opened(request.param, tmp_path)
    yield kept
    kept.close()


def test_reads_back_what_was_written(store: Store) -> None:
    """A run and its transitions come back equal, verdicts and all."""
    store.write([a_run(), a_transition(number=1), a_transition(number=2)])
    assert list(store.runs()) == [a_run()]
    assert list(store.transitions("run-1")) == [a_transition(number=1), a_transition(number=2)]


@settings(max_examples=40, deadline=None)
@given(written=runs_of_transitions())
def test_reads_back_hostile_text(written: tuple[Run, list[Transition]]) -> None:
    """NULs, control characters, SQL, emoji come back; lone surrogates as their escapes."""
    run, transitions = written
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            store = opened(kind, Path(folder))
            store.write([run, *transitions])
            assert [storable(each) for each in store.runs()] == [storable(run)]
            found = store.transitions(storable(run).id if kind != "memory" else run.id)  # type: ignore[union-attr]
            assert [storable(each) for each in found] == [storable(each) for each in transitions]
            store.close()


def test_takes_numbers_that_no_file_can_hold(store: Store) -> None:
    """An integer beyond 64 bits or a NaN in one record does not keep the batch from the file."""
    odd = a_transition(seconds=float("nan"), step=2**70)
    store.write([a_run(), odd, a_transition(number=2)])
    found = list(store.transitions("run-1"))
    assert [each.number for each in found] == [1, 2]
    assert storable(found[0]).seconds == 0.0  # type: ignore[union-attr]


def test_a_later_run_replaces_the_earlier_one(store: Store) -> None:
    """A run is written when it starts and again when it ends, and is one run."""
    store.write([a_run(status="running", ended=None)])
    store.write([a_run(status="failed", error="GateRejected: no")])
    assert list(store.runs()) == [a_run(status="failed", error="GateRejected: no")]


def test_transitions_come_in_the_order_of_their_numbers(store: Store) -> None:
    """Transitions come in order however they arrived, and more than a page of them."""
    store.write([a_transition(number=number) for number in range(450, 0, -1)])
    store.write([a_transition("another", 1)])
    assert [each.number for each in store.transitions("run-1")] == list(range(1, 451))


def test_runs_come_newest_first(store: Store) -> None:
    """Runs come by their start, either way round, limited and filtered, pages and all."""
    store.write(
        [
            a_run(f"run-{i:03}", started=NOW + i // 2, status="failed" if i % 2 else "completed")
            for i in range(450)
        ]
    )
    ids = [f"run-{i:03}" for i in range(450)]
    assert [run.id for run in store.runs(newest_first=False)] == ids
    assert [run.id for run in store.runs()] == ids[::-1]
    assert [run.id for run in store.runs(limit=2)] == ["run-449", "run-448"]
    assert [run.id for run in store.runs(limit=2, status="completed")] == ["run-448", "run-446"]
    assert list(store.runs(limit=0)) == []


def test_finds_a_run_by_a_unique_beginning(store: Store) -> None:
    """A beginning is enough if it is unique; a whole id wins over longer ones."""
    store.write([a_run("abc"), a_run("abcd"), a_run("b%_")])
    assert store.run("abc").id == "abc"
    assert store.run("abcd").id == "abcd"
    assert store.run("b%").id == "b%_"
    with pytest.raises(StoreError, match="several runs"):
        store.run("ab")
    with pytest.raises(StoreError, match="no run '%'"):
        store.run("%")
    with pytest.raises(StoreError, match="no run"):
        store.run("zz\ud800")


def test_a_run_of_this_process_is_not_lost(store: Store) -> None:
    """A run whose process lives reads as running, however long ago it began."""
    store.write([a_run(status="running", started=NOW - 1e6, ended=None)])
    assert next(store.runs()).status == "running"


@pytest.mark.parametrize(
    "process", ["elsewhere:1:1", "nonsense", ""], ids=["another-host", "nonsense", "unknown"]
)
def test_a_silent_run_of_another_host_is_lost(store: Store, process: str) -> None:
    """A run that cannot be looked up is lost when nothing was heard of it for a minute."""
    now = time.time()
    fresh = a_run("fresh", status="running", started=now, ended=None, process=process)
    stale = a_run("stale", status="running", started=now - 100, ended=None, process=process)
    store.write([fresh, stale])
    assert [run.status for run in store.runs()] == ["running", "lost"]
    assert [run.id for run in store.runs(status="lost")] == ["stale"]
    assert [run.id for run in store.runs(status="running")] == ["fresh"]


@pytest.mark.parametrize("kind", FILES)
def test_a_closed_store_says_so(kind: str, tmp_path: Path) -> None:
    """Writing to a closed store is a clear error; closing twice is none."""
    store = opened(kind, tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="open"):
        store.write([a_run()])


@pytest.mark.parametrize("kind", FILES)
def test_a_reader_sees_what_a_writer_adds(kind: str, tmp_path: Path) -> None:
    """An open reader sees later writes."""
    with opened(kind, tmp_path) as writer, open_store(tmp_path / f"t.{kind}") as reader:  # type: ignore[attr-defined]
        writer.write([a_run()])
        assert len(list(reader.runs())) == 1
        writer.write([a_run("run-2"), a_transition("run-2")])
        assert len(list(reader.runs())) == 2
        assert len(list(reader.transitions("run-2"))) == 1


_WRITER = """
import sys
from records import a_capture, a_run
from coordgate.tracer import Tracer
path, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
with Tracer(path, flush_seconds=0.001) as tracer:
    for run in range(20):
        id = f"{name}-{run}"
        tracer.record(a_run(id, status="running", ended=None))
        for number in range(1, 11):
            tracer.record(a_capture(id, number))
        tracer.record(a_run(id))
        assert tracer.flush()
print(tracer.lost, tracer.errors)
"""


@pytest.mark.parametrize("kind", FILES)
def test_two_processes_write_one_file(kind: str, tmp_path: Path) -> None:
    """Two processes that create and write one file at once lose nothing and mix nothing up."""
    path = tmp_path / f"t.{kind}"
    with python(_WRITER, path, "left") as left, python(_WRITER, path, "right") as right:
        for writer in (left, right):
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in (left, right):
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        answers = [writer.communicate(timeout=60) for writer in (left, right)]
    assert [answer for answer, _ in answers] == ["0 0\n", "0 0\n"], answers
    with open_store(path) as store:  # type: ignore[attr-defined]
        runs = list(store.runs())
        assert len(runs) == 40
        for run in runs:
            found = list(store.transitions(run.id))
            assert [each.number for each in found] == list(range(1, 11))
            assert {each.run for each in found} == {run.id}
            assert all(len(each.attempts[0].verdicts) == 1 for each in found)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory:", MemoryStore),
        ("{}/a.db", SqliteStore),
        ("{}/a.sqlite3", SqliteStore),
        ("sqlite:///{}/odd.name", SqliteStore),
        ("{}/a.jsonl", JsonlStore),
        ("jsonl:///{}/odd", JsonlStore),
    ],
)
def test_opens_by_url(url: str, kind: type, tmp_path: Path) -> None:
    """The ending of a path or the scheme of a URL says which store it is."""
    store = open_store(url.format(tmp_path), mode="write")
    assert type(store) is kind
    store.close()


def test_opens_what_a_file_holds(tmp_path: Path) -> None:
    """A trace file is recognised by what it holds when its name does not say."""
    for kind, of in (("jsonl", JsonlStore), ("db", SqliteStore)):
        store = opened(kind, tmp_path)
        store.write([a_run()])
        store.close()
        moved = (tmp_path / f"t.{kind}").rename(tmp_path / f"traces-{kind}")
        found = open_store(moved)
        assert type(found) is of
        assert len(list(found.runs())) == 1
        found.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgres://host/db", "Postgres is not there yet"),
        ("mysql://host/db", "no kind of store"),
        ("sqlite://relative.db", "sqlite:///PATH"),
        ("{}/traces.csv", "does not say what kind"),
        ("{}", "give a file"),
        ("{}/no/such.db", "create it first"),
        ("{}/no/such.jsonl", "create it first"),
        ("sqlite:///{}", "is a directory"),
        ("jsonl:///{}", "is a directory"),
    ],
)
def test_says_why_it_cannot_write_there(url: str, told: str, tmp_path: Path) -> None:
    """A path or URL that cannot be written is refused at once, with the cure."""
    with pytest.raises(StoreError, match=told):
        open_store(url.format(tmp_path), mode="write")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.db", "a.jsonl", "a"])
def test_reading_never_creates_a_file(name: str, tmp_path: Path) -> None:
    """A missing file is an error that names it, and stays missing."""
    with pytest.raises(StoreError, match="there is no such file"):
        open_store(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.db", "a.jsonl"])
def test_a_reader_sees_that_its_file_was_deleted_and_what_takes_its_place(
    name: str, tmp_path: Path
) -> None:
    """Of what is gone nothing is read, neither with a file of the same name nor without."""
    path = tmp_path / name
    with open_store(path, mode="write") as store:
        store.write([a_run("old"), a_transition("old", reads="old")])
    with open_store(path) as reader:
        assert [run.id for run in reader.runs()] == ["old"]
        path.unlink()
        with pytest.raises(StoreError, match="cannot be read"):
            list(reader.runs())
        with open_store(path, mode="write") as store:
            store.write([a_run("new"), a_transition("new")])
            assert [run.id for run in reader.runs()] == ["new"]
            assert list(reader.transitions("new")) == [a_transition("new")]
            assert list(reader.transitions("old")) == []
