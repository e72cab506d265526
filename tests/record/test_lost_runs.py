"""Lost runs: what becomes of a run whose process died, and who can tell."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from records import NOW, a_run, a_transition, python

from coordgate import process
from coordgate.stores import SqliteStore, open_store

_CHILD = """
import sys
from records import a_capture, a_run
from coordgate.tracer import Tracer
tracer = Tracer(sys.argv[1])
tracer.record(a_run(status="running", ended=None))
for number, _ in enumerate(sys.stdin, 1):
    tracer.record(a_capture(number=number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("name", ["t.db", "t.jsonl"])
def test_a_killed_process_leaves_a_lost_run(name: str, tmp_path: Path) -> None:
    """After SIGKILL the run reads lost, and only the last moment of it is missing."""
    path = tmp_path / name
    recorded: list[float] = []
    pace = threading.Event()  # nothing sets it: a pipeline records at a pace, not without pause
    with python(_CHILD, path) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        while not recorded or time.monotonic() < recorded[0] + 1.5:
            child.stdin.write("one more\n")
            child.stdin.flush()
            assert int(child.stdout.readline()) == len(recorded) + 1
            recorded.append(time.monotonic())
            pace.wait(0.002)
        with open_store(path) as store:  # type: ignore[attr-defined]
            assert store.run("run-1").status == "running"
        child.kill()
        killed = time.monotonic()
    with open_store(path) as store:  # type: ignore[attr-defined]
        assert store.run("run-1").status == "lost"
        assert [run.id for run in store.runs(status="lost")] == ["run-1"]
        assert list(store.runs(status="running")) == []
        written = [each.number for each in store.transitions("run-1")]
    assert written == list(range(1, len(written) + 1))
    assert len(written) >= sum(1 for at in recorded if at < killed - 0.75)


def test_the_next_writer_marks_lost_runs_for_good(tmp_path: Path) -> None:
    """A writer that opens the file marks what dead processes of this host left running."""
    path = tmp_path / "t.db"
    with python("from coordgate.process import identity; print(identity())") as child:
        dead = child.communicate(timeout=60)[0].strip()
    with SqliteStore(path, mode="write") as store:
        store.write(
            [
                a_run("dead", status="running", process=dead),
                a_run("alive", status="running"),
                a_run("elsewhere", status="running", process="elsewhere:1:1"),
                a_run("done", process=dead),
            ]
        )
    with SqliteStore(path, mode="write"):
        pass
    with closing(sqlite3.connect(path)) as connection:
        found = dict(connection.execute("SELECT id, status FROM runs").fetchall())
    assert found == {
        "dead": "lost",
        "alive": "running",
        "elsewhere": "running",
        "done": "completed",
    }


def test_a_writer_with_open_runs_gives_signs_of_life(tmp_path: Path) -> None:
    """While a run is open its process is noted with a time; when none is, it rests."""
    path = tmp_path / "t.db"
    with SqliteStore(path, mode="write") as store:
        assert store.beat() is None
        store.write([a_run(status="running", ended=None)])
        again = store.beat()
        assert again is not None
        assert 0 < again <= 5
        with closing(sqlite3.connect(path)) as connection:
            ((who, seen),) = connection.execute("SELECT * FROM processes").fetchall()
        assert who == process.identity()
        assert abs(seen - time.time()) < 10
        store.write([a_run()])
        assert store.beat() is None


def test_signs_of_life_keep_a_run_of_another_host(tmp_path: Path) -> None:
    """A run of another host is running while its process is heard of, however old it is."""
    path = tmp_path / "t.db"
    old = a_run(status="running", started=NOW - 10_000, ended=None, process="elsewhere:1:1")
    with SqliteStore(path, mode="write") as store:
        store.write([old])
        assert store.run("run-1").status == "lost"
        for seconds, status in ((30, "running"), (90, "lost")):
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(
                    "INSERT OR REPLACE INTO processes VALUES ('elsewhere:1:1', ?)",
                    (time.time() - seconds,),
                )
            assert store.run("run-1").status == status


@pytest.mark.parametrize("name", ["memory:", "t.jsonl"])
def test_transitions_are_signs_of_life_too(name: str, tmp_path: Path) -> None:
    """Without a table of processes, the last transition says when a run was heard of."""
    url = name if name == "memory:" else tmp_path / name
    store = open_store(url, mode="write")
    store.write([a_run(status="running", started=NOW - 10_000, process="elsewhere:1:1")])
    assert store.run("run-1").status == "lost"
    store.write([a_transition(started=time.time())])
    assert store.run("run-1").status == "running"
    store.close()


def test_an_identity_tells_processes_apart() -> None:
    """This process is alive; another start, another pid and another host are not this one."""
    mine = process.identity()
    rest, start = mine.rsplit(":", 1)
    assert rest.endswith(f":{os.getpid()}")
    assert process.is_here(mine)
    assert process.is_alive(mine)
    assert not process.is_alive(f"{rest}:{int(start) + 1}")
    assert not process.is_here(f"elsewhere:{os.getpid()}:{start}")


@pytest.mark.parametrize("nonsense", ["", ":", "a:b", "a:b:c", f"{process.host()}:x:1"])
def test_a_nonsensical_identity_is_nobody(nonsense: str) -> None:
    """What is no identity is no living process, and no error."""
    assert not process.is_alive(nonsense)


def test_the_identity_of_a_forked_child_is_its_own() -> None:
    """A child of a fork does not pass for its parent."""
    script = (
        "import os; from coordgate.process import identity, is_alive\n"
        "mine = identity()\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0: os.write(write, identity().encode()); os._exit(0)\n"
        "child = os.read(read, 500).decode(); os.wait()\n"
        "assert child != mine and not is_alive(child) and is_alive(mine); print('told apart')"
    )
    with python(script) as child:
        assert child.communicate(timeout=60) == ("told apart\n", "")
