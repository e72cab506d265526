"""Metrics: attempts, verdicts, how long it took, and tokens, those that were wasted too."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.metrics import Meter

from coordgate.exporters.otel import names
from coordgate.record import WASTED, Attempt, Run, Transition

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 150, 400)
_CALL_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96)
_TOKENS = tuple(4**power for power in range(14))


class Metrics:
    """The instruments, and what is put down with each."""

    def __init__(self, meter: Meter) -> None:
        """Make the instruments."""
        counter, histogram = meter.create_counter, meter.create_histogram
        self._attempts = counter(names.ATTEMPT_COUNT, "{attempt}", "Attempts, by how they ended")
        self._verdicts = counter(names.VERDICT_COUNT, "{verdict}", "Verdicts of gates")
        self._tokens = counter(names.TOKEN_COUNT, "{token}", "Tokens that attempts took")
        self._wasted = counter(
            names.WASTED_TOKENS, "{token}", "Tokens of attempts of which nothing shipped"
        )
        self._nodes = histogram(
            names.NODE_DURATION,
            "s",
            "How long nodes took, all attempts together",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._runs = histogram(
            names.RUN_DURATION,
            "s",
            "How long runs took",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._calls = histogram(
            names.OPERATION_DURATION,
            "s",
            "How long calls of models took",
            explicit_bucket_boundaries_advisory=_CALL_SECONDS,
        )
        self._usage = histogram(
            names.TOKEN_USAGE,
            "{token}",
            "Tokens of calls of models",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def run(self, run: Run) -> None:
        """Put down a run that has ended."""
        if run.ended is not None:
            told = {names.GRAPH: run.graph, names.RUN_STATUS: run.status}
            self._runs.record(max(0.0, run.ended - run.started), told)

    def node(self, node: Transition) -> None:
        """Put down a transition and its attempts."""
        self._nodes.record(node.seconds, {names.NODE: node.node, names.NODE_STATUS: node.status})
        for attempt in node.attempts:
            self._attempt(node, attempt)

    def _attempt(self, node: Transition, attempt: Attempt) -> None:
        told = {names.NODE: node.node, names.RUNG: attempt.rung, names.OUTCOME: attempt.outcome}
        self._attempts.add(1, told)
        for verdict in attempt.verdicts:
            said: Mapping[str, str | bool] = {
                names.NODE: node.node,
                names.GATE: verdict.gate,
                names.PASSED: verdict.passed,
            }
            self._verdicts.add(1, said)
        wasted = attempt.outcome in WASTED and node.status != "observed"
        for kind, count in (("input", attempt.tokens_in), ("output", attempt.tokens_out)):
            if count:
                spent = {names.NODE: node.node, names.TOKEN_TYPE: kind}
                self._tokens.add(count, spent)
                if wasted:
                    self._wasted.add(count, {**spent, names.OUTCOME: attempt.outcome})

    def call(
        self,
        told: dict[str, str],
        seconds: float,
        tokens_in: int | None,
        tokens_out: int | None,
        error: str | None,
    ) -> None:
        """Put down a call of a model; `told` says which, `error` is the type of what it raised."""
        failed = {} if error is None else {names.ERROR_TYPE: error}
        self._calls.record(seconds, {**told, **failed})
        for kind, count in (("input", tokens_in), ("output", tokens_out)):
            if count is not None:
                self._usage.record(count, {**told, names.TOKEN_TYPE: kind})
