"""Routers: a node, or a conditional edge, that sends work where a classifier says, or to a default.

Pure decisions and the ready-made classifiers stand in `coordgate.gates.route`.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from langgraph.errors import GraphBubbleUp
from langgraph.types import Command

from coordgate.errors import ConfigurationError
from coordgate.gate import Judgement
from coordgate.gates.route import Classifier, Decision, decide, is_number
from coordgate.gates.values import is_mapping, said_of
from coordgate.node import note

_DECIDES = "__coordgate_route__"
"""Where a router's own functions say under which name they put their decisions."""


class Router:
    """What `router` makes: `node` and `edge` for a graph, `decide` to ask it by itself."""

    def __init__(
        self,
        routes: Mapping[str, str],
        classify: Classifier,
        *,
        at_least: float | None,
        default: str,
        name: str,
    ) -> None:
        """Take what `router` has checked."""
        self.routes = dict(routes)
        self.default = default
        self.name = name
        self._classify = classify
        self._at_least = at_least
        self.targets = tuple(dict.fromkeys([*self.routes.values(), default]))
        literal: Any = Literal
        command: Any = Command
        targets = literal[self.targets]
        self.edge = self._made(lambda decision: decision.target, targets)
        """The path of a conditional edge: `add_conditional_edges("node", router.edge)`."""
        self.node = self._made(lambda decision: Command(goto=decision.target), command[targets])
        """A node function: `add_node("route", router.node)`."""

    def decide(self, state: Any) -> Decision:
        """Ask the classifier and decide; an error of the classifier goes to the default.

        Raises:
            ConfigurationError: the classifier is async; use `adecide`.
        """
        if _is_async(self._classify):
            raise ConfigurationError(f"router {self.name!r}: classify is async; use adecide")
        began = time.perf_counter()
        try:
            answer: object = self._classify(state)
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the work goes to the default
            return self._noted(self._failed(error), began, state)
        return self._noted(self._decided(answer), began, state)

    async def adecide(self, state: Any) -> Decision:
        """Do what `decide` does, and await an async classifier."""
        began = time.perf_counter()
        try:
            answer: object = self._classify(state)
            if inspect.isawaitable(answer):
                answer = await answer
        except GraphBubbleUp:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the work goes to the default
            return self._noted(self._failed(error), began, state)
        return self._noted(self._decided(answer), began, state)

    def _decided(self, answer: object) -> Decision:
        return decide(answer, self.routes, at_least=self._at_least, default=self.default)

    def _failed(self, error: Exception) -> Decision:
        reason = f"the classifier raised {said_of(error)}"
        return Decision(self.default, None, None, {}, reason)

    def _noted(self, decision: Decision, began: float, state: Any) -> Decision:
        note(Judgement(self.name, decision.verdict, time.perf_counter() - began), state)
        return decision

    def _made(self, shape: Callable[[Decision], Any], returns: Any) -> Callable[[Any], Any]:
        made: Callable[[Any], Any]
        if _is_async(self._classify):

            async def asynchronous(state: Any) -> Any:
                return shape(await self.adecide(state))

            made = asynchronous
        else:

            def plain(state: Any) -> Any:
                return shape(self.decide(state))

            made = plain
        made.__name__ = made.__qualname__ = self.name
        setattr(made, _DECIDES, self.name)
        made.__annotations__ = {"return": returns}
        return made


def router(
    routes: Mapping[str, str],
    *,
    classify: Classifier,
    default: str,
    at_least: float | None = None,
    name: str = "route",
) -> Router:
    """Send work where a classifier says: `routes` maps its labels to nodes.

    `classify` takes the state and returns a label, `(label, score)`, or a score for each label; it
    may be async. An unknown label, a best score under `at_least`, two equal best scores, and a
    classifier that raises go to `default`. Each decision stands in the record, under `name`, as a
    verdict of the attempt that made it: passed if a label was chosen, with its score.

    Raises:
        ConfigurationError: there is no route, or the floor is no number.
    """
    if not is_mapping(routes) or not routes or not callable(classify):
        raise ConfigurationError(
            'router: give routes={"label": "node"} and classify, a function of the state'
        )
    for label, target in (*routes.items(), ("default", default)):
        if not isinstance(label, str) or not isinstance(target, str):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(f"router: {label!r} goes to {target!r}; give a node's name")
    if at_least is not None and not is_number(at_least):
        raise ConfigurationError(f"router: at_least={at_least!r} is not a number")
    return Router(routes, classify, at_least=at_least, default=default, name=name)


def decides_as(function: object) -> str | None:
    """Return the name under which a router's node or edge puts its decisions; None of another."""
    name: object = getattr(function, _DECIDES, None)
    return name if isinstance(name, str) else None


def _is_async(function: Any) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - the method is wanted
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
