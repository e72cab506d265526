"""Running trials: several at once, each recorded, scored, and put down before the next begins."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordgate.capture import RawRun
from coordgate.errors import ConfigurationError
from coordgate.evals.scorer import Score, Scorer
from coordgate.evals.trials import Trial, Variant
from coordgate.graph import guard
from coordgate.guarded import GuardedGraph
from coordgate.labels import Label, write_labels
from coordgate.loading import OpenGraph
from coordgate.tracer import Capture, Run, Tracer
from coordgate.values import ValueText

FAILED = "failed: "
"""What the reason of a label begins with whose run raised an error."""

WAITS = "waits for a person"
"""The reason of a label whose run asked a question."""

_PLAIN = ValueText(None, 1000)


class NotingTracer(Tracer):
    """A tracer that notes the id of each run by its thread."""

    def __init__(self, sink: str) -> None:
        """Open the store."""
        super().__init__(sink)
        self.ids: dict[str, str] = {}
        """The ids of the runs that have begun, by their thread."""

    def record(self, capture: Run | Capture) -> None:
        """Take a record."""
        if isinstance(capture, RawRun):
            run = capture.settle(_PLAIN)
            if run.thread is not None:
                self.ids[run.thread] = run.id
        super().record(capture)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an experiment runs, and where its results go."""

    experiment: str
    """What it is called."""
    store: str
    """The path of the store that its runs land in."""
    labels: Path
    """The file that its labels land in."""
    seed: int
    """Of the seeds that each run's config is given."""
    parallel: int
    """How many trials are run at once."""


def variants_of(app: Any, target: str, against: str | None) -> tuple[Variant, ...]:
    """Return which variants of a graph there are to run.

    Raises:
        ConfigurationError: it is not guarded, or only observed: there is nothing to compare.
    """
    if not isinstance(app, GuardedGraph):
        if against is not None:
            raise ConfigurationError(
                f"{target} is not guarded, so it is bare already; name the guarded graph to "
                "compare the two"
            )
        return ("bare",)
    if against is not None and app.coordgate.mode == "observe":
        raise ConfigurationError(
            f"{target} is guarded in mode observe, which stops nothing: that is how bare is run, "
            "too; name the graph in mode enforce to compare the two"
        )
    return ("guarded",) if against is None else ("guarded", "bare")


def run_trials(
    opened: OpenGraph,
    trials: Sequence[Trial],
    scorer: Scorer,
    plan: Plan,
    done: Callable[[Trial, Score], None],
) -> None:
    """Run trials, and put down each result when it is there; `done` hears of it.

    Raises:
        ConfigurationError: the scorer failed; what was put down until then stays.
    """
    with NotingTracer(plan.store) as tracer:
        graphs: dict[Variant, Any] = {}
        for trial in trials:
            if trial.variant not in graphs:
                graphs[trial.variant] = _variant(opened.graph, trial.variant, tracer)
        with ThreadPoolExecutor(plan.parallel, thread_name_prefix="coordgate-eval") as pool:
            runner = _Runner(opened, graphs, scorer, plan, tracer, pool, done)
            opened.wait(runner.all(trials))


def _variant(app: Any, variant: Variant, tracer: Tracer) -> Any:
    if variant == "bare":
        return guard(app, mode="observe", tracer=tracer)
    return guard(app, mode=app.coordgate.mode, tracer=tracer)


class _Runner:
    def __init__(
        self,
        opened: OpenGraph,
        graphs: Mapping[Variant, Any],
        scorer: Scorer,
        plan: Plan,
        tracer: NotingTracer,
        pool: ThreadPoolExecutor,
        done: Callable[[Trial, Score], None],
    ) -> None:
        self._opened = opened
        self._graphs = graphs
        self._scorer = scorer
        self._plan = plan
        self._tracer = tracer
        self._pool = pool
        self._done = done

    async def all(self, trials: Sequence[Trial]) -> None:
        """Run trials, so many at once; the first error ends all."""
        left = iter(trials)

        async def work() -> None:
            for trial in left:
                await self._one(trial)

        workers = [asyncio.create_task(work()) for _ in range(self._plan.parallel)]
        try:
            await asyncio.gather(*workers)
        except BaseException:
            for each in workers:
                each.cancel()
            raise

    async def _one(self, trial: Trial) -> None:
        thread = f"{self._plan.experiment}/{trial.variant}/{trial.case.id}/{trial.repetition}"
        # A trial that was killed may have left a checkpoint: each begins on a thread of its own.
        thread = f"{thread}/{uuid.uuid4().hex[:8]}"
        seed = trial.seed(self._plan.seed)
        config: Any = {"configurable": {"thread_id": thread, "seed": seed}}
        score = await self._scored(trial, config)
        run = self._tracer.ids.pop(thread)
        self._tracer.flush()
        common: dict[str, Any] = {
            "by": f"scorer:{self._scorer.target}",
            "case": trial.case.id,
            "repetition": trial.repetition,
            "variant": trial.variant,
            "at": time.time(),
            "experiment": self._plan.experiment,
        }
        nodes = [Label(run, correct, node, **common) for node, correct in score.nodes.items()]
        whole = Label(run, score.correct, score=score.score, reason=score.reason, **common)
        write_labels(self._plan.labels, [*nodes, whole])
        self._done(trial, score)

    async def _scored(self, trial: Trial, config: Any) -> Score:
        try:
            output = await self._output(self._graphs[trial.variant], trial.case.input, config)
        except Exception as error:  # noqa: BLE001 - whatever the graph raises, it has not answered
            first = next(iter(str(error).splitlines()), "")
            return Score(correct=False, reason=f"{FAILED}{type(error).__name__}: {first}")
        if isinstance(output, dict) and output.get("__interrupt__"):  # pyright: ignore[reportUnknownMemberType] - a state
            return Score(correct=False, reason=WAITS)
        return await self._scorer.ask(output, trial.case)

    async def _output(self, graph: Any, given: Any, config: Any) -> Any:
        if self._opened.is_async:
            return await graph.ainvoke(given, config)
        context = copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, lambda: context.run(graph.invoke, given, config)
        )
