"""Langfuse: what the page says to set makes requests as Langfuse's documentation asks for."""

from __future__ import annotations

import base64
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from test_langsmith import DECLARED, INPUT, answering, graph

from coordgate import Tracer, guard
from coordgate.exporters.otel import OpenTelemetry

PAGE = Path(__file__).parents[2] / "docs" / "langfuse.md"
KEYS = "pk-lf-" + "1a" * 40 + ":sk-lf-" + "2b" * 40


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[str, Any, bytes]]]]:
    """Give the address of a receiver, and the path, headers and body of what it was sent."""
    sent: list[tuple[str, Any, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent.append((self.path, self.headers, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings(address: str) -> dict[str, str]:
    """Return what the page's own shell lines export, with another address and these keys."""
    (lines,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    script = lines.replace("https://cloud.langfuse.com", address) + "env"
    public, _, secret = KEYS.partition(":")
    keys = {"LANGFUSE_PUBLIC_KEY": public, "LANGFUSE_SECRET_KEY": secret, "PATH": "/usr/bin:/bin"}
    shell = ["/bin/sh", "-c", script]
    done = subprocess.run(shell, env=keys, capture_output=True, text=True, check=True)  # noqa: S603 - our own page
    set_ = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return {name: value for name, value in set_.items() if name.startswith("OTEL_")}


def test_what_the_page_says_to_set_reaches_langfuses_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The path, the keys, the version and the body are those that it documents."""
    with receiver() as (address, sent):
        for name, value in settings(address).items():
            monkeypatch.setenv(name, value)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        with Tracer("memory:", observers=[OpenTelemetry(provider)]) as tracer:
            app = guard(graph(answering("", "yes")), {"answer": DECLARED}, tracer=tracer).compile()
            app.invoke(INPUT)
            tracer.flush()
        provider.shutdown()
    spans = []
    for path, headers, body in sent:
        assert path == "/api/public/otel/v1/traces"
        assert headers["Content-Type"] == "application/x-protobuf"
        kind, _, keys = headers["Authorization"].partition(" ")
        assert (kind, base64.b64decode(keys).decode()) == ("Basic", KEYS)
        assert headers["x-langfuse-ingestion-version"] == "4"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    kinds: dict[str, list[str]] = {}
    for span in spans:
        told = {each.key: each.value.string_value for each in span.attributes}
        kinds.setdefault(told["openinference.span.kind"], []).append(span.name)
        assert told["input.value"]
        assert told["output.value"]
    assert sorted(kinds) == ["CHAIN", "GUARDRAIL"]
    assert len(kinds["GUARDRAIL"]) == 2
