"""The ladder in a graph: which rung answers, what is asked of it, and how it ends."""

import asyncio
import operator
import time
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeCancelledError
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, interrupt

from coordgate import (
    ConfigurationError,
    Contract,
    ContractViolation,
    Degrade,
    Fallback,
    GateRejected,
    HandoffError,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer, scripted

both = pytest.mark.parametrize("how", ["sync", "async"])
AT_ONCE: dict[str, Any] = {"wait": 0.0, "jitter": False}
AGAIN = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str
    extra: str
    log: Annotated[list[str], operator.add]


class Draft(TypedDict, total=False):
    """A state without reducers."""

    draft: str
    extra: str


@gate
def good(output: Any) -> Verdict:
    """Pass what says good."""
    return Verdict.accept() if output["draft"] == "good" else Verdict.reject("is not good")


def run(app: Any, how: str, given: Any = None, config: Any = None) -> Any:
    """Run a graph, sync or async."""
    given = {} if given is None else given
    return app.invoke(given, config) if how == "sync" else asyncio.run(app.ainvoke(given, config))


def app_of(
    node: Any,
    *rungs: Any,
    gates: Any = (good,),
    tracer: Any = None,
    contract: Any = None,
    **settings: Any,
) -> Any:
    """Return a guarded graph of one node with a ladder."""
    builder = StateGraph(Draft)
    builder.add_node("write", node, **settings)
    builder.add_edge(START, "write")
    spec = NodeGuard(contract, gates, Policy(*rungs))
    return guard(builder, {"write": spec}, tracer=tracer).compile()


BAD = {"draft": "bad"}
GOOD = {"draft": "good"}


def climbed(tracer: RecordingTracer, node: str = "write") -> list[tuple[str, str]]:
    """Return the rungs of a node's attempts, and how each ended."""
    return [(a.rung, a.outcome) for a in tracer.attempts(node)]


@both
def test_rungs_are_tried_in_their_order(how: str) -> None:
    """Retries, then fallbacks, then the stated answer; each used up before the next."""
    tracer = RecordingTracer()
    node, spare, last = (scripted(*[BAD] * 9, name=name) for name in ("write", "spare", "last"))
    rungs = (Retry(2), Fallback(spare), Retry(1), Fallback(last), Degrade({"draft": "sorry"}))
    assert run(app_of(node, *rungs, tracer=tracer), how) == {"draft": "sorry"}
    assert climbed(tracer) == [
        ("first", "rejected"),
        ("retry", "rejected"),
        ("retry", "rejected"),
        ("fallback:spare", "rejected"),
        ("retry", "rejected"),
        ("fallback:last", "rejected"),
        ("degrade", "accepted"),
    ]
    assert (node.calls, spare.calls, last.calls) == (4, 1, 1)


@both
@pytest.mark.parametrize("kind", ["function", "async", "runnable", "subgraph", "scripted"])
def test_a_fallback_is_any_kind_of_node(how: str, kind: str) -> None:
    """Whatever add_node takes can stand in, and passes contract and gates."""

    async def coroutine(state: Draft) -> Draft:
        return {"draft": "good"}

    inner = StateGraph(Draft)
    inner.add_node("in", scripted(GOOD, GOOD))
    inner.add_edge(START, "in")
    spares: dict[str, Any] = {
        "function": lambda state: GOOD,
        "async": coroutine,
        "runnable": RunnableLambda(lambda state: GOOD),
        "subgraph": inner.compile(),
        "scripted": scripted(GOOD),
    }
    if kind == "async":
        how = "async"
    assert run(app_of(scripted(BAD), Fallback(spares[kind])), how)["draft"] == "good"


@both
def test_a_fallback_must_pass_contract_and_gates(how: str) -> None:
    """A stand-in is held to what the node is held to."""
    with pytest.raises(GateRejected):
        run(app_of(scripted(BAD), Fallback(scripted(BAD))), how)
    with pytest.raises(ContractViolation):
        run(app_of(scripted(BAD), Fallback(scripted({"draft": 3}))), how)


@both
def test_degrade_skips_the_gates_and_not_the_contract(how: str) -> None:
    """A stated answer ships though no gate would pass it; a declared contract parses it."""
    node = scripted(BAD)
    result = run(
        app_of(
            node,
            Degrade({"draft": "sorry", "extra": "5"}),
            contract=Contract(returns={"draft": str, "extra": Annotated[str, "text"]}),
        ),
        how,
    )
    assert result == {"draft": "sorry", "extra": "5"}


def test_degrade_ships_a_fresh_copy_each_time() -> None:
    """What one run does to a stated answer does not reach the next run."""

    class Lists(TypedDict, total=False):
        items: list[str]

    def spoil(state: Lists) -> None:
        state["items"].append("spoiled")

    builder = StateGraph(Lists)
    builder.add_node("write", scripted(*[ValueError("no")] * 2))
    builder.add_node("spoil", spoil)
    builder.add_edge(START, "write")
    builder.add_edge("write", "spoil")
    stated: dict[str, Any] = {"items": ["stated"]}
    app = guard(builder, {"write": NodeGuard(policy=Policy(Degrade(stated)))}).compile()
    assert app.invoke({}) == {"items": ["stated", "spoiled"]}
    assert app.invoke({}) == {"items": ["stated", "spoiled"]}
    assert stated == {"items": ["stated"]}


# Jumps


def jumping(otherwise: Any, *, on_gate: bool) -> Any:
    """Return a gate that jumps to a rung, by itself or by its verdict."""
    if on_gate:
        return gate(otherwise=otherwise, name="jumps")(lambda output: output["draft"] == "good")

    @gate(name="jumps")
    def jumps(output: Any) -> Verdict:
        if output["draft"] == "good":
            return Verdict.accept()
        return Verdict.reject("no", otherwise=otherwise)

    return jumps


jumps = pytest.mark.parametrize("on_gate", [True, False], ids=["gate", "verdict"])


@both
@jumps
def test_a_gate_may_jump_over_rungs(how: str, on_gate: bool) -> None:
    """`otherwise` goes to the next rung of that name, past those before it."""
    tracer = RecordingTracer()
    node, spare = scripted(*[BAD] * 9), scripted(*[BAD] * 9, name="spare")
    rungs = (Retry(3), Fallback(spare), Degrade({"draft": "sorry"}))
    app = app_of(node, *rungs, gates=[jumping("degrade", on_gate=on_gate)], tracer=tracer)
    assert run(app, how)["draft"] == "sorry"
    assert climbed(tracer) == [("first", "rejected"), ("degrade", "accepted")]
    tracer = RecordingTracer()
    app = app_of(node, *rungs, gates=[jumping("fallback", on_gate=on_gate)], tracer=tracer)
    with pytest.raises(GateRejected):
        run(app, how)
    assert climbed(tracer) == [("first", "rejected"), ("fallback:spare", "rejected")]


@both
@jumps
def test_a_gate_may_end_the_ladder(how: str, on_gate: bool) -> None:
    """`otherwise="fail"` fails at once, whatever rungs there are."""
    node = scripted(*[BAD] * 9)
    rungs = (Retry(3), Degrade({"draft": "sorry"}))
    with pytest.raises(GateRejected) as caught:
        run(app_of(node, *rungs, gates=[jumping("fail", on_gate=on_gate)]), how)
    assert node.calls == 1
    assert caught.value.attempts == 1


@both
def test_a_jump_to_a_rung_that_is_not_there_fails_and_says_so(how: str) -> None:
    """A verdict that names a rung the policy lacks fails the run, and the error names that rung."""
    node = scripted(*[BAD] * 9)
    with pytest.raises(GateRejected, match="degrade"):
        run(app_of(node, Retry(3), gates=[jumping("degrade", on_gate=False)]), how)
    assert node.calls == 1


@both
def test_a_jump_to_retry_uses_up_the_retries(how: str) -> None:
    """`otherwise="retry"` never retries more often than the policy says."""
    node = scripted(*[BAD] * 9)
    with pytest.raises(GateRejected):
        run(app_of(node, Retry(2), gates=[jumping("retry", on_gate=False)]), how)
    assert node.calls == 3


# What goes wrong in the body


@both
def test_an_exception_goes_up_the_ladder(how: str) -> None:
    """What the body raises is a failure like any other, whatever its type."""
    tracer = RecordingTracer()
    errors = ValueError("a"), TypeError("b"), RuntimeError("c"), OSError("d")
    node = scripted(*errors, GOOD)
    app = app_of(node, Retry(4, **AT_ONCE), tracer=tracer)
    assert run(app, how) == GOOD
    assert [a.error for a in tracer.attempts("write")] == [
        "ValueError: a",
        "TypeError: b",
        "RuntimeError: c",
        "OSError: d",
        None,
    ]


@both
def test_an_exception_past_the_last_rung_comes_out_as_itself(how: str) -> None:
    """Callers that catch the node's own exceptions still do; a note says what was tried."""
    last = KeyError("b")
    node = scripted(KeyError("a"), last)
    with pytest.raises(KeyError) as caught:
        run(app_of(node, Retry(1, **AT_ONCE)), how)
    assert caught.value is last
    (note,) = [n for n in caught.value.__notes__ if n.startswith("coordgate:")]
    assert "node 'write' raised this after 2 attempt(s)" in note
    assert "no rung left" in note


@both
def test_an_exception_without_a_policy_is_what_it_is_bare(how: str) -> None:
    """A node without a policy raises as in bare LangGraph, with no note of ours."""
    with pytest.raises(KeyError) as caught:
        run(app_of(scripted(KeyError("a"))), how)
    assert not [n for n in caught.value.__notes__ if n.startswith("coordgate:")]


@both
def test_one_exception_object_raised_in_several_runs_is_retried_in_each(how: str) -> None:
    """A module-level exception, raised again and again, carries nothing over from run to run."""
    always = ConnectionError("down")
    node = scripted(*[always] * 4)
    app = app_of(node, Retry(1, **AT_ONCE))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            run(app, how)
    assert node.calls == 4
    recovering = scripted(always, GOOD)
    assert run(app_of(recovering, Retry(1, **AT_ONCE)), how) == GOOD
    assert recovering.calls == 2


@both
def test_one_exception_object_in_two_nodes_is_each_nodes_own(how: str) -> None:
    """What one node gave up on does not keep another node from its retries."""
    always = ConnectionError("down")
    first, second = scripted(always, always), scripted(always, GOOD)
    builder = StateGraph(Draft)
    builder.add_node("a", first)
    builder.add_node("b", second)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    nodes = {
        "a": NodeGuard(policy=Policy(Retry(1, **AT_ONCE), Degrade({"extra": "x"}))),
        "b": NodeGuard(policy=Policy(Retry(1, **AT_ONCE))),
    }
    assert run(guard(builder, nodes).compile(), how)["draft"] == "good"
    assert (first.calls, second.calls) == (2, 2)


@both
def test_an_exception_with_slots_is_retried(how: str) -> None:
    """An exception that takes no attributes still climbs."""

    class Slotted(Exception):
        __slots__ = ()

        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    node = scripted(Slotted("a"), GOOD)
    assert run(app_of(node, Retry(1, **AT_ONCE)), how) == GOOD


@both
def test_a_gate_that_breaks_has_not_passed(how: str) -> None:
    """A gate that raises, returns None or nonsense fails closed and says what it did."""

    def raising(output: Any) -> bool:
        return bool(output["missing"])

    for broken, says in (
        (raising, "the gate raised KeyError: 'missing'"),
        (lambda output: None, "the gate returned NoneType"),
        (lambda output: "yes", "the gate returned str"),
        (lambda output: 1, "the gate returned int"),
    ):
        with pytest.raises(GateRejected, match=says):
            run(app_of(scripted(GOOD), gates=[gate(broken)]), how)


@both
def test_a_slow_gate_that_hangs_has_not_passed(how: str) -> None:
    """A gate that does not answer in time is a rejection with its limit."""

    @gate(timeout=0.05)
    async def hangs(output: Any) -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(GateRejected, match=r"did not answer within 0\.05 s"):
        run(app_of(scripted(GOOD), gates=[hangs]), how)


@both
def test_slow_gates_are_asked_together_and_only_after_the_quick(how: str) -> None:
    """A rejection by a quick gate spares the slow ones; slow ones wait for each other here."""
    met: list[str] = []
    both_there = asyncio.Event()

    def meeting(name: str) -> Any:
        @gate(name=name, timeout=5.0)
        async def meets(output: Any) -> bool:
            met.append(name)
            if how == "async":
                if len(met) == 2:
                    both_there.set()
                await both_there.wait()
            return True

        return meets

    gates = [meeting("one"), good, meeting("two")]
    with pytest.raises(GateRejected, match="'good'"):
        run(app_of(scripted(BAD), gates=gates), how)
    assert met == []
    assert run(app_of(scripted(GOOD), gates=gates), how) == GOOD
    assert sorted(met) == ["one", "two"]


def test_async_gates_answer_in_a_sync_run_inside_a_running_loop() -> None:
    """A sync run called from async code can still ask async gates."""

    @gate
    async def fine(output: Any) -> bool:
        await asyncio.sleep(0)
        return output == GOOD

    async def call() -> Any:
        return app_of(scripted(GOOD), gates=[fine]).invoke({})

    assert asyncio.run(call()) == GOOD


# Waiting


@both
def test_a_rejection_is_repeated_at_once(how: str) -> None:
    """Only exceptions wait: a rejected hand-over is repeated without any wait."""
    began = time.perf_counter()
    node = scripted(BAD, BAD, GOOD)
    assert run(app_of(node, Retry(2, wait=60.0)), how) == GOOD
    assert time.perf_counter() - began < 30


@both
def test_an_exception_waits_longer_each_time(how: str) -> None:
    """The waits are `wait`, then `wait` times `backoff`, and at most `max_wait`."""
    node = scripted(*[ValueError("x")] * 3, GOOD)
    began = time.perf_counter()
    retry = Retry(3, wait=0.01, backoff=4.0, max_wait=0.04, jitter=False)
    assert run(app_of(node, retry), how) == GOOD
    assert 0.09 <= time.perf_counter() - began < 5


@both
def test_rejections_do_not_lengthen_the_wait_after_an_exception(how: str) -> None:
    """The first exception waits `wait`, however many hand-overs were rejected before it."""
    node = scripted(*[BAD] * 5, ValueError("x"), GOOD)
    began = time.perf_counter()
    retry = Retry(6, wait=0.001, backoff=10.0, max_wait=3.0, jitter=False)
    assert run(app_of(node, retry), how) == GOOD
    assert time.perf_counter() - began < 2


@both
def test_rejections_do_not_lengthen_langgraphs_own_wait(how: str) -> None:
    """LangGraph's RetryPolicy waits its initial interval first, whatever was rejected before."""
    slow = RetryPolicy(
        max_attempts=3, initial_interval=0.001, backoff_factor=10.0, max_interval=3.0, jitter=False
    )
    node = scripted(*[BAD] * 5, ConnectionError("x"), GOOD)
    began = time.perf_counter()
    assert run(app_of(node, Retry(5), retry_policy=slow), how) == GOOD
    assert time.perf_counter() - began < 2


# Transport failures, counted apart


@both
def test_transport_and_content_failures_are_counted_apart(how: str) -> None:
    """LangGraph's RetryPolicy has its attempts, the ladder its own: the sum, never the product."""
    tracer = RecordingTracer()
    error = ConnectionError("down")
    node = scripted(error, BAD, error, BAD, GOOD)
    app = app_of(node, Retry(2), tracer=tracer, retry_policy=AGAIN)
    assert run(app, how) == GOOD
    assert [rung for rung, _ in climbed(tracer)] == [
        "first",
        "transport",
        "retry",
        "transport",
        "retry",
    ]


@both
def test_transport_attempts_are_bounded_over_the_whole_ladder(how: str) -> None:
    """Over all rungs the body runs at most transport repeats plus ladder attempts."""
    error = ConnectionError("down")
    node = scripted(*[error] * 20)
    with pytest.raises(ConnectionError) as caught:
        run(app_of(node, Retry(3, **AT_ONCE), retry_policy=AGAIN), how)
    assert node.calls == 3
    assert any("after 3 attempt(s)" in note for note in caught.value.__notes__)


@both
def test_after_the_transport_repeats_a_fallback_stands_in(how: str) -> None:
    """What LangGraph's policy has given up on goes to the rungs that do something else."""
    node = scripted(*[ConnectionError("down")] * 20)
    app = app_of(node, Retry(3, **AT_ONCE), Fallback(lambda state: GOOD), retry_policy=AGAIN)
    assert run(app, how) == GOOD
    assert node.calls == 3


@both
def test_a_rejection_does_not_use_up_langgraphs_policy(how: str) -> None:
    """Rejections before a transport error leave it its attempts, whatever retry_on says."""
    greedy = RetryPolicy(
        max_attempts=3, initial_interval=0.0, jitter=False, retry_on=lambda error: True
    )
    error = ConnectionError("down")
    node = scripted(BAD, BAD, error, error, GOOD)
    assert run(app_of(node, Retry(2), retry_policy=greedy), how) == GOOD
    stubborn = scripted(*[BAD] * 20)
    with pytest.raises(GateRejected):
        run(app_of(stubborn, Retry(2), retry_policy=greedy), how)
    assert stubborn.calls == 3


@both
def test_several_policies_of_langgraphs_count_each_for_itself(how: str) -> None:
    """Of two RetryPolicies each repeats only what it is for."""

    def only(kind: type[Exception], attempts: int) -> RetryPolicy:
        return RetryPolicy(max_attempts=attempts, initial_interval=0.0, jitter=False, retry_on=kind)

    policies = [only(ConnectionError, 2), only(LookupError, 3)]
    node = scripted(KeyError("a"), ConnectionError("b"), KeyError("c"), GOOD)
    assert run(app_of(node, retry_policy=policies), how) == GOOD
    node = scripted(*[ConnectionError("x")] * 9)
    with pytest.raises(ConnectionError):
        run(app_of(node, retry_policy=policies), how)
    assert node.calls == 2


def nested(
    inner_node: Any, inner: NodeGuard | None, outer: NodeGuard | None, **defaults: Any
) -> Any:
    """Return a guarded graph of one node in a subgraph in a parent."""
    graph = StateGraph(Draft)
    graph.add_node("write", inner_node)
    graph.add_edge(START, "write")
    parent = StateGraph(Draft)
    parent.add_node("sub", graph.compile())
    parent.add_edge(START, "sub")
    if defaults:
        parent.set_node_defaults(**defaults)
    nodes = {"sub|write": inner, "sub": outer}
    return guard(parent, {name: spec for name, spec in nodes.items() if spec}).compile()


@both
@pytest.mark.parametrize("failure", [BAD, {"draft": 3}, ConnectionError("down")], ids=repr)
def test_a_parents_policies_never_multiply_a_childs(how: str, failure: Any) -> None:
    """What a subgraph's node has given up on, neither the parent's Retry nor defaults repeat."""
    child = NodeGuard(gates=[good], policy=Policy(Retry(2, **AT_ONCE)))
    parent = NodeGuard(policy=Policy(Retry(2, **AT_ONCE)))
    greedy = AGAIN._replace(retry_on=lambda error: True)
    for spec, defaults in (
        (parent, {}),
        (None, {"retry_policy": greedy}),
        (parent, {"retry_policy": greedy}),
    ):
        node = scripted(*[failure] * 30)
        with pytest.raises((HandoffError, ConnectionError)):
            run(nested(node, child, spec, **defaults), how)
        assert node.calls == 3


@both
def test_a_parent_stands_in_for_what_its_child_gave_up_on(how: str) -> None:
    """The parent's Fallback and Degrade answer where the child's ladder has ended."""
    child = NodeGuard(gates=[good], policy=Policy(Retry(2)))
    node = scripted(*[BAD] * 30)
    parent = NodeGuard(policy=Policy(Retry(5), Degrade({"draft": "sorry"})))
    assert run(nested(node, child, parent), how) == {"draft": "sorry"}
    assert node.calls == 3


@both
def test_a_parent_may_retry_what_its_own_gate_rejects(how: str) -> None:
    """A parent's own gate is a failure of the parent's, and its Retry answers it."""
    child = NodeGuard(gates=[lambda output: output["draft"] != "none"], policy=Policy(Retry(1)))
    node = scripted({"draft": "none"}, BAD, GOOD)
    parent = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    assert run(nested(node, child, parent), how) == GOOD
    assert node.calls == 3


# What is not a failure


@both
def test_an_interrupt_is_never_a_failure(how: str) -> None:
    """No rung answers an interrupt; resumed, the node goes on, and may then be rejected."""

    def ask(state: Draft) -> Draft:
        return {"draft": interrupt("what?")}

    builder = StateGraph(Draft)
    builder.add_node("write", ask)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1), Degrade({"draft": "sorry"})))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    paused = run(app, how, config=config)
    assert paused["__interrupt__"][0].value == "what?"
    assert run(app, how, Command(resume="good"), config) == GOOD
    config = {"configurable": {"thread_id": "2"}}
    run(app, how, config=config)
    assert run(app, how, Command(resume="bad"), config) == {"draft": "sorry"}


