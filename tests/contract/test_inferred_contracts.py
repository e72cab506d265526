"""Inferred contracts: without a declaration, the state's own annotations are checked."""

import asyncio
import dataclasses
import operator
import typing
from collections import deque
from typing import Annotated, Any, Literal, NotRequired, Optional

import pytest
import typing_extensions
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.channels import LastValue, Topic, UntrackedValue
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.managed import RemainingSteps
from langgraph.types import Command, Overwrite
from pydantic import BaseModel, Field, field_validator, model_validator

from coordgate import Contract, ContractViolation, NodeGuard, guard
from coordgate.testing import scripted

both = pytest.mark.parametrize("how", ["sync", "async"])


def app_of(schema: Any, *updates: Any, **settings: Any) -> Any:
    """Return a guarded graph whose one node returns the updates."""
    builder = StateGraph(schema)
    builder.add_node("write", scripted(*updates), **settings)
    builder.add_edge(START, "write")
    return guard(builder).compile()


def run(app: Any, how: str = "sync", given: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))


def violations(schema: Any, update: Any, how: str = "sync", given: Any = None) -> dict[str, str]:
    """Return what an update breaks: keys to rules."""
    with pytest.raises(ContractViolation) as caught:
        run(app_of(schema, update), how, given)
    return {v.key: v.rule for v in caught.value.violations}


class Dict(typing.TypedDict, total=False):
    """A state as typing's TypedDict."""

    name: str
    count: int
    share: float
    tags: list[str]
    kind: Literal["a", "b"]
    maybe: Optional[int]  # noqa: UP045 - the old notation is meant
    short: Annotated[str, Field(max_length=3)]


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


# Reducers


class Added(typing.TypedDict, total=False):
    """A state with reducers."""

    items: Annotated[list[str], operator.add]
    total: Annotated[int, operator.add]


@both
def test_a_reduced_key_takes_what_its_reducer_takes(how: str) -> None:
    """With operator.add each update is itself of the annotated type."""
    assert run(app_of(Added, {"items": ["b"], "total": 2}), how, {"items": ["a"], "total": 1}) == {
        "items": ["a", "b"],
        "total": 3,
    }
    assert list(violations(Added, {"items": "b"}, how)) == ["items"]
    assert list(violations(Added, {"items": [3]}, how)) == ["items.0"]
    assert list(violations(Added, {"total": "3"}, how)) == ["total"]


@both
def test_overwrite_of_a_reduced_key_is_checked_and_replaces(how: str) -> None:
    """`Overwrite` bypasses the reducer, not the contract."""
    given = {"items": ["a"]}
    assert run(app_of(Added, {"items": Overwrite(["b"])}), how, given)["items"] == ["b"]
    assert list(violations(Added, {"items": Overwrite([3])}, how, given)) == ["items.0"]


@both
@pytest.mark.parametrize("value", [Overwrite("x"), {"__overwrite__": "x"}, Overwrite(3)])
def test_overwrite_of_a_key_without_a_reducer_is_a_violation(value: Any, how: str) -> None:
    """LangGraph opens `Overwrite` for reducers only: elsewhere the wrapper would be written."""
    assert list(violations(Dict, {"name": value}, how)) == ["name"]


def test_the_same_key_twice_in_pairs_is_checked_twice() -> None:
    """Of two writes to one reduced key, the first is checked, too."""
    good = Command(update=[("items", ["b"]), ("items", ["c"])])
    assert run(app_of(Added, good), given={"items": ["a"]})["items"] == ["a", "b", "c"]
    bad = Command(update=[("items", [3]), ("items", ["c"])])
    assert list(violations(Added, bad)) == ["items.0"]


