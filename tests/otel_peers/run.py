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
from collections.abc import Sequence
from pathlib import Path

import peer_graphs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from peer_expected import Expected, rows
from peer_servers import PEERS, Peer, PeerFailed, installed, running

CHECKOUT = Path(__file__).resolve().parents[2]
SHOWN_WITHIN = 60.0
"""Seconds until a server must show what it was sent."""

BEGAN = time.monotonic()


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
    wanted = asyncio.run(peer_graphs.ran(provider))
    provider.shutdown()
    return wanted


if __name__ == "__main__":
    sys.exit(main())
