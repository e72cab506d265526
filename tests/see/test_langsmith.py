"""LangSmith: what its own client sends of a guarded graph, to a receiver on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypedDict

import langsmith
import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers.langchain import LangChainTracer
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt
from langsmith import Client, traceable
from smith import PROJECT, Smith, smith

from coordgate import (
    Contract,
    Degrade,
    Escalate,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    Tracer,
    guard,
)
from coordgate.exporters.langsmith import LangSmith
from coordgate.gates import not_empty


class State(TypedDict, total=False):
    """The state."""

    question: str
    answer: str
    api_key: str


DECLARED = NodeGuard(
    contract=Contract(returns={"answer": str}),
    gates=[not_empty("answer")],
    policy=Policy(Retry(2, wait=0)),
)


def answering(*answers: str) -> Callable[[State], dict[str, str]]:
    """Return a node that gives these answers, one after the other."""
    left = iter(answers)

    def answer(state: State) -> dict[str, str]:
        return {"answer": next(left)}

    return answer


def graph(answer: Any, *, retry: RetryPolicy | None = None) -> StateGraph[State]:
    """Return a graph that answers, and then checks the answer."""
    builder = StateGraph(State)
    builder.add_node("answer", answer, retry_policy=retry)
    builder.add_node("check", lambda state: {"question": state["question"]})
    builder.add_edge(START, "answer")
    return builder.add_edge("answer", "check")


class Traced:
    """A receiver, and a client that sends to it everything that is traced."""

    def __init__(self, server: Smith, stack: ExitStack) -> None:
        self.smith = server
        self.client = Client(api_url=server.url, api_key="key")
        stack.enter_context(
            langsmith.tracing_context(enabled=True, client=self.client, project_name="mine")
        )
        stack.callback(self.client.close, timeout=0)
        self.exporter = LangSmith()

    def tracer(self, **options: Any) -> Tracer:
        """Return a tracer that tells LangSmith."""
        return Tracer("memory:", observers=[self.exporter], **options)

    def run(self, builder: Any, nodes: Any, way: str = "invoke", **options: Any) -> Any:
        """Run a guarded graph, and wait until all has come."""
        with self.tracer() as tracer:
            app = guard(builder, nodes, tracer=tracer, **options).compile()
            try:
                return WAYS[way](app)
            finally:
                tracer.flush()
                self.settle()
                assert tracer.observers.errors == 0

    def settle(self) -> None:
        """Wait until all has come."""
        assert self.exporter.flush()
        self.client.flush()


async def drained(flow: Any) -> None:
    """Read a stream to its end."""
    async for _ in flow:
        pass


INPUT: Any = {"question": "?", "api_key": "abc-123"}
WAYS: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda app: app.invoke(INPUT),
    "stream": lambda app: list(app.stream(INPUT, stream_mode="updates")),
    "ainvoke": lambda app: asyncio.run(app.ainvoke(INPUT)),
    "astream": lambda app: asyncio.run(drained(app.astream(INPUT, stream_mode="messages"))),
    "events": lambda app: asyncio.run(drained(app.astream_events(INPUT, version="v2"))),
}


@pytest.fixture(params=["batched", "one by one", "compressed"])
def kinds(request: pytest.FixtureRequest) -> Iterator[Traced]:
    """Give a receiver of each kind that the client knows."""
    with ExitStack() as stack:
        kind = request.param
        server = smith(batches_feedback=kind != "one by one", zstd=kind == "compressed")
        yield Traced(stack.enter_context(server), stack)


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Give a receiver of one kind."""
    with ExitStack() as stack:
        yield Traced(stack.enter_context(smith(batches_feedback=True, zstd=False)), stack)


def about(run: Any) -> dict[str, Any]:
    """Return what we say of a run."""
    return {
        key.removeprefix("coordgate."): value
        for key, value in run["extra"]["metadata"].items()
        if key.startswith("coordgate.") and key != "coordgate.run"
    }


def test_attempts_are_runs_under_the_nodes_run(kinds: Traced) -> None:
    """The node is one run, with what is declared on it and how it ended; below are its attempts."""
    kinds.run(graph(answering("", "yes")), {"answer": DECLARED})
    server = kinds.smith
    (answer,) = server.named("answer")
    assert about(answer) == {
        "returns": "{answer: str}",
        "gates": "not_empty(answer)",
        "on_failure": "retry up to 2 more",
        "status": "accepted",
        "attempts": 2,
    }
    assert (answer["outputs"], answer.get("error")) == ({"answer": "yes"}, None)
    first, second = server.under(answer)
    assert [first["name"], second["name"]] == ["attempt 1 (first)", "attempt 2 (retry)"]
    assert about(first) == {"attempt": 1, "rung": "first", "outcome": "rejected"}
    assert first["error"].startswith("GateRejected(")
    assert (first["outputs"], second["outputs"]) == ({"answer": ""}, {"answer": "yes"})
    assert about(second) == {"attempt": 2, "rung": "retry", "outcome": "accepted"}
    assert all(run["end_time"] for run in server.runs.values())
    assert len(server.ends) == len(set(server.ends)) == len(server.runs)
    assert len({run["trace_id"] for run in server.runs.values()}) == 1


