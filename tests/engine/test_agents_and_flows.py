"""Agents, entrypoints, error handlers and node defaults."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeError
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy
from special_graphs import Draft, State, both, check_drafts, map_reduce, run

from coordgate import (
    Contract,
    ContractViolation,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    feedback,
    gate,
    gated,
    guard,
)
from coordgate.testing import RecordingTracer, ScriptedModel, scripted


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"sun in {city}" + ("!" if feedback() else "")


def agent(*answers: Any) -> Any:
    """Return an agent whose model says the answers."""
    return create_agent(ScriptedModel(*answers), tools=[weather])


CALL = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Rome"}, "id": "1"}])


@both
def test_an_agent_is_guarded_unchanged(how: str) -> None:
    """An agent whose gates pass says what it says bare."""

    def texts(app: Any) -> list[str]:
        given = {"messages": [HumanMessage("Rome?")]}
        return [message.text for message in run(app, how, given)["messages"]]

    @gate
    def says_something(output: Any) -> bool:
        return bool(output["messages"])

    nodes = {
        "model": NodeGuard(gates=[says_something], policy=Policy(Retry(1))),
        "tools": NodeGuard(),
    }
    bare = texts(agent(CALL, "It is sunny."))
    assert bare == ["Rome?", "", "sun in Rome", "It is sunny."]
    assert texts(guard(agent(CALL, "It is sunny."), nodes)) == bare


@both
def test_an_agents_model_is_gated_and_repeated(how: str) -> None:
    """A gate on an agent's model rejects an answer, and a good one follows."""

    @gate
    def no_promise(output: Any) -> bool:
        return all("promise" not in message.text for message in output["messages"])

    tracer = RecordingTracer()
    nodes = {"model": NodeGuard(gates=[no_promise], policy=Policy(Retry(2)))}
    app = guard(agent(CALL, "I promise sun.", "It is sunny."), nodes, tracer=tracer)
    result = run(app, how, {"messages": [HumanMessage("Rome?")]})
    assert [message.text for message in result["messages"]] == [
        "Rome?",
        "",
        "sun in Rome",
        "It is sunny.",
    ]
    assert [len(t.attempts) for t in tracer.of("model")] == [1, 2]


@both
def test_an_agents_tools_are_gated(how: str) -> None:
    """The tools of an agent are Send targets; a gate judges each result, and the tool is told."""

    @gate
    def emphatic(output: Any) -> bool:
        return all(message.text.endswith("!") for message in output["messages"])

    nodes = {"tools": NodeGuard(gates=[emphatic], policy=Policy(Retry(1)))}
    result = run(guard(agent(CALL, "Fine."), nodes), how, {"messages": [HumanMessage("Rome?")]})
    assert result["messages"][2].text == "sun in Rome!"


def counting(*answers: Any) -> Any:
    """Return an entrypoint, and the script that is its body."""
    body = scripted(*answers, name="flow")

    @entrypoint()
    def flow(given: int) -> int:
        """Run the script."""
        return body(given, feedback())

    return flow, body


@both
def test_an_entrypoint_is_gated_and_repeated(how: str) -> None:
    """An entrypoint is one node: its value is judged, and it is run again with feedback."""
    flow, body = counting(1, 10)
    (name,) = flow.nodes
    app = guard(flow, {name: NodeGuard(gates=[lambda value: value > 5], policy=Policy(Retry(1)))})
    assert type(app) is not type(flow)
    assert isinstance(app, type(flow))
    assert run(app, how, 1) == 10
    assert body.feedbacks[1] is not None
    assert body.feedbacks[1].rejected == 1


@both
def test_what_an_entrypoint_declares_is_parsed(how: str) -> None:
    """`returns` on an entrypoint parses its value, and the parsed value ships."""
    flow, _ = counting("7")
    (name,) = flow.nodes
    app = guard(flow, {name: NodeGuard(contract=Contract(returns=int), gates=[lambda v: v == 7])})
    assert run(app, how, 1) == 7


@both
def test_an_entrypoint_that_breaks_its_contract_is_stopped(how: str) -> None:
    """A value that cannot be parsed does not come out."""
    flow, _ = counting("seven")
    (name,) = flow.nodes
    app = guard(flow, {name: NodeGuard(contract=Contract(returns=int))})
    with pytest.raises(ContractViolation, match="valid integer"):
        run(app, how, 1)


def test_an_entrypoint_final_is_judged_by_its_value_and_keeps_what_it_saves() -> None:
    """Of `entrypoint.final` the value is judged and parsed; what it saves is passed on."""

    @entrypoint(checkpointer=InMemorySaver())
    def flow(given: str, *, previous: int | None = None) -> entrypoint.final[Any, int]:
        """Count the runs."""
        return entrypoint.final(value=f"{given}{previous or 0}", save=(previous or 0) + 1)

    (name,) = flow.nodes
    seen: list[Any] = []
    spec = NodeGuard(
        contract=Contract(returns=int), gates=[lambda value: seen.append(value) or value < 90]
    )
    app = guard(flow, {name: spec})
    config = {"configurable": {"thread_id": "1"}}
    assert app.invoke("5", config) == 50
    assert app.invoke("6", config) == 61
    assert seen == [50, 61]
    with pytest.raises(GateRejected):
        app.invoke("9", config)
    assert app.get_state(config).values == 61


