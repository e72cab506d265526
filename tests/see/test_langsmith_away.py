"""LangSmith that is slow, refuses, is not there or is switched off: no run and no exit waits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import langsmith
import pytest
from langsmith import Client
from smith import smith
from test_langsmith import DECLARED, INPUT, answering, graph
from urllib3.util.retry import Retry as HttpRetry

from coordgate import Tracer, guard
from coordgate.exporters.langsmith import LangSmith

PROGRAM = """
import sys, threading
from typing import TypedDict
import langsmith
from langgraph.graph import START, StateGraph
from coordgate import NodeGuard, Policy, Retry, Tracer, guard
from coordgate.gates import not_empty

assert "coordgate.exporters" not in sys.modules

from coordgate.exporters.langsmith import LangSmith


class State(TypedDict, total=False):
    answer: str


answers = iter(["before", "", "yes"])
builder = StateGraph(State).add_node("answer", lambda _: {"answer": next(answers)})
nodes = {"answer": NodeGuard(gates=[not_empty("answer")], policy=Policy(Retry(1, wait=0)))}
tracer = Tracer("memory:", observers=[LangSmith()], flush_seconds=float(sys.argv[1]))
app = guard(builder.add_edge(START, "answer"), nodes, tracer=tracer).compile()
with langsmith.tracing_context(enabled=False):
    app.invoke({})  # from here on the tracer waits as long as it was told
tracer.flush()
assert app.invoke({}) == {"answer": "yes"}
print(*sorted(each.name for each in threading.enumerate()))
"""


def program(
    url: str, tmp_path: Path, *, tracing: str = "true", late: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program that ends at once, with LangSmith's own settings.

    Its record is made after 0.1 seconds, or late: after all threads have ended.
    """
    settings = {
        "LANGSMITH_TRACING": tracing,
        "LANGSMITH_ENDPOINT": url,
        "LANGSMITH_API_KEY": "key",
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM, "60" if late else "0.1"],
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("late", [False, True])
def test_all_is_sent_before_a_program_ends(late: bool, tmp_path: Path) -> None:
    """Nothing needs to be closed: runs are ended, and verdicts are there, if it is slow too."""
    with smith(batches_feedback=True, zstd=False) as server:
        server.seconds = 0.1
        done = program(server.url, tmp_path, late=late)
    assert done.returncode == 0, done.stderr
    (answer,) = server.named("answer")
    assert answer["outputs"] == {"answer": "yes"}
    assert len(server.under(answer)) == 2
    assert all(run["end_time"] for run in server.runs.values())
    assert sorted(each["score"] for each in server.feedback) == [0.0, 1.0]


def test_refused_feedback_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """The client by itself would try for minutes; the runs are sent all the same."""
    with smith(batches_feedback=False, zstd=False) as server:
        server.feedback_404 = True
        done = program(server.url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "did not take feedback, and the run goes on (said once)" in done.stderr
    assert server.asked.count("POST /feedback") == 1
    assert len(server.runs) == 4


def test_with_tracing_off_nothing_is_made(tmp_path: Path) -> None:
    """No thread, no client and no call; the exporter is not even loaded by coordgate."""
    with smith(batches_feedback=True, zstd=False) as server:
        off, on = (program(server.url, tmp_path, tracing=each) for each in ("false", "true"))
    assert off.stdout.split() == ["MainThread", "coordgate-tracer"], off.stderr
    assert "coordgate-langsmith" in on.stdout.split()


def test_with_tracing_off_no_node_is_observed() -> None:
    """An exporter that rests is not told of a run at all; one that is awake beside it is."""

    class Watching:
        def __init__(self) -> None:
            self.told: list[str] = []

        def enter(self, seen: Any) -> None:
            self.told.append(seen.kind)

        def leave(self, seen: Any) -> None: ...

        def recorded(self, seen: Any, text: Any) -> None: ...

    class Asleep(Watching):
        def rests(self) -> bool:
            return LangSmith().rests()

    asleep, awake = Asleep(), Watching()
    with langsmith.tracing_context(enabled=False):
        for observers in ([asleep], [asleep, awake]):
            with Tracer("memory:", observers=observers) as tracer:
                guard(graph(answering("yes")), {}, tracer=tracer).compile().invoke(INPUT)
            if observers == [asleep]:
                assert asleep.told == []
    assert asleep.told == awake.told == ["run", "attempt", "attempt"]


@pytest.mark.parametrize("way", ["404", "500", "stalls", "dead"])
def test_a_run_does_not_wait_for_a_server(way: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It gives what it gives; what the server did not take is counted, and said once."""
    with smith("well" if way == "dead" else way, batches_feedback=False, zstd=False) as server:
        url = server.url
        if way == "dead":
            with socket.create_server(("127.0.0.1", 0)) as free:
                url = f"http://127.0.0.1:{free.getsockname()[1]}"
        once = HttpRetry(0)  # so that this process need not wait for the client in the end
        client = Client(api_url=url, api_key="key", timeout_ms=(1000, 60_000), retry_config=once)
        exporter = LangSmith()
        with (
            langsmith.tracing_context(enabled=True, client=client, project_name="mine"),
            Tracer("memory:", observers=[exporter]) as tracer,
        ):
            app = guard(graph(answering("", "yes")), {"answer": DECLARED}, tracer=tracer).compile()
            assert app.invoke(INPUT)["answer"] == "yes"
            tracer.flush()
        if way == "stalls":
            assert not exporter.flush(0)  # and nobody waits for it
        else:
            assert exporter.flush(30)
            assert (exporter.errors, exporter.lost) == (1, 2)
            assert repr(exporter) == "LangSmith(1 errors, 2 lost)"
            assert [r.name for r in caplog.records].count("coordgate") == 1
        assert tracer.observers.errors == 0
        server.answers = "well"
        server.go.set()
        assert exporter.flush(30)
        client.close(timeout=0 if way == "dead" else 10)
