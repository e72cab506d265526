"""Nodes that spend: what the tests of this directory share."""

import itertools
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph

from coordgate.node import RUNNING

AT_ONCE: dict[str, Any] = {"wait": 0.0, "jitter": False}


class State(TypedDict, total=False):
    """A text, and the names of the nodes that have run."""

    draft: str
    ran: Annotated[list[str], operator.add]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.now = 0.0

    def __call__(self) -> float:
        """Say the time."""
        return self.now


class Spender:
    """A node that spends what it is told to, and says what it is told to, one after another."""

    def __init__(self, name: str, *says: Any, tokens: int = 0, usd: float | None = None) -> None:
        """Raise what is an exception, and hand over what is a text; `good` when all is said."""
        self.__name__ = name
        self.says = list(says)
        self.tokens = tokens
        self.usd = usd
        self.calls = 0

    def __call__(self, state: State) -> Any:
        """Spend, then say it."""
        self.calls += 1
        spend(self.tokens, self.usd)
        says = self.says.pop(0) if self.says else "good"
        if isinstance(says, Exception):
            raise says
        return {"draft": says, "ran": [self.__name__]}


def spend(tokens: int, usd: float | None = None) -> None:
    """Put on the attempt that is being made what a model call would put there."""
    running: Any = RUNNING.get()
    if tokens or usd is not None:
        running.raw.tokens_in, running.raw.tokens_out = tokens - tokens // 2, tokens // 2
        running.raw.cost = usd


def graph(*nodes: Callable[..., Any], **options: Any) -> StateGraph[Any, Any, Any, Any]:
    """Return the graph of these nodes, one after another."""
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node.__name__, node, **options)
    names = [START, *(node.__name__ for node in nodes)]
    for one, other in itertools.pairwise(names):
        builder.add_edge(one, other)
    return builder
