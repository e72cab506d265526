"""Scorers: what says whether an answer is correct: a function of yours, or one for LangSmith."""

# LangSmith's signatures leave the parameters of their types open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from langsmith import schemas
from langsmith.evaluation import EvaluationResult, RunEvaluator, run_evaluator
from langsmith.run_helpers import tracing_context

from coordgate.errors import ConfigurationError
from coordgate.evals.cases import Case
from coordgate.loading import load

_LANGSMITH = frozenset({"run", "example", "inputs", "outputs", "reference_outputs", "attachments"})
"""What LangSmith calls the parameters of an evaluator."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a scorer says of one answer."""

    correct: bool
    """Whether it is correct."""
    score: float | None = None
    """How good it is, if the scorer measures that."""
    reason: str = ""
    """Why."""
    nodes: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """Whether what a node handed over was correct, by its name, where the scorer can tell."""


class Scorer:
    """A scorer made ready: whatever it is and returns, it is asked the same way."""

    def __init__(self, target: str, function: Any, at_least: float | None) -> None:
        """Take what `target` names; a score counts as correct from `at_least` on.

        Raises:
            ConfigurationError: it is no scorer.
        """
        self.target = target
        self._at_least = at_least
        self._evaluator: RunEvaluator | None = None
        if isinstance(function, RunEvaluator):
            self._evaluator = function
        elif not callable(function):
            raise ConfigurationError(
                f"{target} is no scorer: name a function of (output, case), or an evaluator of "
                "LangSmith's"
            )
        else:
            names = _parameters(function)
            if names and names <= _LANGSMITH:
                self._evaluator = run_evaluator(cast("Any", function))
        self._function: Callable[..., Any] = cast("Any", function)
        self._takes_case = self._evaluator is None and len(_positional(function)) > 1

    async def ask(self, output: Any, case: Case) -> Score:
        """Return what the scorer says of an answer.

        Raises:
            ConfigurationError: it failed, or returned what says nothing.
        """
        try:
            if self._evaluator is not None:
                found = await _evaluated(self._evaluator, output, case)
            else:
                found = self._function(output, case) if self._takes_case else self._function(output)
                if inspect.isawaitable(found):
                    found = await found
        except Exception as error:
            raise ConfigurationError(
                f"the scorer {self.target} failed on case {case.id!r}: {type(error).__name__}: "
                f"{error}"
            ) from error
        return self._score(found, case)

    def _score(self, found: Any, case: Case) -> Score:
        match found:
            case Score():
                return found
            case bool():
                return Score(found)
            case 0 | 1 if self._at_least is None:
                return Score(bool(found), float(found))
            case int() | float():
                if self._at_least is None:
                    raise ConfigurationError(
                        f"the scorer {self.target} gives {found!r} for case {case.id!r}: say from "
                        "which score on an answer is correct, with --at-least"
                    )
                return Score(found >= self._at_least, float(found))
            case list():
                return self._all_of(found, case)
            case EvaluationResult():
                scored: Any = found.score if found.score is not None else found.value
                score = self._score(scored, case)
                return Score(score.correct, score.score, found.comment or "")
            case _:
                raise ConfigurationError(
                    f"the scorer {self.target} gives {found!r} for case {case.id!r}; return a "
                    "bool, a number, or a Score"
                )

    def _all_of(self, found: list[Any], case: Case) -> Score:
        """Return the score of several results: all must be correct."""
        scores = [self._score(each, case) for each in found]
        failed = [
            f"{each.key}: {score.reason}" if score.reason else str(each.key)
            for each, score in zip(found, scores, strict=True)
            if not score.correct
        ]
        lone = scores[0].score if len(scores) == 1 else None
        return Score(bool(scores) and not failed, lone, "; ".join(failed))


def load_scorer(target: str, *, at_least: float | None = None) -> Scorer:
    """Return the scorer that `MODULE:NAME` or `FILE.py:NAME` names.

    Raises:
        ConfigurationError: there is none, or it is no scorer.
    """
    return Scorer(target, load(target), at_least)


async def _evaluated(evaluator: RunEvaluator, output: Any, case: Case) -> list[Any]:
    """Return what an evaluator of LangSmith's says; nothing is sent to LangSmith."""
    now = datetime.now(UTC)
    inputs, outputs, expected = (
        cast("dict[str, Any]", value) if isinstance(value, dict) else {name: value}
        for name, value in (("input", case.input), ("output", output), ("output", case.expected))
    )
    id = uuid.uuid4()
    run = schemas.Run(
        id=id,
        name="coordgate",
        run_type="chain",
        start_time=now,
        end_time=now,
        inputs=inputs,
        outputs=outputs,
        trace_id=id,
    )
    example = schemas.Example(
        id=uuid.uuid5(uuid.NAMESPACE_OID, case.id),
        inputs=inputs,
        outputs=None if case.expected is None else expected,
        metadata=dict(case.metadata),
    )
    with tracing_context(enabled=False):
        found: Any = await evaluator.aevaluate_run(run, example)
    return list(found["results"]) if isinstance(found, dict) else [found]


def _parameters(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return set()


def _positional(function: Any) -> list[str]:
    try:
        given = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ["output", "case"]
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return [each.name for each in given if each.kind in kinds and each.default is each.empty]
