"""Feedback: what it says, and that it reaches whatever runs below a repeated attempt."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langgraph.func import task
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode
from told_nodes import State, both, heard, one, run

from coordgate import (
    Feedback,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    feedback,
    gate,
    guard,
)
from coordgate.testing import ScriptedModel, scripted


@both
def test_feedback_says_why_what_and_how_often(how: str) -> None:
    """It carries the reasons, the rejected output, the attempt's number and the history."""

    @gate
    def longer(output: State) -> Verdict:
        length = len(output["draft"])
        return Verdict.accept() if length > 2 else Verdict.reject(f"only {length} long")

    node = scripted({"draft": "a"}, {"draft": "ab"}, {"draft": "abc"}, name="write")
    run(one(node, NodeGuard(gates=[longer], policy=Policy(Retry(2)))), how)
    assert node.feedbacks == [
        None,
        Feedback(("longer: only 1 long",), {"draft": "a"}, 2),
        Feedback(("longer: only 2 long",), {"draft": "ab"}, 3, (("longer: only 1 long",),)),
    ]


@both
def test_feedback_after_a_violation_names_key_and_rule(how: str) -> None:
    """A contract's violations are reasons, too."""
    node = scripted({"draft": 3}, {"draft": "abc"}, name="write")
    run(one(node, NodeGuard(policy=Policy(Retry(1)))), how)
    (_, second) = node.feedbacks
    assert second is not None
    assert second.reasons == ("draft: must be str: input should be a valid string (got 3)",)
    assert second.rejected == {"draft": 3}


@both
def test_feedback_holds_every_reason(how: str) -> None:
    """All gates that did not pass, and all that broke the contract, are among the reasons."""
    node = scripted({"draft": 3, "told": "no"}, {"draft": "a"}, {"draft": "abc"}, name="write")
    gates = [
        gate(name="long")(lambda output: len(output["draft"]) > 2),
        gate(name="c")(lambda output: output["draft"].endswith("c")),
    ]
    run(one(node, NodeGuard(gates=gates, policy=Policy(Retry(2)))), how)
    _, second, third = node.feedbacks
    assert second is not None
    assert [reason.partition(":")[0] for reason in second.reasons] == ["draft", "told"]
    assert third is not None
    assert third.reasons == ("long: did not pass", "c: did not pass")


@both
def test_feedback_after_an_exception_names_it(how: str) -> None:
    """Of an attempt that raised, the reason is the exception, and nothing was rejected."""
    node = scripted(KeyError("topic"), {"draft": "abc"}, name="write")
    run(one(node, NodeGuard(policy=Policy(Retry(1, wait=0, jitter=False)))), how)
    (_, second) = node.feedbacks
    assert second == Feedback(("KeyError: 'topic'",), None, 2)


@both
@pytest.mark.parametrize("kind", ["positional", "keyword", "with config", "defaultless"])
def test_the_parameter_may_stand_anywhere(how: str, kind: str) -> None:
    """The `feedback` parameter may be positional or keyword-only, and need no default."""

    def positional(state: State, feedback: Feedback | None = None) -> State:
        return {"told": feedback is not None}

    def keyword(state: State, *, feedback: Feedback | None = None) -> State:
        return {"told": feedback is not None}

    def with_config(
        state: State, config: RunnableConfig, feedback: Feedback | None = None
    ) -> State:
        assert config["metadata"]
        return {"told": feedback is not None}

    def defaultless(state: State, feedback: Feedback | None) -> State:
        return {"told": feedback is not None}

    nodes: dict[str, Callable[..., State]] = {
        "positional": positional,
        "keyword": keyword,
        "with config": with_config,
        "defaultless": defaultless,
    }
    assert run(one(nodes[kind]), how)["told"] is True


