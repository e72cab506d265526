"""Snapshots: values that a record keeps, safe from what nodes later change in place."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from pydantic import BaseModel

CHANGEABLE = frozenset({dict, list, set})
"""What a snapshot copies, one level down."""


def snapshot(value: Any) -> Any:
    """Return `value` with its own dicts, lists and sets, one level down, safe from later mutation.

    What lies deeper is shared, and so are objects inside. A pydantic model or dataclass is copied
    with its fields' own dicts, lists and sets.
    """
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is dict:
        taken = value.copy()
        for key, item in value.items():
            inner = type(item)  # pyright: ignore[reportUnknownVariableType]
            if inner is list or inner is dict or inner is set:
                taken[key] = item.copy()
        return taken
    if kind is list or kind is set:
        return value.copy()
    if isinstance(value, BaseModel) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    ):
        taken = copy.copy(value)
        for key, item in getattr(value, "__dict__", {}).items():
            if type(item) in {list, dict, set}:
                object.__setattr__(taken, key, item.copy())
        return taken
    return value


def snapshots(value: Any) -> tuple[Any, Any]:
    """Return two snapshots of `value`, for little more than the work of one."""
    if type(value) is not dict:
        return snapshot(value), snapshot(value)
    one: dict[Any, Any] = value.copy()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - of any dict
    two = one.copy()
    for key, item in one.items():
        inner = type(item)  # pyright: ignore[reportUnknownVariableType]
        if inner is list or inner is dict or inner is set:
            one[key] = item.copy()
            two[key] = item.copy()
    return one, two