class Chat(typing.TypedDict):
    """A conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


MESSAGES: list[Any] = [
    AIMessage("hi", id="1"),
    [AIMessage("hi", id="1"), HumanMessage("ho", id="2")],
    ("user", "hi"),
    [("user", "hi"), ("ai", "ho")],
    "hi",
    ["hi", "ho"],
    {"role": "user", "content": "hi"},
    [{"role": "assistant", "content": "hi"}, ("user", "x"), "y", AIMessage("z")],
    {"type": "human", "content": "hi"},
    [{"role": "assistant", "content": [{"type": "text", "text": "hi"}]}],
    AIMessage("", tool_calls=[{"name": "t", "args": {}, "id": "c"}]),
    RemoveMessage(id="0"),
    [RemoveMessage(id=REMOVE_ALL_MESSAGES)],
    [RemoveMessage(id="0"), AIMessage("new", id="1")],
    [],
]
NOT_MESSAGES: list[Any] = [
    3,
    None,
    [3],
    [None],
    {"text": "hi"},
    [{"no": "role"}],
    [[1, 2]],
    object(),
]


@both
@pytest.mark.parametrize("schema", [Chat, MessagesState])
@pytest.mark.parametrize("update", MESSAGES)
def test_messages_are_taken_in_every_notation(schema: Any, update: Any, how: str) -> None:
    """Whatever `add_messages` takes is taken, and means the same."""
    given = {"messages": [HumanMessage("before", id="0")]}

    def texts(app: Any) -> list[Any]:
        return [(m.type, m.content) for m in run(app, how, given)["messages"]]

    bare = StateGraph(schema)
    bare.add_node("write", scripted({"messages": update}))
    bare.add_edge(START, "write")
    assert texts(app_of(schema, {"messages": update})) == texts(bare.compile())


@both
@pytest.mark.parametrize("update", NOT_MESSAGES)
def test_what_is_no_message_is_a_violation(update: Any, how: str) -> None:
    """What `add_messages` would choke on is refused, with the notations that it takes."""
    found = violations(Chat, {"messages": update}, how)
    assert list(found) == ["messages"]
    assert "is not a message" in found["messages"]


def test_what_is_no_message_breaks_bare_langgraph() -> None:
    """The violations above are no pedantry: LangGraph itself raises on each of them."""
    for update in NOT_MESSAGES:
        bare = StateGraph(Chat)
        bare.add_node("write", scripted({"messages": update}))
        bare.add_edge(START, "write")
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it raises
            run(bare.compile(), given={"messages": [HumanMessage("x")]})


def longest(old: list[str], new: str | None) -> list[str]:
    """Reduce by adding a text, if there is one."""
    return [*old, new] if new else old


def mystery(old, new):  # type: ignore[no-untyped-def]
    """Reduce without saying what is taken."""
    return old + list(new)


def untyped_second(old: list[str], new) -> list[str]:  # type: ignore[no-untyped-def]
    """Reduce, saying only half."""
    return old + list(new)


class Custom(typing.TypedDict, total=False):
    """A state with reducers of its own."""

    said: Annotated[list[str], longest]
    odd: Annotated[list[str], mystery]
    half: Annotated[list[str], untyped_second]
    by_lambda: Annotated[list[str], lambda old, new: old + new]


@both
def test_a_reducer_that_says_what_it_takes_is_believed(how: str) -> None:
    """A reducer's annotation of its second parameter is the contract of its key."""
    assert run(app_of(Custom, {"said": "x"}), how, {"said": "y"})["said"] == ["y", "x"]
    assert run(app_of(Custom, {"said": None}), how, {"said": "y"})["said"] == ["y"]
    assert list(violations(Custom, {"said": 3}, how)) == ["said"]
    assert list(violations(Custom, {"said": ["x"]}, how)) == ["said"]


@both
def test_a_reducer_that_does_not_say_is_named_and_takes_anything(how: str) -> None:
    """What cannot be checked is named, once, and not guessed."""
    app = app_of(Custom, {"odd": ("x",), "half": {"y"}, "by_lambda": ["z"]})
    assert run(app, how) == {"said": [], "odd": ["x"], "half": ["y"], "by_lambda": ["z"]}
    unchecked = app.coordgate.unchecked
    assert [entry.partition(":")[0] for entry in unchecked] == ["by_lambda", "half", "odd"]
    assert "'mystery'" in unchecked[2]
    assert "does not annotate its second parameter" in unchecked[1]


# States of other kinds


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
