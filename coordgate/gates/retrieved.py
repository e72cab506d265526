"""Retrieved documents: what a retrieval handed over, read by its shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeGuard

from coordgate.gates.values import (
    Unreadable,
    is_collection,
    is_mapping,
    is_sequence,
    read,
    text_of,
)

_TEXT_KEYS = ("page_content", "text", "content")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One document as a retrieval handed it over."""

    place: int
    """Its place in what was handed over, from 1."""
    text: str
    """Its text."""
    metadata: Mapping[str, Any]
    """Its metadata; of a dict without `metadata`, its other keys."""
    score: float | None
    """The number it was paired with, `(document, score)`; None if it was not."""

    @property
    def name(self) -> str:
        """What reasons call it: its place, and its source where it has one."""
        for field in ("source", "id", "title"):
            value = self.metadata.get(field)
            if isinstance(value, str) and value.strip():
                shown = " ".join(value.split())
                shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
                return f"document {self.place} ({shown})"
        return f"document {self.place}"


def documents(output: Any, key: str | None) -> list[Retrieved]:
    """Return the documents under `key` of an output, or those that the output itself is.

    A document is an object with `page_content` and `metadata`, a dict with `page_content`, `text`
    or `content`, a message, a text, or a pair of one of these and its score. They stand in a list,
    or in a dict by id; one by itself counts as a list of one.

    Raises:
        Unreadable: nothing stands there, or something that has no text.
    """
    where = "the output" if key is None else key
    value = output if key is None else read(output, key)
    if value is None:
        raise Unreadable(f"{where} is None, where documents should be")
    return [_document(place, item, where) for place, item in enumerate(_items(value), 1)]


def _items(value: Any) -> Iterable[Any]:
    if is_mapping(value):
        if any(name in value for name in _TEXT_KEYS):
            return [value]
        return [_with_id(item, str(name)) for name, item in value.items()]
    if is_collection(value) and not (isinstance(value, tuple) and _is_pair(value)):
        return value
    return [value]


def _with_id(item: Any, name: str) -> Any:
    if isinstance(item, str):
        return {"text": item, "id": name}
    return item


def _is_pair(value: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether this is a document with its score, as a vector store or a record has it."""
    if not is_sequence(value) or len(value) != 2:
        return False
    return _number(value[1]) is not None and text_of(value[0]) is not None


def _document(place: int, item: Any, where: str) -> Retrieved:
    score: float | None = None
    if _is_pair(item):
        item, score = item[0], _number(item[1])
    text = None if is_collection(item) else text_of(item)
    if text is None:
        raise Unreadable(
            f"{where}: the {place}. entry is no document, but {type(item).__name__}; give "
            "documents, or pairs (document, score), in one list"
        )
    return Retrieved(place, text, _metadata(item), score)


def _metadata(item: Any) -> Mapping[str, Any]:
    if is_mapping(item):
        inside = item.get("metadata")
        own = {str(k): v for k, v in item.items() if k not in {*_TEXT_KEYS, "metadata"}}
    else:
        inside = getattr(item, "metadata", None)
        identity = getattr(item, "id", None)
        own = {} if identity is None else {"id": identity}
    return {**own, **inside} if is_mapping(inside) else own


def number_of(document: Retrieved, field: str | None) -> float | None:
    """Return a document's score: the number it is paired with, or the one in its metadata."""
    if field is None and document.score is not None:
        return document.score
    return _number(document.metadata.get("score" if field is None else field))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    number = float(value)
    return None if number != number else number


def listed(names: Iterable[str]) -> str:
    """Return the first few of them, and how many more there are."""
    every = list(names)
    more = [f"and {len(every) - _NAMED} more"] if len(every) > _NAMED else []
    return ", ".join(every[:_NAMED] + more)
