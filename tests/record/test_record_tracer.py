"""The tracer: out of the hot path, never in the way of a node, and honest about what it lost."""

from __future__ import annotations

import gc
import logging
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from records import a_capture, a_run, python

from coordgate.errors import StoreError
from coordgate.stores import MemoryStore, SqliteStore, open_store
from coordgate.tracer import Record, Run, Tracer, Transition


class ShakySink:
    """A sink that fails until it is mended."""

    def __init__(self) -> None:
        self.broken = True
        self.calls = 0
        self.taken: list[Record] = []

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch, or fail."""
        self.calls += 1
        if self.broken:
            raise OSError(28, "No space left on device")
        self.taken += records


@pytest.mark.parametrize("name", ["t.db", "t.jsonl"])
def test_writes_captures_as_records(name: str, tmp_path: Path) -> None:
    """What the engine captures is read back as transitions, attempts and verdicts."""
    with Tracer(tmp_path / name) as tracer:
        tracer.record(a_run())
        tracer.record(a_capture(number=1))
    store = open_store(tmp_path / name)
    (transition,) = store.transitions("run-1")
    (attempt,) = transition.attempts
    assert transition.reads == '{"question":"why"}'
    assert transition.writes == attempt.output == '{"draft":"because"}'
    assert (attempt.verdicts[0].gate, attempt.verdicts[0].passed) == ("not_empty", True)
    assert list(store.runs()) == [a_run()]
    store.close()


def test_every_store_gets_the_same_of_a_capture(tmp_path: Path) -> None:
    """SQLite, which takes captures as they are, reads back what the others were given frozen."""
    found: list[Transition] = []
    for url in ("memory:", str(tmp_path / "t.db"), str(tmp_path / "t.jsonl")):
        with Tracer(url) as tracer:
            tracer.record(a_capture())
            tracer.flush()
            found += tracer.sink.transitions("run-1")  # type: ignore[attr-defined]
    assert found[0] == found[1] == found[2]


def test_writes_in_the_background(tmp_path: Path) -> None:
    """Records reach the sink without anybody asking for it."""
    arrived = threading.Event()

    class Waiting(MemoryStore):
        def write(self, records: Sequence[Record]) -> None:
            super().write(records)
            arrived.set()

    store = Waiting()
    with Tracer(store, flush_seconds=0.001) as tracer:
        for number in range(1, 4):
            arrived.clear()
            tracer.record(a_capture(number=number))
            assert arrived.wait(20)
            assert len(list(store.transitions("run-1"))) == number


def test_wakes_again_after_it_fell_asleep() -> None:
    """A tracer that had nothing to do for a while still writes what comes then."""
    arrived = threading.Semaphore(0)

    class Waiting(MemoryStore):
        def write(self, records: Sequence[Record]) -> None:
            super().write(records)
            arrived.release()

        def beat(self) -> float | None:
            arrived.release()
            return None

    store = Waiting()
    with Tracer(store, flush_seconds=0.001) as tracer:
        tracer.record(a_capture(number=1))
        for _ in range(12):  # one write, and the rounds after which the thread sleeps
            assert arrived.acquire(timeout=20)
        tracer.record(a_capture(number=2))
        for _ in range(2):
            assert arrived.acquire(timeout=20)
        assert len(list(store.transitions("run-1"))) == 2


def test_flush_waits_for_everything_recorded() -> None:
    """After flush, all that was recorded before it is in the sink, from whatever thread."""
    store = MemoryStore()
    with Tracer(store) as tracer:

        def record(thread: int) -> None:
            for number in range(1, 101):
                tracer.record(a_capture(f"run-{thread}", number))

        threads = [threading.Thread(target=record, args=(each,)) for each in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tracer.flush()
        for each in range(32):
            found = list(store.transitions(f"run-{each}"))
            assert [one.number for one in found] == list(range(1, 101))


def test_a_failing_sink_fails_nobody_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """While the sink fails records wait, one warning is logged, and later all are written."""
    sink = ShakySink()
    with caplog.at_level(logging.WARNING, "coordgate"), Tracer(sink) as tracer:
        for number in range(1, 6):
            tracer.record(a_capture(number=number))
            assert not tracer.flush()
        assert tracer.errors >= 5
        assert tracer.lost == 0
        sink.broken = False
        assert tracer.flush()
    assert [each.number for each in sink.taken if isinstance(each, Transition)] == [1, 2, 3, 4, 5]
    (warning,) = caplog.messages
    assert "No space left on device" in warning
    assert "said once" in warning


def test_beyond_the_bound_the_oldest_are_dropped_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A sink that stays broken cannot fill the memory; what is lost is counted and told."""
    sink = ShakySink()
    tracer = Tracer(sink, max_waiting=100, flush_seconds=60)
    tracer.record(a_capture(number=1))
    tracer.flush()
    for number in range(2, 302):
        tracer.record(a_capture(number=number))
    assert tracer.lost >= 199
    assert tracer.lost + 102 >= 301
    sink.broken = False
    tracer.flush()
    assert len(sink.taken) + tracer.lost == 301
    assert sink.taken[-1].number == 301  # type: ignore[union-attr]
    tracer.close()
    assert f"{tracer.lost} records were lost" in caplog.messages[-1]


