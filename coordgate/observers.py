"""Observers: who is told of a run while it goes on, in the thread or task that runs it.

The record of a transition is made when it is over. What must be there before, such as a span that a
node's own spans nest in, an observer sets up in `enter`; it hears of the record when that is made.
Nobody is asked where a tracer has no observers: then a run has no `Seen`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from coordgate.record import Attempt, Run, Transition
from coordgate.values import ValueText

Kind: TypeAlias = Literal["run", "node", "attempt", "gate"]
"""What can be seen. A gate is one that waits; quick ones are in the record only."""

_log = logging.getLogger("coordgate")


class Noted(NamedTuple):
    """What was judged while the node ran: a route, or a tool call."""

    at: float
    """When the verdict was there: UTC, seconds since the epoch."""
    about: Any
    """What it is about, as it is; None if that was not said."""


@dataclass(slots=True, eq=False)
class Seen:
    """A part of a run that observers are told of, and what they keep on it."""

    kind: Kind
    """What it is."""
    name: str
    """The graph's, the node's or the gate's name; of an attempt, its node's."""
    watch: Observers = field(repr=False)
    """Who is told."""
    run: str = ""
    """The run's id."""
    above: Seen | None = field(default=None, repr=False)
    """What it is a part of: of a gate its attempt, of an attempt its node, of a node the attempt
    around it, or else the run; None for a run."""
    thread: str | None = None
    """LangGraph's thread_id, on a run."""
    started: float = field(default_factory=time.time)
    """UTC, seconds since the epoch."""
    namespace: str = ""
    """LangGraph's checkpoint namespace of the task, on a node and an attempt."""
    number: int = 0
    """Of an attempt: from 1."""
    rung: str = ""
    """Of an attempt: as in its record."""
    repeats: bool = False
    """Of a node: whether an attempt that fails may be followed by another."""
    guard: Any = field(default=None, repr=False)
    """Of a node and an attempt: the `NodeGuard` that it is run with."""
    config: Any = field(default=None, repr=False)
    """Of an attempt: the config that its body will be invoked with. An observer may put another in
    its place while it is told that the attempt begins."""
    input: Any = field(default=None, repr=False)
    """What a run, or the body of an attempt, is given."""
    output: Any = field(default=None, repr=False)
    """What the run returned; None where it was streamed."""
    record: Run | Transition | Attempt | None = field(default=None, repr=False)
    """The record of it, once there is one."""
    parts: list[Seen] = field(default_factory=list["Seen"], repr=False)
    """On an attempt, the gates that waited, in the order asked; on a node whose record is there,
    its attempts."""
    noted: list[Noted] = field(default_factory=list[Noted], repr=False)
    """On an attempt: what was judged while it ran, in the order of its first verdicts."""
    kept: dict[object, Any] = field(default_factory=dict[object, Any], repr=False)
    """What each observer keeps on it, by the observer."""

    def enter(self) -> None:
        """Tell the observers that the code of this runs from now on, in this context."""
        self.watch.tell("enter", self)

    def leave(self) -> None:
        """Tell the observers that its code does not run any more, in this context."""
        self.watch.tell("leave", self)


@runtime_checkable
class Observer(Protocol):
    """Is told of a run while it goes on: `Tracer("traces.db", observers=[...])`.

    One that raises fails no node: it is reported once on the logger `coordgate`, and counted.
    """

    def enter(self, seen: Seen) -> None:
        """Take note that a run, an attempt or a gate begins: its code runs next, in this context.

        A context variable that is set here is what that code sees, and all that it calls, in other
        threads too if they take the context along. A node is seen as what its attempts are a part
        of. A run that is streamed is entered anew whenever its caller asks for more.
        """
        ...

    def leave(self, seen: Seen) -> None:
        """Take note that its code has ended, or that a streamed run waits for its caller."""
        ...

    def recorded(self, seen: Seen, text: ValueText) -> None:
        """Take note that the record of a node with its attempts, or of a run, is there: it is over.

        It is called on the tracer's thread, in the order recorded. `text` makes redacted text of
        bounded length of any value, as in the record.
        """
        ...


@runtime_checkable
class Resting(Observer, Protocol):
    """An observer that may have nothing to do: where all rest, a run costs what it does without."""

    def rests(self) -> bool:
        """Return whether a run that begins now need not be told of."""
        ...


class Observers:
    """The observers of a tracer; whatever one of them raises, the others and the run go on."""

    def __init__(
        self, observers: Sequence[Observer], redact: Callable[[str], str] | None = None
    ) -> None:
        """Take the observers, in the order in which they are told, and the tracer's redaction."""
        self.each = tuple(observers)
        self.redact = redact
        """What takes secrets out of a text, JSON or not, as in the record; None for nothing."""
        self._resting = [each for each in observers if isinstance(each, Resting)]
        self.errors = 0
        """How often one has raised."""

    def awake(self) -> bool:
        """Return whether there is anybody to tell of a run that begins now."""
        if len(self._resting) < len(self.each):
            return True
        return any(self._safely(each, each.rests) is False for each in self._resting)

    def tell(self, what: Literal["enter", "leave"], seen: Seen) -> None:
        """Tell each of them; of an end, the last one first."""
        for observer in self.each if what == "enter" else reversed(self.each):
            self._safely(observer, getattr(observer, what), seen)

    def recorded(self, seen: Seen, text: ValueText) -> None:
        """Tell each of them that a record is there."""
        for observer in self.each:
            self._safely(observer, observer.recorded, seen, text)

    def _safely(self, observer: Observer, method: Callable[..., Any], *given: Any) -> Any:
        try:
            return method(*given)
        except Exception as error:  # noqa: BLE001 - an observer may raise anything, and fails no node
            self.errors += 1
            if self.errors == 1:
                _log.warning(
                    "coordgate: the observer %r failed, and the run goes on (said once): %s: %s",
                    observer,
                    type(error).__name__,
                    error,
                )
            return None
