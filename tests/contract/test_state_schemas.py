"""Every kind of state: what is checked of it, what is named as unchecked."""

import asyncio
import dataclasses
import typing
from collections import deque
from typing import Annotated, Any, NotRequired

import pytest
from langgraph.channels import LastValue, Topic, UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.managed import RemainingSteps
from pydantic import BaseModel, Field, field_validator, model_validator
from written_states import Dict, app_of, both, run, violations

from coordgate import Contract, ContractViolation, NodeGuard, guard
from coordgate.testing import scripted


def test_channels_stated_by_hand_are_checked() -> None:
    """Keys given as channels are checked by what the channel takes."""

    class Channels(typing.TypedDict, total=False):
        last: Annotated[int, LastValue(int)]
        topic: Annotated[list[str], Topic(str, accumulate=True)]
        passing: Annotated[int, UntrackedValue(int)]

    good = {"last": 1, "topic": "a", "passing": 1}
    assert run(app_of(Channels, good))["topic"] == ["a"]
    assert run(app_of(Channels, {"topic": ["a", "b"]}))["topic"] == ["a", "b"]
    assert "last" in violations(Channels, {"last": "x"})


def test_managed_values_are_nobodys_to_write() -> None:
    """A managed value is read; a node that returns its state with it is not refused for that."""

    class Managed(typing.TypedDict, total=False):
        name: str
        left: RemainingSteps

    builder = StateGraph(Managed)
    builder.add_node("write", lambda state: {"name": str(state["left"] > 0)})
    builder.add_edge(START, "write")
    assert run(guard(builder).compile(), given={"name": "x"}) == {"name": "True"}


@both
def test_a_state_with_required_keys_takes_partial_updates(how: str) -> None:
    """A total TypedDict, a dataclass or model without defaults: an update need not be whole."""

    class Total(typing.TypedDict):
        name: str
        count: typing.Required[int]
        more: NotRequired[str]

    @dataclasses.dataclass
    class DataTotal:
        name: str
        count: int

    class ModelTotal(BaseModel):
        name: str
        count: int

    for schema in (Total, DataTotal, ModelTotal):
        result = run(app_of(schema, {"count": 2}), how, {"name": "x", "count": 1})
        assert result == {"name": "x", "count": 2}
        assert list(violations(schema, {"count": "x"}, how, {"name": "x", "count": 1})) == ["count"]


@both
def test_private_state_of_a_node_is_checked_by_its_own_annotation(how: str) -> None:
    """A key that only a node's input schema declares is a key of the state with that type."""

    class Private(typing.TypedDict):
        secret: int

    def use(state: Private) -> Any:
        return {"name": str(state["secret"])}

    def build(value: Any) -> Any:
        builder = StateGraph(Dict)
        builder.add_node("make", scripted({"secret": value}))
        builder.add_node("use", use)
        builder.add_edge(START, "make")
        builder.add_edge("make", "use")
        return guard(builder).compile()

    assert run(build(7), how) == {"name": "7"}
    with pytest.raises(ContractViolation, match="secret"):
        run(build("seven"), how)


def test_input_and_output_schemas_have_their_say() -> None:
    """Keys of `input_schema` and `output_schema` are keys of the state."""

    class In(typing.TypedDict):
        question: str

    class Out(typing.TypedDict):
        answer: str

    class Both(In, Out):
        pass

    def build(update: Any) -> Any:
        builder = StateGraph(Both, input_schema=In, output_schema=Out)
        builder.add_node("write", scripted(update))
        builder.add_edge(START, "write")
        return guard(builder).compile()

    assert run(build({"answer": "a"}), given={"question": "q"}) == {"answer": "a"}
    with pytest.raises(ContractViolation, match="answer"):
        run(build({"answer": 3}), given={"question": "q"})


def test_nested_types_are_checked_all_the_way_down() -> None:
    """Models, dataclasses and TypedDicts inside a key are checked with their path."""

    class Old(typing.TypedDict):
        score: int

    @dataclasses.dataclass
    class Point:
        x: int

    class Inner(BaseModel):
        score: int = Field(ge=0)

    class Nested(typing.TypedDict, total=False):
        old: list[Old]
        model: Inner
        models: dict[str, Inner]
        point: Point
        any_: Any
        queue: deque[int]

    assert run(app_of(Nested, {"old": [{"score": 1}]})) == {"old": [{"score": 1}]}
    assert list(violations(Nested, {"old": [{"score": "1"}]})) == ["old.0.score"]
    assert run(app_of(Nested, {"model": Inner(score=1)}))["model"].score == 1
    assert "model" in next(iter(violations(Nested, {"model": "x"})))
    assert "point" in next(iter(violations(Nested, {"point": 3})))
    assert run(app_of(Nested, {"any_": object, "queue": deque([1])}))["queue"] == deque([1])


def test_a_class_of_ones_own_is_checked_by_instance() -> None:
    """An arbitrary class is checked with isinstance."""

    class Thing:
        pass

    class Things(typing.TypedDict, total=False):
        thing: Thing
        things: list[Thing]

    thing = Thing()
    assert run(app_of(Things, {"thing": thing}))["thing"] is thing
    assert list(violations(Things, {"thing": "x"})) == ["thing"]
    assert list(violations(Things, {"things": [thing, 3]})) == ["things.1"]


