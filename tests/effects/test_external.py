"""External effects: nothing runs a body after one whose effect may have happened."""

import asyncio
import threading
from typing import Any, TypedDict

import pytest
from callers import Caller
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from coordgate import (
    ConfigurationError,
    Degrade,
    Escalate,
    Fallback,
    NodeGuard,
    Policy,
    Retry,
    gate,
    guard,
)
from coordgate.testing import scripted

EXTERNAL = NodeGuard(effects="external")
OFTEN = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)


class State(TypedDict, total=False):
    """What came of it."""

    sent: str


def paying(node: Any, **options: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph of one node, `pay`."""
    return StateGraph(State).add_node("pay", node, **options).add_edge(START, "pay")


def around(inner: Any, **options: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return a graph whose one node, `order`, is another graph."""
    return StateGraph(State).add_node("order", inner, **options).add_edge(START, "order")


@gate
def never(output: State) -> bool:
    """Accept nothing."""
    return False


@pytest.mark.parametrize("rung", [Retry(1), Fallback(lambda state: {})])
def test_a_rung_that_runs_a_body_is_refused(rung: Any) -> None:
    """Retry and Fallback contradict an external effect, in one declaration or laid over it."""
    with pytest.raises(ConfigurationError, match=f"external' and {type(rung).__name__}"):
        NodeGuard(effects="external", policy=Policy(rung))
    app = guard(paying(scripted({})).compile(), {"pay": EXTERNAL})
    with pytest.raises(ConfigurationError, match=f"external' and {type(rung).__name__}"):
        guard(app, {"pay": NodeGuard(policy=Policy(rung))})


@pytest.mark.parametrize("rung", [Retry(1), Fallback(lambda state: {})])
def test_a_rung_around_it_is_refused(rung: Any) -> None:
    """A subgraph that holds an external node is not run again either, however deep it stands."""
    outer = NodeGuard(policy=Policy(rung))
    inner = around(paying(scripted({})).compile()).compile()
    with pytest.raises(ConfigurationError, match="a node inside it has effects='external'"):
        guard(around(inner), {"order": outer, "order|order|pay": EXTERNAL}).compile()
    guard(around(inner), {"order": outer}).compile()


def test_langgraphs_retries_around_it_are_refused() -> None:
    """A retry policy on the subgraph's node, or as the graph's default, would repeat it."""
    inner = paying(scripted({})).compile()
    with pytest.raises(ConfigurationError, match="a LangGraph retry policy contradict"):
        guard(around(inner, retry_policy=OFTEN), {"order|pay": EXTERNAL}).compile()
    builder = around(inner)
    builder.set_node_defaults(retry_policy=OFTEN)
    with pytest.raises(ConfigurationError, match="a LangGraph retry policy contradict"):
        guard(builder, {"order|pay": EXTERNAL}).compile()


@pytest.mark.parametrize("rungs", [(Retry(2),), (Fallback(lambda state: {"sent": "again"}),)])
@pytest.mark.parametrize("fails", ["gate", "error"])
def test_a_graph_that_a_node_calls_is_not_called_again(rungs: Any, fails: str) -> None:
    """Nothing repeats a node whose function has called a graph with an external effect."""
    pay = scripted({"sent": "once"}, {"sent": "twice"})
    inner = guard(paying(pay), {"pay": EXTERNAL}).compile()

    def order(state: State) -> Any:
        done = inner.invoke(state)
        if fails == "error":
            raise ConnectionError("after it was sent")
        return done

    nodes = {"order": NodeGuard(gates=[never], policy=Policy(*rungs, Degrade({"sent": "?"})))}
    app = guard(around(order, retry_policy=OFTEN), nodes).compile()
    assert app.invoke({}) == {"sent": "?"}
    assert pay.calls == 1


def test_what_failed_before_the_effect_is_repeated() -> None:
    """A node that calls such a graph is retried as long as the effect has not begun."""
    pay = scripted({"sent": "once"})
    inner = guard(paying(pay), {"pay": EXTERNAL}).compile()
    calls: list[int] = []

    def order(state: State) -> Any:
        calls.append(len(calls))
        if len(calls) < 3:
            raise ConnectionError("before it was sent")
        return inner.invoke(state)

    nodes = {"order": NodeGuard(policy=Policy(Retry(2, wait=0.0, jitter=False)))}
    assert guard(around(order), nodes).compile().invoke({}) == {"sent": "once"}
    assert len(calls) == 3


def test_a_person_cannot_have_it_repeated_from_outside(caller: Caller) -> None:
    """Asked about a subgraph with an external node in it, a person is not offered a retry."""
    inner = paying(caller.node(scripted({"sent": "once"}))).compile()
    outer = NodeGuard(gates=[never], policy=Policy(Escalate("clerk")))
    app = guard(around(inner), {"order": outer, "order|pay": EXTERNAL})
    asked = caller.invoke(app.compile(checkpointer=caller.saver), {})["__interrupt__"][0].value
    assert list(asked["answers"]) == ["approve", "edit", "reject"]


def test_an_error_says_that_nobody_knows(caller: Caller) -> None:
    """After an exception the remedy is not to run it again."""
    nodes = {"pay": NodeGuard(gates=[never], effects="external")}
    app = guard(paying(caller.node(scripted({"sent": "once"}))), nodes)
    with pytest.raises(Exception, match="look before it is run again"):
        caller.invoke(app.compile(checkpointer=caller.saver), {})


# Saved first


class SlowSaver(InMemorySaver):
    """A saver that takes its time: it waits a while for the node to begin before it saves."""

    def __init__(self, seconds: float) -> None:
        """Wait no longer than so many seconds."""
        super().__init__()
        self.seconds = seconds
        self.begun = threading.Event()
        self.saved = 0

    def put(self, *args: Any, **kwargs: Any) -> Any:
        """Save late."""
        self.begun.wait(self.seconds)
        self.saved += 1
        return super().put(*args, **kwargs)

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        """Save late."""
        await asyncio.to_thread(self.begun.wait, self.seconds)
        self.saved += 1
        return InMemorySaver.put(self, *args, **kwargs)


@pytest.mark.parametrize("effects", ["external", "idempotent", "none"])
@pytest.mark.parametrize("how", ["sync", "async", "timed"])
@pytest.mark.parametrize("depth", ["flat", "nested", "called"])
def test_the_checkpoint_is_saved_before_the_effect(effects: Any, how: str, depth: str) -> None:
    """With LangGraph's default durability, what the key stands on is durable when a node acts."""
    saver = SlowSaver(10.0 if effects == "none" else 0.05)
    saved: list[int] = []

    def pay(state: State) -> State:
        saved.append(saver.saved)
        saver.begun.set()
        return {"sent": "once"}

    async def apay(state: State) -> State:
        return pay(state)

    node: Any = pay if how == "sync" else apay
    inner = paying(node, **({"timeout": 30.0} if how == "timed" else {}))
    name = "pay" if depth == "flat" else "order|pay"
    if depth == "called":
        called = guard(inner, {"pay": NodeGuard(effects=effects)}).compile()

        def order(state: State) -> Any:
            return called.invoke(state)

        async def aorder(state: State) -> Any:
            return await called.ainvoke(state)

        app = guard(around(order if how == "sync" else aorder))
    else:
        builder = inner if depth == "flat" else around(inner.compile())
        app = guard(builder, {name: NodeGuard(effects=effects)})
    made = app.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "1"}}
    if how == "sync":
        made.invoke({}, config)
    else:
        asyncio.run(made.ainvoke({}, config))
    # Two for each graph: that of its input, and that of LangGraph's own first step.
    assert saved == [0 if effects == "none" else 2 if depth == "flat" else 4]


class FullSaver(InMemorySaver):
    """A saver whose disk is full."""

    def put(self, *args: Any, **kwargs: Any) -> Any:
        """Fail."""
        raise OSError("no space left on device")


def test_nothing_is_done_if_it_cannot_be_saved() -> None:
    """When the checkpoint cannot be saved, the node is not run, and the saver's error is raised."""
    pay = scripted({"sent": "once"})
    app = guard(paying(pay), {"pay": EXTERNAL}).compile(checkpointer=FullSaver())
    with pytest.raises(OSError, match="no space left"):
        app.invoke({}, {"configurable": {"thread_id": "1"}})
    assert pay.calls == 0
