"""A pytest plugin that writes the outcome of every test, one line of JSON each, as it ends."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

import pytest


class Recorder:
    """Takes the reports of a test's three phases and writes one line when the last is in."""

    def __init__(self, path: Path) -> None:
        """Open the file; it is flushed after each line, so that progress can be read off it."""
        self._file: IO[str] = path.open("a", encoding="utf-8")
        self._open: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst of the three phases; setup and teardown failures are errors."""
        entry = self._open.setdefault(
            report.nodeid,
            {"id": report.nodeid, "outcome": "passed", "seconds": 0.0, "error": "", "trace": ""},
        )
        entry["seconds"] += report.duration
        if report.failed:
            entry["outcome"] = "failed" if report.when == "call" else "error"
            entry["trace"] = report.longreprtext
            entry["error"] = _headline(report)
        elif report.skipped and entry["outcome"] == "passed":
            entry["outcome"] = "skipped"
        # A worker that crashed is reported with this phase, and no teardown follows.
        if report.when not in {"setup", "call"}:
            self._write(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a module that is skipped, or cannot be imported, under its own id."""
        if report.passed:
            return
        outcome, error = ("error", _headline(report)) if report.failed else ("skipped", "")
        self._open[report.nodeid] = {
            "id": report.nodeid,
            "outcome": outcome,
            "seconds": 0.0,
            "error": error,
            "trace": report.longreprtext if report.failed else "",
        }
        self._write(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write what has not ended, and close the file."""
        for test in list(self._open):
            self._write(test)
        self._file.close()

    def _write(self, test: str) -> None:
        self._file.write(json.dumps(self._open.pop(test)) + "\n")
        self._file.flush()


def _headline(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return what went wrong in a line or two, without the source around it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return " ".join(line.strip() for line in str(crash.message).strip().split("\n")[:2])
    return report.longreprtext.strip().split("\n")[-1]


def pytest_configure(config: pytest.Config) -> None:
    """Record in the process that gathers the reports, not in the workers."""
    if not hasattr(config, "workerinput"):
        path = Path(os.environ["COORDGATE_DROPIN_RESULTS"])
        config.pluginmanager.register(Recorder(path), "coordgate-dropin-recorder")
