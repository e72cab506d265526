"""Review: what waits for a person in a graph or a store, and a person's answer to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast

from langgraph.types import Command

from coordgate.errors import ConfigurationError, GateRejected
from coordgate.loading import OpenGraph
from coordgate.question import KEY
from coordgate.record import Run, Transition
from coordgate.stores import SqliteStore, Store

Result = Literal["refused", "completed", "interrupted", "failed"]

_NEVER: Final = 253402300800.0
"""The year 10000, which no calendar of Python's knows."""

SHOWN = 10
"""How much of an id is shown, and at least needed to name a question by it."""


_PAUSED: Final = """
    SELECT id FROM (
        SELECT id, status, max(started) AS started FROM runs
        WHERE thread IS NOT NULL AND status NOT IN ('lost', 'running') GROUP BY thread
    ) WHERE status = 'interrupted' ORDER BY started DESC
"""
"""Beside max() SQLite gives the other columns of the row that has it."""


class Called(Protocol):
    """A graph as it is called here: an `OpenGraph`, or what shares one among threads."""

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the graph, such as `invoke` or `get_state`, or its async twin."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """A question that nobody has answered yet."""

    thread: str
    """LangGraph's thread_id."""
    id: str
    """The interrupt's id, by which it is answered; the run's, if an older release recorded it."""
    node: str
    """Who hands over."""
    to: str
    """Who is asked."""
    since: float
    """When it was asked, in seconds since the epoch."""
    until: float | None
    """When it is closed if nobody has answered; None for never."""
    reasons: tuple[str, ...]
    """Why the hand-over was not accepted."""
    candidate: Any
    """What would ship."""
    goto: tuple[str, ...]
    """Where control would go, if the node said so."""
    attempts: tuple[Mapping[str, Any], ...]
    """The attempts made."""
    answers: Mapping[str, Any]
    """What may be decided, with the JSON schema of each; empty schemas in a store."""
    refused: tuple[str, ...]
    """Why the last answer was not taken."""
    task: str = ""
    """The checkpoint namespace of its task."""
    run: str = ""
    """The run that asked; empty if a graph tells of it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of an answer."""

    result: Result
    """`refused`: the question is still open. Else how the run stands now."""
    reasons: tuple[str, ...] = ()
    """Why it was refused, or what the run failed of."""
    rejected: bool = False
    """Whether the run failed of this very answer: a rejection past the last rung."""
    values: Any = None
    """The state of the thread."""


def waiting_in(opened: Called, threads: Iterable[str]) -> Iterator[Waiting]:
    """Yield what waits for a person in these threads of a graph."""
    for thread in threads:
        yield from _asked(thread, opened.call("get_state", _config(thread)))


def _asked(thread: str, state: Any) -> Iterator[Waiting]:
    for task in state.tasks:
        for each in () if task.error else task.interrupts:
            found = _waiting(thread, each.id, each.value)
            if found is not None:
                yield found


def threads_of(opened: OpenGraph) -> list[str]:
    """Return the threads that a graph's checkpointer holds, the one last written to first.

    Raises:
        ConfigurationError: the graph has no checkpointer, or one that cannot list.
    """
    saver = opened.graph.checkpointer
    if not hasattr(saver, "list"):
        raise ConfigurationError(
            f"{opened.target} has no checkpointer, so nothing can wait in it: compile it with one, "
            "such as SqliteSaver, or name a function that does"
        )
    try:
        if opened.is_async:
            return opened.wait(_listed(saver))
        return list(dict.fromkeys(_thread(each) for each in saver.list(None)))
    except NotImplementedError as error:
        raise ConfigurationError(
            f"{opened.target}: its checkpointer cannot list its threads; name one, or the trace "
            "store that the graph records to: coordgate review traces.db --app "
            f"{opened.target}"
        ) from error


async def _listed(saver: Any) -> list[str]:
    return list(dict.fromkeys([_thread(each) async for each in saver.alist(None)]))


def _thread(checkpoint: Any) -> str:
    return str(checkpoint.config["configurable"]["thread_id"])


def _config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def _waiting(thread: str, id: str, payload: Any) -> Waiting | None:
    """Return a question of ours; None for one that a node asks by itself."""
    asked = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    kept = asked.get(KEY)
    if not isinstance(kept, dict):
        return None
    return _told(thread, id, asked, asked["answers"], cast("dict[str, Any]", kept))


def _told(
    thread: str,
    id: str,
    asked: Any,
    answers: Mapping[str, Any],
    kept: Mapping[str, Any],
    run: str = "",
) -> Waiting:
    return Waiting(
        thread,
        id,
        asked["node"],
        asked["to"],
        kept["asked_at"],
        asked.get("until"),
        tuple(asked["reasons"]),
        asked["candidate"],
        tuple(asked.get("goto", ())),
        tuple(asked["attempts"]),
        answers,
        tuple(asked.get("refused", ())),
        kept["task"],
        run,
    )


