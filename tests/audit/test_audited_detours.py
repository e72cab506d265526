"""The audit of hand-overs that went another way: rerouted, sent back, paused, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from lines import GOOD, State, handoff, is_good, recorded
from pydantic import Field

from coordgate import (
    Contract,
    Degrade,
    Edit,
    Escalate,
    NodeGuard,
    Policy,
    Prices,
    Reroute,
    Retry,
    SendBack,
    Tracer,
    guard,
)
from coordgate.audit import audit
from coordgate.costs import costs
from coordgate.stores import MemoryStore
from coordgate.testing import ScriptedModel, scripted


def test_a_rerouted_hand_over_shipped_nothing_and_went_elsewhere() -> None:
    """A reroute counts against the handoff that was meant, and makes none to where control went."""
    builder = StateGraph(State)
    builder.add_node("make_a", scripted({"a": GOOD}, {"a": "bad"}, {"a": GOOD}, name="a"))
    builder.add_node("make_b", lambda state: {"b": GOOD})
    builder.add_node("other", lambda state: {"c": GOOD})
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")
    rerouted = NodeGuard(gates=[is_good("a")], policy=Policy(Reroute("other")))
    report = recorded(builder, {"make_a": rerouted}, [{}] * 3)
    meant = handoff(report, "make_a", "make_b")
    assert (meant.accepted.n, meant.accepted.successes) == (3, 2)
    assert not [h for h in report.handoffs if (h.producer, h.consumer) == ("make_a", "other")]
    assert report.nodes[0].by_rung["rerouted"].successes == 1
    assert (report.completed.successes, report.accepted.successes) == (3, 2)


def test_an_input_sent_back_counts_against_who_handed_it_over() -> None:
    """The refused hand-over is one that failed; the second one, that was taken, is another."""
    builder = StateGraph(State)
    builder.add_node("make_a", scripted({"a": ""}, {"a": GOOD}, name="a"))
    builder.add_node("make_b", lambda state: {"b": state["a"]})
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")
    back = NodeGuard(
        contract=Contract(accepts={"a": Annotated[str, Field(min_length=1)]}),
        policy=Policy(SendBack(times=1)),
    )
    report = recorded(builder, {"make_b": back}, [{}])
    a, b = report.nodes
    assert (a.accepted.n, a.accepted.successes) == (2, 2)
    assert (b.accepted.n, b.accepted.successes) == (2, 1)
    assert b.by_rung["sent_back"].successes == 1
    handed = handoff(report, "make_a", "make_b")
    assert (handed.accepted.n, handed.accepted.successes) == (2, 1)
    ended = handoff(report, "make_b", "__end__")
    assert (ended.accepted.n, ended.accepted.successes) == (1, 1)


def test_what_came_before_a_pause_belongs_to_the_run() -> None:
    """A retry before a question to a person counts, once the run has gone on after the answer."""
    store = MemoryStore()
    builder = StateGraph(State)
    builder.add_node("make_a", scripted({"a": "bad"}, {"a": GOOD}, name="a"))
    builder.add_node("make_b", scripted({"b": "bad"}, name="b"))
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")
    nodes = {
        "make_a": NodeGuard(gates=[is_good("a")], policy=Policy(Retry(1))),
        "make_b": NodeGuard(gates=[is_good("b")], policy=Policy(Escalate("editor"))),
    }
    config: RunnableConfig = {"configurable": {"thread_id": "1"}}
    with Tracer(store) as tracer:
        app = guard(builder, nodes, tracer=tracer).compile(checkpointer=InMemorySaver())
        app.invoke({}, config)
        assert tracer.flush()
        assert audit(store).observed.n == 0
        app.invoke(Command(resume=Edit({"b": GOOD})), config)
    report = audit(store)
    assert (report.observed.n, report.observed.successes) == (1, 1)
    assert report.first_pass.product.estimate == 0
    assert report.nodes[0].by_rung["retried"].successes == 1


def test_sql_finds_refused_inputs_as_the_protocol_does(tmp_path: Path) -> None:
    """What makes an input refused is the same in a query as in a record."""
    builder = StateGraph(State)
    builder.add_node("make_a", scripted({"a": ""}, {"a": GOOD}, name="a"))
    builder.add_node("make_b", lambda state: {"b": GOOD})
    builder.add_edge(START, "make_a")
    builder.add_edge("make_a", "make_b")
    accepts = Contract(accepts={"a": Annotated[str, Field(min_length=1)]})
    nodes = {"make_b": NodeGuard(contract=accepts, policy=Policy(Degrade({"b": "none"})))}
    with Tracer(tmp_path / "t.db") as tracer:
        app = guard(builder, nodes, tracer=tracer).compile()
        for _ in range(2):
            app.invoke({})
    refused = handoff(audit(tmp_path / "t.db"), "make_a", "make_b")
    assert (refused.accepted.n, refused.accepted.successes) == (2, 1)


@pytest.mark.parametrize(("mode", "wasted"), [("enforce", 0.5), ("observe", 0.0)])
def test_what_is_wasted_is_what_the_costs_say(mode: Any, wasted: float) -> None:
    """Of attempts that were rejected nothing shipped; in mode observe it did, and is no waste."""
    store = MemoryStore()

    def work(state: State) -> State:
        return {"a": ScriptedModel(next(answers)).invoke("go").text}

    usage: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    texts = ("bad", GOOD) if mode == "enforce" else ("bad",)
    answers = iter([AIMessage(text, usage_metadata=usage) for text in texts])
    builder = StateGraph(State).add_node("make_a", work).add_edge(START, "make_a")
    nodes = {"make_a": NodeGuard(gates=[is_good("a")], policy=Policy(Retry(1, wait=0)))}
    with Tracer(store) as tracer:
        guard(builder, nodes, mode=mode, tracer=tracer).compile().invoke({})
    (node,) = audit(store).nodes
    assert (node.wasted, node.wasted_of) == (wasted, "tokens")
    assert (node.tokens_in, node.tokens_out) == (10 * len(texts), 5 * len(texts))
    assert (node.cost, node.attempts) == (None, len(texts))
    found = costs(((run, store.transitions(run.id)) for run in store.runs()), by="node")
    assert found.total.wasted == wasted


def test_what_a_node_costs_is_what_its_calls_cost() -> None:
    """Tokens and dollars of all its attempts; the share wasted is then of the dollars."""
    store = MemoryStore()
    models = iter([("cheap", "bad"), ("dear", GOOD)])

    def work(state: State) -> State:
        model, text = next(models)
        usage: Any = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        said = AIMessage(text, usage_metadata=usage, response_metadata={"model_name": model})
        return {"a": ScriptedModel(said).invoke("go").text}

    prices = Prices(
        {"cheap": {"input": 1.0, "output": 10.0}, "dear": {"input": 3.0, "output": 30.0}}
    )
    builder = StateGraph(State).add_node("make_a", work).add_edge(START, "make_a")
    nodes = {"make_a": NodeGuard(gates=[is_good("a")], policy=Policy(Retry(1, wait=0)))}
    with Tracer(store) as tracer:
        guard(builder, nodes, tracer=tracer, prices=prices).compile().invoke({})
    (node,) = audit(store).nodes
    cheap, dear = (100 * 1 + 10 * 10) / 1e6, (100 * 3 + 10 * 30) / 1e6
    assert node.cost == pytest.approx(cheap + dear)
    assert (node.wasted, node.wasted_of) == (pytest.approx(cheap / (cheap + dear)), "cost")
    assert (node.tokens_in, node.tokens_out) == (200, 20)
