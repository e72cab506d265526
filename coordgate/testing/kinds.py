"""The kinds of faults: what can go wrong with one execution of a node, and how often."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeAlias, runtime_checkable

from langchain_core.messages import BaseMessage
from langgraph.types import Command
from pydantic import BaseModel

from coordgate.errors import ConfigurationError


@runtime_checkable
class Fault(Protocol):
    """What goes wrong with what a node hands over. Yours is anything with these two.

    `repr` of it stands in the log, so a dataclass does well.
    """

    @property
    def rate(self) -> float:
        """How often it strikes: a share of the node's executions, from 0 to 1."""
        ...

    def spoil(self, output: Any, chance: Random) -> Any:
        """Return what the node hands over instead; `chance` is seeded for this execution."""
        ...


@dataclass(frozen=True, slots=True)
class _Kind:
    rate: float
    """How often it strikes: a share of the node's executions, from 0 to 1."""

    def __post_init__(self) -> None:
        """Refuse a rate that is none."""
        if not isinstance(self.rate, int | float) or not 0 <= self.rate <= 1:  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(
                f"{type(self).__name__}({self.rate!r}): the rate is a share, from 0 to 1"
            )


@dataclass(frozen=True, slots=True)
class Malformed(_Kind):
    """A value of the wrong form, as from a model whose JSON is broken: its contract can tell."""

    key: str | None = None
    """The state key; None for one of those returned, by chance."""

    def spoil(self, output: Any, chance: Random) -> Any:
        """Put a value of another type in the place of one."""
        return _one_changed(output, self.key, chance, _malformed)


@dataclass(frozen=True, slots=True)
class WrongValue(_Kind):
    """A value of the right form that is not true: only a gate can tell, or nobody."""

    wrong: Any = None
    """The wrong value, or a function that makes it of the right one; None makes one by its type."""
    key: str | None = None
    """The state key; None for one of those returned, by chance."""

    def spoil(self, output: Any, chance: Random) -> Any:
        """Put another value of the same type in the place of one."""

        def change(value: Any) -> Any:
            if callable(self.wrong):
                return self.wrong(value)
            return wrong_value(value, chance) if self.wrong is None else self.wrong

        return _one_changed(output, self.key, chance, change)


@dataclass(frozen=True, slots=True)
class DropKey(_Kind):
    """A key that is missing from the update."""

    key: str | None = None
    """The state key; None for one of those returned, by chance."""

    def spoil(self, output: Any, chance: Random) -> Any:
        """Leave one key out."""

        def drop(update: dict[str, Any]) -> dict[str, Any]:
            key = _chosen(update, self.key, chance)
            return update if key is None else {k: v for k, v in update.items() if k != key}

        return with_update(output, drop)


@dataclass(frozen=True, slots=True)
class Empty(_Kind):
    """Values with nothing in them: `""`, `[]`, `{}`; of numbers and the like, None."""

    key: str | None = None
    """The state key; None for all that are returned."""

    def spoil(self, output: Any, chance: Random) -> Any:
        """Put an empty value in the place of one, or of all."""

        def empty(update: dict[str, Any]) -> dict[str, Any]:
            emptied = [self.key] if self.key is not None else list(update)
            return {k: _empty(v) if k in emptied else v for k, v in update.items()}

        return with_update(output, empty)


@dataclass(frozen=True, slots=True)
class Raises(_Kind):
    """An exception in the node's place: its body is not run."""

    error: Callable[[str], Exception] = ConnectionError
    """The exception's class, or a function that makes one; called with a message."""

    def __post_init__(self) -> None:
        """Refuse what makes no exception."""
        _Kind.__post_init__(self)
        if not callable(self.error):
            raise ConfigurationError(
                f"Raises(rate, {self.error!r}): give an exception's class, such as TimeoutError"
            )


@dataclass(frozen=True, slots=True)
class Delay(_Kind):
    """A wait before the body runs; an async node waits without holding up the loop."""

    seconds: float = 1.0
    """How long."""

    def __post_init__(self) -> None:
        """Refuse a wait of less than nothing."""
        _Kind.__post_init__(self)
        if not self.seconds >= 0:
            raise ConfigurationError(f"Delay(rate, {self.seconds!r}): give seconds, from 0")


@dataclass(frozen=True, slots=True)
class StaleContext(_Kind):
    """A state of the past: the node is handed what the nodes of the step before were handed.

    At the first step of a run there is none before, and nothing goes wrong.
    """

    keys: Sequence[str] | None = None
    """The state keys that are stale; None for all. One that was not there then is missing."""


