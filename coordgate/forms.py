"""Forms: the JSON schema of an update, from which a reviewer's page can make a form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic.errors import PydanticInvalidForJsonSchema

from coordgate.schema import UNBUILDABLE, adapter
from coordgate.statekey import ROOT, KeyCheck, StateKey

LONGEST_KEY: Final = 4_000
"""A key whose schema has more characters than this is named, and not described."""

LONGEST: Final = 20_000
"""If all of it has more than this, no key is described."""

_DEFINED = "$defs"


def form_of(keys: Iterable[StateKey], returns: Any) -> dict[str, Any]:
    """Return the JSON schema of an update to these keys, of a node that declares `returns`.

    No key is required, since an update may be partial. What JSON Schema cannot say, or says at
    too great a length, may be anything as far as the form goes; it is checked all the same.
    """
    keys = list(keys)
    if {key.name for key in keys} == {ROOT}:
        document = _document(keys[0].annotation if returns is None else returns) or {}
        return document if _length(document) <= LONGEST else {}
    described: dict[str, Any] = {}
    defined: dict[str, Any] = {}
    for name, schema, definitions in _parts(keys, returns):
        differing = any(defined.get(each, one) != one for each, one in definitions.items())
        if not differing and _length(schema) <= LONGEST_KEY:
            described[name] = schema
            defined |= definitions
    names = [key.name for key in keys if key.kind != "managed"]
    form = {"type": "object", "additionalProperties": False}
    form |= {"properties": {name: described.get(name, {}) for name in names}}
    if defined:
        form[_DEFINED] = defined
    if _length(form) <= LONGEST:
        return form
    return {"type": "object", "properties": {name: {} for name in names}}


def _parts(keys: Iterable[StateKey], returns: Any) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield keys with their schemas and what these refer to; what is declared comes last."""
    models = {key.model for key in keys if key.model is not None}
    for model in models:
        yield from _fields(model)
    for key in keys:
        if key.kind == "messages":
            yield key.name, {"description": "messages, as LangGraph's add_messages takes them"}, {}
        elif key.kind != "managed" and key.model is None:
            yield from _field(key.name, KeyCheck(key).annotation)
    if isinstance(returns, Mapping):
        for name, annotation in returns.items():  # pyright: ignore[reportUnknownVariableType] - any mapping
            yield from _field(str(name), annotation)  # pyright: ignore[reportUnknownArgumentType]
    elif returns is not None:
        yield from _fields(returns)


def _field(name: str, annotation: Any) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    document = _document(annotation)
    if document is not None:
        definitions = document.pop(_DEFINED, {})
        yield name, document, definitions


def _fields(whole: Any) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield the fields of a model, TypedDict or dataclass, with what was said of each."""
    document = _document(whole) or {}
    definitions = document.get(_DEFINED, {})
    if "$ref" in document:  # it refers to itself
        document = definitions.get(document["$ref"].rpartition("/")[2], {})
    for name, schema in document.get("properties", {}).items():
        yield name, schema, definitions


def _document(annotation: Any) -> dict[str, Any] | None:
    try:
        return adapter(annotation).json_schema(by_alias=False)
    except (*UNBUILDABLE, PydanticInvalidForJsonSchema, ValueError):
        return None


def _length(schema: Any) -> int:
    return len(json.dumps(schema))
