"""Declared contracts: what a node returns is parsed, and what was parsed ships."""

import operator
import typing
from collections.abc import Callable
from typing import Annotated, Any, NotRequired

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Overwrite
from notations import (
    NOTATIONS,
    Data,
    Model,
    New,
    Old,
    State,
    app_of,
    both,
    notations,
    returning,
    run,
    violations,
)
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from coordgate import Contract, ContractViolation, NodeGuard, gated, guard
from coordgate.testing import RecordingTracer, scripted


@both
@notations
def test_what_keeps_the_contract_ships_parsed(declared: Any, how: str) -> None:
    """Every notation parses: "0.5" is taken for a float, and the float ships."""
    result = returning({"draft": "x", "score": "0.5"}, declared, how)
    assert result == {"draft": "x", "score": 0.5}
    assert type(result["score"]) is float


@both
@notations
def test_what_breaks_the_contract_does_not_ship(declared: Any, how: str) -> None:
    """Every notation names each broken key with its rule and value."""
    found = violations({"score": 7, "notes": ["a", 3]}, declared, how)
    assert found["draft"] == "is required, and missing | "
    assert "less than or equal to 1" in found["score"]
    assert found["score"].endswith("| 7")
    assert "notes.1" in found


@notations
def test_a_default_is_never_shipped_for_a_key_that_was_not_returned(declared: Any) -> None:
    """A declared default does not reset a sibling that stands in the state already."""
    result = returning({"draft": "x", "score": 1}, declared, given={"notes": ["kept"]})
    assert result == {"draft": "x", "score": 1.0, "notes": ["kept"]}


@notations
def test_a_gate_gets_the_parsed_object(declared: Any) -> None:
    """Where `returns` is declared, a gate is given what was parsed."""
    seen: list[Any] = []
    app = app_of(
        scripted({"draft": "x", "score": "1"}),
        Contract(returns=declared),
        gates=[lambda output: seen.append(output) or True],
    )
    run(app)
    (output,) = seen
    if declared in (Model, Data, NOTATIONS["Annotated"]):
        assert isinstance(output, Data if declared is Data else Model)
        assert (output.draft, output.score, output.notes) == ("x", 1.0, [])
    else:
        assert output == {"draft": "x", "score": 1.0}


@both
def test_the_object_itself_may_be_returned(how: str) -> None:
    """A node may return the declared model or dataclass instead of a dict."""
    assert returning(Model(draft="x", score=1), Model, how)["score"] == 1.0
    assert returning(Data(draft="x", score=1), Data, how)["score"] == 1.0
    wrong = Model.model_construct(draft=3, score=1.0)
    assert "draft" in violations(wrong, Model, how)
    assert "score" in violations(Data(draft="x", score=9), Data, how)


@both
def test_the_nodes_own_annotation_is_the_contract(how: str) -> None:
    """A gated node that annotates what it returns has declared it."""

    @gated
    def write(state: State) -> Old:
        return {"draft": "x", "score": "0.5"}  # type: ignore[typeddict-item]

    builder = StateGraph(State)
    builder.add_node(write)
    builder.add_edge(START, "write")
    assert run(guard(builder).compile(), how) == {"draft": "x", "score": 0.5}


@both
def test_extra_keys_are_checked_against_the_state(how: str) -> None:
    """A key beside the contract is fine if it is the state's, and a violation if it is nobody's."""
    narrow = {"draft": str}
    assert returning({"draft": "x", "score": 3}, narrow, how)["score"] == 3
    assert "did you mean 'score'" in violations({"draft": "x", "scroe": 3}, narrow, how)["scroe"]


@both
def test_validators_change_what_ships(how: str) -> None:
    """A validator's transform is what the state, the next node and the record get."""

    class Clean(BaseModel):
        draft: Annotated[str, AfterValidator(str.strip)]

        @field_validator("draft")
        @classmethod
        def loud(cls, value: str) -> str:
            return value.upper()

    tracer = RecordingTracer()
    app = app_of(scripted({"draft": " x "}), Contract(returns=Clean), tracer=tracer)
    assert run(app, how) == {"draft": "X"}
    assert tracer.of("write")[0].writes == '{"draft":"X"}'
    assert tracer.of("write")[0].attempts[0].output == '{"draft":" x "}'


@both
def test_a_validator_that_raises_anything_is_a_violation(how: str) -> None:
    """A TypeError, KeyError or ZeroDivisionError in a validator is a violation with its words."""

    def check(raises: type[Exception]) -> Any:
        def validate(value: Any) -> Any:
            raise raises("odd")

        return {"draft": Annotated[Any, AfterValidator(validate)]}

    for raises in (TypeError, KeyError, ZeroDivisionError):
        found = violations({"draft": "x"}, check(raises), how)
        assert raises.__name__ in " ".join(found.values())


@both
def test_a_rule_of_the_whole_model_is_checked(how: str) -> None:
    """A model validator sees the whole hand-over, and its words are the rule."""

    class Pair(BaseModel):
        draft: str
        score: float

        @model_validator(mode="after")
        def agree(self) -> "Pair":
            if len(self.draft) < self.score:
                raise ValueError("the draft is shorter than its score")
            return self

    assert returning({"draft": "long", "score": 2}, Pair, how)["score"] == 2.0
    assert "shorter than its score" in str(violations({"draft": "x", "score": 9}, Pair, how))


