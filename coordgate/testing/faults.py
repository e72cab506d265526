"""Faults: any graph with node bodies that go wrong at stated rates, the same way for one seed.

The guard of the graph, if it has one, stands around the faults as it stands around the bodies. What
goes wrong depends on the seed, the run, the node and the attempt, and on nothing else: neither on
the clock, nor on which thread was first.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

from coordgate._langgraph import CONFIG_KEY_RUNTIME
from coordgate.bodies import run_number, with_bodies
from coordgate.errors import ConfigurationError
from coordgate.node import feedback
from coordgate.snapshots import snapshot
from coordgate.testing.kinds import (
    AnyFault,
    Burst,
    Delay,
    DropKey,
    Empty,
    Fault,
    Malformed,
    Raises,
    StaleContext,
    WrongValue,
)

__all__ = [
    "AnyFault",
    "Burst",
    "Delay",
    "DropKey",
    "Empty",
    "Fault",
    "Injection",
    "Malformed",
    "Raises",
    "StaleContext",
    "WrongValue",
    "with_faults",
]

Graph = TypeVar("Graph")

_REMEMBERED = 256
"""Of so many runs at once the states are kept that a stale context is taken from."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault that struck."""

    run: str
    """The run: its `seed`, else its `thread_id`, else its number."""
    node: str
    """The node, `"subgraph|node"` inside a subgraph."""
    step: int
    """LangGraph's step number."""
    attempt: int
    """The attempt at the node's task, from 1."""
    fault: str
    """The fault, as Python writes it."""


