"""Routers in graphs: as a node and as an edge, recorded; and gotos that must be kept to."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from coordgate import (
    ContractViolation,
    Degrade,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
    router,
)
from coordgate.gates import by_model, by_rules
from coordgate.routers import Router
from coordgate.testing import RecordingTracer, ScriptedModel


class State(TypedDict, total=False):
    """What the nodes share."""

    text: str
    went: str


def pay_back(state: State) -> State:
    """Be one target."""
    return {"went": "pay_back"}


def answer(state: State) -> State:
    """Be another."""
    return {"went": "answer"}


def human(state: State) -> State:
    """Be the default."""
    return {"went": "human"}


def score(state: State) -> tuple[str, float]:
    """Classify by the length of the text."""
    return "refund" if "money" in state["text"] else "question", len(state["text"]) / 20


async def ascore(state: State) -> tuple[str, float]:
    """Do the same, async."""
    return score(state)


def made(*, asynchronous: bool = False) -> Router:
    """Return a router with a floor."""
    return router(
        {"refund": "pay_back", "question": "answer"},
        classify=ascore if asynchronous else score,
        at_least=0.5,
        default="human",
    )


def read(state: State) -> State:
    """Hand the text on."""
    return {"text": state["text"]}


def with_node(route: Router) -> Any:
    """Return a builder whose router is a node."""
    builder = StateGraph(State).add_node("route", route.node).add_edge(START, "route")
    return builder.add_node(pay_back).add_node(answer).add_node(human)


def with_edge(route: Router) -> Any:
    """Return a builder whose router is a conditional edge of a node."""
    builder = StateGraph(State).add_node(read).add_edge(START, "read")
    builder.add_conditional_edges("read", route.edge)
    return builder.add_node(pay_back).add_node(answer).add_node(human)


WAYS = [("give my money back", "pay_back"), ("when does it open?", "answer"), ("money", "human")]


@pytest.mark.parametrize("build", [with_node, with_edge])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("guarded", [False, True])
def test_a_router_is_a_node_or_an_edge(build: Any, asynchronous: bool, guarded: bool) -> None:
    """The work goes where the classifier says, in a bare graph as in a guarded one."""
    builder = build(made(asynchronous=asynchronous))
    app = (guard(builder) if guarded else builder).compile()
    for text, went in WAYS:
        result = asyncio.run(app.ainvoke({"text": text}))
        assert result["went"] == went
        if not asynchronous:
            assert app.invoke({"text": text})["went"] == went


@pytest.mark.parametrize("build", [with_node, with_edge])
def test_its_targets_are_drawn_and_checked_when_the_graph_is_compiled(build: Any) -> None:
    """LangGraph draws an edge to each target, and refuses one that does not exist."""
    drawn = build(made()).compile().get_graph()
    assert {"pay_back", "answer", "human"} <= {edge.target for edge in drawn.edges}
    wrong = router({"refund": "pay_bakc"}, classify=score, default="human")
    with pytest.raises(ValueError, match="pay_bakc"):
        build(wrong).compile()


@pytest.mark.parametrize(("build", "node"), [(with_node, "route"), (with_edge, "read")])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_decision_is_recorded_with_its_score(
    build: Any, node: str, asynchronous: bool
) -> None:
    """The verdict stands on the attempt that decided, with where control went."""
    tracer = RecordingTracer()
    app = guard(build(made(asynchronous=asynchronous)), tracer=tracer).compile()
    for text, _ in WAYS:
        asyncio.run(app.ainvoke({"text": text}))
    routed = [each for each in tracer.transitions if each.node == node]
    verdicts = [each.attempts[0].verdicts[-1] for each in routed]
    assert [each.goto for each in routed] == [("pay_back",), ("answer",), ("human",)]
    assert [each.status for each in routed] == ["accepted"] * 3
    assert [(v.gate, v.passed, v.score) for v in verdicts] == [
        ("route", True, 0.9),
        ("route", True, 0.9),
        ("route", False, 0.25),
    ]
    assert verdicts[2].reason == "'refund' has 0.25, at least 0.5 is required; refund 0.25"


def test_a_routers_verdict_stands_beside_those_of_gates() -> None:
    """A gate on the same node is asked and recorded as ever, and a retry decides anew."""
    tracer = RecordingTracer()
    answers = iter([False, True])
    passes_second = gate(name="second")(lambda output: next(answers))
    declared = NodeGuard(gates=[passes_second], policy=Policy(Retry(1)))
    app = guard(with_node(made()), {"route": declared}, tracer=tracer).compile()
    assert app.invoke({"text": "give my money back"})["went"] == "pay_back"
    routed = tracer.transitions[0]
    assert [[v.gate for v in each.verdicts] for each in routed.attempts] == [
        ["route", "second"],
        ["route", "second"],
    ]
    assert [each.outcome for each in routed.attempts] == ["rejected", "accepted"]


def test_a_classifier_may_ask_a_person() -> None:
    """An interrupt in a classifier pauses the run: it is not taken for an error."""

    def classify(state: State) -> str:
        return str(interrupt("which?"))

    route = router({"refund": "pay_back"}, classify=classify, default="human")
    for build in (with_node, with_edge):
        app = guard(build(route)).compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        assert app.invoke({"text": "?"}, config)["__interrupt__"][0].value == "which?"
        assert app.invoke(Command(resume="refund"), config)["went"] == "pay_back"


def test_a_router_at_the_start_routes() -> None:
    """An edge from START goes where it says; no node decides there, so nothing is recorded."""
    tracer = RecordingTracer()
    builder = StateGraph(State).add_node(pay_back).add_node(answer).add_node(human)
    builder.add_conditional_edges(START, made().edge)
    app = guard(builder, tracer=tracer).compile()
    assert app.invoke({"text": "money"})["went"] == "human"
    assert [each.node for each in tracer.transitions] == ["human"]


# -- gotos


def bounded(goto: Any) -> Any:
    """Return a guarded graph whose node says that it goes to `a` or the end, and goes elsewhere."""

    def choose(state: State) -> Command[Literal["answer", "__end__"]]:
        return Command(goto=goto, update={"text": "x"})

    return with_choice(choose)


def with_choice(choose: Any) -> Any:
    """Return a builder with a node that chooses."""
    builder = StateGraph(State).add_node("choose", choose).add_edge(START, "choose")
    return builder.add_node(pay_back).add_node(answer).add_node(human)


@pytest.mark.parametrize("goto", ["pay_back", ["human", END], [Send("human", {"text": "x"})]])
def test_a_goto_outside_of_the_annotation_is_a_violation(goto: Any) -> None:
    """LangGraph goes there all the same; the guard stops it before anything is written."""
    assert bounded(goto).compile().invoke({"text": "?"})["went"] in {"pay_back", "human", "answer"}
    with pytest.raises(ContractViolation, match="does not go there") as caught:
        guard(bounded(goto)).compile().invoke({"text": "?"})
    assert caught.value.direction == "route"


@pytest.mark.parametrize("goto", ["answer", END, [], [Send("answer", {"text": "x"})]])
def test_a_goto_within_the_annotation_passes(goto: Any) -> None:
    """What the annotation names, the end if it names it, and nowhere at all."""
    assert "text" in guard(bounded(goto)).compile().invoke({"text": "?"})


def test_an_annotation_without_targets_binds_to_nothing() -> None:
    """Only `Command[Literal[...]]` says where a node goes: alone, or beside other types."""

    def free(state: State) -> Command[str]:
        return Command(goto="pay_back")

    def either(state: State) -> Command[Literal["answer"]] | Command[Literal["pay_back"]] | State:
        return Command(goto="pay_back")

    def half(state: State) -> Command[Literal["answer"]] | Command:  # type: ignore[type-arg]
        return Command(goto="pay_back")

    def narrow(state: State) -> Command[Literal["answer"]] | State:
        return Command(goto="pay_back")

    for choose in (free, either, half):
        assert guard(with_choice(choose)).compile().invoke({"text": "?"})["went"] == "pay_back"
    with pytest.raises(ContractViolation, match="does not go there"):
        guard(with_choice(narrow)).compile().invoke({"text": "?"})


def test_a_goto_that_is_a_violation_climbs_the_ladder() -> None:
    """A retry is told, and a stated answer ships where nothing else does."""
    told: list[str] = []

    def choose(state: State, feedback: Any = None) -> Command[Literal["answer"]]:
        if feedback is not None:
            told.extend(feedback.reasons)
            return Command(goto="answer")
        return Command(goto="human")  # type: ignore[arg-type]

    retried = guard(with_choice(choose), {"choose": NodeGuard(policy=Policy(Retry(1)))}).compile()
    assert retried.invoke({"text": "?"})["went"] == "answer"
    assert told == [
        "goto: the node's return annotation, Command[Literal['answer']], does not go there "
        "(got 'human')"
    ]
    stated = NodeGuard(policy=Policy(Degrade({"text": "no way"})))
    app = guard(bounded("human"), {"choose": stated}).compile()
    assert app.invoke({"text": "?"}) == {"text": "no way"}


def test_observing_records_the_goto_and_lets_it_go() -> None:
    """In observe mode the run goes where it went before, and the record says what is wrong."""
    tracer = RecordingTracer()
    app = guard(bounded("pay_back"), mode="observe", tracer=tracer).compile()
    assert app.invoke({"text": "?"})["went"] == "pay_back"
    chosen = tracer.transitions[0]
    assert chosen.status == "observed"
    assert "does not go there" in chosen.attempts[0].reasons[0]


def test_a_command_to_the_parent_is_the_parents_business() -> None:
    """Ends of an annotation are of the node's own graph; a Command.PARENT goes by the parent's."""

    def inner(state: State) -> Command[Literal["pay_back"]]:
        return Command(graph=Command.PARENT, goto="pay_back")

    child = StateGraph(State).add_node("inner", inner, destinations=()).add_edge(START, "inner")
    builder = StateGraph(State).add_node("child", child.compile()).add_edge(START, "child")
    builder.add_node(pay_back)
    assert guard(builder).compile().invoke({"text": "?"})["went"] == "pay_back"


def test_a_verdict_noted_outside_of_any_guard_is_dropped() -> None:
    """A router asked by itself, as a test does, records nothing and decides the same."""
    route = router(
        {"refund": "pay_back"}, classify=by_rules({"refund": lambda s: True}), default=END
    )
    assert route.decide({}).target == "pay_back"
    assert route.decide({}).verdict == Verdict(True, "refund 1", 1.0)
    assert route.targets == ("pay_back", END)


def test_what_a_model_says_of_the_route_is_not_streamed_to_the_user() -> None:
    """Under stream_mode="messages" a label is no part of any answer."""
    label = {"name": "Route", "args": {"label": "refund", "confidence": 0.9}, "id": "1"}
    model = ScriptedModel(AIMessage("It is a refund.", tool_calls=[label]))
    asked = by_model(model, {"refund": "wants money back"}, key="text")
    builder = with_node(router({"refund": "pay_back"}, classify=asked, default="human"))
    builder.add_node("say", lambda _: {"text": ScriptedModel("Sorry.").invoke("?").text})
    builder.add_edge("pay_back", "say")
    app = guard(builder).compile()
    chunks = app.stream({"text": "money"}, stream_mode="messages")
    assert "".join(chunk.text for chunk, _ in chunks) == "Sorry."