def test_a_strict_model_stays_strict() -> None:
    """What a model refuses by its own configuration stays refused."""

    class Strict(BaseModel):
        model_config = ConfigDict(strict=True, extra="forbid")
        score: int

    assert "valid integer" in violations({"score": "5"}, Strict)["score"]
    assert violations({"score": 5, "draft": "x"}, Strict)


def test_an_alias_is_the_contracts_own_business() -> None:
    """A model that reads its field under an alias still names and ships the state's key."""

    class Aliased(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        score: int = Field(alias="points")

    assert returning({"score": "5"}, Aliased) == {"score": 5}


@both
def test_scalars_that_parse_to_another_type_ship_parsed(how: str) -> None:
    """1 declared as float ships 1.0, True declared as int ships 1, and types tell."""
    for given, declared, shipped in (
        (1, float, 1.0),
        ("5", int, 5),
        (True, int, 1),
        ("1", bool, True),
    ):
        result = returning({"score": given}, {"score": declared}, how)["score"]
        assert result == shipped
        assert type(result) is type(shipped)


@pytest.mark.parametrize(
    "shape",
    [
        lambda update: Command(update=update),
        lambda update: Command(update=list(update.items())),
        lambda update: [Command(update=update)],
        lambda update: [Command(update={"draft": update["draft"]}), {"score": update["score"]}],
    ],
    ids=["Command", "Command of pairs", "list of Commands", "mixed list"],
)
@both
def test_every_shape_of_an_update_is_parsed(shape: Callable[[Any], Any], how: str) -> None:
    """Commands and lists of them are opened, checked, and ship parsed in their shape."""
    assert returning(shape({"draft": "x", "score": "1"}), New, how) == {"draft": "x", "score": 1.0}
    assert "score" in violations(shape({"draft": "x", "score": "high"}), New, how)
    assert violations(shape({"draft": 3, "score": 1}), New, how).keys() == {"draft"}


@both
@pytest.mark.parametrize("wrap", [Overwrite, lambda value: {"__overwrite__": value}])
def test_an_overwrite_is_parsed_and_still_replaces(wrap: Callable[[Any], Any], how: str) -> None:
    """On a key with a reducer, what `Overwrite` holds is parsed, and replaces what was there."""

    class Reduced(typing.TypedDict, total=False):
        scores: Annotated[list[Any], operator.add]

    def written(values: Any) -> Any:
        builder = StateGraph(Reduced)
        builder.add_node("write", scripted({"scores": wrap(values)}))
        builder.add_edge(START, "write")
        spec = NodeGuard(Contract(returns={"scores": list[int]}))
        return run(guard(builder, {"write": spec}).compile(), how, {"scores": [1]})

    assert written(["2"]) == {"scores": [2]}
    with pytest.raises(ContractViolation, match=r"scores\.0"):
        written(["two"])


@both
def test_none_is_an_empty_update(how: str) -> None:
    """A node that returns None has handed over nothing: fine where nothing is required."""
    assert returning(None, {"notes": NotRequired[list[str]]}, how, {"draft": "d"}) == {"draft": "d"}
    assert violations(None, {"notes": list[str]}, how) == {"notes": "is required, and missing | "}


def test_a_command_to_the_parent_owes_this_graph_nothing() -> None:
    """What goes to the parent graph is not this node's hand-over here."""
    inner = StateGraph(State)
    up = scripted(Command(graph=Command.PARENT, update={"draft": "up"}), name="up")
    inner.add_node("up", up)
    inner.add_edge(START, "up")
    outer = StateGraph(State)
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "sub")
    nodes = {"sub|up": NodeGuard(Contract(returns={"score": int}))}
    assert run(guard(outer, nodes).compile()) == {"draft": "up"}


@both
@pytest.mark.parametrize("value", ["text", 3, ("draft", "x"), [{"draft": "x"}], {"a", "b"}])
def test_what_is_no_update_is_a_violation(value: Any, how: str) -> None:
    """Anything that LangGraph would refuse is refused with the shapes that it takes."""
    found = violations(value, {"notes": NotRequired[list[str]]}, how)
    assert "a node returns a dict of state keys" in found["(update)"]


def as_pairs(first: Any, second: Any) -> Any:
    """Return one Command that writes a key twice."""
    return Command(update=[("scores", first), ("scores", second)])


def as_commands(first: Any, second: Any) -> Any:
    """Return two Commands that write the same key."""
    return [Command(update={"scores": first}), Command(update={"scores": second})]


@both
@pytest.mark.parametrize("shape", [as_pairs, as_commands])
def test_a_key_written_twice_ships_both_values(shape: Callable[[Any, Any], Any], how: str) -> None:
    """Of two writes to one declared key, each is parsed and ships; the first must fit, too."""

    class Reduced(typing.TypedDict, total=False):
        scores: Annotated[list[Any], operator.add]

    def written(first: Any, second: Any) -> Any:
        builder = StateGraph(Reduced)
        builder.add_node("write", scripted(shape(first, second)))
        builder.add_edge(START, "write")
        spec = NodeGuard(Contract(returns={"scores": list[int]}))
        return run(guard(builder, {"write": spec}).compile(), how)

    assert written([1], [2]) == {"scores": [1, 2]}
    assert written(["1"], ["2"]) == {"scores": [1, 2]}
    for bad in ((["one"], [2]), ([1], ["two"])):
        with pytest.raises(ContractViolation, match=r"scores\.0"):
            written(*bad)
