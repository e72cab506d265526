"""Graphs of one node that writes, which the tests of inferred contracts share."""

import asyncio
import typing
from typing import Annotated, Any, Literal, Optional

import pytest
from langgraph.graph import START, StateGraph
from pydantic import Field

from coordgate import ContractViolation, guard
from coordgate.testing import scripted

both = pytest.mark.parametrize("how", ["sync", "async"])


def app_of(schema: Any, *updates: Any, **settings: Any) -> Any:
    """Return a guarded graph whose one node returns the updates."""
    builder = StateGraph(schema)
    builder.add_node("write", scripted(*updates), **settings)
    builder.add_edge(START, "write")
    return guard(builder).compile()


def run(app: Any, how: str = "sync", given: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))


def violations(schema: Any, update: Any, how: str = "sync", given: Any = None) -> dict[str, str]:
    """Return what an update breaks: keys to rules."""
    with pytest.raises(ContractViolation) as caught:
        run(app_of(schema, update), how, given)
    return {v.key: v.rule for v in caught.value.violations}


class Dict(typing.TypedDict, total=False):
    """A state as typing's TypedDict."""

    name: str
    count: int
    share: float
    tags: list[str]
    kind: Literal["a", "b"]
    maybe: Optional[int]  # noqa: UP045 - the old notation is meant
    short: Annotated[str, Field(max_length=3)]
