"""Inferred contracts: without a declaration, the state's own annotations are checked."""

import dataclasses
from typing import Annotated, Any, Literal

import pytest
import typing_extensions
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from pydantic import BaseModel, Field
from written_states import Dict, app_of, both, run, violations

from coordgate.testing import scripted


class NewDict(typing_extensions.TypedDict, total=False):
    """The same as typing_extensions' TypedDict."""

    name: str
    count: int
    share: float
    tags: list[str]
    kind: Literal["a", "b"]
    maybe: int | None
    short: Annotated[str, Field(max_length=3)]


@dataclasses.dataclass
class Data:
    """The same as a dataclass."""

    name: str = ""
    count: int = 0
    share: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)
    kind: Literal["a", "b"] = "a"
    maybe: int | None = None
    short: Annotated[str, Field(max_length=3)] = ""


class Model(BaseModel):
    """The same as a pydantic model, which coerces what it reads."""

    name: str = ""
    count: int = 0
    share: float = 0.0
    tags: list[str] = []
    kind: Literal["a", "b"] = "a"
    maybe: int | None = None
    short: str = Field(default="", max_length=3)


plain_states = pytest.mark.parametrize("schema", [Dict, NewDict, Data])


all_states = pytest.mark.parametrize("schema", [Dict, NewDict, Data, Model])


GOOD: list[dict[str, Any]] = [
    {"name": "x"},
    {"count": 5},
    {"count": True},
    {"share": 1},
    {"share": True},
    {"tags": []},
    {"tags": ["a"]},
    {"kind": "b"},
    {"maybe": None},
    {"short": "abc"},
    {},
]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": 3}, "name"),
    ({"name": None}, "name"),
    ({"count": 1.5}, "count"),
    ({"count": None}, "count"),
    ({"share": "much"}, "share"),
    ({"tags": ["a", 3]}, "tags.1"),
    ({"tags": "a"}, "tags"),
    ({"kind": "c"}, "kind"),
    ({"maybe": "one"}, "maybe"),
    ({"short": "abcd"}, "short"),
]


@both
@all_states
@pytest.mark.parametrize("update", GOOD)
def test_what_fits_its_annotation_is_passed_on_untouched(
    schema: Any, update: Any, how: str
) -> None:
    """The value itself is written: nothing is parsed, copied or filled in."""
    bare = StateGraph(schema)
    bare.add_node("write", scripted(update))
    bare.add_edge(START, "write")
    given = {"name": "before"}
    result = run(app_of(schema, update), how, given)
    assert result == run(bare.compile(), how, given)
    for key, value in update.items():
        assert type(result[key]) is type(value)


@both
@all_states
@pytest.mark.parametrize(("update", "key"), BAD)
def test_what_does_not_fit_is_a_violation_of_its_key(
    schema: Any, update: Any, key: str, how: str
) -> None:
    """Each state key is checked against its own annotation, constraints included."""
    assert list(violations(schema, update, how)) == [key]


@plain_states
def test_a_string_is_no_number(schema: Any) -> None:
    """Inferred contracts do not coerce: "5" is no int where nobody parses it."""
    assert list(violations(schema, {"count": "5"})) == ["count"]


def test_a_pydantic_state_takes_what_it_will_coerce() -> None:
    """A pydantic state coerces what it reads, so "5" is an int to it, and "five" is none."""
    assert run(app_of(Model, {"count": "5"})) == {"count": "5"}
    assert "count" in violations(Model, {"count": "five"})


@both
@all_states
def test_an_undeclared_key_names_the_nearest(schema: Any, how: str) -> None:
    """A key that LangGraph would drop in silence is a violation."""
    rule = violations(schema, {"nmae": "x"}, how)["nmae"]
    assert "LangGraph would drop it; did you mean 'name'?" in rule
    rule = violations(schema, {"zzz": "x"}, how)["zzz"]
    assert "there are count, kind, maybe, name, share, short, tags" in rule


@both
@plain_states
def test_all_violations_are_told_at_once(schema: Any, how: str) -> None:
    """A retried node should not have to find them one by one."""
    found = violations(schema, {"name": 3, "count": "5", "tgas": []}, how)
    assert found.keys() == {"name", "count", "tgas"}


@pytest.mark.parametrize(
    "update",
    [
        Command(update={"name": "x"}),
        Command(update=[("name", "x"), ("count", 1)]),
        Command(update=(("name", "x"),)),
        [Command(update={"name": "x"}), Command(update={"count": 1})],
        [Command(update={"name": "x"}), {"count": 1}],
        Command(update=None),
        Command(),
        None,
    ],
)
@both
@plain_states
def test_every_shape_of_an_update_is_taken(schema: Any, update: Any, how: str) -> None:
    """Commands, pairs, lists of Commands and None do what they do bare."""
    bare = StateGraph(schema)
    bare.add_node("write", scripted(update))
    bare.add_edge(START, "write")
    given = {"name": "n"}
    assert run(app_of(schema, update), how, given) == run(bare.compile(), how, given)


@pytest.mark.parametrize(
    "update",
    [
        Command(update={"name": 3}),
        Command(update=[("count", 1), ("name", 3)]),
        [Command(update={"count": 1}), Command(update={"name": 3})],
        [Command(update={"name": 3}), {"count": 1}],
    ],
)
@both
@plain_states
def test_every_shape_of_an_update_is_checked(schema: Any, update: Any, how: str) -> None:
    """A bad value is found in whatever it is wrapped in."""
    assert list(violations(schema, update, how)) == ["name"]


def test_an_undeclared_key_is_found_in_every_shape() -> None:
    """Also inside Commands and among pairs."""
    for update in (
        Command(update={"nmae": "x"}),
        Command(update=[("nmae", "x")]),
        [Command(update={"nmae": "x"}), {"count": 1}],
    ):
        assert list(violations(Dict, update)) == ["nmae"]