def test_verdicts_are_feedback_on_the_nodes_run(kinds: Traced) -> None:
    """Each verdict of each attempt once: its gate, its score, its reason, and its attempt."""
    kinds.run(graph(answering("", "yes")), {"answer": DECLARED})
    (answer,) = kinds.smith.named("answer")
    found = sorted(kinds.smith.feedback, key=lambda each: each["created_at"])
    told = [(f["key"], f["score"], f["value"], f.get("comment")) for f in found]
    assert told == [
        ("not_empty(answer)", 0.0, "rejected", "answer is empty"),
        ("not_empty(answer)", 1.0, "passed", None),
    ]
    assert {(f["run_id"], f["session_id"]) for f in found} == {(answer["id"], PROJECT)}
    assert [f["feedback_source"]["metadata"]["attempt"] for f in found] == [1, 2]
    assert kinds.exporter.errors == kinds.exporter.lost == 0


@pytest.mark.parametrize("way", WAYS)
def test_no_run_is_traced_twice(way: str, traced: Traced) -> None:
    """However it is run, there are LangGraph's own runs, and one more for each attempt."""
    inner = graph(answering("", "", "yes")).compile()
    outer = StateGraph(State).add_node("sub", inner).add_edge(START, "sub")
    traced.run(outer, {"sub|answer": DECLARED}, way)
    server = traced.smith
    assert len(server.posts) == len(set(server.posts)) == len(server.runs)
    (root,) = [each for each in server.runs.values() if not each.get("parent_run_id")]
    (sub,) = server.under(root)
    (within,) = server.under(sub)
    answer, check = server.under(within)
    assert [each["name"] for each in (sub, answer, check)] == ["sub", "answer", "check"]
    assert len(server.under(answer)) == 3
    assert server.under(check) == []  # nothing can be repeated there: its run is the node's
    assert len(server.runs) == 8


def test_a_node_that_is_not_repeated_is_the_run_that_it_was(traced: Traced) -> None:
    """Without a policy the runs are those of the bare graph, with the verdicts on them."""
    builder = graph(answering("yes", "yes"))
    traced.run(builder, {"answer": NodeGuard(gates=[not_empty("answer")])})
    server = traced.smith
    guarded = sorted(run["name"] for run in server.runs.values())
    assert [f["run_id"] for f in server.feedback] == [server.named("answer")[0]["id"]]
    server.runs.clear()
    builder.compile().invoke(INPUT)
    traced.settle()
    assert guarded == sorted(run["name"] for run in server.runs.values())


def test_repeats_by_langgraph_are_attempts_too(traced: Traced) -> None:
    """A transport error that LangGraph's own policy repeats is an attempt of the same node."""
    tried = iter([ConnectionError("down"), None])

    def flaky(state: State) -> dict[str, str]:
        error = next(tried)
        if error:
            raise error
        return {"answer": "yes"}

    policy = RetryPolicy(initial_interval=0.001, retry_on=ConnectionError)
    traced.run(graph(flaky, retry=policy), {})
    (answer,) = traced.smith.named("answer")
    names = [run["name"] for run in traced.smith.under(answer)]
    assert names == ["attempt 1 (first)", "attempt 2 (transport)"]
    assert traced.smith.under(answer)[0]["error"].startswith("ConnectionError")


@pytest.mark.parametrize("mode", ["enforce", "observe"])
def test_a_node_that_gives_up(mode: Any, traced: Traced) -> None:
    """Its run has the reason as its error; what is only observed has none, and says so."""
    builder = graph(lambda _: {"answer": ""})
    nodes = {"answer": NodeGuard(gates=[not_empty("answer")], policy=Policy(Retry(1, wait=0)))}
    if mode == "enforce":
        with pytest.raises(GateRejected):
            traced.run(builder, nodes)
    else:
        traced.run(builder, nodes, mode="observe")
    (answer,) = traced.smith.named("answer")
    status, error = about(answer)["status"], answer.get("error")
    expected = ("failed", "not_empty(answer): answer is empty")
    assert (status, error) == (expected if mode == "enforce" else ("observed", None))
    assert [f["score"] for f in traced.smith.feedback] == [0.0] * (2 if mode == "enforce" else 1)


def test_a_stated_answer_says_so(traced: Traced) -> None:
    """The rung is in the name of the attempt, the status on the node's run."""
    policy = Policy(Degrade({"answer": "?"}))
    nodes = {"answer": NodeGuard(gates=[not_empty("answer")], policy=policy)}
    traced.run(graph(answering("")), nodes)
    (answer,) = traced.smith.named("answer")
    assert about(answer)["status"] == "degraded"
    assert [r["name"] for r in traced.smith.under(answer)][1] == "attempt 2 (degrade)"
    assert answer["outputs"] == {"answer": "?"}


