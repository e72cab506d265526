"""A receiver of OTLP over HTTP on loopback, which decodes what the real exporter sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver:
    """What was sent, as it came over the wire."""

    def __init__(self, url: str, held: threading.Event) -> None:
        """Begin with nothing; `held` is when a stalled answer is given."""
        self.url = url
        self.held = held
        self.asked = threading.Event()
        self.spans: list[Span] = []
        self.metrics: list[str] = []

    def take(self, path: str, body: bytes) -> None:
        """Decode a request."""
        if path == "/v1/traces":
            given = ExportTraceServiceRequest.FromString(body)
            for resource in given.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        else:
            sent = ExportMetricsServiceRequest.FromString(body)
            for each in sent.resource_metrics:
                for scoped in each.scope_metrics:
                    self.metrics += [metric.name for metric in scoped.metrics]


def attributes(span: Span) -> dict[str, Any]:
    """Return the attributes of a span that are single values."""
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value")))
        for each in span.attributes
        if each.value.WhichOneof("value") != "array_value"
    }


@contextmanager
def receiving(*, stalls: bool = False) -> Iterator[Receiver]:
    """Run a receiver; one that stalls takes requests, and answers none before it is stopped."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.asked.set()
            if stalls:
                receiver.held.wait()
            receiver.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client has given up
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}", threading.Event())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.held.set()
        server.shutdown()
        thread.join()
        server.server_close()
