"""Channels: what a compiled graph's state says of each key, and where a node's edges go."""

# Much of LangGraph is generic in parameters that its own signatures leave open:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin, get_type_hints

from langgraph.func import entrypoint
from langgraph.graph import END
from langgraph.types import Command
from pydantic import BaseModel

from coordgate import _langgraph as lg
from coordgate.statekey import ROOT, StateKey


def state_keys(app: Any) -> list[StateKey]:
    """Return what the graph's state says of each key that a node may write."""
    builder = getattr(app, "builder", None)
    if builder is None:
        written = getattr(app.channels.get(END), "UpdateType", Any)
        if isinstance(written, str | ForwardRef):  # an annotation that LangGraph leaves as text
            written = _returned_by(app)
        return [StateKey(ROOT, written)]
    schemas = [builder.state_schema, *(s for s in builder.schemas if s is not builder.state_schema)]
    hints = [(schema, _hints(schema)) for schema in schemas]
    keys = [_state_key(name, channel, hints) for name, channel in builder.channels.items()]
    return keys + [StateKey(name, Any, "managed") for name in builder.managed]


def _returned_by(app: Any) -> Any:
    """Return what an entrypoint's function says it returns; Any if that cannot be told."""
    functions = [lg.function_of(node) for node in app.nodes.values()]
    try:
        returned = get_type_hints(functions[0], include_extras=True).get("return", Any)
    except (NameError, TypeError, IndexError):
        return Any
    opened = get_origin(returned) is entrypoint.final
    return get_args(returned)[0] if opened else returned


def _state_key(name: str, channel: Any, hints: list[tuple[Any, dict[str, Any]]]) -> StateKey:
    found = [(s, h[name]) for s, h in hints if name in h]
    schema, annotation = found[0] if found else (None, getattr(channel, "UpdateType", Any))
    plain = type(channel).__name__ == "LastValue"
    if len(found) > 1 and name not in hints[0][1] and plain:
        # Not a key of the state itself: each node may write what its own schema says of it.
        schema, annotation = None, Union[tuple(each for _, each in found)]  # noqa: UP007
    model = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
    reducer = getattr(channel, "operator", None) or getattr(channel, "reducer", None)
    if reducer is not None:
        if "messages" in getattr(reducer, "__name__", "") and _is_langgraph(reducer):
            return StateKey(name, annotation, "messages", reducer)
        if not hasattr(channel, "operator"):
            return StateKey(name, Any, "reducer", _unknown)
        return StateKey(name, annotation, "reducer", reducer)
    if type(channel).__name__ == "Topic":
        return StateKey(name, channel.UpdateType)
    return StateKey(name, annotation, model=model)


def _unknown(old, new):  # type: ignore[no-untyped-def]  # its parameters must be unannotated
    """Stand in for a reducer over batches of updates, whose update type is not annotated."""


def _is_langgraph(function: Any) -> bool:
    function = getattr(function, "func", function)
    return str(getattr(function, "__module__", "")).startswith("langgraph.")


def _hints(schema: Any) -> dict[str, Any]:
    if not hasattr(schema, "__annotations__"):
        return {ROOT: schema}
    try:
        return get_type_hints(schema, include_extras=True)
    except (NameError, TypeError):
        return {}


def input_keys(node: Any) -> tuple[str, ...]:
    """Return the state keys that a node is handed; empty where it is handed one value."""
    return tuple(node.channels) if isinstance(node.channels, list) else ()


def static_targets(app: Any, name: str) -> tuple[str, ...]:
    """Return where a node's own edges go, conditional ones left out."""
    builder = getattr(app, "builder", None)
    if builder is None:
        return ()
    own = {end for start, end in builder.edges if start == name}
    own |= {end for starts, end in builder.waiting_edges if name in starts}
    return tuple(sorted(own - {END}))


def command_ends(function: Any) -> frozenset[str] | None:
    """Return where a node's Commands may go, by its `-> Command[Literal[...]]`; None for anywhere.

    LangGraph draws these ends, and does not keep to them.
    """
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError, AttributeError):
        return None
    parts = get_args(returned) if get_origin(returned) in {Union, UnionType} else (returned,)
    ends: set[str] = set()
    for part in parts:
        if part is Command:
            return None
        if get_origin(part) is Command:
            literal = get_args(part)[0]
            if get_origin(literal) is not Literal:
                return None
            ends.update(get_args(literal))
    return frozenset(ends) or None


def control_channels(write: Any) -> Iterator[str]:
    """Yield the channels by which a write sends control along the node's static edges."""
    for entry in write.writes:
        channel = getattr(entry, "channel", "")
        if channel.startswith(("branch:to:", "join:")):
            yield channel


def target_of(channel: str) -> str:
    """Return the node that a control channel starts."""
    return channel.rpartition(":")[2]
