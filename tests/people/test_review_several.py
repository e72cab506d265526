"""`coordgate review` where several questions of one run wait, and where a process died."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordgate.cli import main
from coordgate.process import identity
from coordgate.record import Attempt, Record, Run, RunId, RunStatus, ThreadId, Transition
from coordgate.review import recorded_in, threads_in
from coordgate.stores import MemoryStore, open_store

DESK = """
import contextlib
from pathlib import Path

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import Escalate, NodeGuard, Policy, Tracer, Verdict, gate, guard

HERE = Path(__file__).parent


class State(TypedDict, total=False):
    left: str
    right: str


@gate
def never(output: State) -> Verdict:
    return Verdict.reject("a person decides")


def left(state: State):
    return {"left": "from the left"}


def right(state: State):
    return {"right": "from the right"}


@contextlib.contextmanager
def desk():
    guarded = NodeGuard(gates=[never], policy=Policy(Escalate("editor")))
    graph = StateGraph(State).add_node(left).add_node(right)
    graph.add_edge(START, "left").add_edge(START, "right")
    with SqliteSaver.from_conn_string(str(HERE / "saved.db")) as saver:
        with Tracer(HERE / "traces.db") as tracer:
            nodes = {"left": guarded, "right": guarded}
            yield guard(graph, nodes, tracer=tracer).compile(checkpointer=saver)


if __name__ == "__main__":
    with desk() as app:
        app.invoke({}, {"configurable": {"thread_id": "1"}})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a working directory in which one thread waits for two answers."""
    (tmp_path / "desk.py").write_text(DESK)
    subprocess.run([sys.executable, "desk.py"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def waiting(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return the questions that a command tells of, by their node."""
    assert main(["review", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["waiting"]
    return {each["node"]: each for each in found}


def test_what_the_store_shows_names_the_question(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of a run's questions has the id by which it is answered, and the hint gives it."""
    recorded = waiting(capsys, "traces.db")
    known = waiting(capsys, "desk.py:desk")
    assert set(recorded) == {"left", "right"}
    assert {node: each["id"] for node, each in recorded.items()} == {
        node: each["id"] for node, each in known.items()
    }
    assert recorded["left"]["run"] == recorded["right"]["run"] != ""
    assert main(["review", "traces.db"]) == 0
    out = capsys.readouterr().out
    shown = recorded["right"]["id"][:10]
    assert shown in out
    assert "answer with: coordgate review traces.db 1 " not in out
    arguments = ["traces.db", shown, "--app", "desk.py:desk", "--approve", "--json"]
    assert main(["review", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == "interrupted"
    assert set(waiting(capsys, "traces.db")) == {"left"}
    assert main(["review", "traces.db"]) == 0
    assert "answer with: coordgate review traces.db 1 --app" in capsys.readouterr().out


def test_a_question_whose_process_died_before_its_record_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store knows only that the run was lost; with the graph its questions are there."""
    with open_store("traces.db") as store:
        (run,) = store.runs()
    with open_store("lost.db", mode="write") as store:
        store.write([replace(run, status="running", ended=None)])
        assert store.run(run.id).status == "lost"
        assert list(recorded_in(store)) == []
        assert threads_in(store) == ["1"]
    assert waiting(capsys, "lost.db") == {}
    assert set(waiting(capsys, "lost.db", "--app", "desk.py:desk")) == {"left", "right"}


def test_a_thread_waits_only_if_its_latest_run_does(tmp_path: Path) -> None:
    """One that went on, or goes on now, waits no more; one lost since may still; in every store."""
    mine = identity()

    def run(id: str, thread: str, status: RunStatus, started: float) -> Run:
        ended = None if status == "running" else started + 1
        return Run(RunId(id), "g", ThreadId(thread), "enforce", status, started, ended, None, mine)

    runs = [
        run("a", "waits", "completed", 1.0),
        run("b", "waits", "interrupted", 2.0),
        run("c", "went on", "interrupted", 3.0),
        run("d", "went on", "completed", 4.0),
        run("e", "goes on", "interrupted", 5.0),
        run("f", "goes on", "running", 6.0),
        run("g", "lost since", "interrupted", 7.0),
        run("h", "lost since", "lost", 8.0),
    ]
    shown = json.dumps(
        {"node": "n", "to": "t", "asked_at": 1.0, "reasons": [], "candidate": 1, "attempts": []}
        | {"answers": ["approve"], "id": "f00"}
    )
    asked = Attempt(1, "escalate:t", "interrupted", 0.1, output=shown)
    records: list[Record] = [*runs]
    records += [
        Transition(
            each.id, 1, each.thread, "n:1", 1, "n", "interrupted", 1.0, 0.1, attempts=(asked,)
        )
        for each in runs
        if each.status == "interrupted"
    ]
    stores = [
        MemoryStore(),
        *(open_store(tmp_path / f"t.{e}", mode="write") for e in ("db", "jsonl")),
    ]
    for store in stores:
        store.write(records)
        found = [(each.thread, each.id, each.run) for each in recorded_in(store)]
        assert found == [("lost since", "f00", "g"), ("waits", "f00", "b")]
        assert threads_in(store) == ["lost since", "waits"]
        store.close()
