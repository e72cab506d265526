"""Served graphs: a guarded graph whose bodies, and gates that wait, give what was recorded.

Everything else of the graph is real: its edges and routers, contracts, quick gates, and policies.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, RetryPolicy, Send, interrupt

from coordgate import _langgraph as lg
from coordgate.bodies import WITHIN, with_bodies
from coordgate.channels import static_targets
from coordgate.gate import Gate, Judgement, Verdict
from coordgate.graph import guard, reguarded
from coordgate.node import RUNNING, NodeGuard, note
from coordgate.past.nodes import GuardedNode
from coordgate.past.tape import Diverged, NotInRecord, Tape, Task, sent
from coordgate.policy import Fallback, Policy, Retry
from coordgate.record import Attempt, Mode
from coordgate.routers import decides_as
from coordgate.stores import MemoryStore
from coordgate.toolcall import CALLED
from coordgate.tracer import Tracer


class Player:
    """Serves one tape after another to the bodies of a graph."""

    def __init__(self, nodes: Mapping[str, GuardedNode]) -> None:
        """Take the nodes of the graph as it is."""
        self.nodes = nodes
        self.tape = Tape(())
        self.stopped: BaseException | None = None
        """Why the replay has ended before the record did."""
        self.doubts: dict[str, None] = {}
        """What was served without being sure of it."""

    def serve(
        self, path: str, rung: str | None, state: Any, config: RunnableConfig, route: str | None
    ) -> Any:
        """Return, or raise, what the recorded attempt did; `route` is what its body decides as.

        Raises:
            Diverged: there is no such attempt.
            NotInRecord: what it did is not in the record.
        """
        meta = config.get("metadata", {})
        try:
            task = self.tape.task(
                path, meta["langgraph_checkpoint_ns"], meta["langgraph_step"], state
            )
            attempt = task.next_of(rung)
            return self._give(path, task, attempt, route)
        except Diverged as error:
            self.stopped = self.stopped or error
            raise

    def _give(self, path: str, task: Task, attempt: Attempt, route: str | None) -> Any:
        for each in attempt.verdicts:  # what the body put there: its tools' calls, its decision
            if each.gate.startswith(CALLED) or each.gate == route:
                note(Judgement(each.gate, Verdict(each.passed, each.reason, each.score)))
        match attempt.outcome:
            case "raised":
                raise self._error(path, attempt)
            case "interrupted":
                interrupt({"node": path, "replayed": True})
                return self._give(path, task, task.next_of(None), route)
            case "cancelled":
                raise _Cancelled(f"node {path!r} was cancelled here")
            case "handed_up":
                raise self._missing(path, attempt, "what it handed up to its parent graph")
            case "accepted" | "rejected" | "violated" | "rerouted" | "sent_back":
                return self._output(path, task, attempt)

    def _output(self, path: str, task: Task, attempt: Attempt) -> Any:
        node = self.nodes[path]
        if attempt.output is None:
            raise self._missing(path, attempt, "what it handed over")
        broken = (
            {reason.partition(":")[0].partition(".")[0] for reason in attempt.reasons}
            if attempt.outcome == "violated"
            else set[str]()
        )
        restored = node.restorer.update(attempt.output, broken=broken)
        if restored.lost:
            raise self._missing(path, attempt, f"what it handed over ({restored.lost[0]})")
        for doubt in restored.doubts:
            self.doubts[f"{path}: {doubt}"] = None
        if attempt is not task.transition.attempts[-1]:
            return restored.value
        goto = self._goto(node, task)
        return Command(update=restored.value, goto=goto) if goto else restored.value

    def _goto(self, node: GuardedNode, task: Task) -> list[Any]:
        """Return where the node's Command went: where control went, and no edge leads."""
        by = task.transition
        name = by.node
        builder: Any = getattr(node.graph, "builder", None)
        if builder is None:
            return []
        led = set(static_targets(node.graph, name))
        if builder.branches.get(name):
            spec = builder.nodes.get(name)
            ends = set(getattr(spec, "ends", ()) or ())
            for branch in builder.branches[name].values():
                routed: dict[Any, str] = branch.ends or {}
                ends -= set(routed.values())
            led |= set(by.goto) - ends
        goto: list[Any] = []
        for target in by.goto:
            if target in led:
                continue
            tasks = sent(self.tape.transitions, by, target)
            if len(tasks) < 2:
                goto.append(target)
                continue
            self.doubts[
                f"{node.path}: sent {len(tasks)} tasks to {target!r}; their order is that of their "
                "start"
            ] = None
            below = node.path.rpartition(WITHIN)[0]
            receiver = self.nodes[f"{below}{WITHIN}{target}" if below else target]
            goto += [Send(target, receiver.restorer.state(t.reads or "{}").value) for t in tasks]
        return goto

    def verdict(self, gate: str) -> Verdict:
        """Return what a gate that waits said of the attempt that is being judged."""
        turn: Any = RUNNING.get()
        record = self.tape.found(turn.namespace)
        if record is not None:
            for attempt in record.attempts:
                for said in attempt.verdicts:
                    if attempt.number == turn.raw.number and said.gate == gate:
                        return Verdict(said.passed, said.reason, said.score)
        return Verdict.reject("it is asked now, and the record has no answer of it")

    def _error(self, path: str, attempt: Attempt) -> Exception:
        kind, _, said = (attempt.error or "Exception: ").partition(": ")
        known: Any = getattr(builtins, kind, None)
        if isinstance(known, type) and issubclass(known, Exception):
            with contextlib.suppress(TypeError):  # of one that takes more than a message
                return known(said)
        self.doubts[
            f"{path}: it raised {kind}; an Exception of that name stands in for it, which a retry "
            "policy may not take for the same"
        ] = None
        stand_in: type[Exception] = type(kind, (Exception,), {})
        return stand_in(said)

    def _missing(self, path: str, attempt: Attempt, what: str) -> NotInRecord:
        stopped = NotInRecord(
            f"node {path!r}, attempt {attempt.number}: the record does not hold {what}"
        )
        self.stopped = self.stopped or stopped
        return stopped


