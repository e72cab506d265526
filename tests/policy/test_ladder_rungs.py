"""The ladder in a graph: which rung answers, and where a gate may jump."""

from typing import Annotated, Any, TypedDict

import pytest
from ladders import BAD, GOOD, Draft, app_of, both, climbed, run
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph

from coordgate import (
    Contract,
    ContractViolation,
    Degrade,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer, scripted


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
