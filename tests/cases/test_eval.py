"""Evals: what an experiment comes to, and going on after a SIGKILL."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killing import lines_of
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import NodeGuard, Policy, Prices, Retry, Tracer, guard, open_store
from coordgate.audit.intervals import difference, rate
from coordgate.cli import main
from coordgate.evals.summary import summarise
from coordgate.evals.telling import lines
from coordgate.gates import check
from coordgate.labels import Label, labels_beside, read_labels
from coordgate.record import Run, RunId
from coordgate.stores import MemoryStore
from coordgate.testing import ScriptedModel


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


class Answer(TypedDict, total=False):
    """The state of a graph that calls a model."""

    model: str
    text: str


@pytest.mark.parametrize("known", [True, False])
def test_a_correct_answer_costs_what_all_runs_have_spent(known: bool) -> None:
    """All attempts and gates are paid for; with one price unknown, so is the sum."""
    texts = iter(["bad", "good", "good", "good"])
    usage: Any = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}

    def ask(state: Answer) -> Answer:
        answer = AIMessage(
            next(texts), usage_metadata=usage, response_metadata={"model_name": state["model"]}
        )
        return {"text": ScriptedModel(answer).invoke("go").text}

    store = MemoryStore()
    good = check(lambda output: output["text"] == "good", "bad", name="good")
    nodes = {"ask": NodeGuard(gates=[good], policy=Policy(Retry(1, wait=0)))}
    prices = Prices({"dear": {"input": 2.0, "output": 10.0}})
    with Tracer(store) as tracer:
        builder = StateGraph(Answer).add_node(ask).add_edge(START, "ask")
        app = guard(builder, nodes, tracer=tracer, prices=prices).compile()
        for model in ("dear", "dear", "dear" if known else "unknown"):
            app.invoke({"model": model})
    labels = [
        Label(run.id, right, case=str(n), repetition=0, variant="guarded", experiment="e")
        for n, (run, right) in enumerate(
            zip(store.runs(newest_first=False), (True, True, False), strict=True)
        )
    ]
    (found,) = summarise("e", store, "", labels, ("guarded",)).variants
    assert (found.spent.attempts, found.spent.calls, found.spent.tokens) == (4, 4, 440)
    assert (found.attempts_per_correct, found.tokens_per_correct) == (2.0, 220)
    if known:
        assert found.usd_per_correct == pytest.approx(4 * (100 * 2 + 10 * 10) / 1e6 / 2)
    else:
        assert (found.spent.usd, found.usd_per_correct) == (None, None)


def test_one_case_is_told_of_in_the_singular() -> None:
    """`1 case, once`, and of several runs and cases how many."""
    for cases, runs, told in ((1, 1, "1 case, once;"), (1, 2, "1 case, 2 times;")):
        given = {str(n): [True] * runs for n in range(cases)}
        report = summarise("e", Empty(), "s", labels_of(given, "guarded"), ("guarded",))
        assert next(iter(lines(report))).startswith(told)
    several = labels_of({"1": [True], "2": [True]}, "guarded")
    report = summarise("e", Empty(), "s", several, ("guarded",))
    assert next(iter(lines(report))).startswith("2 cases, each once;")


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
