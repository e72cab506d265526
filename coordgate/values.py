"""Values as text: any Python value becomes redacted JSON of bounded length, whatever it holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import GeneratorType
from typing import Any, TypeAlias, cast

from pydantic_core import to_json

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_DEEPEST = 60
"""Below this depth the outline of a value names what is there and does not show it."""

_MOST_ITEMS = 1000
"""An outline shows so many items of one container."""

_MOST_VALUES = 20_000
"""An outline shows about so many values in all."""

_LONGEST_PARSED = 1_000_000
"""Longer JSON text is cut as text: to take it apart would hold up the interpreter for long."""

_MOST_BITS = 10_000
"""An outline names longer integers; Python refuses to print them from 4300 digits."""


class ValueText:
    """Turns what nodes read and wrote into JSON text, and cleans messages."""

    __slots__ = ("_limit", "_redact")

    def __init__(self, redact: Callable[[str], str] | None, limit: int) -> None:
        """Take the redaction, None for none, and the number of characters where text is cut."""
        self._redact = redact
        self._limit = limit

    def json(self, value: Any) -> str:
        """Return `value` as redacted JSON text; what JSON cannot hold is named in its place."""
        try:
            text = (
                _to_json(value) if not _holds_generator(value) else _outline(value, _LONGEST_PARSED)
            )
        except Exception:  # noqa: BLE001 - values run their own code, and may raise anything
            text = _outline(value, _LONGEST_PARSED)
        if self._redact is not None:
            text = self._redact(text)
        return text if len(text) <= self._limit else self._cut_json(text)

    def words(self, text: str) -> str:
        """Return a message redacted, and cut if it is too long."""
        if self._redact is not None:
            text = self._redact(text)
        return _cut(_encodable(text), self._limit)

    def _cut_json(self, text: str) -> str:
        """Return long JSON text shortened: its longest strings first, so that its shape stays."""
        if len(text) <= _LONGEST_PARSED:
            try:
                value = json.loads(text)
            except ValueError:  # a redaction of the user's own may have broken it
                pass
            else:
                for share in (10, 100):
                    most = max(40, self._limit // share)
                    short = _outline(value, most)
                    if len(short) <= self._limit:
                        return short
        # As a JSON string it may take twice the room: every quote in it is escaped.
        return json.dumps(_cut(text, self._limit // 2), ensure_ascii=False)


class _Outline:
    """Makes what `json` can write of any value: strings cut, cycles and strange objects named."""

    __slots__ = ("_above", "_left", "_longest")

    def __init__(self, longest: int) -> None:
        """Take the length where strings are cut."""
        self._longest = longest
        self._left = _MOST_VALUES
        self._above: set[int] = set()

    def of(self, value: object) -> Json:
        """Return the outline of `value`."""
        self._left -= 1
        match value:
            case None | bool():
                return value
            case str():
                return _encodable(_cut(str(value), self._longest))
            case int():
                short = value.bit_length() <= _MOST_BITS
                return int(value) if short else f"[an integer of {value.bit_length()} bits]"
            case float():
                return float(value) if math.isfinite(value) else str(value)
            case _:
                return self._of_container(value)

    def _of_container(self, value: object) -> Json:
        place = id(value)
        if place in self._above:
            return f"[a cycle: {type(value).__name__}]"
        if len(self._above) >= _DEEPEST or self._left <= 0:
            return f"[not shown: {type(value).__name__}]"
        self._above.add(place)
        try:
            match value:
                case Mapping():
                    return self._of_items(cast("Mapping[object, object]", value))
                case list() | tuple() | set() | frozenset():
                    items = list(cast("Iterable[object]", value))
                    shown = [self.of(item) for item in items[:_MOST_ITEMS]]
                    if len(items) > _MOST_ITEMS:
                        shown.append(f"[cut: {len(items)} items]")
                    return shown
                case _:
                    return self._of_object(value)
        finally:
            self._above.discard(place)

    def _of_items(self, items: Mapping[object, object]) -> Json:
        shown: dict[str, Json] = {}
        for place, (key, item) in enumerate(list(items.items())):
            if place == _MOST_ITEMS:
                shown["…"] = f"[cut: {len(items)} items]"
                break
            name = self.of(key)
            shown[name if isinstance(name, str) else json.dumps(name)] = self.of(item)
        return shown

    def _of_object(self, value: object) -> Json:
        kind = type(value).__name__
        if isinstance(value, Iterator):
            return f"[not shown: {kind}]"
        try:
            parsed = json.loads(_to_json(value))
        except Exception:  # noqa: BLE001 - values run their own code, and may raise anything
            fields = getattr(value, "__dict__", None)
            if isinstance(fields, dict) and fields:
                return self._of_items(cast("dict[object, object]", fields))
            return f"[not JSON: {kind}]"
        return self.of(parsed)


def _outline(value: object, longest: int) -> str:
    return json.dumps(_Outline(longest).of(value), ensure_ascii=False)


def _holds_generator(value: object) -> bool:
    """Return whether a generator stands here, which `to_json` would use up for those it is for."""
    if type(value) is not dict:
        return type(value) is GeneratorType
    return GeneratorType in map(type, cast("dict[object, object]", value).values())


def _to_json(value: object) -> str:
    return to_json(value, serialize_unknown=True, inf_nan_mode="strings").decode()


def _encodable(text: str) -> str:
    """Return `text` with lone surrogates, which UTF-8 cannot hold, as their escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… [cut: {len(text)} characters]"
