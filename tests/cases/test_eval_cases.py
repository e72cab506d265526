"""Cases and scorers of evals: from files, Python and LangSmith."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator, run_evaluator
from langsmith.schemas import Example, Run

from coordgate import ConfigurationError
from coordgate.cli import main
from coordgate.evals import Case, Score
from coordgate.evals.cases import read_cases
from coordgate.evals.scorer import Scorer
from coordgate.labels import read_labels

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


SQUARES = """
from typing import TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    n: int
    square: int


def square(state: State) -> State:
    return {"square": state["n"] ** 2 if state["n"] < 2 else 5}


graph = StateGraph(State).add_node(square).add_edge(START, "square").compile()


def exact(outputs: dict, reference_outputs: dict) -> dict:
    return {"key": "exact", "score": outputs["square"] == reference_outputs["square"]}
"""


@pytest.mark.usefixtures("langsmith")
def test_a_dataset_and_an_evaluator_of_langsmith_make_an_eval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both by the command: its examples are run and scored; what is wrong has its comment."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "squares_of_langsmith.py"
    path.write_text(SQUARES)
    command = ["eval", f"{path}:graph", "--cases", "langsmith:squares"]
    assert main([*command, "--scorer", f"{path}:exact", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["variants"]
    assert (found["correct"]["successes"], found["correct"]["n"]) == (2, 3)
    (wrong,) = [label for label in read_labels("eval.labels.jsonl") if not label.correct]
    assert (wrong.case, wrong.reason) == (str(UUID(int=2)), "exact")


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