def with_faults(
    target: Graph,
    faults: Mapping[str, Sequence[AnyFault]],
    *,
    seed: int,
    log: list[Injection] | None = None,
) -> Graph:
    """Return the same kind of graph, guarded as it was, whose nodes go wrong at stated rates.

    Takes a `StateGraph`, a compiled graph or an `@entrypoint`, guarded or not; the one given stays
    as it is. `faults` are those of each node by its name, `"subgraph|node"` inside a subgraph; they
    are drawn independently of each other, and all that strike an execution act on it, in order.

    Two runs get the same faults if they have the same name: `configurable["seed"]` of their config,
    else their `thread_id`, else the how manyeth run of this graph it is.

    Args:
        target: The graph.
        faults: For each node, what goes wrong with it.
        seed: Of all chance.
        log: A list to which every fault that struck is added.

    Raises:
        ConfigurationError: the target is no graph, a name is no node with a body of its own, or
            what is given is no fault; a StateGraph's nodes are looked up when it is compiled.
    """
    if not isinstance(faults, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
        raise ConfigurationError(f"with_faults: {faults!r}: give a list of faults for each node")
    for path, given in faults.items():
        if not isinstance(given, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
            raise ConfigurationError(
                f"with_faults: {path!r} is given {given!r}; give a list of faults, [{given!r}]"
            )
        for each in given:
            _check(path, each)
    stale = any(
        isinstance(each, StaleContext) for given in faults.values() for each in _flat(given)
    )
    past = _Past() if stale else None

    def change(path: str, body: Runnable[Any, Any]) -> Runnable[Any, Any]:
        given = tuple(faults.get(path, ()))
        return _FaultyBody(body, path, given, seed, past, log) if given or past else body

    return with_bodies(target, change, known=tuple(faults), numbers=itertools.count())


def _check(path: str, fault: object) -> None:
    if isinstance(fault, Burst):
        for each in fault.faults:
            _check(path, each)
    elif not isinstance(fault, Raises | Delay | StaleContext | Fault) or isinstance(fault, type):
        raise ConfigurationError(
            f"with_faults: {path!r} is given {fault!r}, which is no fault; use those of "
            "coordgate.testing.faults, or give yours a `rate` and a `spoil(output, chance)`"
        )


def _flat(faults: Sequence[AnyFault]) -> Iterator[Any]:
    for each in faults:
        yield from each.faults if isinstance(each, Burst) else (each,)


class _Past:
    """The states of the latest runs, step by step."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, dict[tuple[str, int], Any]] = OrderedDict()
        self._lock = threading.Lock()

    def before(self, run: str, around: str, step: int, state: Any) -> Any:
        """Note the state of a step; return that of the step before, None if there is none."""
        with self._lock:
            states = self._runs.setdefault(run, {})
            self._runs.move_to_end(run)
            if len(self._runs) > _REMEMBERED:
                self._runs.popitem(last=False)
            states.setdefault((around, step), snapshot(state))
            earlier = [at for where, at in states if where == around and at < step]
            return states[around, max(earlier)] if earlier else None


class _Execution:
    """One execution of a body: where it stands, and its chance."""

    def __init__(self, path: str, seed: int, config: RunnableConfig) -> None:
        own: dict[str, Any] = config.get("configurable", {})
        meta: dict[str, Any] = config.get("metadata", {})
        self.number = run_number(config)
        named = own.get("seed", own.get("thread_id"))
        self.run = str(self.number if named is None else named)
        self.path = path
        self.step: int = meta.get("langgraph_step", 0)
        namespace: str = meta.get("langgraph_checkpoint_ns", "")
        self.around = namespace.rpartition("|")[0]
        runtime = own.get(CONFIG_KEY_RUNTIME)
        info = getattr(runtime, "execution_info", None)
        told = feedback()
        made = 1 if info is None else info.node_attempt
        self.attempt: int = max(made, 1 if told is None else told.attempt)
        self._seed = seed
        place = "/".join(map(str, meta.get("langgraph_path", ())))
        self._key = f"{self.run}/{path}/{self.step}/{place}/{made}/{self.attempt}"

    def chance(self, position: str) -> Random:
        """Return the chance of one of the node's faults in this execution."""
        return Random(f"{self._seed}/{self._key}/{position}")  # noqa: S311 - chance, not secrecy

    def bursts(self, burst: Burst) -> bool:
        """Return whether a burst strikes this run."""
        runs = [self.run]
        if burst.runs > 1 and self.run.lstrip("-").isdecimal():
            runs = [str(int(self.run) - back) for back in range(burst.runs)]
        return any(
            Random(f"{self._seed}/{burst.name}/{run}").random() < burst.rate  # noqa: S311
            for run in runs
        )


class _FaultyBody(Runnable[Any, Any]):
    """A node's body that goes wrong."""

    def __init__(
        self,
        body: Runnable[Any, Any],
        path: str,
        faults: Sequence[AnyFault],
        seed: int,
        past: _Past | None,
        log: list[Injection] | None,
    ) -> None:
        self._body = body
        self._path = path
        self._faults = faults
        self._seed = seed
        self._past = past
        self._log = log
        self.func = getattr(body, "func", None)
        self.afunc = getattr(body, "afunc", None)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the body, as it goes wrong."""
        struck, state, wait = self._before(input, config)
        if wait:
            time.sleep(wait)
        self._raise(struck)
        return self._after(struck, self._body.invoke(state, config, **kwargs))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the body, as it goes wrong."""
        struck, state, wait = self._before(input, config)
        if wait:
            await asyncio.sleep(wait)
        self._raise(struck)
        return self._after(struck, await self._body.ainvoke(state, config, **kwargs))

    def _before(self, state: Any, config: RunnableConfig | None) -> tuple[_Struck, Any, float]:
        at = _Execution(self._path, self._seed, config or {})
        struck = _Struck(at, list(_struck(self._faults, at)))
        earlier = None
        if self._past is not None:
            earlier = self._past.before(f"{at.number}/{at.run}", at.around, at.step, state)
        wait = 0.0
        for fault, _ in struck.faults:
            if isinstance(fault, Delay):
                wait += fault.seconds
                self._note(at, fault)
            elif isinstance(fault, StaleContext) and earlier is not None:
                state = _stale(state, earlier, fault.keys)
                self._note(at, fault)
        return struck, state, wait

    def _raise(self, struck: _Struck) -> None:
        for fault, _ in struck.faults:
            if isinstance(fault, Raises):
                self._note(struck.at, fault)
                raise fault.error(f"injected into node {self._path!r} by with_faults")

    def _after(self, struck: _Struck, output: Any) -> Any:
        for fault, chance in struck.faults:
            if isinstance(fault, Fault):
                spoiled = fault.spoil(output, chance)
                if spoiled is not output:
                    self._note(struck.at, fault)
                output = spoiled
        return output

    def _note(self, at: _Execution, fault: object) -> None:
        if self._log is not None:
            self._log.append(Injection(at.run, at.path, at.step, at.attempt, repr(fault)))


@dataclass(frozen=True, slots=True)
class _Struck:
    """The faults that strike one execution, each with its chance."""

    at: _Execution
    faults: list[tuple[Any, Random]]


def _struck(faults: Sequence[AnyFault], at: _Execution) -> Iterator[tuple[Any, Random]]:
    for position, fault in enumerate(faults):
        inside: Sequence[Any] = (fault,)
        if isinstance(fault, Burst):
            inside = fault.faults if at.bursts(fault) else ()
        for inner, each in enumerate(inside):
            chance = at.chance(f"{position}.{inner}")
            if chance.random() < each.rate:
                yield each, chance


def _stale(state: Any, earlier: Any, keys: Sequence[str] | None) -> Any:
    """Return a state with the values of an earlier one."""
    if all(isinstance(each, dict) for each in (state, earlier)):
        return _mixed(state, earlier, keys)
    if keys is None:
        return earlier
    stale = copy.copy(state)
    for key in keys:
        if hasattr(earlier, key):
            object.__setattr__(stale, key, getattr(earlier, key))
    return stale


def _mixed(
    state: dict[str, Any], earlier: dict[str, Any], keys: Sequence[str] | None
) -> dict[str, Any]:
    old = set(state if keys is None else keys)
    kept = {key: value for key, value in state.items() if key not in old}
    return kept | {key: value for key, value in earlier.items() if key in old}
