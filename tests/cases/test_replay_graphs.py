"""Replay of every kind of graph: commands, sent tasks, subgraphs, questions, gates that wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, NotRequired, Required

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt
from pydantic import Field
from replaying import Brief, Recorded, State, good, row
from typing_extensions import TypedDict

from coordgate import (
    Approve,
    Contract,
    Degrade,
    Edit,
    Escalate,
    NodeGuard,
    Policy,
    Reject,
    Reroute,
    Retry,
    RetryWith,
    SendBack,
    gate,
    router,
)
from coordgate.gates import finished
from coordgate.testing import ScriptedModel
from coordgate.tools import gated_tools


def test_commands_go_where_they_went() -> None:
    """A Command's goto is had back from where control went."""

    def build(recorded: Recorded) -> Any:
        def pick(state: State) -> Command[Any]:
            recorded.ran.append("pick")
            return Command(goto="right", update={"draft": "good"})

        def left(state: State) -> State:
            return {}

        def right(state: State) -> State:
            recorded.ran.append("right")
            return {"topic": "right"}

        builder: Any = StateGraph(State)
        builder.add_node(pick, destinations=("left", "right"))
        return builder.add_node(left).add_node(right).add_edge(START, "pick")

    recorded = Recorded(build, {})
    recorded.run({})
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 2)


@pytest.mark.parametrize("how", ["router", "command"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_parallel_tasks_get_what_each_of_them_gave(how: str, asynchronous: bool) -> None:
    """Tasks that were sent are told apart by what they were handed."""

    def build(recorded: Recorded) -> Any:
        def plan(state: State) -> Any:
            recorded.ran.append("plan")
            if how == "command":
                return Command(goto=[Send("look", {"topic": str(n)}) for n in range(5)])
            return {}

        def look(state: State) -> State:
            recorded.ran.append("look")
            return {"found": [f"found {state['topic']}"]}

        def join(state: State) -> State:
            recorded.ran.append("join")
            return {"draft": " ".join(state["found"])}

        builder: Any = StateGraph(State)
        builder.add_node(plan, destinations=("look",)).add_node(look).add_node(join)
        builder.add_edge(START, "plan").add_edge("look", "join")
        if how == "router":
            builder.add_conditional_edges(
                "plan", lambda _: [Send("look", {"topic": str(n)}) for n in range(5)], ["look"]
            )
        return builder

    pairs: list[Any] = []

    @gate
    def fits(output: Any, state: Any) -> bool:
        pairs.append((output["found"], state["topic"]))
        return output["found"] == [f"found {state['topic']}"]

    recorded = Recorded(build, {"look": NodeGuard(gates=[fits])})
    recorded.run({}, asynchronous=asynchronous)
    found = recorded.replayed(is_async=asynchronous)
    assert (found.result, found.transitions) == ("same", 7)
    assert len(pairs) == 10


def test_nodes_of_subgraphs_are_served_too() -> None:
    """They are found by the path of their names, run by run of the subgraph."""

    def build(recorded: Recorded) -> Any:
        def inner(state: State) -> State:
            recorded.ran.append("inner")
            return {"draft": f"good {len(recorded.ran)}"}

        def after(state: State) -> State:
            recorded.ran.append("after")
            return {"topic": state["draft"]}

        team: Any = StateGraph(State)
        team.add_sequence([inner, after]).add_edge(START, "inner")
        builder: Any = StateGraph(State)
        builder.add_node("one", team.compile()).add_node("two", team.compile())
        return builder.add_edge(START, "one").add_edge("one", "two")

    recorded = Recorded(build, {"one|inner": NodeGuard(gates=[good], policy=Policy(Retry(1)))})
    recorded.run({})
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 6)
    honest = recorded.nodes["one|inner"]
    changed = recorded.replayed({"one|inner": honest, "two|inner": NodeGuard(gates=[~good])})
    assert changed.divergence is not None
    assert changed.divergence.node == "two|inner"


def test_rungs_that_go_elsewhere_are_taken_again() -> None:
    """A node that was left for another, and a producer that was asked again, go the same way."""
    outputs = {
        "a": [{"topic": "x"}, {"topic": "good topic"}],
        "b": [{"draft": "bad"}],
        "c": [{"brief": Brief(title="c", at=datetime(2026, 1, 2, tzinfo=UTC))}],
        "d": [{"draft": "good"}],
    }
    long = Contract(accepts={"topic": Annotated[str, Field(min_length=3)]})
    nodes = {
        "b": NodeGuard(long, gates=[good], policy=Policy(SendBack(), Reroute("d"))),
    }

    recorded = Recorded(row("a", "b", "c", "d", outputs=outputs), nodes)
    assert recorded.run({})["draft"] == "good"
    assert recorded.ran == ["a", "a", "b", "d"]
    found = recorded.replayed()
    assert (found.divergence, found.result, found.transitions) == (None, "same", 5)


def test_an_entrypoint_is_replayed() -> None:
    """Its one value is served."""

    def build(recorded: Recorded) -> Any:
        @entrypoint()
        def flow(topic: str) -> str:
            recorded.ran.append("flow")
            return f"about {topic}"

        return flow

    recorded = Recorded(build, {})
    assert recorded.run("owls") == "about owls"
    assert recorded.replayed().result == "same"


def test_gates_that_wait_are_served() -> None:
    """A gate that asks a model is not asked; what it said then is what it says."""
    asked: list[str] = []

    def build_gate() -> Any:
        @gate(slow=True)
        async def judge(output: Any) -> bool:
            asked.append(output["draft"])
            return "good" in output["draft"]

        return judge

    outputs = {"a": [{"draft": "bad"}, {"draft": "good"}]}
    nodes = {"a": NodeGuard(gates=[build_gate()], policy=Policy(Retry(1)))}
    recorded = Recorded(row("a", outputs=outputs), nodes)
    recorded.run({})
    assert asked == ["bad", "good"]
    assert recorded.replayed().result == "same"
    assert asked == ["bad", "good"]


def test_gates_on_the_models_answers_are_served() -> None:
    """A call is not made again, so the gate that looks at how it ended says what it said."""
    models = iter([("cut", "length"), ("whole", "stop")])

    def build(recorded: Recorded) -> Any:
        def write(state: State) -> State:
            recorded.ran.append("write")
            text, finish = next(models)
            answer = AIMessage(text, response_metadata={"finish_reason": finish})
            return {"draft": ScriptedModel(answer).invoke("write").text}

        builder: Any = StateGraph(State)
        return builder.add_node(write).add_edge(START, "write")

    recorded = Recorded(build, {"write": NodeGuard(gates=[finished()], policy=Policy(Retry(1)))})
    assert recorded.run({})["draft"] == "whole"
    assert recorded.ran == ["write", "write"]
    assert recorded.replayed().result == "same"


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        (Approve(by="ann"), 1),
        (Edit({"draft": "good edit"}, by="ann"), 1),
        (Edit({"draft": "edit"}, override=True), 1),
        (Reject("never", by="ann"), 2),
        (RetryWith("try again", by="ann"), 2),
    ],
)
def test_a_run_that_a_person_answered_is_replayed_from_its_beginning(
    answer: Any, attempts: int
) -> None:
    """The run that asked is replayed first, then the answers are given that the record has."""
    outputs = {"a": [{"draft": "bad"}, {"draft": "good again"}], "b": [{"topic": "b"}]}
    ladder = Policy(Escalate("editor"), Degrade({"draft": "stated"}))
    nodes = {"a": NodeGuard(gates=[good], policy=ladder)}
    recorded = Recorded(row("a", "b", outputs=outputs), nodes)
    recorded.run({})
    recorded.run(Command(resume=answer))
    recorded.tracer.flush()
    resumed = next(recorded.store.runs(limit=1))
    assert len(next(iter(recorded.store.transitions(resumed.id))).attempts) == attempts
    found = recorded.replayed()
    assert found.divergence is None
    assert (found.result, found.transitions, len(found.runs)) == ("same", 3, 2)