def test_close_counts_what_it_could_not_write(caplog: pytest.LogCaptureFixture) -> None:
    """A tracer closed over a broken sink says how many records were lost."""
    tracer = Tracer(ShakySink())
    tracer.record(a_capture(number=1))
    tracer.record(a_capture(number=2))
    tracer.close()
    tracer.close()
    assert tracer.lost == 2
    assert "2 records were lost" in caplog.messages[-1]


def test_a_capture_that_cannot_be_settled_loses_only_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A redaction that raises costs the record it was for, and is reported once."""

    def redact(text: str) -> str:
        if "bad" in text:
            raise ValueError("no")
        return text

    store = MemoryStore()
    with Tracer(store, redact=redact) as tracer:
        tracer.record(a_capture(number=1, writes={"draft": "bad"}))
        tracer.record(a_capture(number=2))
        assert tracer.flush()
        assert tracer.lost == 1
    assert [each.number for each in store.transitions("run-1")] == [2]
    assert "a record could not be made" in caplog.messages[0]


@pytest.mark.parametrize("name", ["t.db", "t.jsonl"])
def test_secrets_are_never_written(name: str, tmp_path: Path) -> None:
    """Values, outputs, reasons and errors are redacted before they reach the file."""
    key = "sk-" + "a1B2" * 8
    with Tracer(tmp_path / name) as tracer:
        raw = a_capture(reads={"api_key": "hunter2-secret"}, writes={"draft": f"use {key}"})
        raw.attempts[0].reasons = [f"the key {key} was leaked"]
        raw.attempts[0].error = f"ValueError: {key}"
        tracer.record(raw)
        tracer.record(a_run(status="failed", error=f"GateRejected: {key}"))
        tracer.flush()
        content = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert key.encode() not in content
    assert b"hunter2-secret" not in content
    assert content.count(b"[redacted]") >= 5


def test_redaction_is_the_users_to_choose() -> None:
    """Redaction can be turned off, or replaced by a function."""
    for redact, reads in ((False, '{"token":"abc1"}'), (str.upper, '{"TOKEN":"ABC1"}')):
        store = MemoryStore()
        with Tracer(store, redact=redact) as tracer:
            tracer.record(a_capture(reads={"token": "abc1"}))
        assert next(store.transitions("run-1")).reads == reads


def test_long_values_are_cut_and_say_so() -> None:
    """A value beyond the limit is cut, stays JSON, and tells how long it was."""
    store = MemoryStore()
    with Tracer(store, max_value_chars=1000) as tracer:
        tracer.record(a_capture(reads={"question": "why", "page": "x" * 100_000}))
    reads = next(store.transitions("run-1")).reads
    assert reads is not None
    assert len(reads) < 1200
    assert '"question": "why"' in reads
    assert "[cut: 100000 characters]" in reads


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    """A tracer on a path in no directory raises where it is made, not when nodes run."""
    with pytest.raises(StoreError, match="create it first"):
        Tracer(tmp_path / "no" / "t.db")


def test_a_store_that_was_passed_in_stays_open(tmp_path: Path) -> None:
    """A tracer closes the store that it opened, and leaves one that it was given."""
    with SqliteStore(tmp_path / "t.db", mode="write") as store:
        with Tracer(store) as tracer:
            tracer.record(a_run())
        assert list(store.runs()) == [a_run()]
    tracer = Tracer(tmp_path / "t.db")
    tracer.close()
    with pytest.raises(StoreError, match="closed"):
        tracer.sink.write([a_run()])


def test_a_record_after_close_is_lost_and_counted(tmp_path: Path) -> None:
    """Recording on a closed tracer fails no node; the record is counted as lost."""
    tracer = Tracer(tmp_path / "t.db")
    tracer.close()
    tracer.record(a_run())
    assert tracer.lost == 1


def test_a_tracer_that_is_let_go_writes_first(tmp_path: Path) -> None:
    """A tracer that nobody holds any more writes what waits, and its thread ends."""
    before = set(threading.enumerate())
    tracer = Tracer(tmp_path / "t.db", flush_seconds=60)
    tracer.record(a_run())
    (thread,) = set(threading.enumerate()) - before
    del tracer
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()
    assert [run.id for run in open_store(tmp_path / "t.db").runs()] == ["run-1"]


def test_a_process_that_ends_writes_first(tmp_path: Path) -> None:
    """Records that wait when a program ends are written, without close."""
    script = (
        "import atexit, os, sys; atexit.register(os._exit, 0)\n"  # the last to run: nothing after
        "from records import a_capture; from coordgate.tracer import Tracer\n"
        "tracer = Tracer(sys.argv[1], flush_seconds=60)\n"
        "for number in range(1, 101): tracer.record(a_capture(number=number))\n"
    )
    with python(script, tmp_path / "t.db") as child:
        assert child.communicate(timeout=60) == ("", "")
    assert len(list(open_store(tmp_path / "t.db").transitions("run-1"))) == 100


_FORK = """
import os, sys
from records import a_capture
from coordgate.tracer import Tracer
tracer = Tracer(sys.argv[1], flush_seconds=60)
tracer.record(a_capture("parent", 1))
assert tracer.flush()
tracer.record(a_capture("parent", 2))
child = os.fork()
name = "parent" if child else "child"
if child == 0 and sys.argv[2] == "another":
    inherited, tracer = tracer, Tracer(sys.argv[1])
