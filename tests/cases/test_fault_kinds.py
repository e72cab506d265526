"""Faults: what each kind of them does with what a node hands over."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
from faulty import RIGHT, State, adraft, chance, draft, graph, publish, run
from langchain_core.messages import AIMessage
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from coordgate import (
    ConfigurationError,
)
from coordgate.testing.faults import (
    Delay,
    DropKey,
    Empty,
    Malformed,
    Raises,
    StaleContext,
    WrongValue,
    with_faults,
)


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (Malformed(1, "draft"), {**RIGHT, "draft": {"malformed": ["'all about owls'"]}}),
        (Malformed(1, "count"), {**RIGHT, "count": {"malformed": ["3"]}}),
        (WrongValue(1, "lies", "draft"), {**RIGHT, "draft": "lies"}),
        (WrongValue(1, str.upper, "draft"), {**RIGHT, "draft": "ALL ABOUT OWLS"}),
        (DropKey(1, "draft"), {"topic": "owls", "count": 3}),
        (DropKey(1, "not returned"), RIGHT),
        (Empty(1), {"topic": "owls", "draft": "", "count": None}),
        (Empty(1, "draft"), {**RIGHT, "draft": ""}),
        (Malformed(0, "draft"), RIGHT),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_fault_does_what_it_says(fault: Any, result: Any, asynchronous: bool) -> None:
    """A fault at rate 1 always strikes, at rate 0 never, in sync and async nodes alike."""
    builder = graph(draft)
    if asynchronous:
        builder = StateGraph(State)
        builder.add_node("draft", adraft)
        builder.add_edge(START, "draft")
    app = with_faults(builder, {"draft": [fault]}, seed=1).compile()
    assert run(app, asynchronous=asynchronous) == result


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_exception_comes_in_the_bodys_place(asynchronous: bool) -> None:
    """`Raises` raises what it is told to, and the body has not run."""
    ran: list[Any] = []

    def body(state: State) -> State:
        ran.append(state)
        return {}

    app = with_faults(graph(body).compile(), {"body": [Raises(1, TimeoutError)]}, seed=1)
    with pytest.raises(TimeoutError, match="injected into node 'body'"):
        run(app, asynchronous=asynchronous)
    assert ran == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_delay_is_waited_for(asynchronous: bool) -> None:
    """`Delay` makes the node take so much longer."""
    app = with_faults(graph(draft).compile(), {"draft": [Delay(1, 0.03)]}, seed=1)
    began = time.perf_counter()
    assert run(app, asynchronous=asynchronous) == RIGHT
    assert time.perf_counter() - began >= 0.03


def test_a_stale_context_is_that_of_the_step_before() -> None:
    """The node is handed what the step before it was handed; the first of a run has none."""
    faulty = with_faults(graph(draft, publish), {"publish": [StaleContext(1)]}, seed=1).compile()
    assert run(faulty)["topic"] == "nothing"
    one = with_faults(graph(draft, publish), {"publish": [StaleContext(1, ["count"])]}, seed=1)
    assert run(one.compile())["topic"] == "all about owls"
    first = with_faults(graph(draft, publish), {"draft": [StaleContext(1)]}, seed=1).compile()
    assert run(first)["draft"] == "all about owls"


@pytest.mark.parametrize(
    "value", [True, 7, 0.5, "a b c", "word", "", [1, 2], {"a": 1}, AIMessage("a b")]
)
def test_a_wrong_value_is_another_of_the_same_type(value: Any) -> None:
    """Without being told what would be wrong, a value of the same type is made up."""
    for seed in range(50):
        wrong = WrongValue(1).spoil({"key": value}, chance(seed))["key"]
        assert type(wrong) is type(value)
        assert wrong != value


def test_no_wrong_value_is_made_up_of_what_is_unknown() -> None:
    """The error says to give one."""
    with pytest.raises(ConfigurationError, match="no wrong object can be made up; give one"):
        WrongValue(1).spoil({"key": object()}, chance(1))


class Model(BaseModel):
    """An output as a model."""

    draft: str


@dataclass
class Record:
    """An output as a dataclass."""

    draft: str


@pytest.mark.parametrize(
    ("output", "spoiled"),
    [
        (Model(draft="x"), {"draft": "lies"}),
        (Record("x"), {"draft": "lies"}),
        (Command(goto="a", update={"draft": "x"}), Command(goto="a", update={"draft": "lies"})),
        ([Command(update={"draft": "x"})], [Command(update={"draft": "lies"})]),
        (None, None),
        ({}, {}),
    ],
)
def test_every_form_of_an_update_can_go_wrong(output: Any, spoiled: Any) -> None:
    """A model, a dataclass, a Command and a list of them are spoiled as a dict is."""
    assert WrongValue(1, "lies", "draft").spoil(output, chance(1)) == spoiled


def test_an_entrypoint_can_go_wrong() -> None:
    """What an `@entrypoint` returns is one value, and is spoiled as one."""

    @entrypoint()
    def flow(topic: str) -> str:
        return f"about {topic}"

    faulty = with_faults(flow, {"flow": [WrongValue(1, "lies")]}, seed=1)
    assert faulty.invoke("owls") == "lies"
    assert flow.invoke("owls") == "about owls"