class _Cancelled(Exception):
    """Stands for an attempt that never ended."""


class _ServedBody(Runnable[Any, Any]):
    """What runs in the place of a node's body, or of a fallback's."""

    def __init__(
        self, player: Player, path: str, rung: str | None, route: str | None = None
    ) -> None:
        self._player = player
        self._route = route
        self._path = path
        self._rung = rung

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Serve the next attempt."""
        return self._player.serve(self._path, self._rung, input, config or {}, self._route)


def served(app: Any, player: Player, mode: Mode) -> tuple[Any, MemoryStore, Tracer]:
    """Return a graph that plays a player's tapes in a mode, and where its own record goes.

    Nothing of the original is used: neither its checkpointer, its cache, nor its tracer; and
    nothing waits before it repeats.
    """

    def change(path: str, body: Runnable[Any, Any]) -> Runnable[Any, Any]:
        function = getattr(body, "func", None) or getattr(body, "afunc", None)
        return _ServedBody(player, path, None, decides_as(function))

    store = MemoryStore()
    tracer = Tracer(store)
    bare = reguarded(with_bodies(app, change), _without_waits)
    nodes = {
        path: _guard(node, player)
        for path, node in player.nodes.items()
        if node.plan.slow or node.plan.policy or any(gate.sees_answers for gate in node.plan.quick)
    }
    made: Any = guard(bare, nodes, mode=mode, tracer=tracer)
    made.checkpointer = InMemorySaver() if app.checkpointer else None
    return made, store, tracer


def _without_waits(app: Any) -> Any:
    """Return a graph that neither waits, times out, nor caches."""
    nodes: dict[str, Any] = {}
    for name, node in app.nodes.items():
        made = nodes[name] = copy.copy(node)
        made.cache_policy = made.timeout = None
        made.retry_policy = _at_once(node.retry_policy)
        subgraph = lg.subgraph_of(node)
        if subgraph is not None:
            made.bound = reguarded(subgraph, _without_waits)
    kind: type[Any] = type(app)  # pyright: ignore[reportUnknownVariableType] - the type of Any
    copied = lg.copy_graph(app, kind, nodes)
    copied.retry_policy = _at_once(app.retry_policy)
    copied.cache = copied.cache_policy = None
    copied.step_timeout = None
    return copied


def _at_once(policies: Any) -> Sequence[RetryPolicy]:
    several = [policies] if isinstance(policies, RetryPolicy) else list(policies or ())
    return [each._replace(initial_interval=0.0, jitter=False) for each in several]


def _guard(node: GuardedNode, player: Player) -> NodeGuard:
    """Return what is declared on a node, with what would run code or wait served."""
    given = node.plan.guard
    gates = [
        _served_gate(gate, player) if isinstance(gate, Gate) and _is_served(gate) else gate
        for gate in given.gates
    ]
    if given.policy is None:
        return replace(given, gates=gates)
    rungs: list[Any] = []
    for rung in given.policy.rungs:
        match rung:
            case Retry():
                rungs.append(replace(rung, wait=0.0, jitter=False))
            case Fallback():
                body = _ServedBody(player, node.path, f"fallback:{rung.name}")
                rungs.append(replace(rung, node=body, name=rung.name))
            case _:
                rungs.append(rung)
    return replace(given, gates=gates, policy=Policy(*rungs))


def _is_served(gate: Gate) -> bool:
    return gate.slow or gate.is_async or gate.sees_answers


def _served_gate(gate: Gate, player: Player) -> Gate:
    def answer(_output: Any, _state: Any) -> Verdict:
        return player.verdict(gate.name)

    return replace(gate, function=answer, takes_state=True, timeout=None, parts=())
