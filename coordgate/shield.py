"""Shields: a state that a node may change in place, and a rejected attempt leaves nothing in."""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Iterable
from operator import is_not
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from typing_extensions import is_typeddict

from coordgate.schema import bare
from coordgate.statekey import ROOT, StateKey

_CONTAINERS = frozenset({dict, list, set, tuple})
_ABSTRACT = (collections.abc.Collection, collections.abc.Iterable)


def nested_keys(keys: Iterable[StateKey]) -> tuple[str, ...]:
    """Return the state keys in whose values one container may lie in another, by their types."""
    return tuple(key.name for key in keys if key.kind != "messages" and _nests(key.annotation))


def own_all(taken: Any, keys: Iterable[str]) -> Any:
    """Return a state, copied one level deep before, with containers of its own all the way down.

    Its dicts, lists, sets and tuples are; objects in them (models, messages) are shared.
    """
    if keys == (ROOT,):
        return _own(taken, {})
    if type(taken) is dict:
        for key in keys:
            if key in taken:
                taken[key] = _own(taken[key], {})
        return taken  # pyright: ignore[reportUnknownVariableType] - isinstance leaves it open
    for key in keys:
        if hasattr(taken, key):
            object.__setattr__(taken, key, _own(getattr(taken, key), {}))
    return taken


def _own(value: Any, made: dict[int, Any]) -> Any:
    """Copy containers all the way down; one that comes twice, or holds itself, is copied once."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind not in _CONTAINERS:
        return value
    if id(value) in made:
        return made[id(value)]
    if kind is tuple:
        items = tuple([_own(item, made) for item in value])
        return items if any(map(is_not, items, value)) else value  # pyright: ignore[reportUnknownVariableType]
    copied: Any = value.copy()
    made[id(value)] = copied
    if kind is not set:
        for place, item in copied.items() if kind is dict else enumerate(copied):
            if type(item) in _CONTAINERS:
                copied[place] = _own(item, made)
    return copied


def _nests(annotation: Any) -> bool:
    """Return whether a value may be a container with another in it."""
    kind = bare(annotation)
    if _is_open(kind):
        return True
    if is_typeddict(kind):
        return any(_holds(each) for each in _hints(kind))
    origin, args = get_origin(kind), get_args(kind)
    if origin is Union or origin is types.UnionType:
        return any(_nests(each) for each in args)
    if not _is_container(origin or kind):
        return False
    return not args or any(_holds(each) for each in args)


def _holds(annotation: Any) -> bool:
    """Return whether a value may be a container."""
    kind = bare(annotation)
    origin = get_origin(kind)
    if origin is Union or origin is types.UnionType:
        return any(_holds(each) for each in get_args(kind))
    return _is_open(kind) or is_typeddict(kind) or _is_container(origin or kind)


def _is_open(kind: Any) -> bool:
    return kind is Any or kind is object or isinstance(kind, TypeVar | str)


def _is_container(kind: Any) -> bool:
    return isinstance(kind, type) and (
        any(issubclass(each, kind) for each in _CONTAINERS)
        or issubclass(kind, tuple(_CONTAINERS))
        or kind in _ABSTRACT
    )


def _hints(kind: Any) -> Iterable[Any]:
    try:
        return get_type_hints(kind).values()
    except (NameError, TypeError):
        return (Any,)
