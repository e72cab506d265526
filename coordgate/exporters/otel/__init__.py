"""OpenTelemetry: each run as a trace, and what came of it as metrics.

`guard(builder, tracer=OpenTelemetry())` sends to the providers that the program has set up, and
`Tracer("traces.db", observers=[OpenTelemetry()])` keeps the record too.
"""

from __future__ import annotations

try:
    from coordgate.exporters.otel.exporter import OpenTelemetry
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    raise ImportError(
        "to send traces, coordgate needs OpenTelemetry: pip install 'coordgate[otel]'"
    ) from error

__all__ = ["OpenTelemetry"]