def test_an_annotation_that_cannot_be_checked_is_named_and_not_guessed() -> None:
    """What pydantic cannot make a check of is in `unchecked`, and lets its values through."""

    class Odd(typing.TypedDict, total=False):
        name: str
        weird: Annotated[int, Field(discriminator="kind")]

    app = app_of(Odd, {"weird": 3, "name": "x"})
    assert run(app)["weird"] == 3
    assert any(
        entry.startswith("weird: pydantic cannot check") for entry in app.coordgate.unchecked
    )
    assert list(violations(Odd, {"name": 3})) == ["name"]


def test_field_validators_of_a_pydantic_state_run_on_the_producers_side() -> None:
    """A bad value is stopped at who wrote it, not where the state is next read."""

    class Checked(BaseModel):
        name: str = ""

        @field_validator("name")
        @classmethod
        def no_spaces(cls, value: str) -> str:
            if " " in value:
                raise ValueError("no spaces")
            return value

    builder = StateGraph(Checked)
    builder.add_node("write", scripted({"name": "a b"}))
    builder.add_node("read", scripted({}))
    builder.add_edge(START, "write")
    builder.add_edge("write", "read")
    app = guard(builder).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    with pytest.raises(ContractViolation, match="node 'write' broke its contract") as caught:
        app.invoke({"name": "x"}, config)
    assert "no spaces" in caught.value.violations[0].rule
    assert app.get_state(config).values["name"] == "x"


def test_validators_of_a_whole_pydantic_state_are_named_as_unchecked() -> None:
    """A rule over several fields needs a whole state, which an update is not: it is named."""

    class Whole(BaseModel):
        low: int = 0
        high: int = 9

        @model_validator(mode="after")
        def ordered(self) -> "Whole":
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    app = app_of(Whole, {"low": 3})
    assert run(app, given={"high": 9}) == {"low": 3, "high": 9}
    assert any("validators of the whole model" in entry for entry in app.coordgate.unchecked)
    assert "low" in violations(Whole, {"low": "x"})


def test_an_empty_state_or_a_state_of_one_value_works() -> None:
    """A graph whose state is no mapping of keys is checked on its one value."""
    builder = StateGraph(int)
    builder.add_node("write", scripted(3))
    builder.add_edge(START, "write")
    assert guard(builder).compile().invoke(1) == 3
    builder = StateGraph(int)
    builder.add_node("write", scripted("three"))
    builder.add_edge(START, "write")
    with pytest.raises(ContractViolation):
        guard(builder).compile().invoke(1)


@both
def test_nothing_of_a_refused_update_is_written(how: str) -> None:
    """One bad key stops the whole update, the good keys with it, and no checkpoint has it."""
    app = app_of(Dict, {"name": "new", "count": "many"})
    app.checkpointer = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "1"}}
    with pytest.raises(ContractViolation):
        run(app.with_config(config), how, {"name": "old"})
    assert app.get_state(config).values == {"name": "old"}
    assert next(s.values for s in app.get_state_history(config)) == {"name": "old"}


def test_an_update_by_hand_must_keep_the_contract() -> None:
    """`update_state(as_node=...)` is checked like the node's own output; gates are not asked."""
    app = app_of(Dict, {"name": "x"})
    app.checkpointer = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "1"}}
    app.invoke({}, config)
    app.update_state(config, {"name": "by hand"}, as_node="write")
    assert app.get_state(config).values == {"name": "by hand"}
    with pytest.raises(ContractViolation, match="name: must be str"):
        app.update_state(config, {"name": 3}, as_node="write")
    with pytest.raises(ContractViolation, match="did you mean 'name'"):
        app.update_state(config, {"nmae": "x"}, as_node="write")
    assert app.get_state(config).values == {"name": "by hand"}
    with pytest.raises(ContractViolation):
        asyncio.run(app.aupdate_state(config, {"name": 3}, as_node="write"))


def test_an_update_by_hand_ships_parsed_values() -> None:
    """A declared contract parses what a person writes, too."""
    builder = StateGraph(Dict)
    builder.add_node("write", scripted({"count": 1}))
    builder.add_edge(START, "write")
    spec = NodeGuard(Contract(returns={"count": int}), gates=[lambda output: output["count"] < 5])
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    app.invoke({}, config)
    app.update_state(config, {"count": "7"}, as_node="write")
    assert app.get_state(config).values == {"count": 7}
    observed = guard(app, mode="observe")
    observed.update_state(config, {"count": "many"}, as_node="write")
    assert observed.get_state(config).values == {"count": "many"}


class Tree(typing.TypedDict, total=False):
    """A state that holds its like."""

    name: str
    parts: "list[Tree]"
    other: "Twin | None"


class Twin(typing.TypedDict):
    """One that holds the other."""

    tree: Tree


def test_a_state_that_holds_its_like_is_checked_all_the_way_down() -> None:
    """A recursive TypedDict of typing is checked on Pythons before 3.12 as well."""
    good = {"parts": [{"name": "a", "parts": [{"name": "b"}]}], "other": {"tree": {"name": "c"}}}
    app = app_of(Tree, good)
    assert run(app) == good
    assert app.coordgate.unchecked == ()
    for bad in (
        {"parts": [{"parts": [{"name": 1}]}]},
        {"other": {"tree": {"other": {"tree": {"name": 1}}}}},
        {"other": {}},
    ):
        assert violations(Tree, bad)