for number in range(3 if child else 1, 51):
    tracer.record(a_capture(name, number))
    assert tracer.flush()
tracer.close()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("which", ["inherited", "another"])
@pytest.mark.parametrize("name", ["t.db", "t.jsonl"])
def test_the_child_of_a_fork_starts_anew(name: str, which: str, tmp_path: Path) -> None:
    """After a fork parent and child write at once, each its own records, and none is lost."""
    with python(_FORK, tmp_path / name, which) as parent:
        _, errors = parent.communicate(timeout=60)
    assert parent.returncode == 0, errors
    store = open_store(tmp_path / name)
    assert [each.number for each in store.transitions("parent")] == list(range(1, 51))
    assert [each.number for each in store.transitions("child")] == list(range(1, 51))
    store.close()


_FULL = """
import logging, resource, signal, sys
from records import a_capture, a_run
from coordgate.tracer import Tracer
logging.basicConfig(format="%(message)s")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Tracer(sys.argv[1], flush_seconds=0.001) as tracer:
    tracer.record(a_run(status="running", ended=None))
    assert tracer.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, resource.RLIM_INFINITY))
    for number in range(1, 301):
        tracer.record(a_capture(number=number, writes={"draft": "x" * 2000}))
        if number % 50 == 0:
            tracer.flush()
    assert tracer.errors > 1 and tracer.lost == 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert tracer.flush()
print("every node ran")
"""


@pytest.mark.parametrize("name", ["t.db", "t.jsonl"])
def test_a_full_disk_is_reported_once_and_loses_nothing_once_there_is_room(
    name: str, tmp_path: Path
) -> None:
    """A file that may not grow fails no node, is told once, and gets everything in the end."""
    with python(_FULL, tmp_path / name) as child:
        output, errors = child.communicate(timeout=60)
    assert output == "every node ran\n", errors
    assert errors.count("said once") == 1
    store = open_store(tmp_path / name)
    assert [each.number for each in store.transitions("run-1")] == list(range(1, 301))
    store.close()


def test_a_locked_file_delays_records_and_loses_none(tmp_path: Path) -> None:
    """While another connection holds the file records wait, and then they are written."""
    path = tmp_path / "t.db"
    with (
        SqliteStore(path, mode="write", busy_seconds=0.02) as store,
        Tracer(store) as tracer,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        tracer.record(Run(**{name: getattr(a_run(), name) for name in Run.__slots__}))
        assert not tracer.flush()
        other.execute("ROLLBACK")
        assert tracer.flush()
        assert list(store.runs()) == [a_run()]
