"""A program that is killed at every write of its saver: graphs of four shapes, which ask people.

Run as `answering.py SAVER PLACE DIRECTORY SHAPE...`, SAVER such as `sqlite-async`, PLACE a file or
a URI. Each step is done in a process of its own, once for each point at which it can be killed. It
prints a line of JSON for each point: what was asked, what was killed, and what came of it.
"""

import asyncio
import functools
import json
import operator
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from killing import NEVER, Mortal, apart
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send
from typing_extensions import TypedDict

from coordgate import Approve, Edit, Escalate, NodeGuard, Policy, gate, guard

MOST = 18  # points at which a step can be killed
TASKS = {"plain": ["a"], "subgraph": ["a"], "parallel": ["a", "b", "c"], "sent": ["a", "b", "c"]}
SAVERS: dict[str, Any] = {
    "sqlite-sync": SqliteSaver,
    "sqlite-async": AsyncSqliteSaver,
    "postgres-sync": PostgresSaver,
    "postgres-async": AsyncPostgresSaver,
}


class State(TypedDict, total=False):
    """Drafts, one from each task, and what came of them."""

    drafts: Annotated[list[str], operator.add]
    task: str
    sent: list[str]


@gate
def never(output: State) -> bool:
    """Accept nothing."""
    return False


class Program:
    """A graph of one shape on one saver, and what a process does with it."""

    def __init__(self, saver: str, place: str, directory: str, shape: str) -> None:
        """Take what `answering.py` is given."""
        self.kind: Any = type("Saver", (Mortal, SAVERS[saver]), {})
        self.is_async = saver.endswith("async")
        self.place = place
        self.shape = shape
        self.ledgers = Path(directory)
        self.app = self.graph().compile()

    def say(self, line: str) -> None:
        """Leave a line in the ledger of the thread that is running."""
        thread = get_config()["configurable"]["thread_id"]
        with (self.ledgers / thread).open("a") as file:
            file.write(f"{line}\n")

    def write(self, name: str, state: State) -> State:
        """Be one of the nodes that draft."""
        draft = f"{name or state['task']} of {os.getpid()}"
        self.say(f"wrote {draft}")
        return {"drafts": [draft]}

    def send(self, state: State) -> State:
        """Be the node that ships."""
        sent = sorted(state["drafts"])
        self.say(f"sent {', '.join(sent)}")
        return {"sent": sent}

    def graph(self) -> Any:
        """Return the guarded builder."""
        node, write = self.node, self.write
        asks = NodeGuard(gates=[never], policy=Policy(Escalate("editor")))
        builder = StateGraph(State)
        builder.add_node("send", node(self.send))
        if self.shape == "sent":
            builder.add_node("write", node(functools.partial(write, "")))
            names = TASKS["sent"]
            builder.add_conditional_edges(
                START, lambda _: [Send("write", {"task": name}) for name in names], ["write"]
            )
            builder.add_edge("write", "send")
            return guard(builder, {"write": asks})
        if self.shape == "subgraph":
            inner = StateGraph(State)
            inner.add_node("a", node(functools.partial(write, "a")))
            inner.add_edge(START, "a")
            builder.add_node("sub", inner.compile())
            builder.add_edge(START, "sub")
            builder.add_edge("sub", "send")
            return guard(builder, {"sub|a": asks})
        tasks = TASKS[self.shape]
        for name in tasks:
            builder.add_node(name, node(functools.partial(write, name)))
            builder.add_edge(START, name)
        builder.add_edge(tasks, "send")
        return guard(builder, {name: asks for name in tasks if name != "c"})

    def node(self, function: Any) -> Any:
        """Return a node function, as a coroutine function where the saver is async."""
        if not self.is_async:
            return function

        async def coroutine(state: State) -> Any:
            return function(state)

        return coroutine

    def run(self, flow: "Flow", dies: int = NEVER) -> Any:
        """Run the graph as a flow says, and return what that returns; die at a point."""
        if self.is_async:
            return asyncio.run(self._awaited(flow, dies))
        with self.kind.from_conn_string(self.place) as saver:
            saver.dies, self.app.checkpointer = dies, saver
            result: Any = None
            while True:
                try:
                    thread, given = flow.send(result)
                except StopIteration as done:
                    return done.value
                config: Any = {"configurable": {"thread_id": thread}}
                if given is None and saver.get_tuple(config) is None:
                    given = {}  # it was killed before anything was written
                result = self.app.invoke(given, config, durability="sync")

    async def _awaited(self, flow: "Flow", dies: int) -> Any:
        async with self.kind.from_conn_string(self.place) as saver:
            saver.dies, self.app.checkpointer = dies, saver
            result: Any = None
            while True:
                try:
                    thread, given = flow.send(result)
                except StopIteration as done:
                    return done.value
                config: Any = {"configurable": {"thread_id": thread}}
                if given is None and await saver.aget_tuple(config) is None:
                    given = {}
                result = await self.app.ainvoke(given, config, durability="async")

    def kills(self, do: str) -> None:
        """Kill one step at every point in turn; print what came of each, until it is not killed."""
        threads = [f"{os.getpid()}-{self.shape}-{do}-{dies}" for dies in range(MOST)]
        asked: dict[str, Any] = {}
        if do != "ask":
            asked = apart(lambda: self.run(ask(threads))).value
        for dies, thread in enumerate(threads):

            def step(thread: str = thread, dies: int = dies) -> Any:
                return self.run(ask([thread]) if do == "ask" else answer(thread, do), dies)

            def finish(thread: str = thread) -> Any:
                return self.run(answer(thread, "all" if do == "ask" else do))

            killed = apart(step).killed
            went_on, ends = apart(finish).value
            ledger = (self.ledgers / thread).read_text().splitlines()
            case = {"shape": self.shape, "do": do, "killed": killed, "ledger": ledger}
            case |= {"asked": asked.get(thread, went_on), "went_on": went_on, "ends": ends}
            sys.stdout.write(json.dumps(case) + "\n")
            if not killed:
                return


