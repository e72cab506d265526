"""What the tests of invariants share: a purse with a limit, and nodes that spend."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

from coordgate import Feedback, InvariantViolated
from coordgate.gates import check

THREAD: Any = {"configurable": {"thread_id": "1"}}
both = pytest.mark.parametrize("how", ["sync", "async"])


class State(TypedDict, total=False):
    """A purse with a limit."""

    spent: Annotated[int, operator.add]
    limit: int
    note: str


def within(state: Any) -> bool:
    """Tell whether no more is spent than may be, of a state of any kind."""
    spent, limit = (
        (state["spent"], state["limit"]) if isinstance(state, dict) else (state.spent, state.limit)
    )
    return bool(spent <= limit)


WITHIN = check(within, "more is spent than may be")


def spending(*amounts: Any) -> Callable[..., Any]:
    """Return a node that spends these amounts, one with each run, and keeps what it is told."""
    left = list(amounts)

    def spend(_: Any, feedback: Feedback | None = None) -> Any:
        told.append(None if feedback is None else str(feedback))
        amount = left.pop(0)
        return {"spent": amount} if isinstance(amount, int) else amount

    told: list[str | None] = []
    spend.told = told  # type: ignore[attr-defined]
    return spend


def run(app: Any, given: Any, how: str = "sync", thread: Any = THREAD) -> Any:
    """Run a graph, sync or async."""
    if how == "sync":
        return app.invoke(given, thread)
    return asyncio.run(app.ainvoke(given, thread))


def broken(app: Any, given: Any, how: str = "sync") -> InvariantViolated:
    """Return the violation that ends a run."""
    with pytest.raises(InvariantViolated) as caught:
        run(app, given, how)
    return caught.value


def kept(app: Any) -> list[Any]:
    """Return what every checkpoint of the thread says is spent."""
    saved = app.checkpointer.list(THREAD)
    return [each.checkpoint["channel_values"].get("spent") for each in saved]
