"""Values: what a gate reads from a hand-over or a state, and the text that it finds there.

Everything is read by its shape, so that LangChain's messages and documents, dicts and plain strings
are all understood without importing any of their packages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from pydantic import ValidationError
from pydantic_core import to_json

from coordgate.errors import ConfigurationError
from coordgate.gate import Verdict

_TEXT_KEYS = ("page_content", "text", "content")
_DEPTH = 4
_LONGEST = 300

UNSEEN: Final = {"tags": ["nostream"]}
"""The config of a model's call that is no part of an answer: LangGraph streams none of it."""

_OPAQUE = (str, bytes, bytearray, int, float, complex)


def is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Return whether `value` is a mapping."""
    return isinstance(value, Mapping)


def is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether `value` is a sequence of values: no string and no bytes."""
    return isinstance(value, Sequence) and not isinstance(value, _OPAQUE)


def is_collection(value: Any) -> TypeGuard[Collection[Any]]:
    """Return whether `value` is a sequence or a set of values."""
    return is_sequence(value) or isinstance(value, set | frozenset)


class Unreadable(LookupError):
    """A key cannot be read, or holds nothing that the gate can judge; its text is the reason."""

    def verdict(self) -> Verdict:
        """Return the verdict of a gate that could not judge: not passed, not inverted by `~`."""
        return Verdict(passed=False, reason=str(self.args[0]), broken=True)


@dataclass(frozen=True, slots=True)
class Passage:
    """One source text, with what it may be cited by."""

    text: str
    """The text; empty for a bare id."""
    ids: tuple[str, ...] = ()
    """Its ids and names."""


def checked_key(key: object, gate: str) -> str:
    """Return `key`, or refuse what is no key."""
    if not isinstance(key, str) or not key.strip(".") or ".." in key:
        raise ConfigurationError(
            f'{gate}: {key!r} is not a key; give the name of a key, "draft", '
            'or a dotted path into it, "draft.text"'
        )
    return key


def checked_keys(keys: Sequence[str], gate: str) -> tuple[str, ...]:
    """Return `keys`, or refuse what is no list of keys."""
    if isinstance(keys, str):
        raise ConfigurationError(f"{gate}={keys!r}: give a list of keys, [{keys!r}]")
    return tuple(checked_key(key, gate) for key in keys)


def read(source: Any, path: str, *, of: str = "the output") -> Any:
    """Return what stands at `path` in a mapping, an object or a sequence.

    Raises:
        Unreadable: nothing stands there.
    """
    if is_mapping(source) and path in source:
        return source[path]
    value = source
    for part in path.split("."):
        value = _step(value, part, path, of)
    return value


def _step(value: Any, part: str, path: str, of: str) -> Any:
    if is_mapping(value):
        if part in value:
            return value[part]
    elif is_sequence(value):
        if part.lstrip("-").isdecimal() and -len(value) <= int(part) < len(value):
            return value[int(part)]
    elif value is not None and not isinstance(value, _OPAQUE):
        found = getattr(value, part, _OPAQUE)
        if found is not _OPAQUE:
            return found
    raise Unreadable(f"{path!r} is missing from {of}")


def fields(output: Any) -> dict[str, Any]:
    """Return the fields of a mapping, a pydantic model, a dataclass or a plain object."""
    if is_mapping(output):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, _OPAQUE) or output is None:
        return {}
    declared = getattr(output, "__pydantic_fields__", None) or getattr(
        output, "__dataclass_fields__", None
    )
    names = list(declared) if is_mapping(declared) else list(getattr(output, "__dict__", ()))
    return {str(name): getattr(output, str(name), None) for name in names}


def text_of(value: Any) -> str | None:
    """Return the text of a string, message, document, dict or list of them; None if it has none."""
    return _text(value, _DEPTH, "\n\n")


def _text(value: Any, depth: int, between: str) -> str | None:
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, _OPAQUE) or depth == 0:
        return None
    if is_mapping(value):
        inside = (value[key] for key in _TEXT_KEYS if key in value)
        return _first(_text(item, depth - 1, "") for item in inside)
    if is_sequence(value):
        found = [_text(item, depth - 1, between) for item in value]
        texts = [text for text in found if text is not None]
        return between.join(texts) if texts else None
    # A message's content may be a list of blocks, which belong together without a gap.
    held = (getattr(value, key, None) for key in ("page_content", "content", "text"))
    return _first(_text(item, depth - 1, "") for item in held)


def _first(texts: Iterator[str | None]) -> str | None:
    return next((text for text in texts if text is not None), None)


def read_text(output: Any, path: str, *, of: str = "the output") -> str:
    """Return the text at `path`.

    Raises:
        Unreadable: nothing stands there, or it is no text.
    """
    value = read(output, path, of=of)
    text = text_of(value)
    if text is None:
        raise Unreadable(f"{path!r} in {of} is no text, but {type(value).__name__}")
    return text


def as_text(value: Any) -> str:
    """Return the text of a value, or all of it as JSON where it is none, or more than a text."""
    text = None if is_mapping(value) else text_of(value)
    return text or to_json(value, fallback=str, inf_nan_mode="strings").decode()


def whole_text(output: Any) -> str:
    """Return the only text that is handed over, or all of it as JSON."""
    held = list(fields(output).values())
    return as_text(held[0] if len(held) == 1 else output)


def said_of(error: Exception) -> str:
    """Return what went wrong, in one line: an error may quote all that a model answered."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, (error.title, *first["loc"])))
        said = f"ValidationError: {place}: {first['msg']}"
    else:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"


def read_state_first(output: Any, state: Any, path: str) -> Any:
    """Return what stands at `path` in the state, or else in the output.

    Raises:
        Unreadable: neither holds it.
    """
    for source in (state, output):
        try:
            return read(source, path)
        except Unreadable:
            continue
    raise Unreadable(f"{path!r} is missing from the state and from the output")


def passages(value: Any) -> list[Passage]:
    """Return the source texts in a string, document, message, list or dict of them, in order."""
    if is_mapping(value):
        mapping = value
        if any(key in mapping for key in _TEXT_KEYS):
            return [_passage(mapping)]
        return [
            Passage(text_of(item) or "", (str(key), *_ids(item))) for key, item in mapping.items()
        ]
    if is_collection(value):
        return [_passage(item) for item in value]
    return [] if value is None else [_passage(value)]


def _passage(item: Any) -> Passage:
    return Passage(text_of(item) or "", _ids(item))


def _ids(item: Any) -> tuple[str, ...]:
    if isinstance(item, str | int):
        return (str(item),)
    own = _id_keys(item)
    metadata = own.get("metadata")
    inside = _id_keys(metadata) if is_mapping(metadata) else {}
    found = (inside.get("id"), inside.get("source"), own.get("id"), own.get("source"))
    return tuple(dict.fromkeys(str(name) for name in found if isinstance(name, str | int)))


def _id_keys(item: Any) -> dict[str, Any]:
    names = ("metadata", "id", "source")
    if is_mapping(item):
        mapping = item
        return {name: mapping.get(name) for name in names}
    return {name: getattr(item, name, None) for name in names}


def is_empty(value: Any) -> bool:
    """Return whether there is nothing in `value`: None, blank text, or only empty elements."""
    return _empty(value, _DEPTH)


def _empty(value: Any, depth: int) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, bytes | bytearray):
        return not value
    if isinstance(value, _OPAQUE) or depth == 0:
        return False
    if is_mapping(value):
        return not value
    if is_collection(value):
        return all(_empty(item, depth - 1) for item in value)
    text = text_of(value)
    return text is not None and not text.strip() and not getattr(value, "tool_calls", None)
