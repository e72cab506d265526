"""What is no failure passes through, and what fails in the end says everything."""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from ladders import AT_ONCE, BAD, GOOD, Draft, app_of, both, good, nested, run
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeCancelledError
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from coordgate import (
    ConfigurationError,
    Contract,
    ContractViolation,
    Degrade,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    gate,
    guard,
)
from coordgate.testing import scripted


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    extra: str
    log: Annotated[list[str], operator.add]


@both
def test_an_interrupt_is_never_a_failure(how: str) -> None:
    """No rung answers an interrupt; resumed, the node goes on, and may then be rejected."""

    def ask(state: Draft) -> Draft:
        return {"draft": interrupt("what?")}

    builder = StateGraph(Draft)
    builder.add_node("write", ask)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1), Degrade({"draft": "sorry"})))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    paused = run(app, how, config=config)
    assert paused["__interrupt__"][0].value == "what?"
    assert run(app, how, Command(resume="good"), config) == GOOD
    config = {"configurable": {"thread_id": "2"}}
    run(app, how, config=config)
    assert run(app, how, Command(resume="bad"), config) == {"draft": "sorry"}


@both
def test_an_interrupt_in_a_retried_attempt_resumes_with_its_answer(how: str) -> None:
    """After a rejection the node may ask; on resume the answer is its, and it is asked once."""
    asked: list[str] = []
    said = scripted("bad", name="said")

    def ask(state: Draft) -> Draft:
        asked.append("run")
        if said.calls == 0:
            return {"draft": said(state)}
        return {"draft": interrupt("what?")}

    builder = StateGraph(Draft)
    builder.add_node("write", ask)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    assert run(app, how, config=config)["__interrupt__"][0].value == "what?"
    assert run(app, how, Command(resume="good"), config) == GOOD
    assert len(asked) == 3


@both
def test_an_interrupt_of_a_fallback_pauses_the_run(how: str) -> None:
    """What a fallback asks a person is no failure of it either; resumed, it answers."""

    def ask(state: Draft) -> Draft:
        return {"draft": interrupt("fallback asks")}

    builder = StateGraph(Draft)
    builder.add_node("write", scripted(*[BAD] * 9))
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Fallback(ask), Degrade({"draft": "sorry"})))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    assert run(app, how, config=config)["__interrupt__"][0].value == "fallback asks"
    assert run(app, how, Command(resume="good"), config) == GOOD


@both
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes_through(how: str, error: type[BaseException]) -> None:
    """KeyboardInterrupt and SystemExit are nobody's failures."""
    node = scripted(error(), GOOD)
    with pytest.raises(error):
        run(app_of(node, Retry(3), Degrade({"draft": "sorry"})), how)
    assert node.calls == 1


def test_cancellation_passes_through() -> None:
    """A node that is cancelled from inside is not retried; LangGraph gives it a name of its own."""
    node = scripted(asyncio.CancelledError(), GOOD, kind="async")
    with pytest.raises(NodeCancelledError):
        asyncio.run(app_of(node, Retry(3), Degrade({"draft": "sorry"})).ainvoke({}))
    assert node.calls == 1


@both
def test_the_last_error_names_everything(how: str) -> None:
    """Node, gate, reason, attempts and remedy stand in the error's fields and its text."""
    with pytest.raises(GateRejected) as caught:
        run(app_of(scripted(*[BAD] * 9), Retry(2)), how)
    error = caught.value
    assert (error.node, error.gate, error.attempts) == ("write", "good", 3)
    assert error.reasons == ("good: is not good",)
    assert "no rung left" in error.remedy
    assert str(error).splitlines() == [
        "node 'write' was rejected by gate 'good' after 3 attempts:",
        "  - good: is not good",
        f"Remedy: {error.remedy}",
    ]


@both
def test_the_error_without_a_policy_says_to_give_one(how: str) -> None:
    """The remedy fits the node: without a policy it is to give one."""
    builder = StateGraph(Draft)
    builder.add_node("write", scripted(BAD))
    builder.add_edge(START, "write")
    app = guard(builder, {"write": NodeGuard(gates=[good])}).compile()
    with pytest.raises(GateRejected, match=r"give the node a policy, such as Policy\(Retry\(2\)"):
        run(app, how)


@both
def test_every_gate_that_did_not_pass_is_among_the_reasons(how: str) -> None:
    """Quick gates are all asked, and each says why."""
    gates = [good, gate(name="long")(lambda output: len(output["draft"]) > 5)]
    with pytest.raises(GateRejected) as caught:
        run(app_of(scripted(BAD), gates=gates), how)
    assert caught.value.gate == "good"
    assert caught.value.reasons == ("good: is not good", "long: did not pass")


@both
def test_a_bad_input_goes_to_degrade_only(how: str) -> None:
    """Running the node again on a bad input cures nothing: Retry and Fallback are passed over."""
    node, spare = scripted(GOOD), scripted(GOOD)
    contract = Contract(accepts={"extra": str})
    app = app_of(node, Retry(2), Fallback(spare), Degrade({"draft": "sorry"}), contract=contract)
    assert run(app, how) == {"draft": "sorry"}
    assert (node.calls, spare.calls) == (0, 0)
    with pytest.raises(ContractViolation, match="bad input"):
        run(app_of(node, Retry(2), Fallback(spare), contract=contract), how)


@both
def test_an_external_effect_is_never_repeated(how: str) -> None:
    """`effects="external"` runs the body once; a stated answer may follow."""
    node = scripted(BAD, GOOD)
    builder = StateGraph(Draft)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Degrade({"draft": "sorry"})), effects="external")
    assert run(guard(builder, {"write": spec}).compile(), how) == {"draft": "sorry"}
    assert node.calls == 1


@both
def test_an_external_effect_is_not_repeated_by_the_graphs_own_policy_either(how: str) -> None:
    """A retry around the subgraph that it stands in is refused, or does not run it again."""
    node = scripted(ConnectionError("sent?"), GOOD)
    child = NodeGuard(effects="external")
    parent = NodeGuard(policy=Policy(Retry(2, **AT_ONCE)))
    with pytest.raises((ConnectionError, ConfigurationError)):
        run(nested(node, child, parent), how)
    assert node.calls <= 1


@both
def test_a_router_that_fails_is_the_nodes_failure(how: str) -> None:
    """What a conditional edge raises goes up the ladder, and a route to nowhere is a violation."""
    builder = StateGraph(State)
    builder.add_node("write", lambda state: {"log": ["ran"]})
    builder.add_node("end", lambda state: {"log": ["end"]})
    builder.add_edge(START, "write")
    routes = scripted(ValueError("which?"), "end", name="route")
    builder.add_conditional_edges("write", lambda state: routes(state), ["end"])
    spec = NodeGuard(policy=Policy(Retry(1, **AT_ONCE)))
    assert run(guard(builder, {"write": spec}).compile(), how)["log"] == ["ran", "end"]


@both
def test_a_command_to_an_unknown_node_goes_up_the_ladder(how: str) -> None:
    """A goto that names no node is a violation with the nearest name, and can be retried."""
    builder = StateGraph(Draft)
    node = scripted(Command(goto="edn"), Command(goto="end"), name="write")
    builder.add_node("write", node, destinations=("end",))
    builder.add_node("end", lambda state: GOOD)
    builder.add_edge(START, "write")
    spec = NodeGuard(policy=Policy(Retry(1)))
    assert run(guard(builder, {"write": spec}).compile(), how) == GOOD
    assert node.feedbacks[1] is not None
    assert "there is no such node; did you mean 'end'?" in node.feedbacks[1].reasons[0]
