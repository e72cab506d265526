"""One contract in every notation, which the tests of declared contracts share."""

import asyncio
import dataclasses
import typing
from typing import Annotated, Any, NotRequired

import pytest
import typing_extensions
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field

from coordgate import Contract, ContractViolation, NodeGuard, guard
from coordgate.testing import scripted


class State(typing.TypedDict, total=False):
    """A state that takes anything under its keys."""

    draft: Any
    score: Any
    notes: Any


class Model(BaseModel):
    """The contract as a pydantic model."""

    draft: str
    score: float = Field(ge=0, le=1)
    notes: list[str] = []


class Old(typing.TypedDict):
    """The contract as typing's TypedDict."""

    draft: str
    score: Annotated[float, Field(ge=0, le=1)]
    notes: NotRequired[list[str]]


class New(typing_extensions.TypedDict):
    """The contract as typing_extensions' TypedDict."""

    draft: str
    score: Annotated[float, Field(ge=0, le=1)]
    notes: typing_extensions.NotRequired[list[str]]


@dataclasses.dataclass
class Data:
    """The contract as a dataclass."""

    draft: str
    score: Annotated[float, Field(ge=0, le=1)]
    notes: list[str] = dataclasses.field(default_factory=list)


MAP = {
    "draft": str,
    "score": Annotated[float, Field(ge=0, le=1)],
    "notes": NotRequired[list[str]],
}


NOTATIONS = {
    "pydantic": Model,
    "typing.TypedDict": Old,
    "typing_extensions.TypedDict": New,
    "dataclass": Data,
    "key map": MAP,
    "Annotated": Annotated[Model, "with metadata"],
}


notations = pytest.mark.parametrize("declared", NOTATIONS.values(), ids=NOTATIONS.keys())


both = pytest.mark.parametrize("how", ["sync", "async"])


def app_of(node: Any, contract: Contract, **settings: Any) -> Any:
    """Return a guarded graph of one node under a contract."""
    builder = StateGraph(State)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    gates = settings.pop("gates", ())
    return guard(builder, {"write": NodeGuard(contract, gates)}, **settings).compile()


def run(app: Any, how: str = "sync", given: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given) if how == "sync" else asyncio.run(app.ainvoke(given))


def returning(update: Any, declared: Any, how: str = "sync", given: Any = None) -> Any:
    """Return what ships of an update under a declared contract."""
    return run(app_of(scripted(update), Contract(returns=declared)), how, given)


def violations(update: Any, declared: Any, how: str = "sync") -> dict[str, str]:
    """Return what an update breaks: keys to rule and value."""
    with pytest.raises(ContractViolation) as caught:
        returning(update, declared, how)
    assert caught.value.node == "write"
    return {v.key: f"{v.rule} | {v.value}" for v in caught.value.violations}
