"""Replay: a recorded run once more, its recorded outputs in the place of the node bodies.

The run must take the same transitions: the same nodes at the same steps, attempt by attempt with
the same outcomes and verdicts, and on to the same nodes. Values are not compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from langgraph.types import Command

from coordgate.errors import StoreError
from coordgate.past.nodes import GuardedNode, guarded_nodes
from coordgate.past.served import Player, served
from coordgate.past.tape import Diverged, NotInRecord, Tape
from coordgate.record import Attempt, Run, Transition, path_of
from coordgate.show import counted
from coordgate.statekey import ROOT
from coordgate.stores import Store

Result = Literal["same", "diverged", "incomplete"]
"""`incomplete`: the same as far as it goes, and the record lacks what it takes to go on."""

_THREAD: Any = {"configurable": {"thread_id": "replay"}}


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where the run does something else now."""

    run: str
    """The recorded run."""
    transition: int | None
    """The number of the recorded transition; None where the record has none."""
    node: str
    """The node's path."""
    what: str
    """What differs: `attempts`, `goto`, `status`, `handed over by`, `missing`, `new`."""
    recorded: str
    """What the record says."""
    now: str
    """What happens now."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay."""

    runs: tuple[str, ...]
    """The recorded runs that were replayed: the one asked for, after those that it goes on from."""
    result: Result
    """How it came out."""
    transitions: int
    """How many transitions were the same."""
    divergence: Divergence | None = None
    """The first difference."""
    missing: str | None = None
    """What the record does not hold, so that the replay could not go on."""
    doubts: tuple[str, ...] = ()
    """What was served without the record being sure of it."""


def replay(
    store: Store, run: Run, app: Any, *, is_async: bool = False, where: str = "app"
) -> Replay:
    """Run a graph again on what was recorded of a run.

    A run that answered the questions of an earlier one is replayed after that one, with the answers
    that the record has; all in the mode it was recorded in. No body runs, no gate that waits for a
    model, and nothing is kept.

    Args:
        store: The record.
        run: The run.
        app: The compiled and guarded graph.
        is_async: Whether the graph can only be awaited.
        where: What the graph is called in errors.

    Raises:
        ConfigurationError: the graph is not guarded.
        StoreError: the run has no transitions, or cannot be replayed from its beginning.
    """
    chain = _chain(store, run)
    nodes = guarded_nodes(app, where)
    player = Player(nodes)
    graph, made, tracer = served(app, player, run.mode)
    compared = 0
    ids = tuple(each.id for each in chain)
    for position, recorded in enumerate(chain):
        tape = Tape(store.transitions(recorded.id), player.tape.offset)
        player.tape = tape
        if not tape.transitions:
            raise StoreError(f"run {recorded.id} has no transitions to replay")
        given: Any = _beginning(tape, nodes) if position == 0 else _answers(graph, tape, nodes)
        if isinstance(given, NotInRecord):
            return Replay(ids, "incomplete", compared, missing=str(given))
        config: Any = _THREAD if graph.checkpointer else {}
        _invoke(graph, given, config, is_async=is_async)
        tracer.flush()
        latest = next(iter(made.runs(limit=1)))
        now = sorted(made.transitions(latest.id), key=lambda each: each.number)
        same, divergence = _compared(recorded, tape, now, player)
        compared += same
        doubts = tuple(player.doubts)
        if divergence is not None:
            return Replay(ids, "diverged", compared, divergence, doubts=doubts)
        if player.stopped is not None:
            return Replay(ids, "incomplete", compared, missing=str(player.stopped), doubts=doubts)
    return Replay(ids, "same", compared, doubts=tuple(player.doubts))


def _chain(store: Store, run: Run) -> list[Run]:
    """Return a run after those that it goes on from: each waited for answers that the next gave."""
    chain = [run]
    if run.thread is None:
        return chain
    earlier = [
        each
        for each in store.runs(newest_first=True)
        if each.thread == run.thread and each.started < run.started and each.graph == run.graph
    ]
    for each in earlier:
        if each.status != "interrupted":
            break
        chain.insert(0, each)
    return chain


def _beginning(tape: Tape, nodes: Mapping[str, GuardedNode]) -> Any:
    """Return the state that a run began with: what the nodes of its first step were handed."""
    first = [each for each in tape.transitions if "|" not in each.namespace]
    step = min(each.step for each in first)
    state: dict[str, Any] = {}
    for each in first:
        node = nodes.get(path_of(each))
        if each.step != step or node is None or each.reads is None:
            continue
        restored = node.restorer.state(each.reads)
        if restored.lost:
            return NotInRecord(f"the state that the run began with: {restored.lost[0]}")
        value: Any = restored.value
        if type(value) is not dict or ROOT in node.plan.keys:
            return cast("Any", value)
        state |= cast("dict[str, Any]", value)
    return state


