"""What a node accepts: checked before it runs; and what every violation says."""

import dataclasses
import typing
from typing import Annotated, Any

import pytest
from annotated_types import Gt
from langgraph.graph import START, StateGraph
from notations import Model, State, app_of, both, notations, returning, run, violations
from pydantic import BaseModel

from coordgate import Contract, ContractViolation, NodeGuard, guard
from coordgate.testing import scripted


@both
@notations
def test_a_bad_input_is_refused_before_the_node_runs(declared: Any, how: str) -> None:
    """`accepts` is checked first, and the error says that the graph's input is at fault."""
    node = scripted({"notes": []})
    with pytest.raises(
        ContractViolation, match="handed a bad input by the graph's input"
    ) as caught:
        run(app_of(node, Contract(accepts=declared)), how, {"draft": "x", "score": 2})
    assert node.calls == 0
    assert caught.value.direction == "input"
    assert [v.key for v in caught.value.violations] == ["score"]


@both
@notations
def test_a_good_input_is_passed_on_as_it_was(declared: Any, how: str) -> None:
    """The node gets its state from LangGraph, not what `accepts` would parse of it."""
    node = scripted({"notes": ["done"]})
    run(app_of(node, Contract(accepts=declared)), how, {"draft": "x", "score": "0.5"})
    assert node.states == [{"draft": "x", "score": "0.5"}]


@both
def test_a_bad_input_names_its_producers(how: str) -> None:
    """Who handed over is named, all of them where there are several."""
    builder = StateGraph(State)
    builder.add_node("a", lambda state: {"draft": "x"})
    builder.add_node("b", lambda state: {"score": "high"})
    builder.add_node("use", scripted({"notes": []}))
    builder.add_edge(START, "a")
    builder.add_edge(START, "b")
    builder.add_edge(["a", "b"], "use")
    app = guard(builder, {"use": NodeGuard(Contract(accepts={"score": float}))}).compile()
    with pytest.raises(ContractViolation) as caught:
        run(app, how)
    assert set(caught.value.producers) == {"a", "b"}
    assert "'a' and 'b'" in str(caught.value)
    assert "(got 'high')" in str(caught.value)


@both
def test_a_private_input_schema_is_what_is_checked(how: str) -> None:
    """A node with an input schema of its own is checked on what it is handed of the state."""

    class Private(typing.TypedDict):
        score: int

    seen: list[Any] = []

    def use(state: Private) -> State:
        seen.append(state)
        return {"notes": []}

    builder = StateGraph(State)
    builder.add_node("use", use)
    builder.add_edge(START, "use")
    app = guard(builder, {"use": NodeGuard(Contract(accepts={"score": int}))}).compile()
    run(app, how, {"score": 3, "draft": "x"})
    assert seen == [{"score": 3}]
    with pytest.raises(ContractViolation, match="score"):
        run(app, how, {"draft": "x"})


def test_accepts_reads_the_fields_of_a_dataclass_and_a_model_state() -> None:
    """The state may be an object: its fields are what is checked."""

    @dataclasses.dataclass
    class DataState:
        draft: str = "x"
        score: Any = None

    class ModelState(BaseModel):
        draft: str = "x"
        score: Any = None

    for state in (DataState, ModelState):
        builder = StateGraph(state)
        builder.add_node("use", lambda state: {"draft": "y"})
        builder.add_edge(START, "use")
        spec = NodeGuard(Contract(accepts={"score": Annotated[int, Gt(3)]}))
        app = guard(builder, {"use": spec}).compile()
        assert run(app, given={"score": 5})["draft"] == "y"
        with pytest.raises(ContractViolation, match="greater than 3"):
            run(app, given={"score": 1})


def test_a_violation_names_producer_key_value_and_rule() -> None:
    """One error says who broke what, with which value, and what to do."""
    with pytest.raises(ContractViolation) as caught:
        returning({"draft": "x", "score": 7}, Model)
    text = str(caught.value)
    assert text.startswith("node 'write' broke its contract")
    assert "score: input should be less than or equal to 1 (got 7)" in text
    assert "Remedy:" in text


def test_a_violations_value_is_shortened_and_redacted() -> None:
    """Neither a secret nor a long text gets into the message."""
    found = violations({"draft": ["x" * 5000], "score": 1}, Model)
    assert len(found["draft"]) < 400
    secret = {"draft": {"api_key": "sk-abcdefghijklmnopqrstuvwx"}, "score": 1}
    with pytest.raises(ContractViolation) as caught:
        returning(secret, Model)
    assert "sk-abcdefghijkl" not in str(caught.value)
    with pytest.raises(ContractViolation) as caught:
        returning({"draft": "x", "score": "sk-abcdefghijklmnopqrstuvwx"}, Model)
    assert "sk-abcdefghijkl" not in str(caught.value)


def test_a_value_that_cannot_be_shown_does_not_hide_the_violation() -> None:
    """A value whose repr raises is still a violation of its key."""

    class Nasty:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    assert "draft" in violations({"draft": Nasty(), "score": 1}, Model)
