"""Settings: node guards read from a TOML file, for retrofitting without touching code."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from coordgate.contract import Contract, nearest
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, as_gate
from coordgate.node import NodeGuard
from coordgate.policy import (
    Degrade,
    Escalate,
    Fallback,
    Policy,
    Reroute,
    Retry,
    Rung,
    SendBack,
)

_GATES = "coordgate.gates"
_TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
}
_KEYS = frozenset({"accepts", "returns", "gates", "policy", "effects", "stream"})


class Settings(NamedTuple):
    """What a file of settings holds."""

    nodes: dict[str, NodeGuard]
    """The node guards, by node name."""
    invariants: list[Gate]
    """What must hold of the graph's state after every step."""


def load(path: str | PathLike[str]) -> Settings:
    """Read the node guards and the invariants in a TOML file.

    Raises:
        ConfigurationError: the file cannot be read, or says something that cannot work.
    """
    try:
        with Path(path).open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"guard(nodes={str(path)!r}): there is no such file; give a dict of node names to "
            f"NodeGuards, or the path of a TOML file{_meant(str(path))}"
        ) from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read as TOML: {error}") from error
    nodes = document.get("nodes", {})
    invariants: Any = document.get("invariants", [])
    others = sorted(set(document) - {"nodes", "invariants"})
    if others or not _is_table(nodes) or not isinstance(invariants, list):
        named = f", and no [{others[0]}]" if others else ""
        raise ConfigurationError(
            f"{path}: the file holds a list `invariants` and tables [nodes.NAME]{named}"
        )
    return Settings(
        {name: _node_guard(table, f"{path}, nodes.{name}") for name, table in nodes.items()},
        [_gate(each, f"{path}, invariants") for each in invariants],  # pyright: ignore[reportUnknownVariableType] - isinstance leaves it open
    )


def _meant(name: str) -> str:
    if name in {"enforce", "observe"}:
        return f"; a mode is given as mode={name!r}"
    if name.endswith((".db", ".sqlite", ".sqlite3", ".jsonl", ".ndjson")) or ":" in name:
        return f"; where to record is given as tracer={name!r}"
    return ""


def _node_guard(table: Any, where: str) -> NodeGuard:
    if not _is_table(table):
        raise ConfigurationError(f"{where}: write a table with the keys {', '.join(sorted(_KEYS))}")
    for key in sorted(set(table) - _KEYS):
        raise ConfigurationError(f"{where}: there is no key {key!r}{nearest(key, _KEYS)}")
    try:
        contract = None
        if "accepts" in table or "returns" in table:
            contract = Contract(
                accepts=_declared(table.get("accepts"), where),
                returns=_declared(table.get("returns"), where),
            )
        return NodeGuard(
            contract=contract,
            gates=[_gate(each, where) for each in table.get("gates", ())],
            policy=Policy(*(_rung(each, where) for each in table["policy"]))
            if "policy" in table
            else None,
            effects=table.get("effects", "none"),
            stream=table.get("stream", "announce"),
        )
    except ConfigurationError as error:
        if str(error).startswith(where):
            raise
        raise ConfigurationError(f"{where}: {error}") from error


def _declared(value: Any, where: str) -> Any:
    if value is None:
        return None
    if _is_table(value):
        return {key: _type(each, where) for key, each in value.items()}
    return _type(value, where)


def _type(name: Any, where: str) -> Any:
    if name in _TYPES:
        return _TYPES[name]
    if not isinstance(name, str) or ":" not in name:
        raise ConfigurationError(
            f"{where}: {name!r} is no type; use {', '.join(_TYPES)} or 'package.module:Name'"
        )
    return _imported(name, where)


def _gate(entry: Any, where: str) -> Gate:
    """Read `"package.module:gate"`, or a table `{use = "threshold", key = "c", at_least = 0.8}`."""
    if isinstance(entry, str):
        return as_gate(_imported(_full(entry), where), where=where)
    if _is_table(entry) and isinstance(entry.get("use"), str):
        factory = _imported(_full(entry["use"]), where)
        arguments = {key: value for key, value in entry.items() if key not in {"use", "args"}}
        try:
            return as_gate(factory(*entry.get("args", ()), **arguments), where=where)
        except TypeError as error:
            raise ConfigurationError(f"{where}: gate {entry['use']!r}: {error}") from error
    raise ConfigurationError(
        f'{where}: {entry!r} is no gate; write {{ use = "threshold", args = ["confidence"], '
        "at_least = 0.8 } or 'package.module:gate'"
    )


def _rung(entry: Any, where: str) -> Rung:
    match entry:
        case {"retry": int(attempts), **rest}:
            return _with(rest, where, Retry, attempts)
        case {"fallback": str(name)}:
            return Fallback(_imported(name, where))
        case {"escalate": str(to), **rest}:
            return _with(rest, where, Escalate, to)
        case {"reroute": str(node), **rest}:
            return _with(rest, where, Reroute, node)
        case {"send_back": bool() | str() as node, **rest} if node:
            return _with(rest, where, SendBack, None if node is True else node)
        case {"degrade": update, **rest} if _is_table(update):
            return _with(rest, where, Degrade, update)
        case _:
            raise ConfigurationError(
                f"{where}: {entry!r} is no rung; write {{ retry = 2 }}, "
                "{ fallback = 'package.module:function' }, { reroute = 'node' }, "
                "{ send_back = true }, { escalate = 'editor' } or { degrade = { key = 'value' } }"
            )


def _with(options: Mapping[Any, Any], where: str, kind: Callable[..., Rung], *given: Any) -> Rung:
    try:
        return kind(*given, **{str(key): value for key, value in options.items()})
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def _is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _full(name: str) -> str:
    return name if ":" in name else f"{_GATES}:{name}"


def _imported(name: str, where: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"{where}: cannot find {name!r}: {error}") from error
    return found
