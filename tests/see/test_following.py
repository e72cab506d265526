"""`coordgate show --follow`: what is recorded is shown as it comes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordgate.cli import main
from coordgate.following import Following
from coordgate.process import identity
from coordgate.record import Run, RunId, RunStatus, Transition
from coordgate.stores import MemoryStore, Store, open_store

START = 1_750_000_000.0


def a_run(id: str, status: RunStatus = "running", started: float = START) -> Run:
    """Return a run of this process."""
    ended = None if status == "running" else started + 2
    return Run(RunId(id), "brief", None, "enforce", status, started, ended, process=identity())


def a_transition(run: str, number: int, node: str = "draft") -> Transition:
    """Return a transition of it."""
    return Transition(RunId(run), number, None, "", number, node, "accepted", START, 0.5)


@pytest.fixture(params=["memory", "t.db", "t.jsonl"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give a store of each kind, which is written and followed."""
    if request.param == "memory":
        yield MemoryStore()
        return
    opened = open_store(tmp_path / request.param, mode="write")
    yield opened
    opened.close()


def told(following: Following) -> list[str]:
    """Return what a look finds, in short."""
    return [
        f"{each.id} {each.status}" if isinstance(each, Run) else f"{each.run}:{each.number}"
        for each in following.look()
    ]


def test_each_look_tells_what_is_new(store: Store) -> None:
    """A run is told when it begins and when it ends, and each transition once."""
    store.write([a_run("old", "completed"), a_transition("old", 1)])
    following = Following(store)
    assert told(following) == []
    store.write([a_run("new", started=START + 1), a_transition("new", 1)])
    assert told(following) == ["new running", "new:1"]
    store.write([a_transition("new", 2)])
    assert told(following) == ["new:2"]
    assert told(following) == []
    store.write([a_transition("new", 3), a_run("new", "completed", started=START + 1)])
    assert told(following) == ["new:3", "new completed"]
    assert not following.done


def test_what_began_is_told_after_what_went_on(store: Store) -> None:
    """A run that ended before the next began is told to its end first."""
    store.write([a_run("one")])
    following = Following(store)
    assert told(following) == ["one running"]
    store.write([a_transition("one", 1), a_run("one", "completed")])
    store.write([a_run("two", started=START + 1), a_transition("two", 1)])
    assert told(following) == ["one:1", "one completed", "two running", "two:1"]


def test_what_is_written_out_of_order_is_not_missed(store: Store) -> None:
    """Parallel nodes may be written in another order than they are numbered."""
    store.write([a_run("r"), a_transition("r", 1), a_transition("r", 3)])
    following = Following(store)
    assert told(following) == ["r running", "r:1", "r:3"]
    store.write([a_transition("r", 2), a_transition("r", 4)])
    assert told(following) == ["r:2", "r:4"]


def test_one_run_is_followed_to_its_end(store: Store) -> None:
    """Nothing of other runs is told, and the end is known."""
    store.write([a_run("one"), a_run("other", started=START + 1)])
    following = Following(store, store.run("one"))
    assert told(following) == ["one running"]
    assert not following.done
    store.write([a_transition("other", 1), a_run("one", "failed")])
    assert told(following) == ["one failed"]
    assert following.done


def test_a_run_that_has_ended_is_told_whole(store: Store) -> None:
    """Following it is showing it."""
    store.write([a_run("r", "completed"), a_transition("r", 1)])
    following = Following(store, store.run("r"))
    assert told(following) == ["r completed", "r:1"]
    assert following.done


@contextmanager
def follower(path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command in a process of its own; it is ended by its own id."""
    # A shell's background jobs are started deaf to Ctrl-C, and would hand that on.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"import sys; {hear}; from coordgate.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "show", str(path), "--follow", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_the_command_follows_another_process_until_ctrl_c(tmp_path: Path) -> None:
    """Lines come while the writer is open, and Ctrl-C is a good end."""
    path = tmp_path / "t.db"
    with open_store(path, mode="write") as store, follower(path, "--json") as child:  # type: ignore[attr-defined]
        assert child.stdout is not None
        store.write([a_run("r")])
        assert json.loads(child.stdout.readline())["run"]["status"] == "running"
        store.write([a_transition("r", 1)])
        assert json.loads(child.stdout.readline())["transition"]["node"] == "draft"
        store.write([a_run("r", "completed")])
        assert json.loads(child.stdout.readline())["run"]["status"] == "completed"
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 0


def test_the_command_ends_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run's transitions stand under it, as without --follow."""
    path = tmp_path / "t.db"
    with open_store(path, mode="write") as store:  # type: ignore[attr-defined]
        store.write([a_run("r", "completed"), a_transition("r", 1)])
    assert main(["show", str(path), "latest", "--follow"]) == 0
    assert capsys.readouterr().out == (
        "run r  completed  graph brief  took 2.0 s\n  1  draft  accepted  500 ms  from input\n"
    )


def test_a_limit_makes_no_sense_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with the cure."""
    path = tmp_path / "t.db"
    open_store(path, mode="write").close()
    assert main(["show", str(path), "--follow", "--limit", "3"]) == 2
    assert "leave --limit out" in capsys.readouterr().err
