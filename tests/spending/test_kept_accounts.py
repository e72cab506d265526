"""Accounts: what a run has spent before a pause, a failure or a crash counts when it goes on."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from callers import Caller
from killing import lines_of
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from spenders import Clock, Spender, State, graph

from coordgate import Approve, Budget, BudgetExceeded, Escalate, NodeGuard, Policy, gate, guard

THREAD: Any = {"configurable": {"thread_id": "1"}}


def asks(state: State) -> Any:
    """Ask a person something."""
    return {"draft": interrupt("go on?")}


@gate
def never(output: State) -> bool:
    """Accept nothing."""
    return False


def test_what_was_spent_before_a_pause_counts(caller: Caller) -> None:
    """A resume goes on with what is left, also through another graph object."""
    nodes = [Spender("one", tokens=60), asks, Spender("two", tokens=60), Spender("three")]
    app = guard(graph(*map(caller.node, nodes)), budget=Budget(tokens=100))
    caller.invoke(app.compile(checkpointer=caller.saver), {})
    with pytest.raises(BudgetExceeded) as caught:
        caller.invoke(app.compile(checkpointer=caller.saver), Command(resume="yes"))
    assert caught.value.over == ("tokens 120 of 100",)
    assert {name: each.tokens for name, each in caught.value.nodes.items()} == {
        "one": 60,
        "asks": 0,
        "two": 60,
    }


def test_a_greater_budget_lets_a_spent_run_go_on(caller: Caller) -> None:
    """After BudgetExceeded, `invoke(None)` under a greater budget goes on where it stopped."""
    nodes = [Spender("one"), Spender("two"), Spender("three")]
    builder = graph(*map(caller.node, nodes))
    app = guard(builder, budget=Budget(attempts=1)).compile(checkpointer=caller.saver)
    for given in ({}, None):
        with pytest.raises(BudgetExceeded):
            caller.invoke(app, given)
    assert [each.calls for each in nodes] == [1, 0, 0]
    richer = guard(builder, budget=Budget(attempts=3)).compile(checkpointer=caller.saver)
    assert caller.invoke(richer, None)["ran"] == ["one", "two", "three"]


def test_a_run_that_has_ended_leaves_nothing(caller: Caller) -> None:
    """Neither the next input nor a resume of what is finished starts with an old account."""
    nodes = [Spender("one"), asks, Spender("two")]
    app = guard(graph(*map(caller.node, nodes)), budget=Budget(attempts=4))
    made = app.compile(checkpointer=caller.saver)
    for _ in range(3):
        caller.invoke(made, {})
        caller.invoke(made, Command(resume="yes"))
    caller.invoke(made, {})
    caller.invoke(made, {})  # a new input instead of the answer is a new run
    caller.invoke(made, Command(resume="yes"))


def test_waiting_for_a_person_takes_no_seconds(caller: Caller) -> None:
    """The clock stands between a pause and the resume, and goes on after it."""
    clock = Clock()

    def work(state: State) -> Any:
        clock.now += 6
        return {}

    def more(state: State) -> Any:
        return work(state)

    nodes = [work, asks, more, Spender("last")]
    app = guard(graph(*map(caller.node, nodes)), budget=Budget(seconds=12, clock=clock))
    made = app.compile(checkpointer=caller.saver)
    caller.invoke(made, {})
    clock.now += 1_000_000
    with pytest.raises(BudgetExceeded, match="seconds 12 of 12"):
        caller.invoke(made, Command(resume="yes"))


def test_what_was_spent_before_a_question_of_the_ladder_counts(caller: Caller) -> None:
    """Escalate's pause is a pause as any other."""
    nodes = {"one": NodeGuard(gates=[never], policy=Policy(Escalate("editor")))}
    app = guard(graph(*map(caller.node, (Spender("one"), Spender("two")))), nodes)
    made = guard(app, budget=Budget(attempts=1)).compile(checkpointer=caller.saver)
    caller.invoke(made, {})
    with pytest.raises(BudgetExceeded):
        caller.invoke(made, Command(resume=Approve()))


def test_a_thread_has_its_own_account(caller: Caller) -> None:
    """What one thread has spent is nothing to another."""
    app = guard(graph(*map(caller.node, (Spender("one"), asks))), budget=Budget(attempts=2))
    made = app.compile(checkpointer=caller.saver)
    for thread in "abc":
        assert "__interrupt__" in caller.invoke(made, {}, thread)


