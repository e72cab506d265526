"""Replay: a recorded run goes the same way again, without its bodies, or it is said where not."""

from __future__ import annotations

import asyncio
import json
import operator
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel, Field

from coordgate import (
    Approve,
    ConfigurationError,
    Contract,
    CoordgateError,
    Degrade,
    Edit,
    Escalate,
    Fallback,
    NodeGuard,
    Policy,
    Reject,
    Reroute,
    Retry,
    RetryWith,
    SendBack,
    StoreError,
    Tracer,
    Verdict,
    gate,
    guard,
)
from coordgate.cli import main
from coordgate.gates import check, finished
from coordgate.past.offline import offline
from coordgate.past.replay import Replay, replay
from coordgate.stores import MemoryStore
from coordgate.testing import ScriptedModel


class Brief(BaseModel):
    """A value that is a model."""

    title: str
    at: datetime


class State(TypedDict, total=False):
    """The state of the graphs here."""

    topic: str
    draft: str
    brief: Brief
    found: Annotated[list[str], operator.add]
    pair: tuple[int, int]


class Recorded:
    """A graph that records into memory, and counts how often its bodies run."""

    def __init__(self, build: Callable[[Recorded], Any], nodes: dict[str, NodeGuard]) -> None:
        self.ran: list[str] = []
        self.store = MemoryStore()
        self.tracer = Tracer(self.store)
        self.build = build
        self.nodes = nodes
        self.app: Any = self.made(nodes)

    def made(self, nodes: dict[str, NodeGuard], *, saver: bool = True) -> Any:
        """Return the graph with what is declared on its nodes."""
        builder = self.build(self)
        made = guard(builder, nodes, tracer=self.tracer)
        if isinstance(builder, StateGraph):
            return made.compile(checkpointer=InMemorySaver() if saver else None)
        return made

    def run(self, given: Any, *, asynchronous: bool = False) -> Any:
        """Run it once, whatever comes of it."""
        config: Any = {"configurable": {"thread_id": "1"}}
        try:
            if asynchronous:
                return asyncio.run(self.app.ainvoke(given, config))
            return self.app.invoke(given, config)
        except (CoordgateError, ConnectionError) as error:
            return error

    def transitions(self) -> list[Any]:
        """Return the transitions of the latest run."""
        self.tracer.flush()
        return list(self.store.transitions(next(self.store.runs(limit=1)).id))

    def replayed(
        self, nodes: dict[str, NodeGuard] | None = None, *, app: Any = None, is_async: bool = False
    ) -> Replay:
        """Replay the latest run, with other declarations if given; no body may run."""
        self.tracer.flush()
        latest = next(self.store.runs(limit=1))
        before = list(self.ran)
        app = app or self.made(self.nodes if nodes is None else nodes)
        found = replay(self.store, latest, app, is_async=is_async)
        assert self.ran == before
        return found


def row(*names: str, outputs: dict[str, Any]) -> Callable[[Recorded], Any]:
    """Return what builds a graph of nodes in a row, each with its outputs one after another."""

    def build(recorded: Recorded) -> Any:
        builder: Any = StateGraph(State)
        given = {name: iter(outputs[name]) for name in names}

        def node(name: str) -> Callable[[State], Any]:
            def body(state: State) -> Any:
                recorded.ran.append(name)
                output = next(given[name])
                if isinstance(output, Exception):
                    raise output
                return output

            return body

        builder.add_sequence([(name, node(name)) for name in names]).add_edge(START, names[0])
        return builder

    return build


@gate
def good(output: Any) -> Verdict:
    """Accept a draft that says it is good."""
    return Verdict.accept(1.0) if "good" in output["draft"] else Verdict.reject("not good")


GOOD = check(lambda output: "good" in output.get("draft", ""), "not good", name="good")


def test_a_run_goes_the_same_way_without_its_bodies() -> None:
    """Rejected, raised, repeated, replaced and stated attempts are served one by one."""

    def template(state: State) -> State:
        return {"draft": "good template"}

    def stated(state: State) -> State:
        return {"draft": "no"}

    ladder = Policy(Retry(2, wait=0, jitter=False), Fallback(template))
    nodes = {
        "a": NodeGuard(gates=[good], policy=ladder),
        "b": NodeGuard(gates=[good], policy=Policy(Fallback(stated), Degrade({"draft": "stated"}))),
    }
    outputs = {
        "a": [{"draft": "bad"}, ConnectionError("down"), {"draft": 7}],
        "b": [{"draft": "bad"}],
        "c": [{"topic": "c"}],
    }
    recorded = Recorded(row("a", "b", "c", outputs=outputs), nodes)
    assert recorded.run({"topic": "owls"})["draft"] == "stated"
    assert recorded.replayed() == Replay(recorded.replayed().runs, "same", 3)


