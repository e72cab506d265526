"""Many runs of one guarded graph at once: nothing of one reaches another."""

import asyncio
import operator
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import Send

from coordgate import Fallback, NodeGuard, Policy, Retry, Verdict, feedback, gate, guard
from coordgate.testing import RecordingTracer


class State(TypedDict, total=False):
    """Each run has a number of its own, and everything in it must carry that number."""

    run: int
    seen: Annotated[list[tuple[int, int]], operator.add]


class Wrong(AssertionError):
    """Something of one run was seen in another."""


def attempt_of(state: State) -> int:
    """Return which attempt this is, and check that the feedback is this run's own."""
    told = feedback()
    if told is None:
        return 1
    if told.rejected["seen"] != [(state["run"], told.attempt - 1)]:
        raise Wrong(f"run {state['run']} was told of {told.rejected}")
    if told.reasons != (f"enough: run {state['run']} wants more",):
        raise Wrong(f"run {state['run']} was told {told.reasons}")
    return told.attempt


@gate
def enough(output: State, state: State) -> Verdict:
    """Pass the attempt whose number the run asks for: 1 to 4, by the run's own number."""
    ((run, attempt),) = output["seen"]
    if run != state["run"]:
        raise Wrong(f"the gate of run {state['run']} was given {output}")
    if attempt > run % 4:
        return Verdict.accept()
    return Verdict.reject(f"run {run} wants more")


def sync_node(state: State) -> State:
    """Say which attempt this is."""
    return {"seen": [(state["run"], attempt_of(state))]}


async def async_node(state: State) -> State:
    """Say which attempt this is, over an await."""
    attempt = attempt_of(state)
    await asyncio.sleep(0)
    if (attempt > 1) != (feedback() is not None):
        raise Wrong("feedback changed over an await")
    return {"seen": [(state["run"], attempt)]}


def app_of(node: Any, tracer: RecordingTracer) -> Any:
    """Return a guarded graph that runs a node twice in a row."""
    builder = StateGraph(State)
    builder.add_node("first", node)
    builder.add_node("second", node)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    spec = NodeGuard(gates=[enough], policy=Policy(Retry(2), Fallback(node, name="spare")))
    return guard(builder, {"first": spec, "second": spec}, tracer=tracer).compile()


def check(tracer: RecordingTracer, results: list[Any], runs: int) -> None:
    """Check results and record against what the runs' numbers ask for."""
    wanted = [{"run": r, "seen": [(r, r % 4 + 1)] * 2} for r in range(runs)]
    assert results == wanted
    assert len(tracer.runs) == runs
    assert {run.status for run in tracer.runs} == {"completed"}
    transitions = tracer.transitions
    assert Counter(t.run for t in transitions) == {run.id: 2 for run in tracer.runs}
    for transition in transitions:
        reads = transition.reads or ""
        number = int(reads.partition('"run":')[2].split(",")[0].rstrip("}"))
        assert len(transition.attempts) == number % 4 + 1
        for attempt in transition.attempts:
            assert attempt.output == f'{{"seen":[[{number},{attempt.number}]]}}'
        assert transition.producers == (("first",) if transition.node == "second" else ())


def test_32_threads_have_no_cross_talk() -> None:
    """32 threads run one sync graph with retries: feedback, attempts and transitions stay apart."""
    tracer = RecordingTracer()
    app = app_of(sync_node, tracer)
    together = threading.Barrier(32)

    def work(first: int) -> list[Any]:
        together.wait()
        return [app.invoke({"run": first * 12 + each}) for each in range(12)]

    with ThreadPoolExecutor(32) as pool:
        results = [result for many in pool.map(work, range(32)) for result in many]
    check(tracer, results, 32 * 12)


def test_1000_concurrent_async_runs_have_no_cross_talk() -> None:
    """1,000 async runs of one graph at once: feedback, attempts and transitions stay apart."""
    tracer = RecordingTracer()
    app = app_of(async_node, tracer)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(app.ainvoke({"run": each}) for each in range(1000)))

    check(tracer, asyncio.run(all_of_them()), 1000)


def test_many_sends_of_one_run_have_no_cross_talk() -> None:
    """200 Send targets of one run, most of them repeated, hear only of their own."""
    tracer = RecordingTracer()

    async def both_ways() -> None:
        for node in (sync_node, async_node):
            builder = StateGraph(State)
            builder.add_node("each", node)
            sends = [Send("each", {"run": number}) for number in range(200)]
            builder.add_conditional_edges(START, lambda state, sends=sends: sends, ["each"])
            spec = NodeGuard(gates=[enough], policy=Policy(Retry(3)))
            app = guard(builder, {"each": spec}, tracer=tracer).compile()
            result = await app.ainvoke({})
            assert result["seen"] == [(number, number % 4 + 1) for number in range(200)]

    asyncio.run(both_ways())
    assert sum(len(t.attempts) for t in tracer.of("each")) == 2 * 50 * (1 + 2 + 3 + 4)


def test_two_graphs_streamed_in_turns_are_two_runs() -> None:
    """Two streams read alternately in one thread keep their runs apart."""
    tracer = RecordingTracer()
    app = app_of(sync_node, tracer)
    flows = [app.stream({"run": each}, stream_mode="updates") for each in range(4)]
    chunks = [[next(flow) for flow in flows] for _ in range(2)]
    assert [list(flow) for flow in flows] == [[], [], [], []]
    assert [chunk["second"]["seen"] for chunk in chunks[1]] == [[(r, r % 4 + 1)] for r in range(4)]
    assert len(tracer.runs) == 4
    assert Counter(t.run for t in tracer.transitions) == {run.id: 2 for run in tracer.runs}
    assert {run.status for run in tracer.runs} == {"completed"}


def test_a_run_inside_a_gate_or_beside_a_node_is_a_run_of_its_own() -> None:
    """A graph run in a thread that a node starts without its context is another run."""
    tracer = RecordingTracer()
    inner = app_of(sync_node, tracer)
    results: list[Any] = []

    def start_thread(state: State) -> State:
        thread = threading.Thread(target=lambda: results.append(inner.invoke({"run": 0})))
        thread.start()
        thread.join()
        return {"seen": []}

    builder = StateGraph(State)
    builder.add_node("work", start_thread)
    builder.add_edge(START, "work")
    guard(builder, tracer=tracer).compile().invoke({"run": 1})
    assert results == [{"run": 0, "seen": [(0, 1), (0, 1)]}]
    assert len(tracer.runs) == 2
