"""What is sent to the servers: a run of an example, and one of a graph with a retriever."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langgraph.graph import START, StateGraph
from opentelemetry.trace import TracerProvider
from peer_expected import Expected, expected

from coordgate import guard
from coordgate.exporters.otel import OpenTelemetry
from coordgate.stores import MemoryStore
from coordgate.tracer import Tracer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUESTION = "When does order 4471 arrive, and may it be returned?"
DOCUMENTS = [
    {"content": "one", "metadata": {"page": 1}},
    {"content": "two", "metadata": {}},
]


class Found(TypedDict, total=False):
    """The state of the graph with a retriever."""

    question: str
    passages: list[str]


class Shelf(BaseRetriever):
    """A retriever that finds two documents."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [Document("one", metadata={"page": 1}), Document("two")]


async def ran(provider: TracerProvider) -> list[Expected]:
    """Run both graphs; return what a server must show of them."""
    async with pipeline() as builder:
        wanted = await _ran(provider, builder)
    for each in await _ran(provider, shelf()):
        wanted.append(each)
        if each.name == "attempt first":
            wanted.append(Expected("retrieval Shelf", "RETRIEVER", QUESTION, DOCUMENTS))
    return wanted


async def _ran(provider: TracerProvider, builder: Any) -> list[Expected]:
    store, given = MemoryStore(), {"question": QUESTION}
    with Tracer(store, observers=[OpenTelemetry(provider)]) as tracer:
        gave = await guard(builder, tracer=tracer).compile().ainvoke(given)
    return list(expected(store, given, gave))


@asynccontextmanager
async def pipeline() -> AsyncIterator[Any]:
    """Give the graph of examples/validation_pipeline.py, with the tools that it discovers."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    from validation_pipeline import build, discovered  # noqa: PLC0415 - an example is no package

    async with discovered(0.01, bare=False) as tools:
        yield build(tools, bare=False, at_once=True)


def shelf() -> Any:
    """Return a graph of one node that asks a retriever."""

    async def retrieve(state: Found) -> Found:
        found = await Shelf().ainvoke(state["question"])
        return {"passages": [each.page_content for each in found]}

    return StateGraph(Found).add_node("retrieve", retrieve).add_edge(START, "retrieve")