def test_a_question_to_a_person_is_no_error(traced: Traced) -> None:
    """Neither on the attempt nor on the nodes around it; the answer is a run of its own trace."""
    inner = graph(lambda _: {"answer": ""}).compile()
    outer = StateGraph(State).add_node("sub", inner).add_edge(START, "sub")
    asks = NodeGuard(gates=[not_empty("answer")], policy=Policy(Escalate("editor")))
    with traced.tracer() as tracer:
        bare = outer.compile(checkpointer=InMemorySaver())
        app: Any = guard(bare, {"sub|answer": asks}, tracer=tracer)
        config: Any = {"configurable": {"thread_id": "1"}}
        app.invoke(INPUT, config)
        tracer.flush()
        traced.settle()
        server = traced.smith
        (sub,), (answer,) = server.named("sub"), server.named("answer")
        asked = server.under(answer)[1]
        for run in (sub, answer, asked):
            assert run.get("error") is None
            assert run["end_time"]
        assert about(answer)["status"] == about(asked)["outcome"] == "interrupted"
        (shown,) = asked["outputs"]["interrupts"]
        assert shown["to"] == "editor"
        server.runs.clear()
        app.invoke(Command(resume={"decision": "edit", "update": {"answer": "mine"}}), config)
        tracer.flush()
        traced.settle()
        (answer,) = server.named("answer")
        (edited,) = server.under(answer)
        assert (about(edited)["rung"], edited["outputs"]) == ("escalate:editor", {"answer": "mine"})


def test_an_interrupt_of_the_nodes_own_is_no_error(traced: Traced) -> None:
    """Guarded without a policy it is the node's one run that waits."""
    with traced.tracer() as tracer:
        builder = graph(lambda state: {"answer": interrupt("which?")})
        app = guard(builder, tracer=tracer).compile(checkpointer=InMemorySaver())
        app.invoke(INPUT, {"configurable": {"thread_id": "1"}})
        tracer.flush()
        traced.settle()
    (answer,) = traced.smith.named("answer")
    assert (answer.get("error"), answer["outputs"]) == (None, {"interrupts": ["which?"]})
    assert about(answer)["status"] == "interrupted"


def test_what_a_node_calls_is_under_its_attempt(traced: Traced) -> None:
    """A model, and a function traced by LangSmith's own decorator, nest in the attempt."""
    model = GenericFakeChatModel(messages=iter([AIMessage(""), AIMessage("yes")]))

    @traceable
    def polish(text: str) -> str:
        return text

    def answer(state: State) -> dict[str, str]:
        return {"answer": polish(model.invoke(state["question"]).text)}

    traced.run(graph(answer), {"answer": DECLARED})
    (node,) = traced.smith.named("answer")
    for attempt in traced.smith.under(node):
        called, polished = traced.smith.under(attempt)
        assert (called["run_type"], polished["name"]) == ("llm", "polish")


@pytest.mark.parametrize("around", ["traceable", "runnable", "handler"])
def test_a_graph_in_a_trace_is_a_part_of_it(around: str, traced: Traced) -> None:
    """Where LangSmith traces already, its runs go on below; a tracer that is given is used."""
    with traced.tracer() as tracer:
        app: Any = guard(graph(answering("", "yes")), {"answer": DECLARED}, tracer=tracer).compile()
        if around == "handler":
            handler = LangChainTracer(client=traced.client, project_name="other")
            app.invoke(INPUT, {"callbacks": [handler]})
        elif around == "runnable":
            RunnableLambda(app.invoke).with_config(run_name="around").invoke(INPUT)
        else:
            traceable(name="around")(app.invoke)(INPUT)
        tracer.flush()
        traced.settle()
    server = traced.smith
    (answer,) = server.named("answer")
    assert len(server.under(answer)) == 2
    assert len(server.posts) == len(server.runs) == (5 if around == "handler" else 6)
    roots = [each["name"] for each in server.runs.values() if not each.get("parent_run_id")]
    assert roots == (["LangGraph"] if around == "handler" else ["around"])
    if around == "handler":
        assert {run["session_name"] for run in server.runs.values()} == {"other"}


@pytest.mark.parametrize("redact", [True, False])
def test_what_is_sent_is_redacted_as_the_record_is(redact: bool, traced: Traced) -> None:
    """Inputs, outputs, errors and reasons, of the graph's run too; what is switched off is not."""
    secret = "sk-" + "a1" * 20

    def leak(state: State) -> dict[str, str]:
        say = RunnableLambda(lambda _: {"answer": secret}).with_config(run_name="say")
        raise ValueError(f"bad key {say.invoke(state)['answer']}")

    with traced.tracer(redact=redact) as tracer:
        app = guard(graph(leak), {"answer": DECLARED}, tracer=tracer).compile()
        with pytest.raises(ValueError, match="bad key"):
            app.invoke(INPUT)
        tracer.flush()
        traced.settle()
    for name in ("LangGraph", "answer", "attempt 1 (first)"):
        (run,) = traced.smith.named(name)
        assert ("abc-123" in str(run["inputs"]), secret in run["error"]) == (not redact, not redact)
    said, *_ = traced.smith.named("say")  # one for each attempt
    assert (secret in str(said["outputs"])) == (not redact)