@both
def test_an_interrupt_in_a_retried_attempt_resumes_with_its_answer(how: str) -> None:
    """After a rejection the node may ask; on resume the answer is its, and it is asked once."""
    asked: list[str] = []
    said = scripted("bad", name="said")

    def ask(state: Draft) -> Draft:
        asked.append("run")
        if said.calls == 0:
            return {"draft": said(state)}
        return {"draft": interrupt("what?")}

    builder = StateGraph(Draft)
    builder.add_node("write", ask)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Retry(1)))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    assert run(app, how, config=config)["__interrupt__"][0].value == "what?"
    assert run(app, how, Command(resume="good"), config) == GOOD
    assert len(asked) == 3


@both
def test_an_interrupt_of_a_fallback_pauses_the_run(how: str) -> None:
    """What a fallback asks a person is no failure of it either; resumed, it answers."""

    def ask(state: Draft) -> Draft:
        return {"draft": interrupt("fallback asks")}

    builder = StateGraph(Draft)
    builder.add_node("write", scripted(*[BAD] * 9))
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Fallback(ask), Degrade({"draft": "sorry"})))
    app = guard(builder, {"write": spec}).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    assert run(app, how, config=config)["__interrupt__"][0].value == "fallback asks"
    assert run(app, how, Command(resume="good"), config) == GOOD


