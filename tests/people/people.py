"""Graphs that ask people: what the tests of this directory share."""

import operator
from collections.abc import Callable
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import NodeGuard, Policy, Verdict, gate


class State(TypedDict, total=False):
    """A text, how long it may be, and what was sent."""

    draft: str
    size: int
    sent: str
    log: Annotated[list[str], operator.add]


@gate
def good(output: State) -> Verdict:
    """Reject every draft that does not begin with `good`."""
    if output["draft"].startswith("good"):
        return Verdict.accept()
    return Verdict.reject("it is not good")


class Writer:
    """A node that writes another draft each time, and remembers what it was told."""

    def __init__(self, *drafts: Any) -> None:
        """Write these, then `draft N`."""
        self.drafts = list(drafts)
        self.told: list[Any] = []

    @property
    def calls(self) -> int:
        """How often it was run."""
        return len(self.told)

    def __call__(self, state: State, feedback: Any = None) -> Any:
        """Write a draft."""
        self.told.append(feedback)
        draft = self.drafts.pop(0) if self.drafts else f"draft {self.calls}"
        if isinstance(draft, Exception):
            raise draft
        return draft if not isinstance(draft, str) else {"draft": draft}


def send(state: State) -> State:
    """Send what the state holds."""
    return {"sent": state["draft"]}


def writing(write: Callable[..., Any]) -> StateGraph[Any, Any, Any, Any]:
    """Return the graph `write`, then `send`."""
    builder = StateGraph(State)
    builder.add_node("write", write)
    builder.add_node("send", send)
    builder.add_edge(START, "write")
    builder.add_edge("write", "send")
    return builder


def asking(*rungs: Any, **declared: Any) -> dict[str, NodeGuard]:
    """Return the guard of `write` with these rungs."""
    return {"write": NodeGuard(gates=[good], policy=Policy(*rungs), **declared)}


def shown(result: Any) -> dict[str, Any]:
    """Return what the reviewer is shown of a run that has paused with one question."""
    (pending,) = result["__interrupt__"]
    payload: dict[str, Any] = pending.value
    return payload
