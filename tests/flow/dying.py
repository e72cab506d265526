"""A program that is killed at the writes of its saver, while control leaves nodes and comes back.

Run as `dying.py SAVER DIRECTORY`, SAVER `sqlite-sync` or `sqlite-async`. Each run is done in a
process of its own, once for every other point at which it can be killed, the even ones sync and the
odd ones async, and gone on with in another. It prints a line of JSON for each point: whether it was
killed, and what the thread holds at its end.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from flows import State, good, graph, thread
from killing import NEVER, Mortal, apart
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START
from pydantic import Field

from coordgate import Contract, NodeGuard, Policy, Reroute, SendBack, feedback, guard

MOST = 60  # more than the points at which a run can be killed


def find(state: State) -> dict[str, Any]:
    """Find nothing, until told."""
    told = feedback()
    return {
        "facts": "" if told is None else "It rains.",
        "ran": ["find"],
        "told": [] if told is None else list(told.reasons),
    }


def compose(state: State) -> dict[str, Any]:
    """Hand over what no gate passes, until the draft was mended."""
    return {"draft": "good" if "mend" in state["ran"] else "bad", "ran": ["compose"]}


def built() -> Any:
    """Return the guarded builder: two that are joined, one sends back, and is left in its turn."""
    builder = graph("find", "check", "compose", "mend", find=find, compose=compose)
    builder.add_edge(START, "check").add_edge(["find", "check"], "compose")
    builder.add_edge("mend", "compose")
    accepts = Contract(accepts={"facts": Annotated[str, Field(min_length=1)]})
    policy = Policy(SendBack(), Reroute("mend", times=1))
    return guard(builder, {"compose": NodeGuard(accepts, [good], policy)})


class MortalSync(Mortal, SqliteSaver):
    """One that a sync graph writes to."""


class MortalAsync(Mortal, AsyncSqliteSaver):
    """One that an async graph writes to."""


def goes_on(path: Path, dies: int) -> Any:
    """Run the thread from where it stands to its end; return what it holds."""
    with MortalSync.from_conn_string(str(path)) as saver:
        saver.dies = dies  # type: ignore[attr-defined]
        app = built().compile(checkpointer=saver)
        begun = app.get_state(thread()).config["configurable"].get("checkpoint_id")
        return app.invoke(None if begun else {}, thread(), durability="sync")


async def agoes_on(path: Path, dies: int) -> Any:
    """Do what `goes_on` does, in an event loop."""
    async with MortalAsync.from_conn_string(str(path)) as saver:
        saver.dies = dies  # type: ignore[attr-defined]
        app = built().compile(checkpointer=saver)
        state = await app.aget_state(thread())
        begun = state.config["configurable"].get("checkpoint_id")
        return await app.ainvoke(None if begun else {}, thread(), durability="sync")


def main(kind: str, directory: Path) -> None:
    """Kill at every other point in turn, until a run comes to its end before it."""
    for point in range(kind == "sqlite-async", MOST, 2):
        path = directory / f"{kind}-{point}.db"

        def step(dies: int, path: Path = path) -> Any:
            if kind == "sqlite-async":
                return asyncio.run(agoes_on(path, dies))
            return goes_on(path, dies)

        ended = apart(lambda: step(point))  # noqa: B023 - done before the next round
        after = apart(lambda: step(NEVER)) if ended.killed else ended
        print(json.dumps({"killed": ended.killed, "ends": after.value}))  # noqa: T201 - for the test
        if not ended.killed:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
