"""The guarded node that is being run: what anything below it may ask of it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

from coordgate.capture import RawAttempt
from coordgate.gate import Judgement
from coordgate.policy import Feedback


class Running(Protocol):
    """What the engine says of the guarded node that is being run."""

    @property
    def raw(self) -> RawAttempt:
        """The attempt that is being made at it, as far as it is known."""
        ...

    @property
    def gate(self) -> str | None:
        """The name of the quick gate that is being asked about it."""
        ...

    @property
    def declared(self) -> object:
        """What its function was decorated with."""
        ...

    @property
    def namespace(self) -> str:
        """LangGraph's checkpoint namespace of its task."""
        ...

    def feedback(self) -> Feedback | None:
        """Return what its attempt is told, or else the one that it is nested in."""
        ...

    def note(self, judgement: Judgement, about: Any = None) -> None:
        """Keep a judgement that is made while it runs, and for observers what it is about."""
        ...


RUNNING: ContextVar[Running | None] = ContextVar("coordgate_running", default=None)
"""The guarded node that is being run."""
