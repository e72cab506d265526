"""A pytest plugin that guards every graph that the tests make, without touching the tests."""

from __future__ import annotations

import functools
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langgraph.func import entrypoint
from langgraph.graph import StateGraph

from coordgate import NodeGuard, Policy, Retry, Tracer, gate, guard

REJECTING = {"reject": "enforce", "observe-reject": "observe"}
"""The variants in which no gate passes anything, and the mode that each runs in."""


@gate
def passes_nothing(output: Any) -> bool:
    """Reject every hand-over."""
    return False


class Guards:
    """Guards graphs in one process, traces them to one file, and counts."""

    def __init__(self, variant: str, into: Path) -> None:
        """Open the trace file of this process."""
        self._mode: Any = REJECTING.get(variant, variant)
        self._rejects = variant in REJECTING
        self._traces = into / f"traces-{os.getpid()}.db"
        self._totals = into / f"guarded-{os.getpid()}.json"
        self._tracer = Tracer(str(self._traces))
        self._graphs = 0

    def guarded(self, graph: Any) -> Any:
        """Return a compiled graph guarded, with nothing declared, or with a rejecting gate."""
        self._graphs += 1
        if self._graphs == 1:  # a worker that crashes later has guarded nonetheless
            self._write({"graphs": 1})
        if not self._rejects:
            return guard(graph, mode=self._mode, tracer=self._tracer)
        names = [name for name in graph.nodes if not name.startswith("__")]
        # Observed, the policy must do nothing; enforced, it would only take longer to fail.
        policy = Policy(Retry(2)) if self._mode == "observe" else None
        nodes = {name: NodeGuard(gates=[passes_nothing], policy=policy) for name in names}
        return guard(graph, nodes=nodes, mode=self._mode, tracer=self._tracer)

    def making(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """Return `make`, which makes a graph, so that the graph comes out guarded."""

        @functools.wraps(make)
        def made(*args: Any, **kwargs: Any) -> Any:
            return self.guarded(make(*args, **kwargs))

        return made

    def pytest_sessionfinish(self) -> None:
        """Close the trace file and write what was counted."""
        self._tracer.close()
        totals = {"graphs": self._graphs}
        if self._traces.exists():
            with closing(sqlite3.connect(self._traces)) as traces:
                for table in ("runs", "transitions"):
                    (totals[table],) = traces.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - fixed names
        totals["trace errors"] = self._tracer.errors
        totals["trace records lost"] = self._tracer.lost
        self._write(totals)

    def _write(self, totals: dict[str, int]) -> None:
        self._totals.write_text(json.dumps(totals), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Take hold of both ways to make a graph; where workers run the tests, only in the workers."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        return
    guards = Guards(
        os.environ["COORDGATE_DROPIN_VARIANT"], Path(os.environ["COORDGATE_DROPIN_INTO"])
    )
    StateGraph.compile = guards.making(StateGraph.compile)  # type: ignore[method-assign]
    entrypoint.__call__ = guards.making(entrypoint.__call__)  # type: ignore[method-assign]
    config.pluginmanager.register(guards, "coordgate-dropin-guards")
