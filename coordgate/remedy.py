"""Remedies: what would help a node whose hand-over has failed for good, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordgate.gate import Judgement, RungName
from coordgate.plan import NodePlan
from coordgate.policy import Cause

_REPEATED = (
    "the model's client had repeated the request itself, so it was not repeated again: set "
    "max_retries=0 on the client to leave that to LangGraph's RetryPolicy and to Retry"
)


def remedy_for(
    node: NodePlan,
    cause: Cause,
    judgements: Sequence[Judgement],
    shut: Sequence[str],
    *,
    repeated: bool,
) -> str:
    """Return what would help; `shut` says why rungs that leave the node could not be taken.

    `repeated` says that a model's client had itself repeated the request that failed.
    """
    remedy = _told(node, cause, judgements)
    if repeated:
        remedy = f"{_REPEATED}; {remedy}"
    return "; ".join([remedy, *shut])


def jump_of(judgements: Sequence[Judgement]) -> RungName | None:
    """Return the rung that the first gate which names one asks for."""
    jumps: Iterator[RungName | None] = (
        j.verdict.otherwise for j in judgements if not j.verdict.passed
    )
    return next((jump for jump in jumps if jump is not None), None)


def _told(node: NodePlan, cause: Cause, judgements: Sequence[Judgement]) -> str:
    broken = [repr(each.gate) for each in judgements if each.verdict.broken]
    if cause == "gate" and broken:
        return f"gate {' and '.join(broken)} could not judge, which is not a pass; mend the gate"
    jump = jump_of(judgements)
    if jump is not None and jump != "fail" and (not node.policy or jump not in node.policy.names()):
        return f"the gate asked for {jump!r}, which is not on the node's policy; add that rung"
    if cause == "input":
        return (
            "mend what the producer hands over, or add SendBack() or Degrade(...) to this node's "
            "policy"
        )
    if node.external:
        return (
            "whether its effect has happened is not known; look before it is run again, and give "
            "the node a policy that does not repeat it, such as Policy(Escalate('role'))"
        )
    if not node.policy:
        return (
            "give the node a policy, such as Policy(Retry(2), Degrade({...})), or guard with "
            "mode='observe' to record failures without stopping"
        )
    return "the policy has no rung left; add one, such as Fallback(...) or Degrade({...})"
