"""Gates composed with `&`, `|` and `~`: what is asked, what passes, and what is said."""

import asyncio
import itertools
from typing import Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph

from coordgate import (
    ConfigurationError,
    Degrade,
    Gate,
    GateRejected,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer, scripted

both = pytest.mark.parametrize("how", ["sync", "async"])


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str


def saying(
    name: str, answer: Any, asked: list[str] | None = None, *, is_async: bool = False
) -> Gate:
    """Return a gate that gives an answer, or raises it, and notes that it was asked."""

    def says(output: State) -> Any:
        if asked is not None:
            asked.append(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def says_later(output: State) -> Any:
        await asyncio.sleep(0)
        return says(output)

    return gate(name=name)(says_later if is_async else says)


def rejection(judge: Any, how: str = "sync", policy: Policy | None = None) -> GateRejected | None:
    """Return the error of a graph under a gate, None if the gate passes."""
    builder = StateGraph(State)
    builder.add_node("write", scripted(*[{"draft": "x"}] * 4))
    builder.add_edge(START, "write")
    app = guard(builder, {"write": NodeGuard(gates=[judge], policy=policy)}).compile()
    try:
        result = app.invoke({}) if how == "sync" else asyncio.run(app.ainvoke({}))
    except GateRejected as error:
        return error
    assert result == {"draft": "x"}
    return None


YES, NO = True, Verdict.reject("no")
BROKEN = ValueError("broken")


@both
@pytest.mark.parametrize("is_async", [False, True])
def test_and_stops_at_the_first_that_does_not_pass(how: str, is_async: bool) -> None:
    """`a & b` asks b only if a passed, and says what the one that failed said."""
    asked: list[str] = []
    first, second = (
        saying("first", Verdict.reject("not first"), asked, is_async=is_async),
        saying("second", YES, asked),
    )
    error = rejection(first & second, how)
    assert error is not None
    assert error.gate == "(first & second)"
    assert error.reasons == ("(first & second): not first",)
    assert asked == ["first"]
    asked.clear()
    assert rejection(second & second, how) is None
    assert asked == ["second", "second"]


@both
@pytest.mark.parametrize("is_async", [False, True])
def test_or_stops_at_the_first_that_passes(how: str, is_async: bool) -> None:
    """`a | b` asks b only if a did not pass, and tells both reasons if neither did."""
    asked: list[str] = []
    no = saying("no", Verdict.reject("not this"), asked, is_async=is_async)
    other = saying("other", Verdict.reject("nor that"), asked)
    yes = saying("yes", YES, asked)
    assert rejection(yes | no, how) is None
    assert asked == ["yes"]
    assert rejection(no | yes, how) is None
    error = rejection(no | other, how)
    assert error is not None
    assert error.reasons == ("(no | other): not this and nor that",)


@both
def test_not_passes_what_is_rejected_but_nothing_that_broke(how: str) -> None:
    """`~a` turns a verdict round; a gate that raised or returned nonsense still has not passed."""
    assert rejection(~saying("no", NO), how) is None
    assert rejection(~saying("false", False), how) is None
    error = rejection(~saying("yes", YES), how)
    assert error is not None
    assert error.reasons == ("~yes: yes passed",)
    for nonsense in (BROKEN, None, "yes", 0):
        error = rejection(~saying("odd", nonsense), how)
        assert error is not None
        assert "the gate r" in error.reasons[0]
        assert rejection(~~saying("odd", nonsense), how) is not None


@both
def test_a_broken_part_fails_closed_in_every_composition(how: str) -> None:
    """A gate that raises inside a composition is a part that has not passed, and no more."""
    broken, yes, no = saying("broken", BROKEN), saying("yes", YES), saying("no", NO)
    assert rejection(broken | yes, how) is None
    assert rejection(yes | broken, how) is None
    for composed in (broken & yes, yes & broken, broken | no, no | broken, ~(broken & yes)):
        assert rejection(composed, how) is not None


@both
def test_a_jump_inside_a_composition_is_kept(how: str) -> None:
    """The rung that the failing part asks for is the rung of the whole."""
    jumps = saying("jumps", Verdict.reject("no", otherwise="degrade"))
    tracer = RecordingTracer()
    for composed in (
        jumps & saying("yes", YES),
        saying("no", NO) | jumps,
        jumps | saying("no", NO),
    ):
        builder = StateGraph(State)
        builder.add_node("write", scripted(*[{"draft": "x"}] * 9))
        builder.add_edge(START, "write")
        policy = Policy(Retry(2), Degrade({"draft": "sorry"}))
        nodes = {"write": NodeGuard(gates=[composed], policy=policy)}
        app = guard(builder, nodes, tracer=tracer).compile()
        result = app.invoke({}) if how == "sync" else asyncio.run(app.ainvoke({}))
        assert result == {"draft": "sorry"}
    assert [len(transition.attempts) for transition in tracer.transitions] == [2, 2, 2]


def test_what_is_no_gate_is_refused_in_a_composition() -> None:
    """A plain function has to be made a gate first, and the error says how."""
    with pytest.raises(ConfigurationError, match="use @gate"):
        saying("yes", YES) & 3  # type: ignore[operator]


def test_a_composed_gate_can_be_renamed_and_asked_by_itself() -> None:
    """`named` gives another name; a gate can be called in a test of its own."""
    composed = (saying("a", YES) | saying("b", NO)).named("either")
    assert composed.name == "either"
    assert composed({"draft": "x"}, {})
    error = rejection((~composed).named("neither"))
    assert error is not None
    assert error.gate == "neither"


FORMULAS = st.recursive(
    st.sampled_from(["yes", "no", "raises", "nonsense"]),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=6,
)
ANSWERS: dict[str, Any] = {"yes": YES, "no": NO, "raises": BROKEN, "nonsense": None}


def built(formula: Any, is_async: bool) -> Gate:
    """Return the composed gate of a formula."""
    if isinstance(formula, str):
        return saying(formula, ANSWERS[formula], is_async=is_async)
    sign, *parts = formula
    gates = [built(part, is_async) for part in parts]
    if sign == "not":
        return ~gates[0]
    return gates[0] & gates[1] if sign == "and" else gates[0] | gates[1]


def holds(formula: Any) -> bool | None:
    """Return what a formula comes to: true, false, or None where it broke."""
    if isinstance(formula, str):
        return {"yes": True, "no": False}.get(formula)
    sign, *parts = formula
    if sign == "not":
        inner = holds(parts[0])
        return None if inner is None else not inner
    first, second = map(holds, parts)
    if sign == "and":
        return second if first else first
    if first or second:
        return True
    return None if first is None or second is None else False


@settings(max_examples=60, deadline=None, derandomize=True)
@given(FORMULAS, st.booleans())
def test_every_composition_is_three_valued_logic(formula: Any, is_async: bool) -> None:
    """True, false and broken compose as they should, however deep: broken is never turned round."""
    passes = rejection(built(formula, is_async)) is None
    assert passes == (holds(formula) is True)


def test_every_pair_of_answers_composes_the_same_sync_and_async() -> None:
    """An async part changes nothing in what a composition says."""
    for sign, first, second in itertools.product(("and", "or"), ANSWERS, ANSWERS):
        formula = (sign, first, second)
        errors = [rejection(built(formula, is_async)) for is_async in (False, True)]
        assert (errors[0] is None) == (errors[1] is None)
        if errors[0] is not None and errors[1] is not None:
            assert errors[0].reasons == errors[1].reasons
