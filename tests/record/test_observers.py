"""Observers: told of runs, attempts and slow gates where their code runs, and of the records."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import time
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from coordgate import (
    ConfigurationError,
    Contract,
    ContractViolation,
    Degrade,
    Gate,
    NodeGuard,
    Policy,
    Retry,
    gate,
    guard,
)
from coordgate.observers import Seen
from coordgate.testing import Recordings
from coordgate.tracer import Tracer
from coordgate.values import ValueText

HERE: contextvars.ContextVar[str] = contextvars.ContextVar("here", default="outside")


class State(TypedDict, total=False):
    """The state of the graphs here."""

    text: str


class Watching:
    """An observer that notes what it is told, and sets a context variable."""

    def __init__(self) -> None:
        """Begin with nothing noted."""
        self.told: list[str] = []
        self.recorded_as: list[str] = []
        self._before: dict[Seen, list[str]] = {}

    def enter(self, seen: Seen) -> None:
        """Note it, and say in the context what runs."""
        self.told.append(f"+{path(seen)}")
        self._before.setdefault(seen, []).append(HERE.get())
        HERE.set(path(seen))

    def leave(self, seen: Seen) -> None:
        """Note it, and say what ran before."""
        self.told.append(f"-{path(seen)}")
        HERE.set(self._before[seen].pop())

    def recorded(self, seen: Seen, text: ValueText) -> None:
        """Note what the record says."""
        record: Any = seen.record
        parts: list[Any] = [part.record for part in seen.parts]
        outcomes = "".join(f" {part.rung}:{part.outcome}" for part in parts)
        self.recorded_as.append(f"{path(seen)} {record.status}{outcomes}")


def path(seen: Seen) -> str:
    """Return what something is, within what it is a part of."""
    own = f"{seen.kind[0]}.{seen.number or seen.name}"
    return own if seen.above is None else f"{path(seen.above)}/{own}"


def watched(nodes: dict[str, Any], guards: dict[str, Any] | None = None, **more: Any) -> Any:
    """Return a graph of nodes in a row, and what watches it."""
    watching = Watching()
    tracer = Tracer(Recordings(), observers=[watching])
    builder = StateGraph(State)
    for name, node in nodes.items():
        builder.add_node(name, node)
    for before, after in itertools.pairwise((START, *nodes)):
        builder.add_edge(before, after)
    return guard(builder, guards, tracer=tracer).compile(name="G", **more), watching, tracer


def says_where(state: State) -> State:
    """Write where it runs."""
    return {"text": HERE.get()}


async def says_where_later(state: State) -> State:
    """Write where it runs, awaited."""
    return {"text": HERE.get()}


def test_a_run_and_its_attempts_are_entered_and_left_around_their_code():
    """The node sees what the observer set for its attempt; after the run nothing is left of it."""
    app, watching, tracer = watched({"a": says_where})
    assert app.invoke({})["text"] == "r.G/n.a/a.1"
    assert HERE.get() == "outside"
    tracer.flush()
    assert watching.told == ["+r.G", "+r.G/n.a/a.1", "-r.G/n.a/a.1", "-r.G"]
    assert watching.recorded_as == ["r.G/n.a accepted first:accepted", "r.G completed"]


def test_the_same_holds_for_a_run_that_is_awaited():
    """An async node sees what the observer set for its attempt."""
    app, watching, _ = watched({"a": says_where_later})
    assert asyncio.run(app.ainvoke({}))["text"] == "r.G/n.a/a.1"
    assert watching.told == ["+r.G", "+r.G/n.a/a.1", "-r.G/n.a/a.1", "-r.G"]


def test_all_attempts_at_a_task_are_parts_of_one_node():
    """A retry and a stated answer are attempts 2 and 3 of the node that the first is part of."""
    long: Gate = gate(lambda output: len(output["text"]) > 99, name="long")
    policy = Policy(Retry(1), Degrade({"text": "none"}))
    app, watching, tracer = watched(
        {"a": says_where}, {"a": NodeGuard(gates=[long], policy=policy)}
    )
    app.invoke({})
    tracer.flush()
    assert [each for each in watching.told if "/a." in each] == [
        f"{sign}r.G/n.a/a.{number}" for number in (1, 2, 3) for sign in "+-"
    ]
    assert watching.recorded_as[0] == (
        "r.G/n.a degraded first:rejected retry:rejected degrade:accepted"
    )


def test_nodes_of_a_subgraph_are_parts_of_the_attempt_around_them():
    """An inner node is seen within the outer attempt, also where the graph is called."""
    inner, _, _ = watched({"b": says_where})
    app, watching, _ = watched({"a": inner})
    app.invoke({})
    assert "+r.G/n.a/a.1/n.b/a.1" in watching.told
    assert "+r.G" in watching.told
    assert sum(each == "+r.G" for each in watching.told) == 1


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_gate_that_waits_is_seen_where_it_is_asked(how: str):
    """A slow gate is entered in its own context; quick ones are in the record alone."""
    places: list[str] = []

    def ask(output: Any) -> bool:
        places.append(HERE.get())
        return True

    guards = NodeGuard(gates=[gate(ask, name="slow", slow=True), gate(ask, name="quick")])
    node = says_where if how == "sync" else says_where_later
    app, watching, _ = watched({"a": node}, {"a": guards})
    app.invoke({}) if how == "sync" else asyncio.run(app.ainvoke({}))
    assert places == ["r.G/n.a/a.1", "r.G/n.a/a.1/g.slow"]
    assert watching.told[2:4] == ["+r.G/n.a/a.1/g.slow", "-r.G/n.a/a.1/g.slow"]


def test_a_streamed_run_is_left_while_its_caller_works():
    """Between two chunks the caller's context is its own."""
    app, watching, tracer = watched({"a": says_where, "b": says_where})
    places = [HERE.get() for _ in app.stream({})]
    assert places == ["outside", "outside"]
    assert watching.told.count("+r.G") == 3  # two chunks, and the end
    tracer.flush()
    assert watching.recorded_as[-1] == "r.G completed"