@both
def test_an_entrypoint_with_tasks_gives_what_it_gives_bare(how: str) -> None:
    """Tasks of a guarded entrypoint run as they do bare, and are not repeated by a retry."""
    ran: list[int] = []

    @task
    def double(value: int) -> int:
        ran.append(value)
        return value * 2

    @entrypoint(checkpointer=InMemorySaver())
    def flow(given: int) -> int:
        """Double twice."""
        return double(double(given).result()).result()

    config = {"configurable": {"thread_id": "1"}}
    assert run(guard(flow), how, 3, config) == 12
    assert ran == [3, 6]


def handled(node: Any, handler: Any, policy: Policy | None) -> Any:
    """Return a guarded graph of a node with an error handler."""
    builder = StateGraph(Draft)
    builder.add_node("write", node, error_handler=handler)
    builder.add_node("after", lambda state: {"topic": "after"})
    builder.add_edge(START, "write")
    builder.add_edge("write", "after")
    spec = NodeGuard(gates=[lambda output: output["draft"] == "good"], policy=policy)
    return guard(builder, {"write": spec}).compile()


@both
def test_an_error_handler_runs_only_past_the_last_rung(how: str) -> None:
    """LangGraph's error handler gets the rejection when the ladder has given up, not before."""
    seen: list[Any] = []

    def handler(state: Draft, error: NodeError) -> Command[Any]:
        seen.append(error.error)
        return Command(update={"draft": "handled"}, goto="after")

    write = scripted(*[{"draft": "bad"}] * 3, name="write")
    result = run(handled(write, handler, Policy(Retry(2))), how, {})
    assert result == {"draft": "handled", "topic": "after"}
    assert write.calls == 3
    assert [type(error) for error in seen] == [GateRejected]
    assert seen[0].attempts == 3


@both
def test_an_error_handler_is_spared_where_the_ladder_answers(how: str) -> None:
    """A fallback that passes leaves nothing for the error handler."""

    def handler(state: Draft, error: NodeError) -> Draft:
        raise AssertionError("not to be run")

    policy = Policy(Fallback(lambda state: {"draft": "good"}))
    result = run(handled(scripted({"draft": "bad"}), handler, policy), how, {})
    assert result == {"draft": "good", "topic": "after"}


@both
def test_an_error_handler_must_keep_the_contract_too(how: str) -> None:
    """What an error handler hands over is checked like any node's."""
    app = handled(scripted({"draft": "bad"}), lambda state: {"draft": 3}, None)
    with pytest.raises(ContractViolation):
        run(app, how, {})


@both
def test_default_retry_policies_add_to_the_ladder_and_never_multiply(how: str) -> None:
    """With a default retry policy, rejections take the ladder and errors the default."""
    errors = ConnectionError("one"), ConnectionError("two")
    write = scripted(errors[0], {"draft": "bad"}, errors[1], {"draft": "good"}, name="write")
    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    builder.set_node_defaults(
        retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)
    )
    spec = NodeGuard(gates=[lambda output: output["draft"] == "good"], policy=Policy(Retry(1)))
    tracer = RecordingTracer()
    assert run(guard(builder, {"write": spec}, tracer=tracer).compile(), how, {}) == {
        "draft": "good"
    }
    assert [(a.rung, a.outcome) for a in tracer.attempts("write")] == [
        ("first", "raised"),
        ("transport", "rejected"),
        ("retry", "raised"),
        ("transport", "accepted"),
    ]


@both
def test_a_gated_node_with_defaults_for_others_runs_as_often_as_bare(how: str) -> None:
    """A default retry policy on a node without a ladder works as it does bare."""
    write = scripted(*[ConnectionError("no")] * 3, name="write")
    builder = StateGraph(Draft)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    builder.set_node_defaults(
        retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)
    )
    with pytest.raises(ConnectionError):
        run(guard(builder).compile(), how, {})
    assert write.calls == 3


def test_a_gated_node_is_guarded_wherever_it_stands() -> None:
    """`@gated` on a Send target needs no mention in `guard(nodes=...)`."""

    @gated(gates=[check_drafts("good")], policy=Policy(Retry(1)))
    def write(state: State) -> State:
        return {"drafts": ["good" if feedback() else "bad"]}

    result = guard(map_reduce(write)).compile().invoke({"topics": ["a", "b"]})
    assert result["drafts"] == ["good", "good"]
    assert END
