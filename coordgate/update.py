"""Updates: what a node returned, read as key and value pairs, and put back with other values."""

# What a node returned is told apart by isinstance, which leaves the parameters of a type open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from langgraph.func import entrypoint
from langgraph.types import Command, Overwrite
from pydantic import BaseModel

from coordgate.statekey import ROOT, Replaced

Pair: TypeAlias = tuple[str, Any]

_OVERWRITE = "__overwrite__"
_ROOTED = frozenset({ROOT})


class NotAnUpdate(TypeError):
    """What the node returned is none of the shapes that LangGraph takes."""


def read(output: Any, keys: frozenset[str], reduced: frozenset[str]) -> list[Pair]:
    """Return the update that LangGraph will make of a node's output, as (key, value) pairs.

    Takes what LangGraph takes: None, a dict, a Command, a list with Commands in it, or an object
    with annotated fields. Commands to a parent graph write nothing here. An `Overwrite` of a key
    that has a reducer is opened, as `Replaced`; for other keys LangGraph would store it as it is.

    Raises:
        NotAnUpdate: the output is none of these.
    """
    pairs = _read_root(output) if keys == _ROOTED else _read(output, keys)
    return [(key, _opened(value) if key in reduced else value) for key, value in pairs]


def is_handed_up(output: Any) -> bool:
    """Return whether an output is for the parent graph alone, which owes this one nothing."""
    parts = output if _has_commands(output) else [output]
    return all(isinstance(part, Command) and part.graph == Command.PARENT for part in parts)


def _read(output: Any, keys: frozenset[str]) -> list[Pair]:
    if output is None:
        return []
    if isinstance(output, dict):
        return list(output.items())
    if isinstance(output, Command):
        return _read_command(output, keys)
    if _has_commands(output):
        return [pair for part in output for pair in _read(part, keys)]
    if _annotated(output):
        return list(_fields(output, keys))
    raise NotAnUpdate(
        f"returned {type(output).__name__}; a node returns a dict of state keys, a Command, "
        "a list with a Command in it, or None"
    )


def ship(output: Any, values: Iterator[Any], keys: frozenset[str]) -> Any:
    """Return the output with other values, in the order in which `read` gave them."""
    if isinstance(output, dict) and keys != _ROOTED:
        return {key: _rewrapped(old, next(values)) for key, old in output.items()}
    if isinstance(output, Command):
        update = output.update
        if isinstance(update, dict):
            return dataclasses.replace(output, update=ship(update, values, frozenset()))
        pairs = [(key, _rewrapped(old, next(values))) for key, old in _read_command(output, keys)]
        return dataclasses.replace(output, update=pairs) if pairs else output
    if _has_commands(output):
        return [ship(part, values, keys) for part in output]
    if keys == _ROOTED:
        return output if output is None else _rewrapped(output, next(values))
    return {key: _rewrapped(old, next(values)) for key, old in _fields(output, keys)}


def edited(output: Any, update: Any) -> Any:
    """Return the output with another update in its place; where it goes stays."""
    if isinstance(output, Command):
        return dataclasses.replace(output, update=edited(output.update, update))
    if _has_commands(output):
        commands = [part for part in output if isinstance(part, Command)]
        return [update, *(dataclasses.replace(part, update=None) for part in commands)]
    if isinstance(output, dict) and isinstance(update, dict):
        return {k: _rewrapped(output[k], v) if k in output else v for k, v in update.items()}
    return _rewrapped(output, update)


def shown(output: Any, keys: frozenset[str], reduced: frozenset[str]) -> Any:
    """Return the update of an output as one dict of values; in a graph without keys, its value."""
    pairs = {
        key: value.value if isinstance(value, Replaced) else value
        for key, value in read(output, keys, reduced)
    }
    return pairs.get(ROOT, pairs)


def _opened(value: Any) -> Any:
    if isinstance(value, Overwrite):
        return Replaced(value.value)
    if type(value) is dict and len(value) == 1 and _OVERWRITE in value:
        return Replaced(value[_OVERWRITE])
    return value


def targets(output: Any) -> tuple[list[str], list[str]]:
    """Return the nodes that the Commands in an output go to: by name, and by Send."""
    named: list[str] = []
    sent: list[str] = []
    for part in output if _has_commands(output) else [output]:
        if isinstance(part, Command) and part.graph is None:
            goto: Any = part.goto
            for go in goto if isinstance(goto, list | tuple) else [goto]:
                if isinstance(go, str):
                    named.append(go)
                else:
                    sent.append(go.node)
    return named, sent


def _rewrapped(old: Any, new: Any) -> Any:
    if isinstance(old, Overwrite):
        return Overwrite(new)
    if isinstance(old, entrypoint.final):
        return entrypoint.final(value=new, save=old.save)
    if type(old) is dict and len(old) == 1 and _OVERWRITE in old:
        return {_OVERWRITE: new}
    return new


def _read_root(output: Any) -> list[Pair]:
    if isinstance(output, Command):
        return _read_command(output, _ROOTED)
    if _has_commands(output):
        return [pair for part in output for pair in _read_root(part)]
    if isinstance(output, entrypoint.final):
        return [(ROOT, output.value)]
    return [] if output is None else [(ROOT, output)]


def _read_command(command: Command[Any], keys: frozenset[str]) -> list[Pair]:
    update = command.update
    if command.graph == Command.PARENT or update is None:
        return []
    if isinstance(update, dict):
        return list(update.items())
    if isinstance(update, list | tuple) and all(_is_pair(item) for item in update):
        return list(update)
    if _annotated(update) and keys != _ROOTED:
        return list(_fields(update, keys))
    return [(ROOT, update)]


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _has_commands(output: Any) -> bool:
    return isinstance(output, list | tuple) and any(isinstance(part, Command) for part in output)


def _annotated(output: Any) -> bool:
    return any("__annotations__" in vars(base) for base in type(output).__mro__)


def _fields(output: Any, keys: frozenset[str]) -> Sequence[Pair]:
    """Return the fields that LangGraph writes: all but a model's unset ones defaulting to None."""
    names = [key for key in sorted(keys) if hasattr(output, key)]
    if isinstance(output, BaseModel):
        fields = type(output).model_fields
        names = [
            key
            for key in names
            if getattr(output, key) is not None
            or key in output.model_fields_set
            or key not in fields
            or fields[key].default is not None
        ]
    return [(key, getattr(output, key)) for key in names]
