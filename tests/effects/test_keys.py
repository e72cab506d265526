"""Keys: `idempotency_key()` names a task, the same in every attempt at it, and no other's."""

import asyncio
import operator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from callers import Caller
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt

from coordgate import NodeGuard, Policy, Retry, UngatedError, Verdict, gate, guard, idempotency_key

AT_ONCE: dict[str, Any] = {"wait": 0.0, "jitter": False}
OFTEN = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)


class State(TypedDict, total=False):
    """What the nodes here share."""

    keys: Annotated[list[str], operator.add]
    item: int


class Keys:
    """A node that takes its key, and does each time what it is told to."""

    def __init__(self, *does: Any) -> None:
        """Raise what is an exception, ask what is a question, and else return the key."""
        self.does = list(does)
        self.taken: list[str] = []

    def __call__(self, state: State) -> Any:
        """Take the key."""
        key = idempotency_key()
        self.taken.append(key)
        does = self.does.pop(0) if self.does else None
        if isinstance(does, Exception):
            raise does
        if isinstance(does, str):
            interrupt(does)
        return {"keys": [key]}


def graph(caller: Caller, node: Any, **options: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of one node, `charge`."""
    builder = StateGraph(State)
    builder.add_node("charge", caller.node(node), **options)
    builder.add_edge(START, "charge")
    return builder


IDEMPOTENT = NodeGuard(effects="idempotent")


def test_it_is_the_same_in_every_repeat(caller: Caller) -> None:
    """Content retries, the ladder's own after an exception, and LangGraph's keep the key."""

    @gate
    def third(output: State) -> Verdict:
        return Verdict.accept() if len(node.taken) >= 4 else Verdict.reject("not yet")

    node = Keys(ConnectionError("reset"), ValueError("odd"))
    declared = NodeGuard(gates=[third], policy=Policy(Retry(3, **AT_ONCE)), effects="idempotent")
    builder = graph(caller, node, retry_policy=OFTEN)
    app = guard(builder, {"charge": declared}).compile(checkpointer=caller.saver)
    (key,) = caller.invoke(app, {})["keys"]
    assert node.taken == [key] * 4
    assert len(key) == 40


def test_it_is_the_same_when_the_run_goes_on(caller: Caller) -> None:
    """After a question of the node's own, and after an exception, it is the same task."""
    node = Keys("may I?", ConnectionError("reset"))
    app = guard(graph(caller, node), {"charge": IDEMPOTENT}).compile(checkpointer=caller.saver)
    caller.invoke(app, {})
    with pytest.raises(ConnectionError):
        caller.invoke(app, Command(resume="yes"))
    again = guard(graph(caller, node), {"charge": IDEMPOTENT}).compile(checkpointer=caller.saver)
    (key,) = caller.invoke(again, None)["keys"]
    assert node.taken == [key] * 3


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_it_is_the_same_from_another_connection(tmp_path: Path, durability: Any) -> None:
    """What a failed run has saved is enough to come to the same key, at any durability."""
    node, path = Keys(ConnectionError("reset")), str(tmp_path / "checkpoints.db")
    config: Any = {"configurable": {"thread_id": "1"}}
    for given in ({}, None):
        with SqliteSaver.from_conn_string(path) as saver:
            app = guard(graph(Caller(saver), node), {"charge": IDEMPOTENT})
            made = app.compile(checkpointer=saver)
            if given is None:
                made.invoke(given, config, durability=durability)
            else:
                with pytest.raises(ConnectionError):
                    made.invoke(given, config, durability=durability)
    assert len(node.taken) == 2
    assert len(set(node.taken)) == 1


def test_it_is_the_same_from_another_connection_awaited(tmp_path: Path) -> None:
    """The same with LangGraph's async SQLite saver."""
    node, path = Keys("may I?"), str(tmp_path / "checkpoints.db")

    async def run(given: Any) -> None:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            app = guard(graph(Caller(saver, asynchronous=True), node), {"charge": IDEMPOTENT})
            made = app.compile(checkpointer=saver)
            await made.ainvoke(given, {"configurable": {"thread_id": "1"}})

    asyncio.run(run({}))
    asyncio.run(run(Command(resume="yes")))
    assert len(node.taken) == 2
    assert len(set(node.taken)) == 1


def test_every_other_task_has_another(caller: Caller) -> None:
    """Siblings under `Send`, turns of a loop, turns of a thread, and threads have their own."""
    node = Keys()
    builder = graph(caller, node)
    builder.add_conditional_edges(
        "charge",
        lambda state: (
            [Send("charge", {"item": n}) for n in range(3)] if len(state["keys"]) < 3 else "__end__"
        ),
        ["charge", "__end__"],
    )
    app = guard(builder, {"charge": IDEMPOTENT}).compile(checkpointer=caller.saver)
    assert len(caller.invoke(app, {}, "1")["keys"]) == 1 + 3 + 3 * 3
    caller.invoke(app, {"item": 1}, "1")
    caller.invoke(app, {}, "2")
    assert len(node.taken) > 14
    assert len(set(node.taken)) == len(node.taken)


def test_a_branch_from_an_older_checkpoint_is_another() -> None:
    """Forked by `update_state`, or run again from a checkpoint, the task is a new one."""
    node, caller = Keys(), Caller(InMemorySaver())
    app = guard(graph(caller, node), {"charge": IDEMPOTENT}).compile(checkpointer=caller.saver)
    caller.invoke(app, {"item": 1})
    (before,) = [s for s in app.get_state_history(caller.thread("1")) if s.next == ("charge",)]
    app.invoke(None, app.update_state(before.config, {"item": 2}))
    app.invoke(None, before.config)
    assert len(set(node.taken)) == 3


def test_in_a_subgraph_it_is_the_inner_tasks(caller: Caller) -> None:
    """Two subgraphs side by side have two keys, each the same after a question in it."""
    nodes = Keys("may I?"), Keys("may I?")
    builder = StateGraph(State)
    for name, node in zip("ab", nodes, strict=True):
        builder.add_node(name, graph(caller, node).compile())
        builder.add_edge(START, name)
    app = guard(builder, {"a|charge": IDEMPOTENT, "b|charge": IDEMPOTENT})
    made = app.compile(checkpointer=caller.saver)
    asked = caller.invoke(made, {})["__interrupt__"]
    caller.invoke(made, Command(resume={each.id: "yes" for each in asked}))
    taken = [set(node.taken) for node in nodes]
    assert [len(node.taken) for node in nodes] == [2, 2]
    assert [len(keys) for keys in taken] == [1, 1]
    assert taken[0].isdisjoint(taken[1])


def test_each_task_of_an_entrypoint_has_its_own() -> None:
    """Within `@task` the key is that of the task, and the same when the entrypoint runs again."""
    taken: list[str] = []
    caller = Caller(InMemorySaver())

    @task
    def charge(item: int) -> str:
        taken.append(idempotency_key())
        if len(taken) == 2:
            raise ConnectionError("reset")
        return taken[-1]

    @entrypoint(checkpointer=caller.saver)
    def pay(items: list[int]) -> list[str]:
        return [charge(item).result() for item in items]

    app = guard(pay)
    with pytest.raises(ConnectionError):
        caller.invoke(app, [1, 2])
    assert caller.invoke(app, None) == taken[:2]
    assert taken[1] == taken[2] != taken[0]


def test_without_a_checkpointer_it_holds_for_the_run() -> None:
    """The attempts of one run share it; the next run has another."""
    node = Keys(ConnectionError("reset"), None)
    declared = NodeGuard(policy=Policy(Retry(1, **AT_ONCE)), effects="idempotent")
    builder = StateGraph(State).add_node("charge", node).add_edge(START, "charge")
    app = guard(builder, {"charge": declared}).compile()
    app.invoke({})
    app.invoke({})
    assert node.taken[0] == node.taken[1] != node.taken[2]


def test_outside_a_guarded_node_it_says_so() -> None:
    """Called by itself, or in a graph that nobody guarded, it names the cure."""
    with pytest.raises(UngatedError, match="call it within a node of a guarded graph"):
        idempotency_key()
    builder = StateGraph(State).add_node("charge", Keys()).add_edge(START, "charge")
    with pytest.raises(UngatedError, match=r"app = guard\(builder\)"):
        builder.compile().invoke({})
