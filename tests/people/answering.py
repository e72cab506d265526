"""A program that is killed again and again: a graph on SQLite that asks a person.

Run as `answering.py DIRECTORY ask|approve|edit`. Each step is done in a process of its own, and the
step named is done once for each point at which it can be killed: before and after every write of
the saver. What came of it is printed, a line of JSON for each point.
"""

import itertools
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from killing import Ended, apart, die
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from coordgate import Approve, Edit, Escalate, NodeGuard, Policy, gate, guard

GIVEN: dict[str, Any] = {
    "ask": {},
    "go": None,
    "approve": Command(resume=Approve(by="ann")),
    "edit": Command(resume=Edit({"draft": "edited"}, override=True, by="ann")),
}
NEVER = -1


class State(TypedDict, total=False):
    """A draft, and what came of it."""

    draft: str
    sent: str


@gate
def never(output: State) -> bool:
    """Accept nothing."""
    return False


class MortalSaver(SqliteSaver):
    """LangGraph's saver, in a process that is killed at one point."""

    dies = NEVER
    points = 0

    def point(self) -> None:
        """Die, if this is the point."""
        if self.points == self.dies:
            die()
        self.points += 1

    def put_writes(self, *args: Any, **kwargs: Any) -> None:
        """Write, if still alive."""
        self.point()
        super().put_writes(*args, **kwargs)
        self.point()

    def put(self, *args: Any, **kwargs: Any) -> Any:
        """Write, if still alive."""
        self.point()
        found = super().put(*args, **kwargs)
        self.point()
        return found


def act(directory: Path, task: str, dies: int) -> str:
    """Do one step; return the draft that a person is asked about, or what was sent."""

    def say(line: str) -> None:
        with (directory / "ledger").open("a") as file:
            file.write(f"{line}\n")

    def write(state: State) -> State:
        draft = f"draft of {os.getpid()}"
        say(f"wrote {draft}")
        return {"draft": draft}

    def send(state: State) -> State:
        say(f"sent {state['draft']}")
        return {"sent": state["draft"]}

    builder = StateGraph(State)
    builder.add_node("write", write)
    builder.add_node("send", send)
    builder.add_edge(START, "write")
    builder.add_edge("write", "send")
    nodes = {"write": NodeGuard(gates=[never], policy=Policy(Escalate("editor")))}
    with MortalSaver.from_conn_string(str(directory / "checkpoints.db")) as saver:
        saver.dies = dies
        app = guard(builder, nodes).compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}}
        if task == "go" and saver.get_tuple(config) is None:
            task = "ask"  # nothing had been written when it was killed
        result = app.invoke(GIVEN[task], config, durability="sync")
        asked = result.get("__interrupt__")
        return asked[0].value["candidate"]["draft"] if asked else f"sent {result['sent']}"


def main(directory: str, task: str) -> None:
    """Kill the step at every point in turn; print what came of each, until it is not killed."""
    whole = Path(directory) / "whole"
    whole.mkdir()

    def done(here: Path, task: str, dies: int = NEVER) -> Ended:
        return apart(lambda: act(here, task, dies))

    asked = done(whole, "ask").value if task != "ask" else None
    for dies in itertools.count():
        here = Path(directory) / str(dies)
        shutil.copytree(whole, here)
        step = done(here, task, dies)
        killed = step.killed
        went_on = done(here, "go").value if killed else step.value
        if task == "ask":
            asked, answer = went_on, "approve"
        else:
            answer = task
        ends = went_on if went_on.startswith("sent") else done(here, answer).value
        ledger = (here / "ledger").read_text().splitlines()
        case = {"killed": killed, "asked": asked, "went_on": went_on, "ends": ends}
        sys.stdout.write(json.dumps({**case, "ledger": ledger}) + "\n")
        if not killed:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
