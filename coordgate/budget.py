"""The budget of a run, and the account of what it has spent; pure but for the clock it is given."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coordgate.errors import BudgetExceeded, ConfigurationError, Spent

_LIMITS = ("attempts", "tokens", "usd", "seconds")
_NOTHING = Spent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a whole run may spend, over all its nodes, subgraphs, fallbacks and resumes.

    It is looked at before each attempt: one that has begun is not stopped. When any of the limits
    is reached, no body is run any more.
    """

    attempts: int | None = None
    """How often a body may be run: nodes and fallbacks, first attempts and repeats."""
    tokens: int | None = None
    """How many tokens may be sent and received, together."""
    usd: float | None = None
    """How many US dollars the calls of models may cost, as far as their prices are known."""
    seconds: float | None = None
    """How long the run may take; the time that it waits between a pause and a resume is not in."""
    clock: Callable[[], float] | None = field(default=None, repr=False, compare=False)
    """Says the time, in seconds; None is the system's clock, which is never put back."""

    def __post_init__(self) -> None:
        """Refuse a budget of nothing, and limits that mean nothing."""
        given = self.limits()
        if not given:
            raise ConfigurationError(f"Budget(): say what is limited, of {', '.join(_LIMITS)}")
        for name, value in given.items():
            whole = name in {"attempts", "tokens"}
            known = type(value) is int or (type(value) is float and not whole)
            if not known or not math.isfinite(value) or value < 0:
                raise ConfigurationError(
                    f"Budget({name}={value!r}): give {'a number' if whole else 'an amount'} from 0"
                )

    def limits(self) -> dict[str, float]:
        """Return the limits that are given, by name."""
        return {name: value for name in _LIMITS if (value := getattr(self, name)) is not None}


class Account:
    """What one run has spent, by node. Its methods may be called from many threads."""

    def __init__(self, budget: Budget) -> None:
        """Begin with nothing spent, now."""
        self.budget = budget
        self._limits = budget.limits()
        self._clock = budget.clock or time.monotonic
        self._began = self._clock()
        self._earlier = 0.0
        self._nodes: dict[str, Spent] = {}
        self._lock = threading.Lock()

    def spent(self) -> Spent:
        """Return the sum; the seconds are those of the run."""
        each = self._nodes.values()
        return Spent(
            sum(node.attempts for node in each),
            sum(node.tokens for node in each),
            math.fsum(node.usd for node in each),
            self._earlier + self._clock() - self._began,
        )

    def over(self) -> tuple[str, ...]:
        """Return the limits that are reached, in words."""
        spent = self.spent()
        return tuple(
            f"{name} {getattr(spent, name):.6g} of {limit:.6g}"
            for name, limit in self._limits.items()
            if getattr(spent, name) >= limit
        )

    def begin(self, node: str, *, counts: bool = True) -> tuple[str, ...]:
        """Count an attempt that begins, or return the limits that forbid it."""
        with self._lock:
            over = self.over()
            if counts and not over:
                self._add(node, Spent(attempts=1))
            return over

    def count(self, node: str, *, counts: bool = True) -> None:
        """Count an attempt that begins, whatever the limits say."""
        if counts:
            with self._lock:
                self._add(node, Spent(attempts=1))

    def end(self, node: str, *, tokens: int, usd: float, seconds: float) -> None:
        """Add what an attempt has spent when it ends."""
        with self._lock:
            self._add(node, Spent(0, tokens, usd, seconds))

    def exceeded(self, node: str) -> BudgetExceeded:
        """Return the error that says why a node was not run, and what was spent where."""
        return BudgetExceeded(node, self.over(), self.spent(), dict(self._nodes))

    def _add(self, node: str, more: Spent) -> None:
        known = self._nodes.get(node, _NOTHING)
        self._nodes[node] = Spent(
            known.attempts + more.attempts,
            known.tokens + more.tokens,
            known.usd + more.usd,
            known.seconds + more.seconds,
        )

    def clear(self) -> None:
        """Forget what has been spent: the run is over."""
        with self._lock:
            self._nodes.clear()
            self._earlier, self._began = 0.0, self._clock()

    def kept(self) -> dict[str, Any]:
        """Return what has been spent so far as plain data, to go on with in another process."""
        with self._lock:
            nodes = {
                name: [each.attempts, each.tokens, each.usd, each.seconds]
                for name, each in self._nodes.items()
            }
            return {"seconds": self.spent().seconds, "nodes": nodes}

    def go_on(self, kept: Mapping[str, Any]) -> None:
        """Go on with what an earlier part of the run has spent."""
        with self._lock:
            self._earlier += kept["seconds"]
            for name, each in kept["nodes"].items():
                self._add(name, Spent(*each))
