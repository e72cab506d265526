"""Send a run to Phoenix and to MLflow, and ask each whether it shows every span as it should.

`make otel-peers` installs both from the package index, each in an environment of its own, starts
them on loopback, runs examples/validation_pipeline.py and one graph with a retriever, and compares
what their own APIs show with the record, span by span.
"""
# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

from expected import Expected, expected, rows
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langgraph.graph import START, StateGraph
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from servers import PEERS, Peer, PeerFailed, installed, running

from coordgate import guard
from coordgate.exporters.otel import OpenTelemetry
from coordgate.stores import MemoryStore
from coordgate.tracer import Tracer

CHECKOUT = Path(__file__).resolve().parents[2]
SHOWN_WITHIN = 60.0
"""Seconds until a server must show what it was sent."""

BEGAN = time.monotonic()


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


def say(line: str) -> None:
    """Print a line with the seconds since the start, at once."""
    print(f"{time.monotonic() - BEGAN:6.1f} s  {line}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Judge the servers; return 1 if one shows a span wrongly, 2 if one cannot be asked."""
    names = [peer.name.lower() for peer in PEERS]
    parser = argparse.ArgumentParser(description=__doc__, prog="make otel-peers")
    parser.add_argument("--only", choices=names, help="one of the servers")
    asked = parser.parse_args(argv)
    home = CHECKOUT / "build" / "otel-peers"
    home.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="data-", dir=home))
    try:
        chosen = [each for each in PEERS if asked.only in {None, each.name.lower()}]
        right = [judged(peer, home, data / peer.name) for peer in chosen]
    except PeerFailed as error:
        say(f"cannot run: {error}")
        return 2
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return 0 if all(right) else 1


def judged(peer: Peer, home: Path, data: Path) -> bool:
    """Send to one server, print what it shows, and return whether all of it is right."""
    programs = installed(peer, home, say)
    say(f"starting {peer.name} {peer.version}")
    with running(peer, programs, data) as address:
        wanted = sent(f"{address}/v1/traces", peer)
        say(f"sent {len(wanted)} spans to {peer.name}")
        until = time.monotonic() + SHOWN_WITHIN
        while len(shown := peer.ask(address)) < len(wanted) and time.monotonic() < until:
            time.sleep(0.5)
    table, faults = rows(wanted, shown)
    print(
        f"\n| {peer.name} {peer.version} | spans | kind | input | output |\n|---|---|---|---|---|"
    )
    for row in table:
        cells = (row.spans, row.right_kind, row.right_input, row.right_output)
        print(f"| {row.kind} |", " | ".join(map(str, cells)), "|")
    for fault in faults:
        print(f"WRONG in {peer.name}: {fault}")
    print(flush=True)
    return not faults


def sent(url: str, peer: Peer) -> list[Expected]:
    """Run the graphs with what they do sent to a server; return what it must show."""
    provider = TracerProvider(resource=Resource.create({"service.name": "coordgate"}))
    exporter = OTLPSpanExporter(url, headers=dict(peer.headers))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    question = {"question": "When does order 4471 arrive, and may it be returned?"}
    wanted = [*ran(provider, pipeline(), question)]
    for each in ran(provider, shelf(), question):
        wanted.append(each)
        if each.name == "attempt first":
            wanted.append(Expected("retrieval Shelf", "RETRIEVER", question["question"], DOCUMENTS))
    provider.shutdown()
    return wanted


DOCUMENTS = [
    {"content": "one", "metadata": {"page": 1}},
    {"content": "two", "metadata": {}},
]


def ran(provider: TracerProvider, builder: Any, given: Any) -> list[Expected]:
    """Run a graph; return what a server must show of it."""
    store = MemoryStore()
    with Tracer(store, observers=[OpenTelemetry(provider)]) as tracer:
        gave = asyncio.run(guard(builder, tracer=tracer).compile().ainvoke(given))
    return list(expected(store, given, gave))


def pipeline() -> Any:
    """Return the graph of examples/validation_pipeline.py."""
    sys.path.insert(0, str(CHECKOUT / "examples"))
    from validation_pipeline import build  # noqa: PLC0415 - an example is no package

    make: Callable[..., Any] = build
    return make(bare=False, wait=0.01, at_once=True)


def shelf() -> Any:
    """Return a graph of one node that asks a retriever."""

    async def retrieve(state: Found) -> Found:
        found = await Shelf().ainvoke(state["question"])
        return {"passages": [each.page_content for each in found]}

    return StateGraph(Found).add_node("retrieve", retrieve).add_edge(START, "retrieve")


if __name__ == "__main__":
    sys.exit(main())
