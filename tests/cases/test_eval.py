"""Evals: cases, scorers, what an experiment comes to, and going on after a SIGKILL."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from killing import lines_of
from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator, run_evaluator
from langsmith.schemas import Example, Run

from coordgate import ConfigurationError, open_store
from coordgate.audit.intervals import difference, rate
from coordgate.cli import main
from coordgate.evals import Case, Score
from coordgate.evals.cases import read_cases
from coordgate.evals.scorer import Scorer
from coordgate.evals.summary import summarise
from coordgate.labels import Label, labels_beside, read_labels
from coordgate.stores import MemoryStore

CASE = Case("1", {"n": 2}, 4)


def ask(function: Any, output: Any = 4, case: Case = CASE, at_least: float | None = None) -> Score:
    """Return what a scorer says."""
    return asyncio.run(Scorer("score.py:it", function, at_least).ask(output, case))


# Cases


def test_cases_are_read_from_lines(tmp_path: Path) -> None:
    """Ids are counted where they are not given, and LangSmith's names of the keys do as well."""
    path = tmp_path / "cases.jsonl"
    path.write_text(
        '{"input": {"n": 1}, "expected": 1}\n\n'
        '{"id": "two", "inputs": {"n": 2}, "outputs": {"m": 4}, "metadata": {"hard": true}}\n'
    )
    assert read_cases(str(path)) == [
        Case("1", {"n": 1}, 1),
        Case("two", {"n": 2}, {"m": 4}, {"hard": True}),
    ]


def test_cases_come_from_python_too(tmp_path: Path) -> None:
    """A list or a function that gives cases, dicts, or examples of LangSmith's."""
    path = tmp_path / "cases_in_python.py"
    path.write_text(
        "from uuid import UUID\n"
        "from langsmith.schemas import Example\n"
        "from coordgate.evals import Case\n"
        "def cases():\n"
        "    yield Case('a', 1)\n"
        "    yield {'id': 'b', 'input': 2}\n"
        "    yield Example(id=UUID(int=3), inputs={'n': 3}, outputs={'m': 9})\n"
    )
    assert read_cases(f"{path}:cases") == [
        Case("a", 1),
        Case("b", 2),
        Case("00000000-0000-0000-0000-000000000003", {"n": 3}, {"m": 9}),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no cases"),
        ("{", r"cases\.jsonl:1: no JSON"),
        ('{"expected": 1}', 'no case; write {"id"'),
        ('{"id": 1, "input": 1}\n{"id": "1", "input": 2}', "two cases have the id '1'"),
    ],
)
def test_what_is_no_case_is_named(tmp_path: Path, text: str, said: str) -> None:
    """The error says the file, the line, and what a case is."""
    path = tmp_path / "cases.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_cases(str(path))


def test_a_file_of_cases_that_is_not_there_is_named(tmp_path: Path) -> None:
    """So is one that cannot be read."""
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_cases(str(tmp_path / "none.jsonl"))


class LangSmithServer(BaseHTTPRequestHandler):
    """As much of LangSmith as lists one dataset: on this machine, over a real socket."""

    dataset = "00000000-0000-0000-0000-00000000000d"

    def do_GET(self) -> None:
        """Answer what the client asks."""
        path, _, query = self.path.partition("?")
        answer: Any = {}
        if path == "/datasets":
            known = "name=squares" in query
            made = {"id": self.dataset, "name": "squares", "created_at": "2026-01-01T00:00:00Z"}
            answer = [made] if known else []
        elif path == "/examples":
            first = "offset=0" in query or "offset" not in query
            answer = [self.example(n) for n in range(3)] if first else []
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def example(self, n: int) -> dict[str, Any]:
        """Return one example."""
        made = {"id": str(UUID(int=n)), "dataset_id": self.dataset}
        return {**made, "inputs": {"n": n}, "outputs": {"square": n * n}}

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def langsmith(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give a LangSmith on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), LangSmithServer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("LANGSMITH_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("LANGSMITH_API_KEY", "none")
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("langsmith")
def test_a_dataset_of_langsmith_gives_cases() -> None:
    """Its examples are read by LangSmith's own client."""
    cases = read_cases("langsmith:squares")
    assert [(case.input, case.expected) for case in cases] == [
        ({"n": n}, {"square": n * n}) for n in range(3)
    ]
    with pytest.raises(ConfigurationError, match="LangSmith does not give the dataset"):
        read_cases("langsmith:unknown")


# Scorers


@pytest.mark.parametrize(
    ("function", "score"),
    [
        (lambda output, case: output == case.expected, Score(True)),
        (lambda output: output == 5, Score(False)),
        (lambda output: 1, Score(True, 1.0)),
        (
            lambda output: Score(False, 0.2, "off", {"draft": True}),
            Score(False, 0.2, "off", {"draft": True}),
        ),
    ],
)
def test_a_scorer_is_a_function(function: Any, score: Score) -> None:
    """It takes the output, and the case if it wants it; a bool, 0 or 1, or a Score."""
    assert ask(function) == score


def test_a_scorer_may_be_async() -> None:
    """It is awaited."""

    async def right(output: int, case: Case) -> bool:
        return output == case.expected

    assert ask(right) == Score(True)


def test_a_measure_needs_a_mark() -> None:
    """From which score on an answer is correct, the user says."""
    assert ask(lambda output: 0.7, at_least=0.7) == Score(True, 0.7)
    assert ask(lambda output: 0.6, at_least=0.7) == Score(False, 0.6)
    with pytest.raises(ConfigurationError, match=r"gives 0\.7 for case '1'.*--at-least"):
        ask(lambda output: 0.7)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda output: None, "gives None for case '1'; return a bool"),
        (lambda output: 1 / 0, "failed on case '1': ZeroDivisionError"),
        (7, "is no scorer"),
    ],
)
def test_a_scorer_that_says_nothing_is_an_error(function: Any, said: str) -> None:
    """A broken scorer is not a wrong answer of the graph."""
    with pytest.raises(ConfigurationError, match=said):
        ask(function)