def test_a_run_that_failed_fails_again() -> None:
    """What the last attempt raised is raised, and the run ends there."""
    recorded = Recorded(
        row("a", "b", outputs={"a": [{"draft": "good"}], "b": [ConnectionError("down")]}), {}
    )
    recorded.run({})
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 2)


def test_langgraphs_own_repeats_are_served_without_their_waits() -> None:
    """Attempts of a retry policy come one by one, and nobody waits an hour between them."""

    def build(recorded: Recorded) -> Any:
        def flaky(state: State) -> State:
            recorded.ran.append("flaky")
            if len(recorded.ran) < 3:
                raise ConnectionError("down")
            return {"draft": "good"}

        builder: Any = StateGraph(State)
        hours = RetryPolicy(max_attempts=3, initial_interval=0 if not recorded.ran else 3600)
        builder.add_node("flaky", flaky, retry_policy=hours._replace(jitter=False))
        return builder.add_edge(START, "flaky")

    recorded = Recorded(build, {})
    recorded.run({})
    assert recorded.ran == ["flaky"] * 3
    assert recorded.replayed().result == "same"


@pytest.mark.parametrize(
    ("change", "what", "recorded_says", "now_says"),
    [
        (
            {"a": NodeGuard(gates=[good])},
            "attempts",
            "1 first accepted",
            "1 first rejected (good rejected)",
        ),
        (
            {"a": NodeGuard(gates=[good], policy=Policy(Degrade({"draft": "x"})))},
            "attempts",
            "1 first accepted",
            "1 first rejected (good rejected); 2 degrade accepted",
        ),
    ],
)
def test_another_gate_makes_it_diverge(
    change: dict[str, NodeGuard], what: str, recorded_says: str, now_says: str
) -> None:
    """The first transition that differs is told, with what the record says and what happens now."""
    outputs = {"a": [{"draft": "bad"}], "b": [{"topic": "b"}]}
    recorded = Recorded(row("a", "b", outputs=outputs), {})
    recorded.run({})
    found = recorded.replayed(change)
    assert found.result == "diverged"
    assert found.divergence is not None
    assert (found.divergence.transition, found.divergence.node) == (1, "a")
    assert found.divergence.what == what
    assert (found.divergence.recorded, found.divergence.now) == (recorded_says, now_says)


def test_a_run_is_replayed_in_the_mode_of_its_record() -> None:
    """What was only observed ships again, though the graph enforces now."""
    outputs = {"a": [{"draft": "bad"}], "b": [{"topic": "b"}]}
    nodes = {"a": NodeGuard(gates=[good], policy=Policy(Retry(1)))}
    recorded = Recorded(row("a", "b", outputs=outputs), nodes)
    recorded.app = guard(recorded.app, mode="observe")
    recorded.run({})
    assert [each.status for each in recorded.transitions()] == ["observed", "accepted"]
    found = recorded.replayed()
    assert (found.divergence, found.result, found.transitions) == (None, "same", 2)


def test_a_further_attempt_makes_it_diverge() -> None:
    """An attempt that the record does not have cannot be served; the replay ends there."""
    recorded = Recorded(row("a", outputs={"a": [{"draft": "bad"}]}), {})
    recorded.run({})
    found = recorded.replayed({"a": NodeGuard(gates=[good], policy=Policy(Retry(1)))})
    assert found.result == "diverged"
    assert found.divergence is not None
    assert found.divergence.recorded == "1 first accepted"
    assert found.divergence.now == (
        "1 first rejected (good rejected); 2 retry, which is not recorded"
    )


@pytest.mark.parametrize("names", [("b", "a"), ("a", "c", "b"), ("a",)])
def test_other_edges_make_it_diverge(names: tuple[str, ...]) -> None:
    """A node that comes at another step, one that is new, and one that is gone."""
    outputs = {name: [{"draft": name}] for name in "abc"}
    recorded = Recorded(row("a", "b", outputs=outputs), {})
    recorded.run({})
    recorded.build = row(*names, outputs=outputs)
    found = recorded.replayed()
    assert found.result == "diverged"
    assert found.divergence is not None


