"""Properties: a contract lets through nothing that pydantic rejects, and rejects nothing else."""

import typing
from typing import Annotated, Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from typing_extensions import TypedDict

from coordgate import Contract, ContractViolation, NodeGuard, guard


class Inner(BaseModel):
    """A model inside a key."""

    score: int = Field(ge=0)


class Record(TypedDict):
    """A TypedDict inside a key."""

    score: int
    label: typing.NotRequired[str]


ANNOTATIONS: list[Any] = [
    int,
    float,
    str,
    bool,
    bytes,
    None,
    int | None,
    int | str,
    list[int],
    list[str | None],
    dict[str, int],
    tuple[int, str],
    tuple[int, ...],
    set[int],
    frozenset[str],
    Literal["a", 1, True],
    Inner,
    Record,
    list[Inner],
    dict[str, list[Record]],
    Annotated[int, Field(ge=0, le=9)],
    Annotated[str, Field(min_length=1, max_length=3)],
    Annotated[list[int], Field(max_length=2)],
    Annotated[float, Field(gt=0.5)],
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(allow_nan=False, width=16),
    st.sampled_from(["", "a", "5", "true", "1.5", "abcd", "x"]),
    st.binary(max_size=2),
    st.builds(Inner, score=st.integers(0, 3)),
    st.builds(Inner.model_construct, score=st.just("bad")),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["score", "label", "a"]), inner, max_size=2),
        st.tuples(inner, inner),
        st.frozensets(st.integers(0, 3), max_size=2),
        st.sets(st.integers(0, 3), max_size=2),
    ),
    max_leaves=4,
)
SETTINGS = settings(max_examples=25, deadline=None, derandomize=True)
EVERY = st.tuples(st.integers(0, len(ANNOTATIONS) - 1), VALUES)

_now: list[Any] = [None]


def node(state: Any) -> Any:
    """Return the value that is being tried."""
    return {"key": _now[0]}


def app_of(schema: Any, spec: NodeGuard | None = None) -> Any:
    """Return a guarded graph of one node over a state."""
    builder = StateGraph(schema)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    return guard(builder, {"write": spec} if spec else None).compile()


def outcome(app: Any, value: Any) -> Any:
    """Return what the graph ships for a value, or the violation."""
    _now[0] = value
    try:
        return app.invoke({})["key"]
    except ContractViolation as error:
        return error


def verdict(adapter: TypeAdapter[Any], value: Any, *, strict: bool) -> Any:
    """Return what pydantic makes of a value, or its error."""
    try:
        return adapter.validate_python(value, strict=strict)
    except ValidationError as error:
        return error


def holds_bool(value: Any) -> bool:
    """Tell whether a bool is in it, where strict pydantic and Python's own types differ."""
    if isinstance(value, bool):
        return True
    if isinstance(value, dict):
        return any(map(holds_bool, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(holds_bool, value))


TYPED_DICTS = [
    app_of(TypedDict("State", {"key": each}, total=False))  # type: ignore[operator]
    for each in ANNOTATIONS
]
STRICT = [TypeAdapter(each) for each in ANNOTATIONS]


@SETTINGS
@given(st.lists(EVERY, min_size=20, max_size=20))
def test_an_inferred_contract_is_strict_pydantic(examples: list[tuple[int, Any]]) -> None:
    """What strict pydantic takes passes untouched, and else only what type checkers take."""
    for position, value in examples:
        expected = verdict(STRICT[position], value, strict=True)
        shipped = outcome(TYPED_DICTS[position], value)
        if not isinstance(expected, ValidationError):
            assert shipped is value or shipped == value, (ANNOTATIONS[position], value)
            assert type(shipped) is type(value)
        elif not holds_bool(value):
            assert isinstance(shipped, ContractViolation), (ANNOTATIONS[position], value)


MODELS = [
    app_of(create_model("State", key=(each, Field(default=None, validate_default=False))))
    for each in ANNOTATIONS
]


@SETTINGS
@given(st.lists(EVERY, min_size=20, max_size=20))
def test_an_inferred_contract_of_a_pydantic_state_is_that_pydantic(
    examples: list[tuple[int, Any]],
) -> None:
    """For a pydantic state, what its own reading would refuse is refused at the producer."""
    for position, value in examples:
        expected = verdict(STRICT[position], value, strict=False)
        shipped = outcome(MODELS[position], value)
        refused = isinstance(shipped, ContractViolation)
        assert refused == isinstance(expected, ValidationError), (ANNOTATIONS[position], value)
        if not refused:
            assert type(shipped) is type(value)


class Anything(TypedDict, total=False):
    """A state that takes anything."""

    key: Any


DECLARED = [
    [
        app_of(Anything, NodeGuard(Contract(returns=declared)))
        for declared in (
            {"key": each},
            create_model("Declared", key=(each, ...)),
            TypedDict("Declared", {"key": each}),  # type: ignore[operator]
        )
    ]
    for each in ANNOTATIONS
]


@SETTINGS
@given(st.lists(EVERY, min_size=20, max_size=20))
def test_a_declared_contract_is_pydantic_and_ships_what_it_parsed(
    examples: list[tuple[int, Any]],
) -> None:
    """In every notation: what pydantic takes ships as pydantic parsed it, and nothing else does."""
    for position, value in examples:
        expected = verdict(STRICT[position], value, strict=False)
        for app in DECLARED[position]:
            shipped = outcome(app, value)
            if isinstance(expected, ValidationError):
                assert isinstance(shipped, ContractViolation), (ANNOTATIONS[position], value)
            else:
                assert shipped == expected, (ANNOTATIONS[position], value)
                assert type(shipped) is type(expected)


class Forbidding(BaseModel):
    """A model with rules of its own."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    key: Annotated[str, Field(min_length=1)]


FORBIDDING = app_of(Anything, NodeGuard(Contract(returns=Forbidding)))


@SETTINGS
@given(st.text(max_size=4))
def test_a_models_configuration_holds(text: str) -> None:
    """What a model's configuration makes of a value is what ships or is refused."""
    shipped = outcome(FORBIDDING, text)
    if text.strip():
        assert shipped == Forbidding(key=text).key
    else:
        assert isinstance(shipped, ContractViolation)
