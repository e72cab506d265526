"""`coordgate eval`: both variants on the same seeds, several at once, going on after a SIGKILL."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from killing import lines_of

from coordgate import open_store
from coordgate.cli import main
from coordgate.labels import labels_beside, read_labels

APP = """
import os
from pathlib import Path
from typing import TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

from coordgate import NodeGuard, Policy, Retry, guard
from coordgate.gates import check
from coordgate.testing.faults import WrongValue, with_faults


class State(TypedDict, total=False):
    n: int
    square: int


def square(state: State) -> State:
    with Path("ran").open("a") as file:
        file.write("x")
    if 0 < int(os.environ.get("DIE_AT", 0)) <= len(Path("ran").read_text()):
        os.kill(os.getpid(), 9)
    if state["n"] == 13:
        raise RuntimeError("unlucky")
    return {"square": state["n"] ** 2}


builder = StateGraph(State).add_node(square).add_edge(START, "square")
faulty = with_faults(builder, {"square": [WrongValue(0.4, -1)]}, seed=5)
positive = check(lambda output: output["square"] >= 0, "negative", name="positive")
nodes = {"square": NodeGuard(gates=[positive], policy=Policy(Retry(5)))}
graph = guard(faulty, nodes, tracer="elsewhere.db").compile()
bare = builder.compile()


async def asquare(state: State) -> State:
    return square(state)


async_builder = StateGraph(State).add_node("square", asquare).add_edge(START, "square")
async_graph = guard(async_builder).compile()


def right(output, case):
    return output["square"] == case.expected


def right_at(output, case):
    ok = right(output, case)
    return __import__("coordgate.evals").evals.Score(ok, nodes={"square": ok})
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the path of an app with ten cases beside it, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"app_{tmp_path.name}.py"
    path.write_text(APP)
    lines = [json.dumps({"input": {"n": n}, "expected": n * n}) for n in range(10)]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines))
    return str(path)


def arguments(app: str, *more: str, graph: str = "graph", scorer: str = "right") -> list[str]:
    """Return the command's arguments."""
    named = [f"{app}:{graph}", "--cases", "cases.jsonl", "--scorer", f"{app}:{scorer}"]
    return ["eval", *named, *more]


