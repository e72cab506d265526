"""`make otel-peers`, without its servers: what they must show is what is sent."""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from otel_traces import Traces

PEERS = Path(__file__).parents[1] / "otel_peers"


def test_what_the_servers_must_show_is_what_is_sent(monkeypatch: pytest.MonkeyPatch):
    """Each span that is expected by the record is there with its kind, input and output."""
    monkeypatch.syspath_prepend(str(PEERS))
    graphs: Any = importlib.import_module("peer_graphs")
    compared: Any = importlib.import_module("peer_expected")
    servers: Any = importlib.import_module("peer_servers")
    traces = Traces()
    wanted = asyncio.run(graphs.ran(traces.provider))
    told = [(span.name, span.attributes or {}) for span in traces.spans]
    shown = [
        servers.Shown(
            name,
            each["openinference.span.kind"],
            servers.parsed(each["input.value"]),
            servers.parsed(each["output.value"]),
        )
        for name, each in told
    ]
    table, faults = compared.rows(wanted, shown)
    assert faults == []
    assert Counter(each.kind for each in wanted) == {row.kind: row.spans for row in table}
    assert {row.kind for row in table} == {"CHAIN", "GUARDRAIL", "LLM", "RETRIEVER", "TOOL"}

    wrong = [*shown[1:], servers.Shown("node no", "CHAIN", {}, {})]
    faults = compared.rows(wanted, wrong)[1]
    assert "invoke_workflow LangGraph: not shown" in faults
    assert "node no: shown, and nothing of the kind was recorded" in faults
