"""The tape of one run: what each task did, attempt by attempt, to be served again."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from coordgate.record import Attempt, Transition, path_of
from coordgate.redaction import redact
from coordgate.values import ValueText

_TEXT = ValueText(redact, 20_000)


class Diverged(BaseException):
    """What the run does now is not what the record says: the replay ends here."""

    def __init__(self, path: str, recorded: str, now: str) -> None:
        """Say at which node, what the record has there, and what the run does."""
        super().__init__(path, recorded, now)
        self.path = path
        self.recorded = recorded
        self.now = now


class NotInRecord(BaseException):
    """The record does not hold what would have to be served: the replay ends here."""


@dataclass(slots=True)
class Task:
    """One recorded task, and how far it has been served."""

    transition: Transition
    """Its record."""
    served: int = 0
    """How many of its attempts are over."""

    def next_of(self, rung: str | None) -> Attempt:
        """Return the next attempt of a rung, of the node itself for None.

        Raises:
            Diverged: the record has another attempt there, or none.
        """
        for position in range(self.served, len(self.transition.attempts)):
            attempt = self.transition.attempts[position]
            if not runs_a_body(attempt):
                continue
            own = None if attempt.rung in NODE_ITSELF else attempt.rung
            if own != rung:
                break
            self.served = position + 1
            return attempt
        made = [attempt.rung for attempt in self.transition.attempts]
        raise Diverged(
            path_of(self.transition),
            f"transition {self.transition.number}: {', '.join(made)}",
            f"after {self.served} of these, an attempt more ({rung or 'of the node itself'})",
        )


NODE_ITSELF = frozenset({"first", "retry", "transport"})
"""The rungs that run the node's own body."""


def runs_a_body(attempt: Attempt) -> bool:
    """Return whether an attempt ran code of the user's: the node, or something in its place."""
    return attempt.rung in NODE_ITSELF or attempt.rung.startswith("fallback:")


class Tape:
    """The tasks of one recorded run, taken one by one as the replay reaches them."""

    def __init__(self, transitions: Iterable[Transition], offset: int | None = None) -> None:
        """Sort the tasks by their node.

        `offset` is what a recorded step of the whole graph is ahead of the replay's; None has it
        found out at the first task, which is one of the run's first step.
        """
        self.transitions = sorted(transitions, key=lambda each: each.number)
        self._left: defaultdict[str, list[Transition]] = defaultdict(list)
        self.offset = offset
        for each in sorted(self.transitions, key=lambda each: each.started):
            self._left[path_of(each)].append(each)
        self._tasks: dict[str, Task] = {}
        self._arounds: dict[str, str] = {"": ""}
        self._lock = threading.Lock()

    def task(self, path: str, namespace: str, step: int, state: Any) -> Task:
        """Return the recorded task that stands for one of the replay.

        Of parallel tasks of one node it is the one that was handed the same, else the one that was
        started first of those left.

        Raises:
            Diverged: there is none: the run goes elsewhere now.
        """
        with self._lock:
            if namespace not in self._tasks:
                self._tasks[namespace] = Task(self._taken(path, namespace, step, state))
            return self._tasks[namespace]

    def found(self, namespace: str) -> Transition | None:
        """Return the record of a task of the replay, if one was taken for it."""
        task = self._tasks.get(namespace)
        return None if task is None else task.transition

    def _taken(self, path: str, namespace: str, step: int, state: Any) -> Transition:
        around = _around(namespace)
        recorded = self._arounds.get(around)
        if self.offset is None:
            self.offset = min(t.step for t in self.transitions if "|" not in t.namespace) - step
        ahead = 0 if around else self.offset
        taken = set(self._arounds.values()) - {""}
        fitting: list[Transition] = []
        for each in self._left[path]:
            inside = _around(each.namespace)
            if recorded is None and inside in taken:
                continue
            if recorded is not None and inside != recorded:
                continue
            if each.step == step + ahead:
                fitting.append(each)
        if not fitting:
            inside = f" of {around_path(around)}" if around else ""
            raise Diverged(path, "(nothing)", f"runs at step {step + ahead}{inside}")
        best = fitting[0]
        if len(fitting) > 1:
            shown = without_ids(_TEXT.json(state))
            same = (t for t in fitting if t.reads is not None and without_ids(t.reads) == shown)
            best = next(same, best)
        self._left[path].remove(best)
        self._arounds[around] = _around(best.namespace)
        return best


def _around(namespace: str) -> str:
    return namespace.rpartition("|")[0]


def around_path(namespace: str) -> str:
    """Return a namespace without the ids of its tasks."""
    return "|".join(part.partition(":")[0] for part in namespace.split("|"))


_ID = re.compile(r'"id":"[0-9a-f-]{36}"')


def without_ids(text: str) -> str:
    """Return recorded text without the ids that LangGraph gives messages anew each time."""
    return _ID.sub('"id":null', text)


def sent(tape: Sequence[Transition], by: Transition, target: str) -> list[Transition]:
    """Return the tasks that a transition handed over to at one node, in order of their start."""
    around = _around(by.namespace)
    found = [
        each
        for each in tape
        if each.node == target
        and _around(each.namespace) == around
        and each.step == by.step + 1
        and by.node in each.producers
    ]
    return sorted(found, key=lambda each: each.started)
