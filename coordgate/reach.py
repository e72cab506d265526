"""Reach: the graphs that a node calls, itself, through its object, or by way of a function."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

from coordgate import _langgraph as lg


def calls_graph(node: Any) -> bool:
    """Return whether a node is a graph, or calls one, or a function that does.

    Such a node may hand up private keys of that graph. LangGraph itself sees what the node's own
    function names; `self.graph` and one call further are seen here.
    """
    if lg.contains_graph(node):
        return True
    near = list(_named_by(lg.function_of(node)))
    far = [named for each in near if callable(each) for named in _named_by(each)]
    return any(isinstance(each, lg.Pregel) for each in (*near, *far))


def _named_by(thing: Any) -> Iterator[Any]:
    """Yield what the code of a function, method or callable object names."""
    if not isinstance(thing, FunctionType | MethodType):
        thing = getattr(thing, "__call__", None)  # noqa: B004 - the method is wanted
    owner = getattr(thing, "__self__", None)
    function = inspect.unwrap(getattr(thing, "__func__", thing)) if thing is not None else None
    if not isinstance(function, FunctionType):
        return
    for cell in function.__closure__ or ():
        if cell != type(cell)():
            yield cell.cell_contents
    held = getattr(owner, "__dict__", {})
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name]
        if name in held:
            yield held[name]
        elif isinstance(method := inspect.getattr_static(owner, name, None), FunctionType):
            yield MethodType(method, owner)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names in a code object, and in those of the functions inside it."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)
