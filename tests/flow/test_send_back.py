"""SendBack: who wrote what a node cannot use runs again, told why, and then that node."""

from typing import Annotated, Any

import pytest
from callers import Caller
from flows import State, both, ends, graph, run, said, step, thread
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Overwrite, Send
from pydantic import BaseModel, Field

from coordgate import (
    Contract,
    ContractViolation,
    Degrade,
    Feedback,
    GateRejected,
    NodeGuard,
    Policy,
    SendBack,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer

FACTS = Contract(accepts={"facts": Annotated[str, Field(min_length=1)]})


def needs_facts(*rungs: Any) -> NodeGuard:
    """Return the guard of a node that cannot use empty facts."""
    return NodeGuard(FACTS, policy=Policy(*rungs or (SendBack(),)))


def finder(name: str = "find", *facts: str) -> Any:
    """Return a node that hands over these facts in turn, the last one from then on."""
    left = list(facts or ("", "It rains."))

    def node(state: State, feedback: Feedback | None = None) -> dict[str, Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        told = [] if feedback is None else [f"{name}: {said(feedback)}"]
        return {"facts": found, "ran": [name], "told": told}

    return node


EMPTY = "facts: string should have at least 1 character (got '') (use)"


@both
def test_the_producer_runs_again_told_why_and_then_the_node(how: str) -> None:
    """The consumer's body runs once, on the second hand-over; the record has every transition."""
    tracer = RecordingTracer()
    builder = graph("find", "use", find=finder()).add_edge("find", "use")
    result = run(guard(builder, {"use": needs_facts()}, tracer=tracer).compile(), how)
    assert result["ran"] == ["find", "find", "use"]
    assert result["told"] == [f"find: {EMPTY}"]
    assert ends(tracer) == [
        ("find", "accepted", ("use",)),
        ("use", "sent_back", ("find",)),
        ("find", "accepted", ("use",)),
        ("use", "accepted", ()),
    ]
    back = tracer.transitions[1]
    assert [(a.rung, a.outcome) for a in back.attempts] == [
        ("first", "violated"),
        ("send_back:find", "sent_back"),
    ]
    assert back.writes is None
    assert tracer.transitions[2].producers == ("use",)


@both
def test_it_is_bounded(how: str) -> None:
    """After `times` in a row the ladder goes on above; past its end the error says so."""
    builder = graph("find", "use", find=finder("find", "")).add_edge("find", "use")
    stated = needs_facts(SendBack(times=2), Degrade({"draft": "?"}))
    result = run(guard(builder, {"use": stated}).compile(), how)
    assert (result["ran"], result["draft"]) == (["find"] * 3, "?")
    with pytest.raises(ContractViolation) as failed:
        run(guard(builder, {"use": needs_facts()}).compile(), how)
    assert failed.value.direction == "input"
    assert "SendBack(node=None, times=1) is used up after 1" in failed.value.remedy


@both
def test_the_producer_sees_how_often_it_was_sent_back_to(how: str) -> None:
    """The number of the attempt counts on."""
    attempts: list[int] = []

    def find(state: State, feedback: Feedback | None = None) -> dict[str, Any]:
        attempts.append(1 if feedback is None else feedback.attempt)
        return {"facts": ""}

    builder = graph("find", "use", find=find).add_edge("find", "use")
    app = guard(builder, {"use": needs_facts(SendBack(times=3), Degrade({}))}).compile()
    run(app, how)
    assert attempts == [1, 2, 3, 4]


@both
def test_the_producer_is_who_wrote_the_key_not_who_came_last(how: str) -> None:
    """A node between, which did not write the facts, runs again only along the edges."""
    builder = graph("find", "outline", "use", find=finder())
    builder.add_edge("find", "outline").add_edge("outline", "use")
    result = run(guard(builder, {"use": needs_facts()}).compile(), how)
    assert result["ran"] == ["find", "outline", "find", "outline", "use"]
    assert result["told"] == [f"find: {EMPTY}"]


@both
def test_a_missing_key_goes_to_who_handed_over(how: str) -> None:
    """Nobody wrote it: the node that should have is the one that control came from."""

    def find(state: State, feedback: Feedback | None = None) -> dict[str, Any]:
        return {"ran": ["find"]} if feedback is None else {"facts": "It rains.", "ran": ["find"]}

    builder = graph("before", "find", "use", find=find)
    builder.add_edge("before", "find").add_edge("find", "use")
    result = run(guard(builder, {"use": needs_facts()}).compile(), how)
    assert result["ran"] == ["before", "find", "find", "use"]


@both
def test_of_several_producers_only_the_one_that_wrote_it_runs_again(how: str) -> None:
    """A join waits for the other one no second time."""
    builder = graph("find", "check", "use", find=finder()).add_edge(START, "check")
    builder.add_edge(["find", "check"], "use")
    result = run(guard(builder, {"use": needs_facts()}).compile(), how)
    assert sorted(result["ran"][:2]) == ["check", "find"]
    assert result["ran"][2:] == ["find", "use"]


@both
def test_several_producers_of_what_is_bad_all_run_again(how: str) -> None:
    """Two bad keys by two nodes: both are told, and the node runs once both have handed over."""
    both_keys = Contract(accepts={"facts": Annotated[str, Field(min_length=1)], "draft": str})

    def sketch(state: State, feedback: Feedback | None = None) -> dict[str, Any]:
        return {"ran": ["sketch"]} if feedback is None else {"draft": "A draft.", "ran": ["sketch"]}

    builder = graph("find", "sketch", "use", find=finder(), sketch=sketch)
    builder.add_edge(START, "sketch").add_edge(["find", "sketch"], "use")
    spec = NodeGuard(both_keys, policy=Policy(SendBack()))
    result = run(guard(builder, {"use": spec}).compile(), how)
    assert result["ran"].count("use") == 1
    assert sorted(result["ran"][:-1]) == ["find", "find", "sketch", "sketch"]


@both
def test_a_join_of_unequal_branches_comes_together_again(how: str) -> None:
    """Sent back before a fork, both branches run again, and the node once, after the longer."""
    builder = graph("find", "a", "b", "c", "use", find=finder())
    builder.add_edge("find", "a").add_edge("find", "b").add_edge("b", "c")
    builder.add_edge(["a", "c"], "use")
    result = run(guard(builder, {"use": needs_facts()}).compile(), how)
    assert result["ran"][:4] == ["find", "a", "b", "c"]
    assert result["ran"][4:] == ["find", "a", "b", "c", "use"]


@both
def test_a_named_node_is_run_again_in_the_producer_s_place(how: str) -> None:
    """SendBack("before") begins further up; control comes back along the edges."""

    def before(state: State, feedback: Feedback | None = None) -> dict[str, Any]:
        return {"draft": "wide" if feedback else "narrow", "ran": ["before"]}

    def find(state: State) -> dict[str, Any]:
        return {"facts": "It rains." if state["draft"] == "wide" else "", "ran": ["find"]}

    builder = graph("before", "find", "use", before=before, find=find)
    builder.add_edge("before", "find").add_edge("find", "use")
    app = guard(builder, {"use": needs_facts(SendBack("before"))}).compile()
    assert run(app, how)["ran"] == ["before", "find", "before", "find", "use"]


@both
def test_another_consumer_runs_again_on_the_new_hand_over(how: str) -> None:
    """The producer's edges are all taken: what else was built on the bad facts is built anew."""
    builder = graph("find", "use", "index", find=finder())
    builder.add_edge("find", "use").add_edge("find", "index")
    result = run(guard(builder, {"use": needs_facts()}).compile(), how)
    assert sorted(result["ran"]) == ["find", "find", "index", "index", "use"]


@both
def test_two_consumers_may_send_back_at_once(how: str) -> None:
    """The producer runs once more, told by both."""
    builder = graph("find", "use", "other", find=finder())
    builder.add_edge("find", "use").add_edge("find", "other")
    result = run(guard(builder, {"use": needs_facts(), "other": needs_facts()}).compile(), how)
    assert sorted(result["ran"]) == ["find", "find", "other", "use"]
    (told,) = result["told"]
    assert told.endswith("(other, use)")


@both
def test_the_producer_s_own_route_is_taken_anew(how: str) -> None:
    """A router or a Command may send the second hand-over elsewhere; the node then does not run."""

    def find(state: State, feedback: Feedback | None = None) -> Command[Any]:
        goto = "use" if feedback is None else "give_up"
        return Command(update={"facts": "", "ran": ["find"]}, goto=goto)

    builder = graph("find", "use", "give_up", find=find)
    assert run(guard(builder, {"use": needs_facts()}).compile(), how)["ran"] == [
        "find",
        "find",
        "give_up",
    ]


@both
def test_the_graph_s_input_cannot_be_sent_back(how: str) -> None:
    """What no node wrote is an error that says so, or the next rung; no node runs again."""
    builder = graph("before", "use").add_edge("before", "use")
    with pytest.raises(ContractViolation, match="'facts' came with the graph's input"):
        run(guard(builder, {"use": needs_facts()}).compile(), how, {"facts": ""})
    first = graph("use")
    with pytest.raises(ContractViolation, match="no node has handed over to it, but the graph's"):
        run(guard(first, {"use": needs_facts()}).compile(), how, {})
    stated = needs_facts(SendBack(), Degrade({"draft": "?"}))
    result = run(guard(builder, {"use": stated}).compile(), how, {"facts": ""})
    assert (result["ran"], result["draft"]) == (["before"], "?")


@both
def test_a_later_input_takes_the_place_of_what_a_node_wrote(how: str) -> None:
    """On the same thread, facts given with the second input are the caller's."""
    builder = graph("use", "find", find=finder("find", "It rains.")).add_edge("use", "find")
    app = guard(builder, {"use": needs_facts()}).compile(checkpointer=InMemorySaver())
    run(app, how, {"facts": "It snows."}, thread())
    with pytest.raises(ContractViolation, match="'facts' came with the graph's input"):
        run(app, how, {"facts": ""}, thread())


@both
def test_what_was_started_by_send_is_not_sent_back(how: str) -> None:
    """Its producer would send all of them again; the other tasks would count twice."""
    builder = graph("fan", "use")
    builder.add_conditional_edges(
        "fan", lambda state: [Send("use", {"facts": each}) for each in ("a", "", "c")]
    )
    with pytest.raises(ContractViolation, match="started by Send, and its producer would send all"):
        run(guard(builder, {"use": needs_facts()}).compile(), how)
    stated = needs_facts(SendBack(), Degrade({"ran": ["stated"]}))
    result = run(guard(builder, {"use": stated}).compile(), how)
    assert sorted(result["ran"]) == ["fan", "stated", "use", "use"]


@both
def test_a_producer_that_was_started_by_send_is_not_run_again(how: str) -> None:
    """It would get the graph's state in the place of what it was sent."""
    builder = graph("fan", "find", "use", find=finder("find", "")).add_edge("find", "use")
    builder.add_conditional_edges("fan", lambda state: [Send("find", {})], ["find"])
    with pytest.raises(ContractViolation, match="'find' was started by Send"):
        run(guard(builder, {"use": needs_facts()}).compile(), how)


@both
def test_nothing_with_external_effects_runs_again(how: str) -> None:
    """Neither the producer, nor what it would lead to and has run; each says so."""
    external = NodeGuard(effects="external")
    builder = graph("find", "use", find=finder()).add_edge("find", "use")
    with pytest.raises(ContractViolation, match="'find' has external effects"):
        run(guard(builder, {"use": needs_facts(), "find": external}).compile(), how)
    builder = graph("find", "pay", "use", find=finder())
    builder.add_edge("find", "pay").add_edge("pay", "use")
    with pytest.raises(ContractViolation, match="'pay' has external effects"):
        run(guard(builder, {"use": needs_facts(), "pay": external}).compile(), how)
    builder = graph("find", "use", "pay", find=finder()).add_edge("find", "use")
    builder.add_edge("use", "pay")
    result = run(guard(builder, {"use": needs_facts(), "pay": external}).compile(), how)
    assert result["ran"] == ["find", "find", "use", "pay"]


@both
def test_a_subgraph_sends_back_and_is_sent_back_to(how: str) -> None:
    """As a node of the outer graph, with what its own nodes are told below."""
    inner = StateGraph(State).add_node("deep", step("deep")).add_edge(START, "deep").compile()
    builder = graph("find", "sub", find=finder(), sub=inner).add_edge("find", "sub")
    result = run(guard(builder, {"sub": needs_facts()}).compile(), how)
    assert (result["ran"].count("deep"), result["facts"]) == (1, "It rains.")
    finding = StateGraph(State).add_node("deep", finder("deep")).add_edge(START, "deep")
    builder = graph("sub", "use", sub=finding.compile()).add_edge("sub", "use")
    result = run(guard(builder, {"use": needs_facts()}).compile(), how)
    assert result["ran"].count("use") == 1
    assert result["told"][-1] == f"deep: {EMPTY}"


@both
def test_a_node_inside_does_not_send_back_outside(how: str) -> None:
    """What a subgraph was handed is its graph's input; the error says so."""
    inner = StateGraph(State).add_node("use", step("use")).add_edge(START, "use").compile()
    builder = graph("find", "sub", find=finder(), sub=inner).add_edge("find", "sub")
    with pytest.raises(ContractViolation, match="'facts' came with the graph's input"):
        run(guard(builder, {"sub|use": needs_facts()}).compile(), how)


@both
def test_a_gate_may_send_back(how: str) -> None:
    """`otherwise="send_back"` tells who handed over; other rejections do not send back."""

    @gate(otherwise="send_back")
    def about_rain(output: Any, state: State) -> Verdict:
        if "rains" in state["facts"]:
            return Verdict.accept()
        return Verdict.reject("the facts are not about rain")

    @gate
    def never(output: Any) -> Verdict:
        return Verdict.reject("never")

    def app(gate: Any) -> Any:
        find = finder("find", "It snows.", "It rains.")
        builder = graph("find", "use", find=find)
        spec = NodeGuard(gates=[gate], policy=Policy(SendBack()))
        return guard(builder.add_edge("find", "use"), {"use": spec}).compile()

    result = run(app(about_rain), how)
    assert result["ran"] == ["find", "find", "use"]
    assert result["told"] == ["find: about_rain: the facts are not about rain (use)"]
    with pytest.raises(GateRejected, match="never"):
        run(app(never), how)


def test_it_outlives_the_process(caller: Caller) -> None:
    """Paused before each node and gone on with by a graph made anew, all is as in one run."""
    facts = iter(["", "", "It rains."])

    def find(state: State, feedback: Feedback | None = None) -> dict[str, Any]:
        told = [] if feedback is None else [said(feedback)]
        return {"facts": next(facts), "ran": ["find"], "told": told}

    def app() -> Any:
        builder = graph("find", "check", "use", find=find).add_edge(START, "check")
        builder.add_edge(["find", "check"], "use")
        nodes = {"use": needs_facts(SendBack(times=2))}
        return guard(builder, nodes).compile(checkpointer=caller.saver, interrupt_before="*")

    result = caller.invoke(app(), {})
    while app().get_state(caller.thread("1")).next:
        result = caller.invoke(app(), None)
    assert sorted(result["ran"][:2]) == ["check", "find"]
    assert result["ran"][2:] == ["find", "find", "use"]
    assert result["told"] == [EMPTY] * 2


@both
def test_a_bare_graph_s_thread_is_gone_on_with(how: str) -> None:
    """Who wrote what before the guard is not known: an error says so, and nothing is guessed."""
    saver = InMemorySaver()
    builder = graph("find", "use", find=finder()).add_edge("find", "use")
    bare = builder.compile(checkpointer=saver, interrupt_before=["use"])
    run(bare, how, {}, thread())
    app = guard(builder, {"use": needs_facts()}).compile(checkpointer=saver)
    with pytest.raises(ContractViolation, match="no node has handed over to it"):
        run(app, how, None, thread())


@both
def test_what_a_reducer_has_gathered_is_the_producer_s_to_replace(how: str) -> None:
    """The bad item stays in the state, as LangGraph has it; an Overwrite takes it out."""

    class Gathering(BaseModel):
        items: Annotated[list[str], Field(default_factory=list), lambda old, new: [*old, *new]]

    def find(state: Gathering, feedback: Feedback | None = None) -> dict[str, Any]:
        return {"items": [""] if feedback is None else Overwrite(["It rains."])}

    builder = StateGraph(Gathering).add_node("find", find).add_node("use", lambda state: None)
    builder.add_edge(START, "find").add_edge("find", "use").add_edge("use", END)
    accepts = Contract(accepts={"items": list[Annotated[str, Field(min_length=1)]]})
    app = guard(builder, {"use": NodeGuard(accepts, policy=Policy(SendBack()))}).compile()
    assert run(app, how)["items"] == ["It rains."]