@both
def test_it_reaches_a_nested_runnable(how: str) -> None:
    """`feedback()` answers in a Runnable that the node calls."""
    inner = RunnableLambda(lambda _: feedback() is not None)
    chain = inner | (lambda yes: {"told": yes})
    assert run(one(lambda state: chain.invoke(state)), how)["told"] is True
    assert run(one(chain), how)["told"] is True


@both
def test_it_reaches_a_tool(how: str) -> None:
    """`feedback()` answers in a tool that the node calls."""

    @tool
    def look(topic: str) -> str:
        """Look something up."""
        return "told" if feedback() else ""

    assert run(one(lambda state: {"told": look.invoke({"topic": "x"}) == "told"}), how)["told"]

    def tools(state: State, config: RunnableConfig) -> State:
        call = AIMessage("", tool_calls=[{"name": "look", "args": {"topic": "x"}, "id": "1"}])
        answer = ToolNode([look]).invoke({"messages": [call]}, config)
        return {"told": answer["messages"][0].text == "told"}

    assert run(one(tools), how)["told"] is True


@both
def test_it_reaches_a_task(how: str) -> None:
    """`feedback()` answers in a LangGraph task that the node starts."""

    @task
    def look() -> bool:
        return feedback() is not None

    assert run(one(lambda state: {"told": look().result()}), how)["told"] is True


@both
def test_it_reaches_the_nodes_of_a_subgraph(how: str) -> None:
    """A repeated subgraph's nodes hear why it is repeated, by call and by parameter."""

    def inside(state: State, feedback: Feedback | None = None) -> State:
        return {"told": feedback is not None}

    def graph(node: Any) -> Any:
        inner = StateGraph(State)
        inner.add_node("inside", node)
        inner.add_edge(START, "inside")
        return inner.compile()

    asking, called = graph(inside), graph(lambda state: heard())
    assert run(one(asking), how)["told"] is True
    assert run(one(called), how)["told"] is True
    assert run(one(lambda state: called.invoke(state)), how)["told"] is True
    assert run(one(lambda state: guard(asking).invoke(state)), how)["told"] is True


@both
def test_a_node_inside_hears_its_own_reasons_first(how: str) -> None:
    """Where both are repeated, the inner node hears its own feedback, then the outer one's."""
    heard_inside: list[Any] = []

    def inside(state: State) -> State:
        now = feedback()
        heard_inside.append(now.reasons if now else None)
        return {"draft": "x" * len(heard_inside)}

    inner = StateGraph(State)
    inner.add_node("inside", inside)
    inner.add_edge(START, "inside")
    outer = StateGraph(State)
    outer.add_node("sub", inner.compile())
    outer.add_edge(START, "sub")

    def at_least(length: int, name: str) -> Any:
        return gate(name=name)(lambda output: len(output["draft"]) >= length)

    nodes = {
        "sub|inside": NodeGuard(gates=[at_least(2, "two")], policy=Policy(Retry(1))),
        "sub": NodeGuard(gates=[at_least(3, "three")], policy=Policy(Retry(1))),
    }
    run(guard(outer, nodes).compile(), how)
    assert heard_inside == [None, ("two: did not pass",), ("three: did not pass",)]


@both
def test_it_reaches_the_agents_model_and_tools(how: str) -> None:
    """In a repeated agent node, tools deep below hear why."""
    heard_in_tool: list[bool] = []

    @tool
    def look(topic: str) -> str:
        """Look something up."""
        heard_in_tool.append(feedback() is not None)
        return "found"

    call = AIMessage("", tool_calls=[{"name": "look", "args": {"topic": "x"}, "id": "1"}])
    agent = create_agent(ScriptedModel(call, "bad", call, "good"), tools=[look])
    app = one(
        lambda state: {
            "draft": agent.invoke({"messages": [HumanMessage("x")]})["messages"][-1].text
        },
        NodeGuard(gates=[lambda output: output["draft"] == "good"], policy=Policy(Retry(1))),
    )
    assert run(app, how)["draft"] == "good"
    assert heard_in_tool == [False, True]
