"""Keys with reducers: what may be written to them is what the reducer takes."""

import operator
import typing
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages
from langgraph.types import Command, Overwrite
from written_states import Dict, app_of, both, run, violations

from coordgate.testing import scripted


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