def test_a_router_that_goes_elsewhere_makes_it_diverge() -> None:
    """Routers are real: where control goes now is held against where it went."""
    ways = iter(["left", "right"])

    def build(recorded: Recorded) -> Any:
        def start(state: State) -> State:
            recorded.ran.append("start")
            return {"draft": "x"}

        def end(state: State) -> State:
            recorded.ran.append("end")
            return {}

        way = next(ways)
        builder: Any = StateGraph(State)
        builder.add_node(start).add_node("left", end).add_node("right", end)
        builder.add_conditional_edges("start", lambda _: way, ["left", "right"])
        return builder.add_edge(START, "start")

    recorded = Recorded(build, {})
    recorded.run({})
    found = recorded.replayed()
    assert found.divergence is not None
    assert (found.divergence.node, found.divergence.what) == ("start", "goto")
    assert (found.divergence.recorded, found.divergence.now) == ("left", "right")


def test_what_broke_the_contract_breaks_it_again() -> None:
    """A list in the place of a tuple is served as the list that it was, and refused again."""
    outputs = {"a": [{"pair": [1, 2]}, {"pair": (1, 2)}]}
    recorded = Recorded(row("a", outputs=outputs), {"a": NodeGuard(policy=Policy(Retry(1)))})
    recorded.run({})
    assert [a.outcome for t in recorded.transitions() for a in t.attempts] == [
        "violated",
        "accepted",
    ]
    assert recorded.replayed().result == "same"


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


def test_commands_go_where_they_went() -> None:
    """A Command's goto is had back from where control went."""

    def build(recorded: Recorded) -> Any:
        def pick(state: State) -> Command[Any]:
            recorded.ran.append("pick")
            return Command(goto="right", update={"draft": "good"})

        def left(state: State) -> State:
            return {}

        def right(state: State) -> State:
            recorded.ran.append("right")
            return {"topic": "right"}

        builder: Any = StateGraph(State)
        builder.add_node(pick, destinations=("left", "right"))
        return builder.add_node(left).add_node(right).add_edge(START, "pick")

    recorded = Recorded(build, {})
    recorded.run({})
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 2)


