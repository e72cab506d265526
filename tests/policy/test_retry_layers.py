"""LangGraph's retries, the ladder and parents: counted apart, added, never multiplied."""

from typing import Any

import pytest
from ladders import AT_ONCE, BAD, GOOD, app_of, both, climbed, good, nested, run
from langgraph.types import RetryPolicy

from coordgate import (
    Degrade,
    Fallback,
    GateRejected,
    HandoffError,
    NodeGuard,
    Policy,
    Retry,
)
from coordgate.testing import RecordingTracer, scripted

AGAIN = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)


@both
def test_transport_and_content_failures_are_counted_apart(how: str) -> None:
    """LangGraph's RetryPolicy has its attempts, the ladder its own: the sum, never the product."""
    tracer = RecordingTracer()
    error = ConnectionError("down")
    node = scripted(error, BAD, error, BAD, GOOD)
    app = app_of(node, Retry(2), tracer=tracer, retry_policy=AGAIN)
    assert run(app, how) == GOOD
    assert [rung for rung, _ in climbed(tracer)] == [
        "first",
        "transport",
        "retry",
        "transport",
        "retry",
    ]


@both
def test_transport_attempts_are_bounded_over_the_whole_ladder(how: str) -> None:
    """Over all rungs the body runs at most transport repeats plus ladder attempts."""
    error = ConnectionError("down")
    node = scripted(*[error] * 20)
    with pytest.raises(ConnectionError) as caught:
        run(app_of(node, Retry(3, **AT_ONCE), retry_policy=AGAIN), how)
    assert node.calls == 3
    assert any("after 3 attempt(s)" in note for note in caught.value.__notes__)


@both
def test_after_the_transport_repeats_a_fallback_stands_in(how: str) -> None:
    """What LangGraph's policy has given up on goes to the rungs that do something else."""
    node = scripted(*[ConnectionError("down")] * 20)
    app = app_of(node, Retry(3, **AT_ONCE), Fallback(lambda state: GOOD), retry_policy=AGAIN)
    assert run(app, how) == GOOD
    assert node.calls == 3


@both
def test_a_rejection_does_not_use_up_langgraphs_policy(how: str) -> None:
    """Rejections before a transport error leave it its attempts, whatever retry_on says."""
    greedy = RetryPolicy(
        max_attempts=3, initial_interval=0.0, jitter=False, retry_on=lambda error: True
    )
    error = ConnectionError("down")
    node = scripted(BAD, BAD, error, error, GOOD)
    assert run(app_of(node, Retry(2), retry_policy=greedy), how) == GOOD
    stubborn = scripted(*[BAD] * 20)
    with pytest.raises(GateRejected):
        run(app_of(stubborn, Retry(2), retry_policy=greedy), how)
    assert stubborn.calls == 3


@both
def test_several_policies_of_langgraphs_count_each_for_itself(how: str) -> None:
    """Of two RetryPolicies each repeats only what it is for."""

    def only(kind: type[Exception], attempts: int) -> RetryPolicy:
        return RetryPolicy(max_attempts=attempts, initial_interval=0.0, jitter=False, retry_on=kind)

    policies = [only(ConnectionError, 2), only(LookupError, 3)]
    node = scripted(KeyError("a"), ConnectionError("b"), KeyError("c"), GOOD)
    assert run(app_of(node, retry_policy=policies), how) == GOOD
    node = scripted(*[ConnectionError("x")] * 9)
    with pytest.raises(ConnectionError):
        run(app_of(node, retry_policy=policies), how)
    assert node.calls == 2


@both
@pytest.mark.parametrize("failure", [BAD, {"draft": 3}, ConnectionError("down")], ids=repr)
def test_a_parents_policies_never_multiply_a_childs(how: str, failure: Any) -> None:
    """What a subgraph's node has given up on, neither the parent's Retry nor defaults repeat."""
    child = NodeGuard(gates=[good], policy=Policy(Retry(2, **AT_ONCE)))
    parent = NodeGuard(policy=Policy(Retry(2, **AT_ONCE)))
    greedy = AGAIN._replace(retry_on=lambda error: True)
    for spec, defaults in (
        (parent, {}),
        (None, {"retry_policy": greedy}),
        (parent, {"retry_policy": greedy}),
    ):
        node = scripted(*[failure] * 30)
        with pytest.raises((HandoffError, ConnectionError)):
            run(nested(node, child, spec, **defaults), how)
        assert node.calls == 3


@both
def test_a_parent_stands_in_for_what_its_child_gave_up_on(how: str) -> None:
    """The parent's Fallback and Degrade answer where the child's ladder has ended."""
    child = NodeGuard(gates=[good], policy=Policy(Retry(2)))
    node = scripted(*[BAD] * 30)
    parent = NodeGuard(policy=Policy(Retry(5), Degrade({"draft": "sorry"})))
    assert run(nested(node, child, parent), how) == {"draft": "sorry"}
    assert node.calls == 3


@both
def test_a_parent_may_retry_what_its_own_gate_rejects(how: str) -> None:
    """A parent's own gate is a failure of the parent's, and its Retry answers it."""
    child = NodeGuard(gates=[lambda output: output["draft"] != "none"], policy=Policy(Retry(1)))
    node = scripted({"draft": "none"}, BAD, GOOD)
    parent = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    assert run(nested(node, child, parent), how) == GOOD
    assert node.calls == 3


@both
def test_a_parent_does_not_repeat_what_a_childs_gate_rejected(how: str) -> None:
    """A child without a policy fails at once; the parent's Retry is passed by, its fallback not."""
    node = scripted(BAD, GOOD)
    parent = NodeGuard(policy=Policy(Retry(2), Fallback(lambda state: {"draft": "spare"})))
    assert run(nested(node, NodeGuard(gates=[good]), parent), how) == {"draft": "spare"}
    assert node.calls == 1
