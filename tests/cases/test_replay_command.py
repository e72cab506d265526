"""Replay: what the record holds and lacks, and the command."""

from __future__ import annotations

import json
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from replaying import Brief, Recorded, row

from coordgate import (
    ConfigurationError,
    NodeGuard,
    StoreError,
    gate,
)
from coordgate.cli import main
from coordgate.past.offline import offline
from coordgate.past.replay import replay
from coordgate.stores import MemoryStore


def test_values_come_back_as_what_they_were() -> None:
    """Models, times and messages reach the gates as such."""

    class Talk(MessagesState):
        brief: Brief
        plain: list[AnyMessage]

    seen: list[Any] = []

    @gate
    def look(output: Any, state: Any) -> bool:
        seen.append((output, dict(state)))
        return True

    call = {"name": "find", "args": {"n": 1}, "id": "1"}
    output = {
        "messages": [
            AIMessage("hi", id="m1", tool_calls=[call]),
            ToolMessage("x", tool_call_id="1", id="m2"),
        ],
        "brief": Brief(title="owls", at=datetime(2026, 1, 2, tzinfo=UTC)),
        "plain": [AIMessage("there", id="m3")],
    }

    def build(recorded: Recorded) -> Any:
        builder: Any = StateGraph(Talk)

        def first(state: Any) -> Any:
            recorded.ran.append("first")
            return output

        def second(state: Any) -> Any:
            recorded.ran.append("second")
            return {}

        return builder.add_sequence([first, second]).add_edge(START, "first")

    recorded = Recorded(build, {n: NodeGuard(gates=[look]) for n in ("first", "second")})
    recorded.run({"messages": [("user", "hello")]})
    then = list(seen)
    seen.clear()
    found = recorded.replayed()
    assert (found.result, found.doubts) == ("same", ())
    assert [given[0] for given in seen] == [given[0] for given in then]
    assert seen[1][1] == then[1][1]


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ({"draft": "the key sk-abcdefghijklmnopqrstuvwx"}, "draft: a secret in it was redacted"),
        ({"draft": "x" * 50_000}, "draft: it was cut"),
    ],
)
def test_what_the_record_lacks_ends_the_replay(output: Any, why: str) -> None:
    """A value that was redacted or cut is not made up: the replay says so and ends."""
    recorded = Recorded(row("a", "b", outputs={"a": [{"topic": "x"}], "b": [output]}), {})
    recorded.run({})
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("incomplete", 1)
    assert found.missing is not None
    assert why in found.missing


def test_a_state_that_was_redacted_cannot_begin() -> None:
    """Where the run's own input is not in the record, there is nothing to begin with."""
    recorded = Recorded(row("a", outputs={"a": [{"topic": "x"}]}), {})
    recorded.run({"draft": "sk-abcdefghijklmnopqrstuvwx"})
    found = recorded.replayed()
    assert found.result == "incomplete"
    assert found.missing == "the state that the run began with: draft: a secret in it was redacted"


def test_what_is_not_sure_is_said() -> None:
    """A value whose type nobody states is served as JSON, and named."""

    class Loose(TypedDict, total=False):
        thing: Any

    def build(recorded: Recorded) -> Any:
        def make(state: Loose) -> Loose:
            recorded.ran.append("make")
            return {"thing": (1, 2)}

        builder: Any = StateGraph(Loose)
        return builder.add_node(make).add_edge(START, "make")

    recorded = Recorded(build, {})
    recorded.run({})
    found = recorded.replayed()
    assert found.result == "same"
    (doubt,) = found.doubts
    assert doubt.startswith("make: thing: taken as plain JSON")


def test_a_graph_that_is_not_guarded_has_nothing_to_replay() -> None:
    """The error says to name the guarded one."""
    recorded = Recorded(row("a", outputs={"a": [{"draft": "x"}]}), {})
    recorded.run({})
    bare = recorded.build(recorded).compile()
    with pytest.raises(ConfigurationError, match="name the guarded graph"):
        recorded.replayed(app=bare)


def test_nothing_reaches_the_network_while_offline() -> None:
    """A connection is refused with an error that says why, and allowed again afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with offline(), pytest.raises(OSError, match="reaches no network"):
            socket.create_connection(server.getsockname())
        socket.create_connection(server.getsockname()).close()


APP = """
from pathlib import Path
from typing import TypedDict
from langgraph.graph import START, StateGraph
from coordgate import NodeGuard, Policy, Retry, guard
from coordgate.gates import check, finished

class State(TypedDict, total=False):
    draft: str

def write(state: State) -> State:
    ran = Path("ran")
    ran.write_text((ran.read_text() if ran.exists() else "") + "x")
    return {"draft": "good" if ran.read_text() == "xx" else "bad"}

builder = StateGraph(State).add_node(write).add_edge(START, "write")
good = check(lambda output: output["draft"] == "GOOD", "not good", name="good")
nodes = {"write": NodeGuard(gates=[good], policy=Policy(Retry(1)))}
graph = guard(builder, nodes, tracer="traces.db").compile()
"""


@pytest.fixture
def recorded_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an app in a file that has run once, and in whose store the run is."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "app_replayed.py"
    path.write_text(APP.replace("GOOD", "good"))
    sys.modules.pop(path.stem, None)
    space: dict[str, Any] = {"__name__": "recording"}
    exec(compile(path.read_text(), str(path), "exec"), space)  # noqa: S102 - written above
    space["graph"].invoke({})
    space["graph"].coordgate.tracer.close()
    return path


def test_the_command_says_that_it_is_the_same(
    recorded_app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`coordgate replay` ends with 0, and runs no body."""
    assert main(["replay", "traces.db", "latest", "--app", f"{recorded_app}:graph"]) == 0
    assert capsys.readouterr().out == "the same: 1 transition\n"
    assert Path("ran").read_text() == "xx"


def test_the_command_says_where_it_diverges(
    recorded_app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 1, and as JSON says what the record has and what happens now."""
    recorded_app.write_text(APP.replace("GOOD", "bad"))
    assert main(["replay", "traces.db", "latest", "--app", f"{recorded_app}:graph", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["result"] == "diverged"
    assert found["divergence"]["node"] == "write"
    assert found["divergence"]["now"] == "1 first accepted (good passed)"


def test_the_command_refuses_what_it_cannot_find(
    recorded_app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown run is wrong usage: 2."""
    assert main(["replay", "traces.db", "nope", "--app", f"{recorded_app}:graph"]) == 2
    assert "no run 'nope'" in capsys.readouterr().err


def test_a_run_without_transitions_is_refused() -> None:
    """There is nothing to hold the graph against."""
    recorded = Recorded(row("a", outputs={"a": [{"draft": "x"}]}), {})
    recorded.run({})
    recorded.tracer.flush()
    run = next(recorded.store.runs())
    empty = MemoryStore()
    empty.write([run])
    with pytest.raises(StoreError, match="no transitions"):
        replay(empty, run, recorded.app)
