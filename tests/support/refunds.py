"""A program that kills the support agent: at every point in turn, or at random moments.

Run as `refunds.py DIRECTORY every` or `refunds.py DIRECTORY random SEED KILLS`. Each case is one
e-mail, settled in a process of its own that is killed, and then by others until it is done. What
came of each is a line of JSON.
"""

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from killing import Ended, apart, die, until_done
from langgraph.checkpoint.sqlite import SqliteSaver

from coordgate import Approve, Tracer, guard, idempotency_key, open_store
from coordgate.tracer import Record

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import support_agent

NEVER = -1


class Mortal:
    """What dies at one of the points that it comes by."""

    def __init__(self, dies: int) -> None:
        """Die at this point, counted from 0."""
        self.dies = dies
        self.points = itertools.count()

    def point(self) -> None:
        """Die, if this is the point."""
        if next(self.points) == self.dies:
            die()


class MortalSaver(SqliteSaver):
    """LangGraph's saver, which dies before or after a write."""

    mortal = Mortal(NEVER)

    def put(self, *args: Any) -> Any:
        """Write, if still alive."""
        self.mortal.point()
        found = super().put(*args)
        self.mortal.point()
        return found

    def put_writes(self, *args: Any) -> None:
        """Write, if still alive."""
        self.mortal.point()
        super().put_writes(*args)
        self.mortal.point()


class MortalSink:
    """The trace store, which dies before or after a write."""

    def __init__(self, path: Path, mortal: Mortal) -> None:
        """Open the store."""
        self.store: Any = open_store(path, mode="write")
        self.mortal = mortal

    def write(self, records: Sequence[Record]) -> None:
        """Write, if still alive."""
        self.mortal.point()
        self.store.write(records)
        self.mortal.point()

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def settle(data: Path, dies: int = NEVER) -> None:
    """Bring the case to its end, or die."""
    mortal = Mortal(dies)

    def book(query: str, *values: Any) -> Any:
        mortal.point()
        found = support_agent.book(data, query, *values)
        mortal.point()
        return found

    def decide(asked: Any) -> Any:
        assert asked["candidate"]["amount"] == 129_00
        return Approve(by="ann")

    with (
        MortalSaver.from_conn_string(str(data / "checkpoints.db")) as saver,
        Tracer(MortalSink(data / "traces.db", mortal)) as tracer,
    ):
        saver.mortal = mortal
        app = guard(support_agent.desk(data), tracer=tracer).compile(checkpointer=saver)
        context: Any = {"book": book, "key": idempotency_key}
        answer = support_agent.settle(app, support_agent.EMAIL, context, decide)
        (data / "answer").write_text(answer)


def came_of(data: Path, ended: Sequence[Ended]) -> dict[str, Any]:
    """Return what is in the ledger, and the answer, when a case is settled."""
    ledger = support_agent.book(data, "SELECT number, action, amount FROM ledger")
    outbox = support_agent.book(data, "SELECT customer, answer FROM outbox")
    with open_store(data / "traces.db") as store:
        runs = [run.status for run in store.runs()]
    answer = (data / "answer").read_text()
    kills = sum(each.killed for each in ended)
    books = {"ledger": ledger, "outbox": outbox}
    return {"kills": kills, "answer": answer, "runs": runs, **books}


def at_every_point(directory: Path) -> Iterator[dict[str, Any]]:
    """Kill at each point in turn, until there are no more."""
    for dies in itertools.count():
        data = directory / str(dies)
        data.mkdir()
        ended = [apart(lambda data=data, dies=dies: settle(data, dies))]  # type: ignore[misc]
        if ended[0].killed:
            ended.append(apart(lambda data=data: settle(data)))  # type: ignore[misc]
        yield came_of(data, ended)
        if not ended[0].killed:
            return


def at_random(directory: Path, seed: int, kills: int) -> Iterator[dict[str, Any]]:
    """Kill each case at random moments, up to four times, until there were so many kills."""
    random = Random(seed)  # noqa: S311 - a test that can be repeated
    whole = directory / "whole"
    whole.mkdir()
    longest = apart(lambda: settle(whole)).seconds
    made = 0
    for case in itertools.count():
        data = directory / str(case)
        data.mkdir()
        step = lambda data=data: settle(data)  # type: ignore[misc]  # noqa: E731 - of this case
        came = came_of(data, [*until_done(step, random=random, longest=longest, kills=4)])
        made += came["kills"]
        yield came
        if made >= kills:
            return


def main(directory: str, how: str, *numbers: str) -> None:
    """Print what came of each case."""
    at = Path(directory)
    cases = at_every_point(at) if how == "every" else at_random(at, *map(int, numbers))
    for case in cases:
        sys.stdout.write(json.dumps(case) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