@both
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_passes_through(how: str, error: type[BaseException]) -> None:
    """KeyboardInterrupt and SystemExit are nobody's failures."""
    node = scripted(error(), GOOD)
    with pytest.raises(error):
        run(app_of(node, Retry(3), Degrade({"draft": "sorry"})), how)
    assert node.calls == 1


def test_cancellation_passes_through() -> None:
    """A node that is cancelled from inside is not retried; LangGraph gives it a name of its own."""
    node = scripted(asyncio.CancelledError(), GOOD, kind="async")
    with pytest.raises(NodeCancelledError):
        asyncio.run(app_of(node, Retry(3), Degrade({"draft": "sorry"})).ainvoke({}))
    assert node.calls == 1


# The error past the last rung


@both
def test_the_last_error_names_everything(how: str) -> None:
    """Node, gate, reason, attempts and remedy stand in the error's fields and its text."""
    with pytest.raises(GateRejected) as caught:
        run(app_of(scripted(*[BAD] * 9), Retry(2)), how)
    error = caught.value
    assert (error.node, error.gate, error.attempts) == ("write", "good", 3)
    assert error.reasons == ("good: is not good",)
    assert "no rung left" in error.remedy
    assert str(error).splitlines() == [
        "node 'write' was rejected by gate 'good' after 3 attempts:",
        "  - good: is not good",
        f"Remedy: {error.remedy}",
    ]


