"""A program whose only node kills its process each time, under a budget of three attempts.

Run as `dying.py DIRECTORY`. Each run is a process of its own; what came of it is a line of JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

from killing import apart, die
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import Budget, BudgetExceeded, guard


class State(TypedDict, total=False):
    """Nothing much."""

    draft: str


def main(directory: str) -> None:
    """Run until the budget says no."""
    runs = Path(directory) / "runs"
    runs.touch()

    def work(state: State) -> State:
        with runs.open("a") as file:
            file.write("run\n")
        die()
        return {}

    def step() -> Any:
        builder = StateGraph(State).add_node("work", work).add_edge(START, "work")
        with SqliteSaver.from_conn_string(str(Path(directory) / "checkpoints.db")) as saver:
            app = guard(builder, budget=Budget(attempts=3)).compile(checkpointer=saver)
            config: Any = {"configurable": {"thread_id": "1"}}
            begun = saver.get_tuple(config) is not None
            try:
                app.invoke(None if begun else {}, config, durability="sync")
            except BudgetExceeded as error:
                return [*error.over, error.spent.attempts]

    killed = True
    while killed:
        ended = apart(step)
        killed = ended.killed
        case = {"runs": len(runs.read_text().split()), "killed": killed, "said": ended.value}
        sys.stdout.write(json.dumps(case) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
