"""The desk behind the inbox: each question is answered once, as it was, one run at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from desks import desk_in, ledger

from coordgate import Approve, Edit, RetryWith
from coordgate.loading import open_graph
from coordgate.review import Waiting, answer
from coordgate.viewer.desk import Desk, SharedGraph, print_of


@contextmanager
def desk_of(folder: Path, app: str = "desk") -> Iterator[Desk]:
    """Open the desk of a graph."""
    with open_graph(f"{folder / 'desk.py'}:{app}") as opened, closing(Desk(opened)) as desk:
        yield desk


def the_one(desk: Desk, node: str = "write") -> Waiting:
    """Return the question of a node in the first thread."""
    (found,) = [each for each in desk.waiting(["1"]) if each.node == node]
    return found


def test_a_question_that_has_changed_is_not_answered(tmp_path: Path) -> None:
    """What was answered between the look at it and the run's turn is left as it is."""
    desk_in(tmp_path)
    with desk_of(tmp_path) as desk:
        asked = the_one(desk)
        came = answer(desk.graph, asked, Edit({"draft": "worse"}))
        assert came.result == "refused"
        going, _ = desk.answer(asked, Approve())
        assert going.done.wait(30)
        assert (going.changed, going.came) == (True, None)
        now = the_one(desk)
        assert print_of(now) != print_of(asked)
        assert now.refused
    assert ledger(tmp_path) == ["wrote"]


def test_of_many_answers_at_once_one_is_taken(tmp_path: Path) -> None:
    """All of them are told which one it was."""
    desk_in(tmp_path)
    with desk_of(tmp_path) as desk:
        asked, ready = the_one(desk), threading.Barrier(8)

        def send(place: int) -> tuple[int, bool]:
            ready.wait()
            going, mine = desk.answer(asked, Approve(by=str(place)))
            assert going.done.wait(30)
            return going.number, mine

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(send, range(8)))
        assert {number for number, _ in found} == {1}
        assert sum(mine for _, mine in found) == 1
    assert ledger(tmp_path) == ["wrote", "sent 'bad'"]


def test_runs_of_one_thread_take_turns(tmp_path: Path) -> None:
    """An answer to another question of the thread waits until the run before has ended."""
    desk_in(tmp_path, kind="pair")
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    with desk_of(tmp_path, "pair") as desk:
        write, note = the_one(desk, "write"), the_one(desk, "note")
        first, _ = desk.answer(write, RetryWith("slowly"))
        second, _ = desk.answer(note, Edit({"note": "good note"}))
        try:
            assert not second.done.wait(1.0)
        finally:
            os.write(gate, b"go on, all of you")
        assert first.done.wait(30)
        assert second.done.wait(30)
        assert (first.changed, second.changed) == (False, False)
        assert [each.node for each in second.next] == ["write"]
    os.close(gate)
    assert ledger(tmp_path) == ["wrote", "wrote"]


def test_an_async_graph_is_called_from_many_threads_at_once(tmp_path: Path) -> None:
    """A call that waits does not keep others out: the second one is what the first waits for."""
    (tmp_path / "waits.py").write_text(
        """
import asyncio
from typing import TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    name: str

async def make():
    gone = asyncio.Event()

    async def node(state: State):
        if state["name"] == "first":
            await gone.wait()
        else:
            gone.set()
        return {}

    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile()
"""
    )
    with ExitStack() as stack:
        opened = stack.enter_context(open_graph(f"{tmp_path / 'waits.py'}:make"))
        shared = stack.enter_context(closing(SharedGraph(opened)))
        for _ in range(20):  # the loop's thread ends and begins again between them
            with ThreadPoolExecutor(2) as pool:
                first = pool.submit(shared.call, "invoke", {"name": "first"})
                assert shared.call("invoke", {"name": "second"}) == {"name": "second"}
                assert first.result(30) == {"name": "first"}
        with pytest.raises(KeyError):
            shared.call("invoke", {})