def test_an_attempt_that_fails_by_what_it_is_handed_is_seen():
    """Its body never runs, and it is entered and left all the same."""
    accepts = NodeGuard(contract=Contract(accepts={"text": int}))
    app, watching, tracer = watched({"a": says_where}, {"a": accepts})
    with pytest.raises(ContractViolation):
        app.invoke({"text": "three"})
    tracer.flush()
    assert watching.told == ["+r.G", "+r.G/n.a/a.1", "-r.G/n.a/a.1", "-r.G"]
    assert watching.recorded_as == ["r.G/n.a failed first:violated", "r.G failed"]


def test_an_interrupt_ends_the_run_and_its_answer_is_another_one():
    """The resumed task is seen as a node of the second run."""

    def asks(state: State) -> State:
        return {"text": interrupt("?")}

    app, watching, tracer = watched({"a": asks}, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    app.invoke({}, config)
    app.invoke(Command(resume="yes"), config)
    tracer.flush()
    assert watching.recorded_as == [
        "r.G/n.a interrupted first:interrupted",
        "r.G interrupted",
        "r.G/n.a accepted first:accepted",
        "r.G completed",
    ]


def test_an_observer_that_raises_fails_no_node_and_is_said_once(caplog: pytest.LogCaptureFixture):
    """The run goes on, other observers are told, and each failure is counted."""

    class Broken:
        def enter(self, seen: Seen) -> None:
            raise OSError("no room")

        def leave(self, seen: Seen) -> None:
            raise OSError("no room")

        def recorded(self, seen: Seen, text: ValueText) -> None:
            raise OSError("no room")

    watching = Watching()
    tracer = Tracer(Recordings(), observers=[Broken(), watching])
    builder = StateGraph(State).add_node("a", says_where).add_edge(START, "a")
    with caplog.at_level(logging.WARNING, "coordgate"):
        assert guard(builder, tracer=tracer).compile().invoke({})["text"].endswith("n.a/a.1")
        tracer.flush()
    assert tracer.observers.errors == 6
    (said,) = caplog.records
    assert "no room" in said.getMessage()
    assert len(watching.recorded_as) == 2


def test_an_observer_may_change_the_config_of_the_body():
    """What it puts in the attempt's config reaches the node, with all that was there before."""

    class Marking(Watching):
        def enter(self, seen: Seen) -> None:
            super().enter(seen)
            if seen.config is not None:
                metadata = {**seen.config["metadata"], "mark": "here"}
                seen.config = {**seen.config, "metadata": metadata}

    def marked(state: State, config: Any) -> State:
        return {"text": f"{config['metadata']['mark']} {config['metadata']['langgraph_node']}"}

    marked.__annotations__["config"] = "RunnableConfig"
    tracer = Tracer(Recordings(), observers=[Marking()])
    builder = StateGraph(State).add_node("a", marked).add_edge(START, "a")
    assert guard(builder, tracer=tracer).compile().invoke({})["text"] == "here a"


def test_what_an_observer_is_told_it_can_place():
    """An attempt says its number, rung, guard, config and input; the run its input and output."""
    kept: list[Seen] = []

    class Keeping(Watching):
        def enter(self, seen: Seen) -> None:
            super().enter(seen)
            kept.append(seen)

    before = time.time()
    tracer, policy = Tracer(Recordings(), observers=[Keeping()]), Policy(Retry(1))
    builder = StateGraph(State).add_node("a", says_where).add_edge(START, "a")
    guards = {"a": NodeGuard(policy=policy)}
    guard(builder, guards, tracer=tracer).compile().invoke({"text": "x"})
    tracer.flush()
    run, attempt = kept
    assert (run.input, run.output) == ({"text": "x"}, {"text": "r.LangGraph/n.a/a.1"})
    assert (attempt.number, attempt.rung, attempt.input) == (1, "first", {"text": "x"})
    assert attempt.namespace.startswith("a:")
    assert attempt.config["metadata"]["langgraph_node"] == "a"
    assert attempt.guard.policy is policy
    assert before <= run.started <= attempt.started <= time.time()
    assert attempt.run == run.run == run.record.id  # type: ignore[union-attr]


def test_a_sink_that_is_an_observer_is_told_too():
    """`guard(graph, tracer=exporter)` is enough for one that is both."""

    class Both(Watching, Recordings):
        def __init__(self) -> None:
            Watching.__init__(self)
            Recordings.__init__(self)

    both = Both()
    builder = StateGraph(State).add_node("a", says_where).add_edge(START, "a")
    app = guard(builder, tracer=both).compile()
    app.invoke({})
    app.coordgate.tracer.flush()
    assert len(both.recorded_as) == 2
    assert len(both.records) == 3


def test_what_is_no_observer_is_refused():
    """The error names what is missing."""
    with pytest.raises(ConfigurationError, match="methods enter, leave and recorded"):
        Tracer(Recordings(), observers=[object()])  # type: ignore[list-item]