@both
def test_the_error_without_a_policy_says_to_give_one(how: str) -> None:
    """The remedy fits the node: without a policy it is to give one."""
    builder = StateGraph(Draft)
    builder.add_node("write", scripted(BAD))
    builder.add_edge(START, "write")
    app = guard(builder, {"write": NodeGuard(gates=[good])}).compile()
    with pytest.raises(GateRejected, match=r"give the node a policy, such as Policy\(Retry\(2\)"):
        run(app, how)


@both
def test_every_gate_that_did_not_pass_is_among_the_reasons(how: str) -> None:
    """Quick gates are all asked, and each says why."""
    gates = [good, gate(name="long")(lambda output: len(output["draft"]) > 5)]
    with pytest.raises(GateRejected) as caught:
        run(app_of(scripted(BAD), gates=gates), how)
    assert caught.value.gate == "good"
    assert caught.value.reasons == ("good: is not good", "long: did not pass")


@both
def test_a_bad_input_goes_to_degrade_only(how: str) -> None:
    """Running the node again on a bad input cures nothing: Retry and Fallback are passed over."""
    node, spare = scripted(GOOD), scripted(GOOD)
    contract = Contract(accepts={"extra": str})
    app = app_of(node, Retry(2), Fallback(spare), Degrade({"draft": "sorry"}), contract=contract)
    assert run(app, how) == {"draft": "sorry"}
    assert (node.calls, spare.calls) == (0, 0)
    with pytest.raises(ContractViolation, match="bad input"):
        run(app_of(node, Retry(2), Fallback(spare), contract=contract), how)