def _answers(graph: Any, tape: Tape, nodes: Mapping[str, GuardedNode]) -> Any:
    """Return what resumes a run that waits: for each open question the answer that was recorded."""
    answers: dict[str, Any] = {}
    waiting = graph.get_state(_THREAD).interrupts
    tasks = {path_of(each): each for each in reversed(tape.transitions)}
    for question in waiting:
        payload: Any = question.value
        asked = payload["node"]  # of what a graph that is served asks, this is always there
        for path, task in tasks.items():
            if asked in {path, task.node}:
                answers[question.id] = _answer(task.attempts[0], nodes.get(path))
                break
    return Command(resume=answers) if answers else None


def _answer(attempt: Attempt, node: GuardedNode | None) -> Any:
    """Return what a person said, as the record has it; what a body was told, nothing needs."""
    by = attempt.by or ""
    match attempt.decision:
        case "approve":
            return {"decision": "approve", "by": by}
        case "edit":
            assert node is not None
            update = node.restorer.update(attempt.output or "null")
            if update.lost:
                return None
            past = node.plan.gates and not attempt.verdicts
            return {"decision": "edit", "update": update.value, "override": past, "by": by}
        case "reject":
            return {"decision": "reject", "reason": _said(attempt), "by": by}
        case "retry":
            return {"decision": "retry", "feedback": _said(attempt), "by": by}
        case _:
            return None


def _said(attempt: Attempt) -> str:
    return attempt.reasons[-1] if attempt.reasons else "(not recorded)"


def _invoke(graph: Any, given: Any, config: Any, *, is_async: bool) -> None:
    """Run the graph; that it fails is for the comparison to see."""
    try:
        if is_async:
            asyncio.run(graph.ainvoke(given, config))
        else:
            graph.invoke(given, config)
    except (Diverged, NotInRecord, Exception):  # noqa: BLE001, S110 - its record says what it did
        pass


def _compared(
    recorded: Run, tape: Tape, now: Sequence[Transition], player: Player
) -> tuple[int, Divergence | None]:
    """Return how many transitions are the same, and the first difference."""
    left = list(tape.transitions)
    same = 0
    for made in now:
        then = tape.found(made.namespace)
        if then is None:
            then = next((each for each in left if path_of(each) == path_of(made)), None)
        if then is None:
            return same, Divergence(
                recorded.id, None, path_of(made), "new", "(nothing)", _attempts(made)
            )
        if made.status == "cancelled" and isinstance(player.stopped, Diverged):
            break
        if made.status == "cancelled" or then.status == "cancelled":
            left.remove(then)
            continue
        different = _difference(recorded, then, made)
        if different is not None:
            return same, different
        left.remove(then)
        same += 1
    stopped = player.stopped
    if isinstance(stopped, Diverged):
        return same, _stopped_at(recorded, stopped, tape, now)
    left = [each for each in left if each.status != "cancelled"]
    if left and stopped is None:
        first = left[0]
        return same, Divergence(
            recorded.id, first.number, path_of(first), "missing", _attempts(first), "(nothing)"
        )
    return same, None


def _stopped_at(
    recorded: Run, stopped: Diverged, tape: Tape, now: Sequence[Transition]
) -> Divergence:
    """Return where the replay ended: at an attempt, or a task, that the record does not have."""
    for made in now:
        then = tape.found(made.namespace)
        if then is not None and made.status == "cancelled" and path_of(made) == stopped.path:
            *before, last = made.attempts
            told = [*map(_told, before), f"{last.number} {last.rung}, which is not recorded"]
            where = (recorded.id, then.number, stopped.path, "attempts")
            return Divergence(*where, _attempts(then), "; ".join(told))
    return Divergence(recorded.id, None, stopped.path, "new", stopped.recorded, stopped.now)


def _difference(recorded: Run, then: Transition, now: Transition) -> Divergence | None:
    for what, was, has_become in (
        ("attempts", _attempts(then), _attempts(now)),
        ("status", then.status, now.status),
        ("goto", ", ".join(then.goto), ", ".join(now.goto)),
    ):
        if was != has_become:
            return Divergence(recorded.id, then.number, path_of(then), what, was, has_become)
    return None


def _attempts(transition: Transition) -> str:
    return "; ".join(_told(attempt) for attempt in transition.attempts)


def _told(attempt: Attempt) -> str:
    said = ", ".join(f"{v.gate} {'passed' if v.passed else 'rejected'}" for v in attempt.verdicts)
    return f"{attempt.number} {attempt.rung} {attempt.outcome}{f' ({said})' if said else ''}"


def lines(found: Replay) -> Iterator[str]:
    """Yield what came of a replay, in words."""
    count = counted(found.transitions, "transition")
    match found.result:
        case "same":
            yield f"the same: {count}"
        case "incomplete":
            yield f"the same for {count}, and cannot go on: {found.missing}"
        case "diverged":
            assert found.divergence is not None
            each = found.divergence
            where = f"transition {each.transition}" if each.transition else "not recorded"
            yield f"diverged after {count}, at node {each.node} ({where}): {each.what}"
            yield f"  recorded: {each.recorded}"
            yield f"  now:      {each.now}"
    if found.doubts:
        yield "served without being sure:"
        for doubt in found.doubts:
            yield f"  {doubt}"
