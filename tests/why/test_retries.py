"""Failures 7 and 8 of `docs/why.md`: retries that do not happen, are not told why, or multiply."""

from typing import Any

import pytest
import stamina
import tenacity
from callers import Caller
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from coordgate import (
    ConfigurationError,
    Feedback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)


class State(TypedDict, total=False):
    """One number."""

    total: int


class Bill(BaseModel):
    """What the model's answer is parsed into."""

    total: int


def at_once(attempts: int, **kwargs: Any) -> RetryPolicy:
    """Return a LangGraph policy that does not wait."""
    return RetryPolicy(
        max_attempts=attempts, initial_interval=0.0, max_interval=0.0, jitter=False, **kwargs
    )


def one_node(function: Any, **kwargs: Any) -> StateGraph[Any]:
    """Return a graph of the node `work`."""
    return StateGraph(State).add_node("work", function, **kwargs).add_edge(START, "work")


GUARDED = {"work": NodeGuard(policy=Policy(Retry(2, wait=0.0, jitter=False)))}


def test_7_a_validation_error_is_retried_and_the_node_told_why(caller: Caller) -> None:
    """Bare, pydantic's error is not retried, and a retry is not told why; guarded, both are."""
    answers = ['{"total": "a lot"}', '{"total": 12}']
    told: list[object] = []

    def parse(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        assert runtime.execution_info is not None
        attempt = runtime.execution_info.node_attempt
        told.append(attempt)
        return {"total": Bill.model_validate_json(answers[attempt - 1]).total}

    bare = one_node(caller.node(parse), retry_policy=at_once(3))
    with pytest.raises(ValidationError):
        caller.invoke(bare.compile(checkpointer=caller.saver), {}, "bare")
    assert told == [1]

    told.clear()
    insisting = one_node(caller.node(parse), retry_policy=at_once(3, retry_on=ValidationError))
    assert caller.invoke(insisting.compile(), {}) == {"total": 12}
    assert told == [1, 2]  # a number is all it is told

    told.clear()

    def parse_told(state: State, feedback: Feedback | None = None) -> dict[str, Any]:
        told.append(feedback)
        return {"total": Bill.model_validate_json(answers[len(told) - 1]).total}

    app = guard(one_node(caller.node(parse_told)), nodes=GUARDED)
    assert caller.invoke(app.compile(checkpointer=caller.saver), {}, "guarded") == {"total": 12}
    first, second = told
    assert first is None
    assert isinstance(second, Feedback)
    assert "valid integer" in str(second)


@pytest.mark.parametrize("failure", ["exception", "rejection"])
@pytest.mark.parametrize("default", [2, 3, 5])
def test_8_retry_layers_do_not_multiply(caller: Caller, default: int, failure: str) -> None:
    """Bare, three layers of three make 27 runs; guarded, the node runs as its policy says: 3."""
    runs: list[int] = []

    def work(state: State) -> dict[str, Any]:
        runs.append(1)
        if failure == "exception":
            raise ConnectionError("down")
        return {"total": -1}

    def around(inner: StateGraph[Any], attempts: int) -> StateGraph[Any]:
        outer = StateGraph(State)
        outer.set_node_defaults(retry_policy=at_once(attempts, retry_on=Exception))
        return outer.add_node("sub", inner.compile()).add_edge(START, "sub")

    def tried(state: State) -> dict[str, Any]:
        work(state)
        raise ConnectionError("down")

    wrapped = RunnableLambda(tried).with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
    inner = one_node(wrapped, retry_policy=at_once(3))
    with pytest.raises(ConnectionError):
        caller.invoke(around(inner, 3).compile(checkpointer=caller.saver), {}, "bare")
    assert len(runs) == 27

    runs.clear()
    policy = Policy(Retry(2, wait=0.0, jitter=False))
    nodes = {"sub|work": NodeGuard(gates=[positive], policy=policy)}
    inner = one_node(caller.node(work), retry_policy=at_once(3))
    app = guard(around(inner, default), nodes=nodes).compile(checkpointer=caller.saver)
    with pytest.raises(ConnectionError if failure == "exception" else GateRejected):
        caller.invoke(app, {}, "guarded")
    assert len(runs) == 3


@gate
def positive(output: dict[str, Any]) -> Verdict:
    """Pass a total above zero."""
    return Verdict.accept() if output["total"] > 0 else Verdict.reject("a bill is above zero")


def raise_down(state: State) -> dict[str, Any]:
    """Fail, always."""
    raise ConnectionError("down")


@pytest.mark.parametrize(
    ("engine", "node"),
    [
        ("tenacity", tenacity.retry(stop=tenacity.stop_after_attempt(3))(raise_down)),
        ("stamina", stamina.retry(on=ConnectionError, attempts=3)(raise_down)),
        ("with_retry", RunnableLambda(raise_down).with_retry(stop_after_attempt=3)),
    ],
)
def test_8_two_retry_engines_on_one_node_are_refused(engine: str, node: Any) -> None:
    """A node that repeats itself inside and by its policy outside is refused when it is built."""
    with pytest.raises(ConfigurationError, match=f"two retry engines on one node, {engine}"):
        guard(one_node(node), nodes=GUARDED).compile()
