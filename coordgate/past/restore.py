"""Restoring: recorded JSON text becomes a value of the type that the graph's state gives its key.

A record is text: redacted, cut where it was long, and without the types of what it shows. So a
value is restored by the annotation of its key, and only if it comes back as the same text. What
cannot be had back is said: `lost` for what is not in the record, `doubts` for what may have been of
another type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from langchain_core.messages import AnyMessage, BaseMessage, RemoveMessage
from pydantic import BaseModel, TypeAdapter, ValidationError

from coordgate.contract import Contract
from coordgate.errors import ConfigurationError
from coordgate.redaction import REDACTED
from coordgate.schema import UNBUILDABLE, Schema, adapter, bare, strip_required
from coordgate.statekey import ROOT, KeyCheck, StateKey
from coordgate.values import ValueText

_MESSAGE: TypeAdapter[Any] = TypeAdapter(AnyMessage | RemoveMessage)
_TEXT = ValueText(None, 2**62)
_GONE = (
    (re.compile(re.escape(REDACTED[:-1])), "a secret in it was redacted"),
    (re.compile(r"… \[cut: \d+ characters\]\Z|\A\[cut: \d+ items\]\Z"), "it was cut"),
    (re.compile(r"\A\[(not shown|not JSON|a cycle): \w+\]\Z"), "it is no JSON"),
    (re.compile(r"\A\[an integer of \d+ (bits|digits)\]\Z"), "it was too long a number"),
    (re.compile(r"\A<.+ at 0x[0-9a-f]+>\Z"), "it is an object that JSON cannot hold"),
)
"""What the record writes in the place of what it does not hold, and what that means."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A value read back from a record."""

    value: Any
    """The value, as near as it can be had."""
    lost: tuple[str, ...] = ()
    """What of it is not in the record: each a key and why."""
    doubts: tuple[str, ...] = ()
    """What may have been of another type: each a key and why."""


class Restorer:
    """Reads back what one node handed over, or was handed."""

    def __init__(self, keys: Sequence[StateKey], contract: Contract | None, where: str) -> None:
        """Take the graph's state keys, and what the node declares to return."""
        self._rooted = [key.name for key in keys] == [ROOT]
        self._kinds = {key.name: key.kind for key in keys}
        self._state = {key.name: _adapter(key.annotation) for key in keys}
        self._written = {key.name: _adapter(_written(key)) for key in keys}
        self._declared: dict[str, TypeAdapter[Any] | None] = {}
        if contract is not None and contract.returns is not None:
            try:
                types = Schema(contract.returns, where=where).types
            except ConfigurationError:  # nobody declared it: an annotation that cannot be checked
                types = {}
            self._declared = {name: _adapter(each) for name, each in types.items()}

    def update(self, text: str, *, broken: Collection[str] = ()) -> Restored:
        """Return what an attempt handed over; the keys in `broken` had the wrong type then."""
        return self._all(text, frozenset(broken), (self._declared, self._written))

    def state(self, text: str) -> Restored:
        """Return what a node was handed, as a dict of state keys."""
        return self._all(text, frozenset(), (self._state,))

    def _all(
        self,
        text: str,
        broken: frozenset[str],
        types: Sequence[Mapping[str, TypeAdapter[Any] | None]],
    ) -> Restored:
        try:
            found: Any = json.loads(text)
        except ValueError:
            return Restored(None, ("(all): the record is no JSON",))
        gone = tuple(dict.fromkeys(_gone(found, "")))
        if self._rooted:
            value, open_ = self._one(ROOT, found, broken, types)
            return Restored(value, gone, open_)
        if not isinstance(found, dict):
            why = "it was cut" if isinstance(found, str) else "it is no update"
            return Restored(found, gone or (f"(all): {why}",))
        values: dict[str, Any] = {}
        doubts: list[str] = []
        for key, each in cast("dict[str, Any]", found).items():
            values[key], said = self._one(key, each, broken, types)
            doubts += said
        return Restored(values, gone, tuple(doubts))

    def _one(
        self,
        key: str,
        found: Any,
        broken: frozenset[str],
        types: Sequence[Mapping[str, TypeAdapter[Any] | None]],
    ) -> tuple[Any, tuple[str, ...]]:
        if key in broken or found is None:
            return found, ()
        if self._kinds.get(key) == "messages":
            return _messages(found), ()
        text = json.dumps(found)
        for each in types:
            reader = each.get(key)
            if reader is None:
                continue
            try:
                value = reader.validate_json(text, strict=True)
            except ValidationError:
                continue
            except Exception:  # noqa: BLE001, S112 - a user's validator may raise anything
                continue
            if json.loads(_TEXT.json(value)) == found:
                return value, ()
        if isinstance(found, bool | int | float):
            return found, ()
        typed = any(each.get(key) is not None for each in types)
        why = "it is not what its annotation says" if typed else "its annotation does not say"
        return found, (f"{key or ROOT}: taken as plain JSON, since of which type it was {why}",)


def _written(key: StateKey) -> Any:
    """Return the type of what may be written to a key, which with a reducer is another."""
    try:
        return KeyCheck(key).annotation
    except UNBUILDABLE:
        return Any


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """Return what reads a type from JSON; None where any value will do, or nothing can be told."""
    if bare(annotation) in {Any, object}:
        return None
    try:
        return adapter(_told(strip_required(annotation)))
    except UNBUILDABLE:
        return None


def _told(annotation: Any) -> Any:
    """Return an annotation in which a message says which one it is."""
    if annotation is BaseMessage:
        return AnyMessage
    given = get_args(annotation)
    told = tuple(_told(each) for each in given)
    if all(new is old for new, old in zip(told, given, strict=True)):
        return annotation
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        return Annotated[told[0], *given[1:]]
    return Union[told] if origin in {Union, UnionType} else origin[told]  # noqa: UP007


def _messages(found: Any) -> Any:
    """Return messages where JSON shows messages; other notations stay as they are."""
    if isinstance(found, list):
        return [_messages(each) for each in found]  # pyright: ignore[reportUnknownVariableType] - JSON
    try:
        message: BaseModel = _MESSAGE.validate_python(found)
    except ValidationError:
        return found
    return message if json.loads(_TEXT.json(message)) == found else found


def _gone(value: Any, path: str) -> Iterator[str]:
    """Yield the places of a value that the record does not hold, and why."""
    match value:
        case str():
            for mark, why in _GONE:
                if mark.search(value):
                    yield f"{path or '(all)'}: {why}"
        case dict():
            for key, each in cast("dict[str, Any]", value).items():
                yield from _gone(each, f"{path}.{key}" if path else key)
        case list():
            for position, each in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - JSON
                yield from _gone(each, f"{path}.{position}")
        case _:
            return
