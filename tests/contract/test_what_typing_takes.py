"""What Python's type checkers take and pydantic's strict mode does not, and what neither takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Overwrite
from pydantic import BaseModel, Field, field_validator, model_validator
from typing_extensions import TypedDict

from coordgate import Contract, ContractViolation, NodeGuard, guard


def one(left: list[str], right: str) -> list[str]:
    """Add one item."""
    return [*left, right]


def shipped(annotation: Any, value: Any) -> Any:
    """Return what a guarded node ships to a key with this annotation."""
    make: Any = TypedDict
    state = make("State", {"a": annotation}, total=False)
    builder = StateGraph(state).add_node("n", lambda _: {"a": value}).add_edge(START, "n")
    return guard(builder).compile().invoke({})["a"]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int | str, True),
        (dict[str, int | str], {"x": True}),
        (Sequence[int], deque([1])),
        (Sequence[int] | None, range(2)),
        (AbstractSet[str], {"x"}),
        (list[AbstractSet[str]], [{"x"}]),
        (date, datetime(2026, 1, 1)),  # noqa: DTZ001 - a plain one is what is meant
        (date | str, datetime(2026, 1, 1)),  # noqa: DTZ001 - as above
        (Decimal, Decimal("NaN")),
    ],
)
def test_what_type_checkers_take_is_taken(annotation: Any, value: Any) -> None:
    """A value of the annotated type passes, untouched, where pydantic's strict mode refuses it."""
    assert shipped(annotation, value) is value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Sequence[int], ["x"]),
        (Sequence[int], deque(["x"])),
        (AbstractSet[str], {1}),
        (dict[str, int], {"x": "y"}),
        (date, "2026-01-01"),
    ],
)
def test_what_they_refuse_is_refused(annotation: Any, value: Any) -> None:
    """The items of a container are checked, whatever kind of container it is."""
    with pytest.raises(ContractViolation):
        shipped(annotation, value)


def test_an_overwrite_is_checked_against_the_key_itself() -> None:
    """An Overwrite goes past the reducer, so it owes the key's type, not the reducer's."""
    assert shipped(Annotated[list[str], one], Overwrite(["x", "y"])) == ["x", "y"]
    with pytest.raises(ContractViolation):
        shipped(Annotated[list[str], one], Overwrite("x"))


class Model(BaseModel):
    """A pydantic state with fields and validators of many kinds."""

    tags: list[str] = []
    fixed: str = Field(default="", frozen=True)
    low: int = 0

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        """Take a text with commas."""
        return value.split(",") if isinstance(value, str) else value

    @model_validator(mode="after")
    def whole(self) -> Model:
        """Look at the whole state."""
        return self


@pytest.mark.parametrize("update", [{"tags": "a,b"}, {"fixed": "x"}, {"low": "5"}])
def test_a_pydantic_state_takes_what_it_would_read(update: dict[str, Any]) -> None:
    """A field is checked by its own part of the model, converters included."""
    app = guard(StateGraph(Model).add_node("n", lambda _: update).add_edge(START, "n")).compile()
    app.invoke({})
    with pytest.raises(ContractViolation):
        guard(
            StateGraph(Model).add_node("n", lambda _: {"low": "many"}).add_edge(START, "n")
        ).compile().invoke({})


class Aliased(BaseModel):
    """A contract whose field has another name in JSON."""

    draft: str = Field(alias="Draft")


class Drafts(TypedDict, total=False):
    """A state with one key."""

    draft: str


def test_a_contract_goes_by_the_names_of_its_fields() -> None:
    """State keys are the fields' names; an alias is for JSON."""
    builder = StateGraph(Drafts).add_node("n", lambda _: {"draft": "x"}).add_edge(START, "n")
    declared = {"n": NodeGuard(contract=Contract(returns=Aliased))}
    assert guard(builder, declared).compile().invoke({}) == {"draft": "x"}
