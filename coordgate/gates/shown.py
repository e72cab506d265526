"""Shown: every text in a value that may come to be shown to a model, at whatever depth."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from coordgate.gates.values import Unreadable, fields, is_collection, is_mapping, text_of

_TEXT_KEYS = ("page_content", "text", "content")
_MUTE = (bytes, bytearray, bool, int, float, complex, type(None))
_DEEPEST = 16


def texts_in(value: Any) -> list[str]:
    """Return the texts in a value: of strings, messages and documents, and of all that holds them.

    Dicts, sequences, sets, pydantic models, dataclasses and objects with annotated fields are
    looked through, the keys of dicts too where they are more than a name; of a message its content
    counts, which is what a model is shown, and of any other object what `str` makes of it.

    Raises:
        Unreadable: it is nested too deep to be looked through, or within itself.
    """
    return list(_texts(value, _DEEPEST))


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, _MUTE):
        return
    if isinstance(value, str):
        yield str(value)
        return
    if depth == 0:
        raise Unreadable(f"it is nested more than {_DEEPEST} deep, where it cannot be looked at")
    inside: Iterable[Any] | None = value if is_collection(value) else None
    if inside is None:
        held = _held(value)
        if held is None:
            yield str(value)
            return
        yield from _own_texts(value, held)
        inside = () if _is_message(value) else held.values()
    for each in inside:
        yield from _texts(each, depth - 1)


def _own_texts(value: Any, held: dict[str, Any]) -> Iterator[str]:
    """Yield a value's own texts, and take them out of what it holds."""
    if is_mapping(value):
        yield from (key for key in held if len(key.split()) > 1)
    for name in _TEXT_KEYS:
        # A content in blocks is one text, as a model reads it.
        text = text_of({name: held[name]}) if name in held else None
        if text is not None:
            yield text
            del held[name]


def _held(value: Any) -> dict[str, Any] | None:
    """Return what an object holds by name; None if it is not made to hold anything."""
    held: object = value
    kind = type(held)
    if is_mapping(value) or hasattr(kind, "__dataclass_fields__"):
        return fields(value)
    if hasattr(kind, "__pydantic_fields__"):
        return {**fields(value), **(getattr(value, "__pydantic_extra__", None) or {})}
    names = [name for base in kind.__mro__ for name in inspect.get_annotations(base)]
    return {name: getattr(value, name, None) for name in names} if names else None


def _is_message(value: Any) -> bool:
    return not is_mapping(value) and hasattr(value, "content") and hasattr(value, "type")