def by_outputs(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    """Compare, as an evaluator of LangSmith's is written today."""
    return bool(outputs["output"] == reference_outputs["output"])


def by_run(run: Run, example: Example) -> dict[str, Any]:
    """Compare, as they were written before."""
    assert run.outputs is not None
    assert example.outputs is not None
    same = run.outputs["output"] == example.outputs["output"]
    return {"key": "same", "score": same, "comment": "compared"}


@run_evaluator
def decorated(run: Run, example: Example | None) -> EvaluationResult:
    """Compare, decorated."""
    assert example is not None
    return EvaluationResult(**by_run(run, example))


async def awaited(inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Compare, awaited."""
    return {"key": "same", "score": outputs["output"] == inputs["n"] ** 2}


class Several(RunEvaluator):
    """An evaluator that is a class, and says several things."""

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: Any = None
    ) -> EvaluationResults:
        """Say two things."""
        assert run.outputs is not None
        right = EvaluationResult(key="right", score=run.outputs["output"] == 4)
        return {"results": [right, EvaluationResult(key="kind", score=1, comment="so kind")]}


@pytest.mark.parametrize("evaluator", [by_outputs, by_run, decorated, awaited, Several()])
def test_evaluators_of_langsmith_are_scorers(evaluator: Any) -> None:
    """In each of the forms that `langsmith.evaluate` takes."""
    assert ask(evaluator, 4).correct
    assert not ask(evaluator, 5).correct


def test_of_several_results_all_must_be_right() -> None:
    """The reason names those that are not."""
    assert ask(Several(), 5) == Score(False, None, "right")
    assert ask(by_run, 5) == Score(False, None, "same: compared")


# What it comes to


def labels_of(results: dict[str, list[bool]], variant: str) -> list[Label]:
    """Return the labels of cases that were answered so."""
    return [
        Label(
            f"{variant}-{case}-{n}", right, case=case, repetition=n, variant=variant, experiment="e"
        )
        for case, given in results.items()
        for n, right in enumerate(given)
    ]


class Empty(MemoryStore):
    """A store that knows every run, and that each took one second and no attempts."""

    def run(self, id_or_prefix: str) -> Any:
        """Return a run of one second."""
        from coordgate.record import Run, RunId  # noqa: PLC0415 - LangSmith's has the same name

        return Run(RunId(id_or_prefix), "g", None, "enforce", "completed", 10.0, 11.0)


def test_pass_at_k_and_pass_all_k_are_those_of_their_sources() -> None:
    """pass@k = 1 - C(n-c, k)/C(n, k), pass^k = C(c, k)/C(n, k), averaged over the cases."""
    given = {"a": [True, True, False, False], "b": [True] * 4, "c": [False] * 4}
    report = summarise("e", Empty(), "eval.db", labels_of(given, "guarded"), ("guarded",))
    (found,) = report.variants
    assert found.pass_at == pytest.approx([0.5, (5 / 6 + 1) / 3, 2 / 3, 2 / 3])
    assert found.pass_all == pytest.approx([0.5, (1 / 6 + 1) / 3, 1 / 3, 1 / 3])
    assert (found.correct.successes, found.correct.n) == (6, 12)
    assert (found.ever.successes, found.always.successes, found.ever.n) == (2, 1, 3)
    assert found.spent.seconds == 12


def test_answers_to_one_case_count_as_fewer_trials() -> None:
    """Where a case is always or never right, its repetitions tell nothing more."""
    apart = {str(n): [n < 20] * 10 for n in range(40)}
    chance = np.random.default_rng(1)
    together = {str(n): list(chance.random(10) < 0.5) for n in range(40)}
    wide, narrow = (
        summarise("e", Empty(), "", labels_of(each, "guarded"), ("guarded",)).variants[0].correct
        for each in (apart, together)
    )
    lone = rate(20, 40)
    assert (wide.low, wide.high) == pytest.approx((lone.low, lone.high), abs=0.01)
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_the_difference_is_paired() -> None:
    """What both variants find hard is not held against either: the interval is narrower."""
    bare = {str(n): [n % 2 == 0] for n in range(100)}
    guarded = {case: [given[0] or int(case) % 10 == 1] for case, given in bare.items()}
    labels = [*labels_of(guarded, "guarded"), *labels_of(bare, "bare")]
    report = summarise("e", Empty(), "", labels, ("guarded", "bare"))
    assert report.gain is not None
    assert report.gain.estimate == pytest.approx(0.1)
    assert report.gain.low > 0
    unpaired = difference(rate(60, 100), rate(50, 100))
    assert unpaired.low < 0


def test_the_interval_of_the_difference_covers_the_truth() -> None:
    """In simulated evals of paired cases it covers the true gain about as often as it says."""
    chance = np.random.default_rng(1)
    covered = 0
    rounds = 400
    for _ in range(rounds):
        hard = chance.beta(3, 1, 60)
        given = [
            {str(n): list(chance.random(3) < p) for n, p in enumerate(rates)}
            for rates in (1 - (1 - hard) * 0.4, hard)
        ]
        labels = [*labels_of(given[0], "guarded"), *labels_of(given[1], "bare")]
        gain = summarise("e", Empty(), "", labels, ("guarded", "bare")).gain
        assert gain is not None
        covered += gain.low <= 0.6 * 0.25 <= gain.high
    assert 0.92 <= covered / rounds <= 0.99


# The command

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
    if os.environ.get("DIE_AT") == str(len(Path("ran").read_text())):
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
    assert "20/20" not in shown.out


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