Flow: TypeAlias = Generator[tuple[str, Any], Any, Any]
"""Yields a thread and what its graph is to be invoked with; is sent the result."""


def ask(threads: list[str]) -> Flow:
    """Run each to its questions; return what each asks."""
    asked: dict[str, Any] = {}
    for thread in threads:
        asked[thread] = shown((yield thread, {}))
    return asked


def answer(thread: str, do: str) -> Flow:
    """Go on with a run, and answer what it asks, all at once or `each` by itself.

    Returns what it showed at first, and in the end.
    """
    result = yield thread, None
    first = shown(result)
    while "__interrupt__" in result:
        answers = {each.id: answer_to(each.value) for each in result["__interrupt__"]}
        one, *_ = answers
        given = {one: answers[one]} if do == "each" else answers
        result = yield thread, Command(resume=given)
    return first, shown(result)


def shown(result: Any) -> Any:
    """Return the drafts that are asked about, or what was sent."""
    asked = result.get("__interrupt__", ())
    drafts = sorted(each.value["candidate"]["drafts"][0] for each in asked)
    return drafts or f"sent {', '.join(result.get('sent', ()))}"


def answer_to(payload: Any) -> dict[str, Any]:
    """Return what the person says: the draft of task b is edited, others are approved."""
    (draft,) = payload["candidate"]["drafts"]
    if draft.startswith("b"):
        return Edit({"drafts": ["b edited"]}, override=True, by="ann")
    return Approve(by="ann")


def main(saver: str, place: str, directory: str, *shapes: str) -> None:
    """Kill every step of every shape."""
    for shape in shapes:
        program = Program(saver, place, directory, shape)
        program.kills("all")
        if shape in {"plain", "sent"}:
            program.kills("ask")
        if len(TASKS[shape]) > 1:
            program.kills("each")


if __name__ == "__main__":
    main(*sys.argv[1:])