def test_another_connection_finds_it(tmp_path: Path) -> None:
    """The account stands in the saver's database: one row for the thread, in its own namespace."""
    path = str(tmp_path / "checkpoints.db")
    app = guard(graph(Spender("one"), asks, Spender("two")), budget=Budget(attempts=3))
    with SqliteSaver.from_conn_string(path) as saver:
        app.compile(checkpointer=saver).invoke({}, THREAD)
    with SqliteSaver.from_conn_string(path) as saver, pytest.raises(BudgetExceeded):
        app.compile(checkpointer=saver).invoke(Command(resume="yes"), THREAD)
    with sqlite3.connect(path) as database:
        query = "select count(*) from checkpoints where checkpoint_ns = 'coordgate'"
        assert database.execute(query).fetchone() == (1,)
    database.close()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_postgres_keeps_it(postgres: str, how: str) -> None:
    """LangGraph's Postgres savers keep one row for a thread, and write it over."""
    app = guard(graph(Spender("one"), asks, Spender("two")), budget=Budget(attempts=3))

    def run(given: Any) -> Any:
        with PostgresSaver.from_conn_string(postgres) as saver:
            saver.setup()
            return app.compile(checkpointer=saver).invoke(given, THREAD)

    async def arun(given: Any) -> Any:
        async with AsyncPostgresSaver.from_conn_string(postgres) as saver:
            await saver.setup()
            return await app.compile(checkpointer=saver).ainvoke(given, THREAD)

    def go(given: Any) -> Any:
        return run(given) if how == "sync" else asyncio.run(arun(given))

    go({})
    with pytest.raises(BudgetExceeded):
        go(Command(resume="yes"))
    with PostgresSaver.from_conn_string(postgres) as saver:
        rows = saver.list({"configurable": {"thread_id": "1", "checkpoint_ns": "coordgate"}})
        (kept,) = [row.metadata["coordgate"] for row in rows]
    assert {name: spent[0] for name, spent in kept["nodes"].items()} == {"one": 1, "asks": 2}


def test_an_awaited_saver_is_awaited(tmp_path: Path) -> None:
    """LangGraph's async SQLite saver, which refuses sync calls, keeps it too."""

    async def run(given: Any) -> Any:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
            return await app.compile(checkpointer=saver).ainvoke(given, THREAD)

    def inner(state: State) -> Any:
        return within.invoke({})  # sync within the event loop

    within = guard(graph(Spender("a"))).compile()
    app = guard(graph(inner, asks, Spender("two")), budget=Budget(attempts=4))
    asyncio.run(run({}))
    with pytest.raises(BudgetExceeded):
        asyncio.run(run(Command(resume="yes")))


def test_the_history_of_a_thread_is_as_without_a_budget() -> None:
    """LangGraph's own views of a thread do not show the account."""
    seen: list[Any] = []
    for budget in (None, Budget(attempts=9)):
        saver = InMemorySaver()
        app = guard(graph(Spender("one"), asks), budget=budget).compile(checkpointer=saver)
        app.invoke({}, THREAD)
        state = app.get_state(THREAD)
        history = [(each.next, each.values) for each in app.get_state_history(THREAD)]
        seen.append((state.values, state.next, history))
        saver.delete_thread("1")
        assert not saver.storage.get("1")
    assert seen[0] == seen[1]


def test_a_guarded_graph_in_a_bare_one_keeps_its_own(caller: Caller) -> None:
    """Where only the inner graph is guarded, its run goes on with it when the outer one does."""
    inner = guard(graph(*map(caller.node, (Spender("one"), asks, Spender("two")))))
    budgeted = guard(inner, budget=Budget(attempts=3)).compile()
    builder = StateGraph(State).add_node("sub", budgeted).add_edge(START, "sub")
    app = builder.compile(checkpointer=caller.saver)
    caller.invoke(app, {})
    with pytest.raises(BudgetExceeded):
        caller.invoke(app, Command(resume="yes"))


class FailingSaver(InMemorySaver):
    """A saver that cannot write the account any more after a while."""

    left = 0

    def put(self, config: Any, *args: Any) -> Any:
        """Fail for the account, once nothing is left."""
        if config["configurable"]["checkpoint_ns"] == "coordgate":
            self.left -= 1
            if self.left < 0:
                raise OSError("no space left on device")
        return super().put(config, *args)


def test_a_saver_that_fails_stops_the_next_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """An attempt does not begin uncounted; one that has ended stands, with a warning."""
    one, two = Spender("one"), Spender("two")
    app = guard(graph(one, two), budget=Budget(attempts=9))
    saver = FailingSaver()
    saver.left = 1
    with pytest.raises(OSError, match="no space left"):
        app.compile(checkpointer=saver).invoke({}, THREAD)
    assert (one.calls, two.calls) == (1, 0)
    assert "could not be saved" in caplog.text


def test_a_killed_attempt_has_been_counted(tmp_path: Path) -> None:
    """Killed in the middle of a body, again and again, the run ends when its budget does."""
    program = Path(__file__).with_name("dying.py")
    assert lines_of(program, str(tmp_path)) == [
        {"runs": 1, "killed": True, "said": None},
        {"runs": 2, "killed": True, "said": None},
        {"runs": 3, "killed": True, "said": None},
        {"runs": 3, "killed": False, "said": ["attempts 3 of 3", 3]},
    ]
