"""What the payload says of an edit: a schema from which a page can make a form."""

import json
import operator
from typing import Annotated, Any

import pytest
from callers import Caller
from jsonschema import Draft202012Validator
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command
from people import shown
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from coordgate import Contract, Edit, Escalate, NodeGuard, Policy, gate, guard


class Opaque:
    """What no schema describes."""


class Source(BaseModel):
    """A source."""

    title: str
    parts: list["Source"] = []


class State(TypedDict, total=False):
    """Keys of every kind."""

    insight: str
    confidence: float
    sources: list[Source]
    messages: Annotated[list[Any], add_messages]
    thing: Opaque


class Insight(BaseModel):
    """What the node declares."""

    insight: str = Field(min_length=3, description="one sentence")
    confidence: float = Field(ge=0, le=1)


@gate
def never(output: Any) -> bool:
    """Accept nothing."""
    return False


def edit_schema(
    state: Any, returns: Any = None, update: Any = None, given: Any = None
) -> dict[str, Any]:
    """Return what the payload of a question says of an edit."""
    builder = StateGraph(state)
    builder.add_node("write", lambda state: update or {"insight": "x" * 5})
    builder.add_edge(START, "write")
    spec = NodeGuard(
        contract=Contract(returns=returns), gates=[never], policy=Policy(Escalate("e"))
    )
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    payload = shown(app.invoke(given or {}, config))
    assert json.loads(json.dumps(payload["answers"])) == payload["answers"]
    schema: dict[str, Any] = payload["answers"]["edit"]
    Draft202012Validator.check_schema(schema)
    return schema


def test_a_form_has_the_keys_of_the_state() -> None:
    """Each key has the schema of its annotation; none is required, and no other is taken."""
    schema = edit_schema(State)
    update = schema["properties"]["update"]
    assert set(update["properties"]) == {"insight", "confidence", "sources", "messages", "thing"}
    assert update["properties"]["insight"]["type"] == "string"
    assert update["properties"]["confidence"]["type"] == "number"
    assert update["properties"]["thing"] == {}
    assert "required" not in update
    validator = Draft202012Validator(schema)
    good: dict[str, Any] = Edit({"sources": [{"title": "a", "parts": [{"title": "b"}]}]})
    assert validator.is_valid(good)
    for bad in ({"insight": 3}, {"insigth": "a"}, {"sources": [{"parts": []}]}, "text"):
        assert not validator.is_valid(Edit(bad))


@pytest.mark.parametrize("returns", [Insight, {"confidence": Annotated[float, Field(ge=0, le=1)]}])
def test_what_is_declared_says_more_than_the_state(returns: Any) -> None:
    """The constraints of a declared contract stand in the form; other keys are still there."""
    schema = edit_schema(State, returns, {"insight": "enough", "confidence": 0.5})
    properties = schema["properties"]["update"]["properties"]
    assert (properties["confidence"]["minimum"], properties["confidence"]["maximum"]) == (0, 1)
    assert "sources" in properties
    if returns is Insight:
        assert properties["insight"]["description"] == "one sentence"


def test_a_pydantic_state_says_what_its_fields_say() -> None:
    """What `Field` says of a key of the state is in the form."""

    class Whole(BaseModel):
        """A pydantic state."""

        confidence: float = Field(0, ge=0, le=1)

    update = edit_schema(Whole, update={"confidence": 0.5})["properties"]["update"]
    assert update["properties"]["confidence"]["maximum"] == 1
    assert "required" not in update


def test_a_value_that_is_the_whole_state_has_its_own_schema() -> None:
    """In a graph without keys the form is that of its one value."""
    schema = edit_schema(Annotated[int, operator.add], update=3, given=1)
    assert schema["properties"]["update"]["type"] == "integer"


def test_a_long_schema_leaves_the_names() -> None:
    """What would make the payload long is left out, key by key."""
    deep: Any = TypedDict("deep", {f"field_{n}": str for n in range(200)})  # type: ignore[misc]
    wide: Any = TypedDict("wide", {f"key_{n}": list[dict[str, int]] for n in range(400)})  # type: ignore[misc]
    one: Any = TypedDict("one", {"insight": str, "deep": deep}, total=False)
    properties = edit_schema(one)["properties"]["update"]["properties"]
    assert properties["deep"] == {}
    assert properties["insight"]["type"] == "string"
    many: Any = TypedDict("many", {**wide.__annotations__, "insight": str}, total=False)  # type: ignore[misc]
    update = edit_schema(many)["properties"]["update"]
    assert update["properties"]["key_7"] == {}
    assert len(json.dumps(update)) < 20_000


def test_an_edit_that_a_form_made_ships(caller: Caller) -> None:
    """An update that the schema takes is one that the contract takes."""
    builder = StateGraph(State)
    builder.add_node("write", caller.node(lambda state: {"insight": "no"}))
    builder.add_edge(START, "write")
    spec = NodeGuard(contract=Contract(returns=Insight), policy=Policy(Escalate("e")))
    app = guard(builder, {"write": spec}).compile(checkpointer=caller.saver)
    payload = shown(caller.invoke(app, {}))
    answer = Edit({"insight": "enough", "confidence": 1})
    assert Draft202012Validator(payload["answers"]["edit"]).is_valid(answer)
    assert caller.invoke(app, Command(resume=answer))["insight"] == "enough"
