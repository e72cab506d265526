"""Failures 4, 5, 6 and 12 of `docs/why.md`: dropped updates, and control that goes astray."""

from typing import Any

import pytest
from callers import Caller
from langgraph.errors import NodeError
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from coordgate import ContractViolation, Fallback, NodeGuard, Policy, Reroute, feedback, guard
from coordgate.testing import RecordingTracer


class State(TypedDict, total=False):
    """A draft, and who was there."""

    draft: str
    sources: list[str]
    seen: list[str]


@pytest.mark.parametrize("how", ["dict", "Command"])
def test_4_an_undeclared_key_is_not_dropped_in_silence(caller: Caller, how: str) -> None:
    """Bare, a misspelt key is lost and the run succeeds; guarded, it names the nearest key."""

    def write(state: State) -> Any:
        update = {"draft": "It rains.", "sorces": ["page 3"]}
        return update if how == "dict" else Command(update=update)

    def graph() -> StateGraph[Any]:
        return StateGraph(State).add_node("write", caller.node(write)).add_edge(START, "write")

    bare = graph().compile(checkpointer=caller.saver)
    assert caller.invoke(bare, {"draft": ""}, "bare") == {"draft": "It rains."}

    app = guard(graph()).compile(checkpointer=caller.saver)
    with pytest.raises(ContractViolation, match=r"sorces: .* did you mean 'sources'\?"):
        caller.invoke(app, {"draft": ""}, "guarded")
    assert app.get_state(caller.thread("guarded")).values == {"draft": ""}


def test_5_a_goto_to_no_node_is_not_a_success(caller: Caller) -> None:
    """Bare, the run ends as if all were well; guarded, it fails and names the nearest node."""

    def write(state: State) -> Command[Any]:
        return Command(goto="reveiw", update={"draft": "It rains."})

    def review(state: State) -> dict[str, Any]:
        return {"draft": "It rains, says page 3."}

    def graph() -> StateGraph[Any]:
        builder = StateGraph(State).add_node("review", caller.node(review))
        return builder.add_node("write", caller.node(write)).add_edge(START, "write")

    bare = graph().compile(checkpointer=caller.saver)
    assert caller.invoke(bare, {}, "bare") == {"draft": "It rains."}
    assert bare.get_state(caller.thread("bare")).next == ()

    app = guard(graph()).compile(checkpointer=caller.saver)
    with pytest.raises(ContractViolation, match="reveiw") as failed:
        caller.invoke(app, {}, "guarded")
    assert failed.value.node == "write"
    assert failed.value.direction == "route"
    assert "did you mean 'review'?" in str(failed.value)
    assert app.get_state(caller.thread("guarded")).next == ("write",)


def test_5_a_goto_to_the_start_is_not_a_success(caller: Caller) -> None:
    """Bare, the run ends there; guarded, START is no node that anything can go to."""

    def write(state: State) -> Command[Any]:
        return Command(goto=START, update={"draft": "It rains."})

    graph = StateGraph(State).add_node("write", caller.node(write)).add_edge(START, "write")
    assert caller.invoke(graph.compile(), {}, "bare") == {"draft": "It rains."}
    with pytest.raises(ContractViolation, match=r"goto: there is no such node.*'__start__'"):
        caller.invoke(guard(graph).compile(), {}, "guarded")


def test_5_a_goto_to_no_node_is_told_once_when_observed(caller: Caller) -> None:
    """What would have failed is one reason, although the goto is looked at twice."""
    tracer = RecordingTracer()

    def write(state: State) -> Command[Any]:
        return Command(goto="reveiw")

    graph = StateGraph(State).add_node("write", caller.node(write)).add_edge(START, "write")
    caller.invoke(guard(graph, mode="observe", tracer=tracer).compile(), {"draft": ""}, "observed")
    (attempt,) = tracer.attempts("write")
    (reason,) = attempt.reasons
    assert "there is no such node" in reason