def test_bare_is_compared_with_guarded_on_the_same_faults(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both variants run on the same seeds, and every run lands in the store with its label."""
    assert main(arguments(app, "--runs", "4", "--against", "bare", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    guarded, bare = found["variants"]
    assert (guarded["variant"], guarded["correct"]["successes"]) == ("guarded", 40)
    assert (bare["variant"], bare["correct"]["n"]) == ("bare", 40)
    assert 15 <= bare["correct"]["successes"] <= 33
    assert bare["spent"]["attempts"] == 40
    # What went wrong bare went wrong guarded too, at the first attempt.
    assert guarded["spent"]["attempts"] > 40
    assert found["gain"]["low"] > 0
    with open_store("eval.db") as store:
        runs = {run.id: run for run in store.runs()}
        labels = list(read_labels(labels_beside("eval.db")))
        assert len(runs) == len(labels) == 80
        wrong = {(lab.case, lab.repetition) for lab in labels if not lab.correct}
        for label in labels:
            run = runs[label.run]
            (transition,) = store.transitions(run.id)
            if label.variant == "bare":
                assert (run.mode, label.correct) == ("observe", transition.status == "accepted")
            else:
                failed_first = transition.attempts[0].outcome == "rejected"
                assert failed_first == ((label.case, label.repetition) in wrong)
    assert not Path("elsewhere.db").exists() or not list(open_store("elsewhere.db").runs())


def test_it_is_told_in_words(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal shows the rates with their intervals, and what a correct answer costs."""
    assert main(arguments(app, "--runs", "2", "--against", "bare")) == 0
    shown = capsys.readouterr()
    assert "10 cases, each 2 times" in shown.out
    assert "pass@2 (ever correct)" in shown.out
    assert "attempts per correct answer" in shown.out
    assert "guarded less bare, on the same cases and seeds: +" in shown.out
    assert "40/40" in shown.err  # the progress bar, which is no part of the result
    assert "40/40" not in shown.out


MEETING = """
import asyncio
import threading
from typing import TypedDict

from langgraph.graph import START, StateGraph

all_here = threading.Barrier(3, timeout=20)
here = set()


class State(TypedDict, total=False):
    n: int


def meet(state: State) -> State:
    all_here.wait()
    return {}


async def ameet(state: State) -> State:
    here.add(state["n"])
    async with asyncio.timeout(20):
        while len(here) < 3:
            await asyncio.sleep(0)
    return {}


graph = StateGraph(State).add_node(meet).add_edge(START, "meet").compile()
async_graph = StateGraph(State).add_node("meet", ameet).add_edge(START, "meet").compile()


def came(output):
    return True
"""


@pytest.mark.parametrize("graph", ["graph", "async_graph"])
def test_so_many_runs_are_made_at_once(
    app: str, capsys: pytest.CaptureFixture[str], graph: str
) -> None:
    """With `--parallel 3` three runs wait for each other, sync in threads and async in a loop."""
    path = Path(app).with_name(f"meeting_{graph}.py")
    path.write_text(MEETING)
    Path("cases.jsonl").write_text("".join(f'{{"input": {{"n": {n}}}}}\n' for n in range(3)))
    command = ["eval", f"{path}:{graph}", "--cases", "cases.jsonl", "--scorer", f"{path}:came"]
    assert main([*command, "--parallel", "3", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["variants"]
    assert (found["correct"]["successes"], found["failed"]) == (3, 0)


def test_what_failed_and_what_a_scorer_says_of_nodes_is_kept(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that raises is not correct, and its label says why; nodes have labels of their own."""
    Path("cases.jsonl").write_text('{"input": {"n": 13}}\n{"input": {"n": 2}, "expected": 4}\n')
    assert main(arguments(app, "--json", graph="async_graph", scorer="right_at")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["variants"][0]["failed"] == 1
    labels = list(read_labels(labels_beside("eval.db")))
    assert [
        (lab.node, lab.correct, lab.reason) for lab in sorted(labels, key=lambda x: x.case or "")
    ] == [
        (None, False, "failed: RuntimeError: unlucky"),
        ("square", True, ""),
        (None, True, ""),
    ]


def test_a_graph_that_is_not_guarded_is_run_bare(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is recorded all the same, and there is nothing to compare it with."""
    assert main(arguments(app, "--json", graph="bare")) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["variant"] for each in found["variants"]] == ["bare"]
    assert main(arguments(app, "--against", "bare", graph="bare")) == 2
    assert "not guarded, so it is bare already" in capsys.readouterr().err
    with Path(app).open("a") as file:
        file.write("\nwatched = guard(builder, mode='observe').compile()\n")
    sys.modules.pop(Path(app).stem)
    assert main(arguments(app, "--against", "bare", graph="watched")) == 2
    assert "guarded in mode observe, which stops nothing" in capsys.readouterr().err


def test_more_runs_of_the_same_go_on_and_a_finished_one_begins_anew(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked for more runs it makes only these; asked for the same again it begins another."""
    assert main(arguments(app, "--runs", "1", graph="bare")) == 0
    assert main(arguments(app, "--runs", "3", graph="bare")) == 0
    assert len(Path("ran").read_text()) == 30
    assert "10 of 30 are done" in capsys.readouterr().err
    assert main(arguments(app, "--runs", "3", graph="bare")) == 0
    assert len(Path("ran").read_text()) == 60
    experiments = {label.experiment for label in read_labels(labels_beside("eval.db"))}
    assert len(experiments) == 2


def test_a_changed_graph_is_another_experiment(app: str) -> None:
    """Results of a graph before and after a change of its file are never mixed."""
    assert main(arguments(app, "--runs", "1", graph="bare")) == 0
    path = Path(app)
    path.write_text(path.read_text() + "\n# changed\n")
    sys.modules.pop(path.stem)
    assert main(arguments(app, "--runs", "2", graph="bare")) == 0
    assert len(Path("ran").read_text()) == 30


def test_killed_in_the_middle_it_goes_on_where_it_stopped(app: str) -> None:
    """After a SIGKILL the same command makes the runs that are missing, and no more."""
    program = Path(__file__).with_name("killed_eval.py")
    points = lines_of(program, app, str(Path("cases.jsonl").resolve()))
    assert len(points) == 4
    for point in points:
        parallel, dies = point["parallel"], point["dies"]
        assert point["killed"]
        assert dies - 1 - parallel <= len(point["before"]) < dies
        report = point["report"]
        assert report["variants"][0]["correct"]["n"] == 30
        assert (report["cases"], report["runs"]) == (10, 3)
        # What was put down before it was killed is there as it was, and each trial is there once.
        assert point["labels"][: len(point["before"])] == point["before"]
        assert len({(case, n) for _, case, n in point["labels"]}) == len(point["labels"]) == 30
        assert {run for run, _, _ in point["labels"]} <= set(point["completed"])
        # Only what was under way when it was killed was run twice.
        assert 30 <= point["ran"] - 1 <= 30 + parallel


def test_a_scorer_that_breaks_stops_it_and_loses_nothing(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the case; what was scored until then is kept."""
    path = Path(app)
    source = path.read_text()
    path.write_text(source + "\ndef breaks(output, case):\n    return 1 / (int(case.id) - 6) < 9\n")
    assert main(arguments(app, "--parallel", "1", graph="bare", scorer="breaks")) == 2
    assert "failed on case '6': ZeroDivisionError" in capsys.readouterr().err
    assert len(list(read_labels(labels_beside("eval.db")))) == 5