@pytest.mark.parametrize("how", ["router", "command"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_parallel_tasks_get_what_each_of_them_gave(how: str, asynchronous: bool) -> None:
    """Tasks that were sent are told apart by what they were handed."""

    def build(recorded: Recorded) -> Any:
        def plan(state: State) -> Any:
            recorded.ran.append("plan")
            if how == "command":
                return Command(goto=[Send("look", {"topic": str(n)}) for n in range(5)])
            return {}

        def look(state: State) -> State:
            recorded.ran.append("look")
            return {"found": [f"found {state['topic']}"]}

        def join(state: State) -> State:
            recorded.ran.append("join")
            return {"draft": " ".join(state["found"])}

        builder: Any = StateGraph(State)
        builder.add_node(plan, destinations=("look",)).add_node(look).add_node(join)
        builder.add_edge(START, "plan").add_edge("look", "join")
        if how == "router":
            builder.add_conditional_edges(
                "plan", lambda _: [Send("look", {"topic": str(n)}) for n in range(5)], ["look"]
            )
        return builder

    pairs: list[Any] = []

    @gate
    def fits(output: Any, state: Any) -> bool:
        pairs.append((output["found"], state["topic"]))
        return output["found"] == [f"found {state['topic']}"]

    recorded = Recorded(build, {"look": NodeGuard(gates=[fits])})
    recorded.run({}, asynchronous=asynchronous)
    found = recorded.replayed(is_async=asynchronous)
    assert (found.result, found.transitions) == ("same", 7)
    assert len(pairs) == 10


def test_nodes_of_subgraphs_are_served_too() -> None:
    """They are found by the path of their names, run by run of the subgraph."""

    def build(recorded: Recorded) -> Any:
        def inner(state: State) -> State:
            recorded.ran.append("inner")
            return {"draft": f"good {len(recorded.ran)}"}

        def after(state: State) -> State:
            recorded.ran.append("after")
            return {"topic": state["draft"]}

        team: Any = StateGraph(State)
        team.add_sequence([inner, after]).add_edge(START, "inner")
        builder: Any = StateGraph(State)
        builder.add_node("one", team.compile()).add_node("two", team.compile())
        return builder.add_edge(START, "one").add_edge("one", "two")

    recorded = Recorded(build, {"one|inner": NodeGuard(gates=[good], policy=Policy(Retry(1)))})
    recorded.run({})
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 6)
    honest = recorded.nodes["one|inner"]
    changed = recorded.replayed({"one|inner": honest, "two|inner": NodeGuard(gates=[~good])})
    assert changed.divergence is not None
    assert changed.divergence.node == "two|inner"


def test_rungs_that_go_elsewhere_are_taken_again() -> None:
    """A node that was left for another, and a producer that was asked again, go the same way."""
    outputs = {
        "a": [{"topic": "x"}, {"topic": "good topic"}],
        "b": [{"draft": "bad"}],
        "c": [{"brief": Brief(title="c", at=datetime(2026, 1, 2, tzinfo=UTC))}],
        "d": [{"draft": "good"}],
    }
    long = Contract(accepts={"topic": Annotated[str, Field(min_length=3)]})
    nodes = {
        "b": NodeGuard(long, gates=[good], policy=Policy(SendBack(), Reroute("d"))),
    }

    recorded = Recorded(row("a", "b", "c", "d", outputs=outputs), nodes)
    assert recorded.run({})["draft"] == "good"
    assert recorded.ran == ["a", "a", "b", "d"]
    found = recorded.replayed()
    assert (found.divergence, found.result, found.transitions) == (None, "same", 5)


def test_an_entrypoint_is_replayed() -> None:
    """Its one value is served."""

    def build(recorded: Recorded) -> Any:
        @entrypoint()
        def flow(topic: str) -> str:
            recorded.ran.append("flow")
            return f"about {topic}"

        return flow

    recorded = Recorded(build, {})
    assert recorded.run("owls") == "about owls"
    assert recorded.replayed().result == "same"


def test_gates_that_wait_are_served() -> None:
    """A gate that asks a model is not asked; what it said then is what it says."""
    asked: list[str] = []

    def build_gate() -> Any:
        @gate(slow=True)
        async def judge(output: Any) -> bool:
            asked.append(output["draft"])
            return "good" in output["draft"]

        return judge

    outputs = {"a": [{"draft": "bad"}, {"draft": "good"}]}
    nodes = {"a": NodeGuard(gates=[build_gate()], policy=Policy(Retry(1)))}
    recorded = Recorded(row("a", outputs=outputs), nodes)
    recorded.run({})
    assert asked == ["bad", "good"]
    assert recorded.replayed().result == "same"
    assert asked == ["bad", "good"]


def test_gates_on_the_models_answers_are_served() -> None:
    """A call is not made again, so the gate that looks at how it ended says what it said."""
    models = iter([("cut", "length"), ("whole", "stop")])

    def build(recorded: Recorded) -> Any:
        def write(state: State) -> State:
            recorded.ran.append("write")
            text, finish = next(models)
            answer = AIMessage(text, response_metadata={"finish_reason": finish})
            return {"draft": ScriptedModel(answer).invoke("write").text}

        builder: Any = StateGraph(State)
        return builder.add_node(write).add_edge(START, "write")

    recorded = Recorded(build, {"write": NodeGuard(gates=[finished()], policy=Policy(Retry(1)))})
    assert recorded.run({})["draft"] == "whole"
    assert recorded.ran == ["write", "write"]
    assert recorded.replayed().result == "same"


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        (Approve(by="ann"), 1),
        (Edit({"draft": "good edit"}, by="ann"), 1),
        (Edit({"draft": "edit"}, override=True), 1),
        (Reject("never", by="ann"), 2),
        (RetryWith("try again", by="ann"), 2),
    ],
)
def test_a_run_that_a_person_answered_is_replayed_from_its_beginning(
    answer: Any, attempts: int
) -> None:
    """The run that asked is replayed first, then the answers are given that the record has."""
    outputs = {"a": [{"draft": "bad"}, {"draft": "good again"}], "b": [{"topic": "b"}]}
    ladder = Policy(Escalate("editor"), Degrade({"draft": "stated"}))
    nodes = {"a": NodeGuard(gates=[good], policy=ladder)}
    recorded = Recorded(row("a", "b", outputs=outputs), nodes)
    recorded.run({})
    recorded.run(Command(resume=answer))
    recorded.tracer.flush()
    resumed = next(recorded.store.runs(limit=1))
    assert len(next(iter(recorded.store.transitions(resumed.id))).attempts) == attempts
    found = recorded.replayed()
    assert found.divergence is None
    assert (found.result, found.transitions, len(found.runs)) == ("same", 3, 2)


def test_a_node_that_asks_by_itself_is_replayed() -> None:
    """A question of the node's own is put again, and what came after the answer is served."""

    def build(recorded: Recorded) -> Any:
        def ask(state: State) -> State:
            recorded.ran.append("ask")
            return {"draft": interrupt("what?")}

        builder: Any = StateGraph(State)
        return builder.add_node(ask).add_edge(START, "ask")

    recorded = Recorded(build, {})
    recorded.run({})
    recorded.run(Command(resume="this"))
    found = recorded.replayed()
    assert (found.result, found.transitions) == ("same", 2)


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
