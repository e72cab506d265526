"""The circuit breaker: one for each dependency, which is left alone while it keeps failing.

closed --failures in a row--> open --after some seconds--> one probe --it passes--> closed
^------------------------------------it fails---------'
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from coordgate.errors import CircuitOpen, ConfigurationError, CoordgateError

State = Literal["closed", "open", "half-open"]
"""`half-open`: its time is over, and one caller tries, or the next one may."""

Came = Literal["passed", "failed", "unknown"]
"""What came of a call: an answer, good or bad; an error of transport; or neither can be said."""


class Circuit:
    """What is known of a dependency in this process, shared by all who give the same object.

    A name in its place, `Retry(2, circuit="openai")`, is the same circuit everywhere in the
    process, with these defaults.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        seconds: float = 30.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Begin closed: `failures` in a row open it, and after `seconds` one caller may try.

        Raises:
            ConfigurationError: the name is empty, or a number means nothing.
        """
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(f"Circuit({name!r}): give the dependency's name")
        if type(failures) is not int or failures < 1 or not seconds > 0:
            raise ConfigurationError(
                f"Circuit({name!r}): failures is a number from 1, seconds are more than 0"
            )
        self.name = name
        self.failures = failures
        self.seconds = seconds
        self._clock = clock or time.monotonic
        self._lock = threading.Lock()
        self._failed = 0
        self._last = ""
        self._until: float | None = None
        """When the next probe may be made; None while closed."""
        self._probing = False
        self._era: int = 0
        """Changes whenever it opens, closes or probes, so that older calls have no say."""

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"Circuit({self.name!r}, failures={self.failures}, seconds={self.seconds:g})"

    @property
    def state(self) -> State:
        """How it stands."""
        with self._lock:
            if self._until is None:
                return "closed"
            waits = self._clock() < self._until and not self._probing
            return "open" if waits else "half-open"

    def enter(self, node: str) -> int:
        """Return what to hand to `leave` when the call has been made.

        Raises:
            CircuitOpen: the call must not be made.
        """
        with self._lock:
            if self._until is None:
                return self._era
            left = self._until - self._clock()
            if left > 0:
                raise CircuitOpen(node, self.name, self._failed, left, self._last)
            # This caller probes. One that never comes back makes way for the next.
            self._until, self._probing = self._clock() + self.seconds, True
            self._era += 1
            return self._era

    def leave(self, era: int, came: Came, said: str = "") -> None:
        """Note what came of a call; one from before the circuit last changed has no say."""
        with self._lock:
            if era != self._era:
                return
            if came == "passed":
                if self._until is not None:
                    self._era += 1
                self._failed, self._until, self._probing = 0, None, False
            elif came == "failed":
                self._failed += 1
                self._last = said
                if self._until is not None or self._failed >= self.failures:
                    self._until, self._probing = self._clock() + self.seconds, False
                    self._era += 1
            elif self._until is not None:
                # The probe has found nothing out: another may be made.
                self._until, self._probing = self._clock(), False


_named: dict[str, Circuit] = {}
_naming = threading.Lock()


def circuit_of(given: Circuit | str) -> Circuit:
    """Return the circuit that is given, or the one that this process has under a name."""
    if isinstance(given, Circuit):
        return given
    with _naming:
        return _named.setdefault(given, Circuit(given))


_NO_TRANSPORT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    CoordgateError,
    ImportError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
)


def is_transport(error: BaseException) -> bool:
    """Return whether an error may be the dependency's: not a mistake in a program or a value."""
    return isinstance(error, Exception) and not isinstance(error, _NO_TRANSPORT)