@both
def test_an_external_effect_is_never_repeated(how: str) -> None:
    """`effects="external"` runs the body once; a fallback or a stated answer may follow."""
    node = scripted(BAD, GOOD)
    builder = StateGraph(Draft)
    builder.add_node("write", node)
    builder.add_edge(START, "write")
    spec = NodeGuard(gates=[good], policy=Policy(Degrade({"draft": "sorry"})), effects="external")
    assert run(guard(builder, {"write": spec}).compile(), how) == {"draft": "sorry"}
    assert node.calls == 1


@both
def test_an_external_effect_is_not_repeated_by_the_graphs_own_policy_either(how: str) -> None:
    """A retry around the subgraph that it stands in is refused, or does not run it again."""
    node = scripted(ConnectionError("sent?"), GOOD)
    child = NodeGuard(effects="external")
    parent = NodeGuard(policy=Policy(Retry(2, **AT_ONCE)))
    with pytest.raises((ConnectionError, ConfigurationError)):
        run(nested(node, child, parent), how)
    assert node.calls <= 1


@both
def test_a_router_that_fails_is_the_nodes_failure(how: str) -> None:
    """What a conditional edge raises goes up the ladder, and a route to nowhere is a violation."""
    builder = StateGraph(State)
    builder.add_node("write", lambda state: {"log": ["ran"]})
    builder.add_node("end", lambda state: {"log": ["end"]})
    builder.add_edge(START, "write")
    routes = scripted(ValueError("which?"), "end", name="route")
    builder.add_conditional_edges("write", lambda state: routes(state), ["end"])
    spec = NodeGuard(policy=Policy(Retry(1, **AT_ONCE)))
    assert run(guard(builder, {"write": spec}).compile(), how)["log"] == ["ran", "end"]


@both
def test_a_command_to_an_unknown_node_goes_up_the_ladder(how: str) -> None:
    """A goto that names no node is a violation with the nearest name, and can be retried."""
    builder = StateGraph(Draft)
    node = scripted(Command(goto="edn"), Command(goto="end"), name="write")
    builder.add_node("write", node, destinations=("end",))
    builder.add_node("end", lambda state: GOOD)
    builder.add_edge(START, "write")
    spec = NodeGuard(policy=Policy(Retry(1)))
    assert run(guard(builder, {"write": spec}).compile(), how) == GOOD
    assert node.feedbacks[1] is not None
    assert "there is no such node; did you mean 'end'?" in node.feedbacks[1].reasons[0]
