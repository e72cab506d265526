"""`coordgate cost`: who spends, what is wasted, and what is not known."""

import json
from pathlib import Path
from typing import Any

import pytest
from calling import PRICES, Chat, State, one_node
from langchain.agents import create_agent
from langgraph.graph import START, MessagesState, StateGraph
from llmock.pytest_plugin import LLMock

from coordgate import NodeGuard, Policy, Retry, Tracer, guard
from coordgate.cli import main
from coordgate.costs import costs
from coordgate.gates import check
from coordgate.stores import open_store
from coordgate.tracer import Attempt, Call, Run, RunId, Transition

START_TIME = 1_750_000_000.0


def attempt(number: int, outcome: Any, *calls: Call) -> Attempt:
    """Return an attempt that made these calls."""
    return Attempt(number, "first" if number == 1 else "retry", outcome, 0.5, calls=calls)


def call(model: str | None, sent: int | None, cost: float | None, **given: Any) -> Call:
    """Return a call that received 10 tokens."""
    received = None if sent is None else 10
    return Call(model, "stop", sent, received, None, cost, 0.1, **given)


def transition(node: str, *attempts: Attempt, **given: Any) -> Transition:
    """Return a transition of the run `r1`."""
    fields: dict[str, Any] = {"namespace": f"{node}:1", "status": "accepted", **given}
    return Transition(
        RunId(fields.pop("run", "r1")),
        1,
        None,
        step=1,
        node=node,
        started=START_TIME,
        seconds=1.0,
        attempts=attempts,
        **fields,
    )


def stored(path: Path, *transitions: Transition) -> str:
    """Store transitions with their runs; return the path."""
    with open_store(path, mode="write") as store:
        for name in dict.fromkeys(each.run for each in transitions):
            store.write([Run(name, "g", None, "enforce", "completed", START_TIME)])
        store.write(transitions)
    return str(path)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what the command prints."""
    assert main(["cost", *arguments]) == 0
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Return what the command prints as JSON."""
    return json.loads(shown(capsys, *arguments, "--json"))


DRAFT = transition(
    "draft",
    attempt(1, "rejected", call("large", 300, 0.03), call("judge", 90, 0.01, gate="judge")),
    attempt(2, "accepted", call("large", 300, 0.03), call("judge", 90, 0.01, gate="judge")),
)
ROUTE = transition("route", attempt(1, "accepted", call("small", 190, 0.02)))


def test_the_node_that_burns_the_budget_stands_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes stand by their share of the cost, each with what its failed attempts wasted."""
    path = stored(tmp_path / "t.db", ROUTE, DRAFT)
    assert (
        shown(capsys, path)
        == """\
NODE    CALLS   TOKENS IN         OUT            COST    OF COST  WASTED
draft       4         780          40           $0.08        80%     50%
route       1         190          10           $0.02        20%      0%
TOTAL       5         970          50            $0.1       100%     40%
draft spends 80% of all cost, 50% of it wasted
"""
    )


def test_spending_can_be_summed_over_models_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--by model` tells the judges apart, `--by run` the runs; RUN is one of them."""
    other = transition("draft", attempt(1, "accepted", call("small", 90, 0.5)), run="r2")
    path = stored(tmp_path / "t.jsonl", ROUTE, DRAFT, other)
    by_model = as_json(capsys, path, "r1", "--by", "model")
    assert [(row["name"], row["cost"]) for row in by_model["rows"]] == [
        ("large", 0.06),
        ("judge", 0.02),
        ("small", 0.02),
    ]
    assert by_model["rows"][1]["gate_tokens"] == 200
    by_run = as_json(capsys, path, "--by", "run")
    assert [(row["name"], row["calls"]) for row in by_run["rows"]] == [("r2", 1), ("r1", 5)]


