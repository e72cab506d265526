"""Fingerprints: what tells one function from another in any process."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import CellType
from typing import Any

_PLAIN: tuple[type[Any], ...] = (str, int, float, complex, bool, bytes, re.Pattern)


def fingerprint(thing: Any, depth: int = 4) -> str:
    """Return what tells a function from another: its code, and what it closes over."""
    own: Any = thing
    known = getattr(thing, "fingerprint", None)
    if isinstance(known, str) and not isinstance(thing, type):
        return known  # a gate's own
    if thing is None or isinstance(thing, _PLAIN):
        return repr(thing)
    if isinstance(thing, functools.partial):
        return fingerprint((thing.func, thing.args, thing.keywords), depth)
    if isinstance(thing, Mapping):
        items = sorted(thing.items(), key=repr)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - isinstance leaves it open
        return fingerprint(items, depth)
    if isinstance(thing, list | tuple | set | frozenset):
        parts = [fingerprint(each, depth - 1) for each in thing] if depth else []  # pyright: ignore[reportUnknownVariableType] - isinstance leaves it open
        return f"[{','.join(sorted(parts) if isinstance(thing, set | frozenset) else parts)}]"
    code = getattr(thing, "__code__", None)
    name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
    if code is None:
        kind: type[Any] = type(thing)  # pyright: ignore[reportUnknownVariableType] - the type of Any
        held = fingerprint(getattr(thing, "__dict__", {}), depth - 1) if depth else ""
        return f"{name}:{kind.__module__}.{kind.__qualname__}:{held}"
    consts = [each for each in code.co_consts if isinstance(each, _PLAIN)]
    closed: list[Any] = [own.__defaults__, own.__kwdefaults__, getattr(thing, "__self__", None)]
    closed += [cell.cell_contents for cell in own.__closure__ or () if _is_filled(cell)]
    return (
        f"{name}:{code.co_code.hex()}:{consts!r}:{fingerprint(closed, depth - 1) if depth else ''}"
    )


def _is_filled(cell: CellType) -> bool:
    return cell != CellType()