@dataclass(frozen=True, slots=True)
class Burst(_Kind):
    """Faults that come together: in a share of the *runs*, and there at their own rates.

    Bursts of the same name strike the same runs, at whichever nodes they stand: that is how inputs
    fail that are hard for every step and for every repeat.
    """

    faults: Sequence[Any] = ()
    """The faults that strike in such a run, each at its own rate."""
    name: str = field(default="burst", kw_only=True)
    """Bursts of one name, and one rate, strike the same runs."""
    runs: int = field(default=1, kw_only=True)
    """How many runs in a row a burst lasts, as an outage does; runs are told apart by number."""

    def __post_init__(self) -> None:
        """Refuse a burst of nothing, and of bursts."""
        _Kind.__post_init__(self)
        listed = isinstance(self.faults, list | tuple)
        object.__setattr__(self, "faults", tuple(self.faults) if listed else ())
        if not self.faults or any(isinstance(each, Burst) for each in self.faults):
            raise ConfigurationError("Burst(rate, [faults]): give faults that are no bursts")
        if self.runs < 1:
            raise ConfigurationError(f"Burst(runs={self.runs!r}): give 1 or more")


AnyFault: TypeAlias = Fault | Raises | Delay | StaleContext | Burst
"""What `with_faults` takes."""


def with_update(output: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return a node's output with a change of its update; of what is no update, of the value."""
    match output:
        case None:
            return None
        case Command():
            return dataclasses.replace(output, update=with_update(output.update, change))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType] - a Command of any node
        case dict():
            return change(output)  # pyright: ignore[reportUnknownArgumentType] - an update
        case list() if any(isinstance(part, Command) for part in output):  # pyright: ignore[reportUnknownVariableType] - whatever the node returned
            return [with_update(part, change) for part in output]  # pyright: ignore[reportUnknownVariableType] - whatever the node returned
        case BaseModel() if not isinstance(output, BaseMessage):
            return change({name: getattr(output, name) for name in output.model_fields_set})
        case _ if dataclasses.is_dataclass(output) and not isinstance(output, type):
            return change({f.name: getattr(output, f.name) for f in dataclasses.fields(output)})
        case _:
            return change({"": output}).get("")


def wrong_value(value: Any, chance: Random) -> Any:
    """Return another value of the same type.

    Raises:
        ConfigurationError: there is no telling what would be wrong of this type.
    """
    match value:
        case bool():
            return not value
        case int():
            return value + chance.choice((-1, 1)) * chance.randint(1, max(2, abs(value)))
        case float():
            return value + chance.choice((-1, 1)) * (0.1 + abs(value) * chance.random())
        case str():
            return _wrong_words(value, chance)
        case BaseMessage() if isinstance(value.content, str):
            return value.model_copy(update={"content": _wrong_words(value.content, chance)})
        case list() if value:
            at = chance.randrange(len(value))  # pyright: ignore[reportUnknownArgumentType] - any list
            return [wrong_value(v, chance) if i == at else v for i, v in enumerate(value)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any list
        case dict() if value:
            at = chance.choice(list(value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any dict
            return {k: wrong_value(v, chance) if k == at else v for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType] - any dict
        case _:
            raise ConfigurationError(
                f"WrongValue: no wrong {type(value).__name__} can be made up; give one, or a "  # pyright: ignore[reportUnknownArgumentType] - any value
                "function of the right one: WrongValue(0.03, wrong)"
            )


def _wrong_words(text: str, chance: Random) -> str:
    words = text.split()
    if len(set(words)) > 1:
        mixed = words
        while mixed == words:
            mixed = chance.sample(words, len(words))
        return " ".join(mixed)
    return f"{text}{chance.randint(2, 9)}"


def _malformed(value: Any) -> Any:
    return {"malformed": [repr(value)[:40]]} if not isinstance(value, dict) else repr(value)[:40]  # pyright: ignore[reportUnknownArgumentType] - any dict


def _empty(value: Any) -> Any:
    for kind in (str, list, dict, tuple, set):
        if isinstance(value, kind):
            return kind()  # pyright: ignore[reportUnknownVariableType] - any of them
    return None


def _one_changed(output: Any, key: str | None, chance: Random, change: Callable[[Any], Any]) -> Any:
    def changed(update: dict[str, Any]) -> dict[str, Any]:
        chosen = _chosen(update, key, chance)
        return update if chosen is None else {**update, chosen: change(update[chosen])}

    return with_update(output, changed)


def _chosen(update: dict[str, Any], key: str | None, chance: Random) -> str | None:
    if key is not None:
        return key if key in update else None
    return chance.choice(list(update)) if update else None