def test_what_is_unknown_is_said_and_is_not_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call without a price, or without tokens, is counted; shares are then of tokens."""
    path = stored(
        tmp_path / "t.db",
        transition("a", attempt(1, "accepted", call("large", 90, 0.5), call("new", 290, None))),
        transition("b", attempt(1, "accepted", call("new", None, None))),
    )
    out = shown(capsys, path)
    assert "over $0.5" in out
    assert [line.split()[4] for line in out.splitlines()[1:3]] == ["over", "unknown"]
    assert "OF TOKENS" in out
    assert "2 of 3 calls have no known cost" in out
    assert "1 of 3 calls came without token counts" in out
    first, second = as_json(capsys, path)["rows"]
    assert (first["cost"], first["known_cost"], first["unpriced"]) == (None, 0.5, 1)
    assert (second["cost"], second["uncounted"], second["share"]) == (None, 1, 0.0)


def test_calls_that_failed_are_not_free(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A node whose calls all failed has no cost, rather than one of 0."""
    broken = Call("large", error="APIConnectionError: Connection error.", seconds=0.1)
    path = stored(tmp_path / "t.db", transition("a", attempt(1, "raised", broken)))
    assert "unknown" in shown(capsys, path)
    (row,) = as_json(capsys, path)["rows"]
    assert (row["cost"], row["failed"], row["share"], row["wasted_share"]) == (None, 1, None, None)


def test_a_failed_call_that_was_answered_is_paid_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer that the client could not parse has a cost, and is wasted, not unknown."""
    cut = Call("m", "length", 100, 10, None, 0.2, 0.1, None, "ValidationError: no JSON")
    path = stored(tmp_path / "t.db", transition("a", attempt(1, "raised", cut)))
    assert "whether they cost anything" not in shown(capsys, path)
    (row,) = as_json(capsys, path)["rows"]
    assert (row["cost"], row["wasted_cost"], row["failed"]) == (0.2, 0.2, 1)
    assert (row["uncounted"], row["unpriced"], row["wasted_share"]) == (0, 0, 1.0)


def test_prices_can_be_given_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--prices` prices what was recorded, cached tokens too, instead of the cost recorded."""
    prices = tmp_path / "prices.toml"
    prices.write_text("[models.new]\ninput = 1\noutput = 2\ncached_input = 0.1\n")
    cached = Call("new", "stop", 1000, 10, '{"cache_read": 1000}', None, 0.1)
    path = stored(
        tmp_path / "t.db",
        transition("a", attempt(1, "accepted", call("new", 990, 99.0), cached)),
    )
    (row,) = as_json(capsys, path, "--prices", str(prices))["rows"]
    assert row["cost"] == pytest.approx((990 + 20 + 100 + 20) / 1e6)


def test_an_observed_failure_is_not_waste() -> None:
    """What shipped although a gate rejected it was not thrown away."""
    shipped = transition("a", attempt(1, "rejected", call("m", 90, 0.5)), status="observed")
    run = Run(RunId("r1"), "g", None, "observe", "completed", START_TIME)
    assert costs([(run, [shipped])], by="node").total.wasted_cost == 0.0


def test_a_store_without_calls_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing recorded is nothing spent, as far as is known."""
    path = stored(tmp_path / "t.db", transition("a", attempt(1, "accepted")))
    assert shown(capsys, path) == "no model call was recorded\n"


def test_a_real_run_adds_up(
    llmock: LLMock, chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A retry against the server: the first of two attempts was wasted."""
    llmock.reply("rain").reply("rain, I say")
    node = NodeGuard(
        gates=[check(lambda output: len(output["draft"]) > 4, "too short")], policy=Policy(Retry(1))
    )
    path = tmp_path / "t.db"

    def write(_: State) -> State:
        return {"draft": chat().invoke("Why is the street wet?").text}

    with Tracer(path) as tracer:
        guard(one_node(write), {"write": node}, tracer=tracer, prices=PRICES).invoke({})
    (row,) = as_json(capsys, str(path))["rows"]
    assert (row["name"], row["attempts"], row["calls"], row["tokens_in"]) == ("write", 2, 2, 10)
    assert row["wasted_share"] == pytest.approx((5 + 4 * 1) / (5 + 4 * 1 + 5 + 4 * 2))


def test_an_inner_nodes_spending_is_its_own(
    llmock: LLMock, chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node inside a subgraph is named behind the nodes around it, and counted once."""
    graph = (
        StateGraph(MessagesState).add_node("agent", create_agent(chat())).add_edge(START, "agent")
    )
    path = tmp_path / "t.db"
    with Tracer(path) as tracer:
        guard(graph.compile(), tracer=tracer).invoke({"messages": [("human", "Why?")]})
    document = as_json(capsys, str(path))
    assert [(row["name"], row["calls"]) for row in document["rows"]] == [("agent|model", 1)]
    assert document["total"]["calls"] == 1