def recorded_in(store: Store) -> Iterator[Waiting]:
    """Yield what waited for a person when the runs in a store were last recorded."""
    for run in _paused(store):
        for transition in store.transitions(run.id):
            found = _recorded(transition)
            if found is not None:
                yield found


def threads_in(store: Store) -> list[str]:
    """Return the threads of a store's runs that may wait, the one last begun first.

    Those whose latest run has paused, and those in which one was lost: its process may have died
    when the question was in the checkpoint and not yet in the record.
    """
    runs = [*_paused(store), *store.runs(status="lost")]
    runs.sort(key=lambda run: run.started, reverse=True)
    return list(dict.fromkeys(str(run.thread) for run in runs if run.thread is not None))


def _paused(store: Store) -> Iterator[Run]:
    """Yield the latest run of each thread, but for those that were lost, if it has paused.

    A run that was lost may have died before the answer was written.
    """
    if isinstance(store, SqliteStore):
        going_on = {run.thread for run in store.runs(status="running")}
        for (id,) in store.query(_PAUSED, []):
            run = store.run(id)
            if run.thread not in going_on:
                yield run
        return
    known: set[str] = set()
    for run in store.runs():
        if run.thread is None or run.thread in known or run.status == "lost":
            continue
        known.add(run.thread)
        if run.status == "interrupted":
            yield run


def _recorded(transition: Transition) -> Waiting | None:
    last = transition.attempts[-1] if transition.attempts else None
    if last is None or last.outcome != "interrupted" or not last.rung.startswith("escalate:"):
        return None
    try:
        asked = _plain(json.loads(last.output or ""))
        answers: dict[str, Any] = {str(name): {} for name in asked["answers"]}
        kept = {"asked_at": asked["asked_at"], "task": transition.namespace}
        id = str(asked.get("id", transition.run))
        return _told(str(transition.thread), id, asked, answers, kept, transition.run)
    except (ValueError, KeyError, TypeError):  # cut, or recorded by an older release
        return Waiting(
            str(transition.thread),
            transition.run,
            transition.node,
            last.rung.partition(":")[2],
            transition.started,
            None,
            (),
            None,
            (),
            (),
            {},
            (),
            transition.namespace,
            transition.run,
        )


def _plain(asked: Any) -> dict[str, Any]:
    """Return a recorded question in which all is of its type; a file may hold anything."""
    attempts = [
        {
            "number": each["number"],
            "rung": str(each["rung"]),
            "outcome": str(each["outcome"]),
            "reasons": _texts(each["reasons"]),
        }
        for each in asked["attempts"]
    ]
    until = asked.get("until")
    return {
        **asked,
        "node": str(asked["node"]),
        "to": str(asked["to"]),
        "asked_at": _time(asked["asked_at"]),
        "until": None if until is None else _time(until),
        "reasons": _texts(asked["reasons"]),
        "goto": _texts(asked.get("goto", ())),
        "refused": _texts(asked.get("refused", ())),
        "attempts": attempts,
    }


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(each) for each in values]


def _time(value: Any) -> float:
    if not 0 <= value < _NEVER:
        raise ValueError(f"{value!r} is no time")
    return float(value)


def answer(opened: Called, asked: Waiting, given: Mapping[str, Any]) -> Answered:
    """Answer a question: go on with its run, in this process, to its end or its next question."""
    config = _config(asked.thread)
    error: Exception | None = None
    try:
        opened.call("invoke", Command(resume={asked.id: dict(given)}), config)
    except Exception as raised:  # noqa: BLE001 - whatever the run fails of is told
        error = raised
    state = opened.call("get_state", config)
    for still in _asked(asked.thread, state):
        if still.task == asked.task and _is_same(still, asked):
            return Answered("refused", still.refused)
    if error is not None:
        by_answer = isinstance(error, GateRejected) and error.gate == f"escalate:{asked.to}"
        said = f"{type(error).__name__}: {error}"
        return Answered("failed", (said,), by_answer and given.get("decision") == "reject")
    return Answered("interrupted" if state.next else "completed", (), values=state.values)


def _is_same(still: Waiting, asked: Waiting) -> bool:
    return bool(still.refused) and still.since == asked.since and still.to == asked.to


def chosen(found: Sequence[Waiting], which: str | None) -> list[Waiting]:
    """Return the questions that a thread, or a beginning of an id, names; all without one."""
    if which is None:
        return list(found)
    exact = [each for each in found if which in {each.thread, each.id}]
    if exact or len(which) < SHOWN:  # the thread "1", answered already, is no id that begins with 1
        return exact
    return [each for each in found if each.id.startswith(which)]


def name_of(asked: Waiting, waiting: Iterable[Waiting]) -> str:
    """Return what names a question among those that wait: its thread, or its id."""
    alone = sum(each.thread == asked.thread for each in waiting) < 2
    return asked.thread if alone else asked.id[:SHOWN]
