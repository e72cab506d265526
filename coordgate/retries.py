"""Retries: the policies by which LangGraph's own loop runs the turns that a ladder decides on."""

from __future__ import annotations

from collections.abc import Callable

from langgraph.errors import NodeTimeoutError
from langgraph.types import RetryPolicy

from coordgate import _langgraph as lg
from coordgate.ladder import LONGEST, NOW, TRANSPORT, next_tag
from coordgate.plan import NodePlan
from coordgate.policy import Retry

_WITHOUT_END = 2**31
"""For RetryPolicy.max_attempts where the ladder itself decides when to stop."""


def merged_retries(plan: NodePlan) -> list[RetryPolicy]:
    """Return the retry policies that let LangGraph's loop run the turns that the ladder decides on.

    LangGraph lengthens a wait by all attempts of the task, whatever they failed of. So there is one
    policy for each length, and the ladder, which counts each kind of failure apart, chooses.
    """

    def when(tag: str) -> Callable[[Exception], bool]:
        def decided(error: Exception) -> bool:
            if isinstance(error, NodeTimeoutError):
                ladder = plan.ladders.pop(lg.task_id_in(error) or "", None)
                if ladder is not None:
                    ladder.timed_out(error)
            return next_tag(error, plan) == tag

        return decided

    merged = [
        policy._replace(
            retry_on=when(f"{TRANSPORT}:{position}:{step}"),
            max_attempts=_WITHOUT_END,
            initial_interval=seconds,
            backoff_factor=1.0,
        )
        for position, policy in enumerate(plan.transports)
        for step, seconds in enumerate(_pauses_of(policy))
    ]
    for position, rung in enumerate(plan.policy.rungs if plan.policy else ()):
        if isinstance(rung, Retry):
            merged += [
                RetryPolicy(
                    initial_interval=seconds,
                    backoff_factor=1.0,
                    max_interval=rung.max_wait,
                    max_attempts=_WITHOUT_END,
                    jitter=rung.jitter,
                    retry_on=when(f"wait:{position}:{step}"),
                )
                for step, seconds in enumerate(_pauses(rung.wait, rung.backoff, rung.max_wait))
            ]
    if plan.policy:
        merged.append(
            RetryPolicy(
                initial_interval=0.0,
                backoff_factor=1.0,
                max_attempts=_WITHOUT_END,
                jitter=False,
                retry_on=when(NOW),
            )
        )
    return merged


def _pauses(first: float, backoff: float, longest: float) -> list[float]:
    """Return the seconds to wait before each repeat, jitter aside."""
    return [min(longest, first * backoff**step) for step in range(LONGEST)]


def _pauses_of(policy: RetryPolicy) -> list[float]:
    """Return the seconds that one of LangGraph's policies waits before each repeat."""
    return _pauses(policy.initial_interval, policy.backoff_factor, policy.max_interval)
