"""What belongs to the user's own function stays theirs: parameters, decorators, annotations."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Literal

import pytest
import tenacity
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from coordgate import (
    ConfigurationError,
    Contract,
    ContractViolation,
    NodeGuard,
    Policy,
    Retry,
    gated,
    guard,
)
from coordgate.gates import not_empty


class State(TypedDict, total=False):
    """A state with one key."""

    draft: str


def says(_state: State, feedback: Any = "mine") -> State:
    """Return the parameter that happens to be called feedback."""
    return {"draft": str(feedback)}


@pytest.mark.parametrize("mode", ["enforce", "observe"])
@pytest.mark.parametrize("node", [says, functools.partial(says, feedback="mine")])
def test_a_parameter_of_that_name_keeps_its_value(
    mode: Literal["enforce", "observe"], node: Any
) -> None:
    """Where there is nothing to tell, a default or a bound value is not overwritten."""
    builder = StateGraph(State).add_node("n", node).add_edge(START, "n")
    assert guard(builder, mode=mode).compile().invoke({}) == {"draft": "mine"}


def test_a_retry_library_under_the_decorator_is_refused() -> None:
    """Retry over a function that repeats itself would multiply the attempts, in either order."""
    again = tenacity.retry(stop=tenacity.stop_after_attempt(3))
    with pytest.raises(ConfigurationError, match="two retry engines"):
        gated(policy=Policy(Retry(2)))(again(says))


def test_a_second_decorator_is_refused() -> None:
    """Of two @gated on one function one would be lost, so there may be one."""
    with pytest.raises(ConfigurationError, match="twice"):
        gated(gates=[not_empty("draft")])(gated(says))


def test_a_bare_command_annotation_states_nothing() -> None:
    """`-> Command` says where a node may go, not what it hands over."""

    def go(_state: State) -> Command:  # type: ignore[type-arg]
        return Command(update={"draft": "x"})

    builder = StateGraph(State).add_node("n", go).add_edge(START, "n")
    declared = {"n": NodeGuard(gates=[not_empty("draft")])}
    assert guard(builder, declared).compile().invoke({}) == {"draft": "x"}


def test_a_timed_node_is_checked_on_the_way_in_too() -> None:
    """A node with a timeout and a policy has its input checked like any other."""

    async def node(_state: State) -> State:
        return {"draft": "x"}

    builder = StateGraph(State).add_node("n", node, timeout=5).add_edge(START, "n")
    contract = Contract(accepts={"draft": str})
    declared = {"n": NodeGuard(contract=contract, policy=Policy(Retry(1)))}
    with pytest.raises(ContractViolation, match="is required"):
        asyncio.run(guard(builder, declared).compile().ainvoke({}))