@pytest.mark.parametrize("edge", ["static", "conditional"])
def test_6_a_goto_and_an_edge_do_not_both_run(caller: Caller, edge: str) -> None:
    """Bare, both targets run; guarded, neither does, and the error names both and the cure."""
    ran: list[str] = []

    def triage(state: State) -> Command[Any]:
        return Command(goto="refund")

    def refund(state: State) -> None:
        ran.append("refund")

    def answer(state: State) -> None:
        ran.append("answer")

    def graph() -> StateGraph[Any]:
        builder = StateGraph(State)
        for node in (triage, refund, answer):
            builder.add_node(node.__name__, caller.node(node))
        if edge == "conditional":
            builder.add_conditional_edges("triage", lambda state: "answer", ["answer"])
        else:
            builder.add_edge("triage", "answer")
        return builder.add_edge(START, "triage")

    caller.invoke(graph().compile(checkpointer=caller.saver), {"draft": ""}, "bare")
    assert sorted(ran) == ["answer", "refund"]

    ran.clear()
    app = guard(graph()).compile(checkpointer=caller.saver)
    with pytest.raises(ContractViolation) as failed:
        caller.invoke(app, {"draft": ""}, "guarded")
    assert ran == []
    (violation,) = failed.value.violations
    assert (failed.value.node, failed.value.direction) == ("triage", "route")
    assert f"{edge} edge to 'answer'" in violation.rule
    assert "refund" in violation.value
    assert "remove the edge" in violation.rule


def down(state: State) -> dict[str, Any]:
    """Fail as a service does that is down."""
    raise ConnectionError("down")


def archive(state: State) -> dict[str, Any]:
    """Answer from elsewhere."""
    return {"draft": "from the archive"}


def test_12_a_handled_failure_does_not_end_the_run_in_silence(caller: Caller) -> None:
    """Bare, a handler's update drops the node's edges; guarded, a fallback keeps them."""
    ran: list[str] = []

    def send(state: State) -> None:
        ran.append(state["draft"])

    def handle(state: State, error: NodeError) -> dict[str, Any]:
        return archive(state)

    def graph(**settings: Any) -> Any:
        builder = StateGraph(State).add_node("fetch", caller.node(down), **settings)
        builder.add_node("send", caller.node(send))
        return builder.add_edge(START, "fetch").add_edge("fetch", "send")

    handler = caller.node(handle)
    bare = graph(error_handler=handler).compile(checkpointer=caller.saver)
    assert caller.invoke(bare, {}, "bare") == {"draft": "from the archive"}
    assert bare.get_state(caller.thread("bare")).next == ()
    assert ran == []

    nodes = {"fetch": NodeGuard(policy=Policy(Fallback(caller.node(archive))))}
    app = guard(graph(), nodes).compile(checkpointer=caller.saver)
    assert caller.invoke(app, {}, "guarded") == {"draft": "from the archive"}
    assert ran == ["from the archive"]


def test_12_a_handler_that_is_a_node_is_told_why_in_any_process(caller: Caller) -> None:
    """Rerouted to, a node goes on along its own edges, and hears the reason after a resume too."""
    told: list[str] = []

    def recover(state: State) -> dict[str, Any]:
        why = feedback()
        told.append("" if why is None else f"{why.by[0]}: {why.reasons[0]}")
        return archive(state)

    def send(state: State) -> dict[str, Any]:
        return {"seen": [state["draft"]]}

    def app() -> Any:
        """Make the graph anew, as another process would."""
        builder = StateGraph(State).add_node("fetch", caller.node(down)).add_edge(START, "fetch")
        builder.add_node("recover", caller.node(recover)).add_node("send", caller.node(send))
        builder.add_edge("fetch", "send").add_edge("recover", "send")
        nodes = {"fetch": NodeGuard(policy=Policy(Reroute("recover")))}
        return guard(builder, nodes).compile(
            checkpointer=caller.saver, interrupt_before=["recover"]
        )

    caller.invoke(app(), {})
    assert app().get_state(caller.thread("1")).next == ("recover",)
    result = caller.invoke(app(), None)
    assert result == {"draft": "from the archive", "seen": ["from the archive"]}
    assert told == ["fetch: ConnectionError: down"]