def test_a_node_that_asks_by_itself_is_replayed() -> None:
    """A question of the node's own is put again, and what came after the answer is served."""

    def build(recorded: Recorded) -> Any:
        def ask(state: State) -> State:
            recorded.ran.append("ask")
            return {"draft": interrupt("what?")}

        builder: Any = StateGraph(State)
        return builder.add_node(ask).add_edge(START, "ask")

    recorded = Recorded(build, {})
    recorded.run({})
    recorded.run(Command(resume="this"))
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 2)


def test_what_a_body_put_into_the_record_is_served_with_it() -> None:
    """Calls of gated tools, and a router's decision, stand in the record; no body repeats them."""
    wants = [{"name": "look_up", "args": {"order": number}, "id": number} for number in "12"]

    def build(recorded: Recorded) -> Any:
        @tool
        def look_up(order: str) -> str:
            """Look an order up."""
            recorded.ran.append("look_up")
            return f"order {order}"

        def classify(state: Any) -> tuple[str, float]:
            recorded.ran.append("classify")
            return "order", 0.9

        model = ScriptedModel(AIMessage("", tool_calls=wants), "Both came.")
        agent = create_agent(
            model, gated_tools([look_up], dangerous=["look_up"], ask=Escalate("desk"))
        )
        way = router({"order": "agent"}, classify=classify, default="agent")
        builder: Any = StateGraph(MessagesState).add_node("agent", agent)
        return builder.add_node("route", way.node).add_edge(START, "route")

    recorded = Recorded(build, {})
    given = {"messages": [HumanMessage("Where are my orders?")]}
    paused = recorded.run(given)["__interrupt__"]
    recorded.run(Command(resume={each.id: Approve() for each in paused}))
    assert recorded.ran == ["classify", "look_up", "look_up"]
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 9)


def test_a_required_key_is_read_without_a_warning() -> None:
    """An agent's state says Required and NotRequired of its keys, which are no types."""

    class Wanted(TypedDict):
        """What the graph's state must hold, and may."""

        topic: Required[str]
        draft: NotRequired[str]

    def build(recorded: Recorded) -> Any:
        builder: Any = StateGraph(Wanted).add_node("a", lambda state: {"draft": "good"})
        return builder.add_edge(START, "a")

    recorded = Recorded(build, {})
    recorded.run({"topic": "owls"})
    assert recorded.replayed().result == "same"
