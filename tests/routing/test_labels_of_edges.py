"""Conditional edges with a map: a label that is not in it is a violation of the node, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from coordgate import ContractViolation, Degrade, NodeGuard, Policy, Retry, guard
from coordgate.testing import RecordingTracer

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


class State(TypedDict, total=False):
    """What the nodes share."""

    text: str
    went: str


def literal(state: State) -> Literal["answer", "__end__"]:
    """Go where the text says, which the annotation does not."""
    return state["text"]  # type: ignore[return-value]


async def awaited(state: State) -> str:
    """Go where the text says."""
    return state["text"]


EDGES: dict[str, tuple[Callable[..., Any], Any]] = {
    "a dict": (lambda state: state["text"], {"answer": "answer", "end": END}),
    "a list": (lambda state: state["text"], ["answer", END]),
    "an annotation": (literal, None),
    "one of several": (lambda state: ["answer", state["text"]], ["answer", END]),
}


def graph(path: Any, ends: Any, *texts: str) -> Any:
    """Return a graph whose node `read` says these texts, one each time, and goes by them."""
    said = iter(texts)

    def read(state: State, feedback: Any = None) -> State:
        return {"text": next(said)}

    builder = StateGraph(State).add_node("read", read).add_edge(START, "read")
    builder.add_node("answer", lambda state: {"went": "answer"})
    return builder.add_conditional_edges("read", path, ends)


def run(app: Any, asynchronous: bool, *given: Any) -> Any:
    """Run a graph, sync or async."""
    given = given or ({},)
    return asyncio.run(app.ainvoke(*given)) if asynchronous else app.invoke(*given)


@BOTH
@pytest.mark.parametrize("edge", EDGES)
def test_a_label_that_is_not_in_the_map_is_a_violation(edge: str, asynchronous: bool) -> None:
    """Bare it is a KeyError that names nobody; guarded, the node and the labels there are."""
    path, ends = EDGES[edge]
    with pytest.raises(KeyError, match="anwser"):
        run(graph(path, ends, "anwser").compile(), asynchronous)
    tracer = RecordingTracer()
    with pytest.raises(
        ContractViolation, match=r"no such label; did you mean 'answer'\?"
    ) as caught:
        run(guard(graph(path, ends, "anwser"), tracer=tracer).compile(), asynchronous)
    assert (caught.value.node, caught.value.direction) == ("read", "route")
    (attempt,) = tracer.attempts("read")
    assert attempt.outcome == "violated"
    assert attempt.reasons[0].endswith("(got 'anwser')")


def test_an_async_path_is_looked_at_too() -> None:
    """A path that is awaited is one edge like any other."""
    app = guard(graph(awaited, ["answer", END], "anwser")).compile()
    with pytest.raises(ContractViolation, match="no such label"):
        run(app, True)


@BOTH
@pytest.mark.parametrize("edge", EDGES)
def test_a_retry_that_names_another_label_goes_there(edge: str, asynchronous: bool) -> None:
    """The ladder is climbed as for any violation, and what was written before is taken back."""
    path, ends = EDGES[edge]
    tracer = RecordingTracer()
    again = {"read": NodeGuard(policy=Policy(Retry(1)))}
    app = guard(graph(path, ends, "anwser", "answer"), again, tracer=tracer).compile()
    assert run(app, asynchronous) == {"text": "answer", "went": "answer"}
    assert [each.outcome for each in tracer.attempts("read")] == ["violated", "accepted"]


def broken(state: State) -> str:
    """Raise where the text is not known."""
    return {"answer": "answer"}[state["text"]]


@BOTH
@pytest.mark.parametrize(
    ("path", "ends"),
    [*EDGES.values(), (lambda state: state["text"], None), (broken, None)],
    ids=[*EDGES, "no map", "an error of the path"],
)
def test_nothing_of_it_is_kept(path: Any, ends: Any, asynchronous: bool) -> None:
    """Bare, the write is kept, and a resume takes the node for done; guarded it runs again."""
    # The node has written when its edges are asked, and LangGraph saves that with the error.
    thread: Any = {"configurable": {"thread_id": "1"}}
    bare = graph(path, ends or ["answer", END], "anwser").compile(checkpointer=InMemorySaver())
    with pytest.raises(KeyError):
        run(bare, asynchronous, {"went": "nowhere"}, thread)
    assert bare.get_state(thread).values == {"text": "anwser", "went": "nowhere"}
    assert bare.get_state(thread).next == ()

    builder = graph(path, ends, "anwser", "answer")
    app = guard(builder).compile(checkpointer=InMemorySaver())
    with pytest.raises((ContractViolation, KeyError)):
        run(app, asynchronous, {"went": "nowhere"}, thread)
    assert app.get_state(thread).values == {"went": "nowhere"}
    assert app.get_state(thread).next == ("read",)
    assert run(app, asynchronous, None, thread) == {"text": "answer", "went": "answer"}


def test_what_is_stated_goes_by_its_own_text() -> None:
    """A stated answer is routed by the same edge, and held to the same map."""
    stated = {"read": NodeGuard(policy=Policy(Degrade({"text": "answer"})))}
    app = guard(graph(*EDGES["a dict"], "anwser"), stated).compile()
    assert app.invoke({})["went"] == "answer"
    lost = {"read": NodeGuard(policy=Policy(Degrade({"text": "nowhere"})))}
    with pytest.raises(ContractViolation, match="'nowhere'"):
        guard(graph(*EDGES["a dict"], "anwser"), lost).compile().invoke({})


def test_observing_changes_nothing() -> None:
    """The error is LangGraph's own, and the record has it."""
    tracer = RecordingTracer()
    app = guard(graph(*EDGES["a dict"], "anwser"), mode="observe", tracer=tracer).compile()
    with pytest.raises(KeyError, match="anwser"):
        app.invoke({})
    assert tracer.attempts("read")[0].error == "KeyError: 'anwser'"


def test_a_send_and_an_error_of_the_paths_own_are_left_alone() -> None:
    """A Send names a node and no label; a KeyError that the path itself raises is its own."""

    def sends(state: State) -> Any:
        return [Send("answer", state)]

    assert guard(graph(sends, ["answer"], "x")).compile().invoke({})["went"] == "answer"

    with pytest.raises(KeyError, match="unknown"):
        guard(graph(broken, ["answer"], "unknown")).compile().invoke({})
