"""Invariants: the state that a step would leave is judged before anything of the step is kept."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Overwrite
from purse import THREAD, WITHIN, State, both, broken, kept, run, spending, within
from pydantic import BaseModel
from typing_extensions import TypedDict

from coordgate import (
    Approve,
    ConfigurationError,
    Degrade,
    Escalate,
    InvariantViolated,
    NodeGuard,
    Policy,
    Retry,
    gate,
    guard,
)
from coordgate.gates import check, not_empty, threshold


class Model(BaseModel):
    """The same as a pydantic state."""

    spent: Annotated[int, operator.add] = 0
    limit: int
    note: str = ""


@dataclass
class Record:
    """The same as a dataclass."""

    limit: int
    spent: Annotated[int, operator.add] = 0
    note: str = ""


def app_of(
    node: Callable[..., Any],
    *invariants: Any,
    schema: Any = State,
    policy: Policy | None = None,
    **settings: Any,
) -> Any:
    """Return a guarded graph of one node, `spend`, with a checkpointer."""
    builder = StateGraph(schema).add_node("spend", node).add_edge(START, "spend")
    nodes = {"spend": NodeGuard(policy=policy)} if policy else None
    guarded = guard(builder, nodes, invariants=invariants or (WITHIN,), **settings)
    return guarded.compile(checkpointer=InMemorySaver())


# One node in its step


@both
@pytest.mark.parametrize("schema", [State, Model, Record])
def test_a_node_that_breaks_one_is_named_and_nothing_is_kept(schema: Any, how: str) -> None:
    """The state is judged as the reducers leave it, whatever it is a state of."""
    app = app_of(spending(6, 6), schema=schema)
    run(app, {"limit": 10}, how)
    error = broken(app, {"note": "again"}, how)
    assert (error.nodes, error.invariant) == (("spend",), "within")
    assert "node 'spend' broke invariant 'within', by writing spent" in str(error)
    assert "invariant within: more is spent than may be" in str(error)
    assert set(kept(app)) <= {None, 0, 6}


@both
def test_the_nodes_ladder_decides(how: str) -> None:
    """A retry is told which invariant would break; what it hands over then is kept."""
    node = spending(11, 4)
    app = app_of(node, policy=Policy(Retry(1)))
    assert run(app, {"limit": 10}, how)["spent"] == 4
    assert node.told == [None, "- invariant within: more is spent than may be"]  # type: ignore[attr-defined]


def test_a_stated_answer_is_judged_as_well() -> None:
    """An invariant is about the state, so `Degrade` does not get past it."""
    app = app_of(spending(11), policy=Policy(Degrade({"spent": 1})))
    assert run(app, {"limit": 10})["spent"] == 1
    app = app_of(spending(11), policy=Policy(Degrade({"spent": 12})))
    assert broken(app, {"limit": 10}).attempts == 2


def test_a_persons_approval_does_not_override_it() -> None:
    """A person may overrule a gate, and is asked again about what would break an invariant."""
    app = app_of(spending(11), policy=Policy(Escalate("editor")))
    asked = run(app, {"limit": 10})["__interrupt__"][0].value
    assert "more is spent than may be" in str(asked)
    again = run(app, Command(resume=Approve(by="ann")))
    assert "more is spent than may be" in str(again["__interrupt__"][0].value)
    assert set(kept(app)) <= {None, 0}


def test_an_invariant_may_name_the_rung_to_jump_to() -> None:
    """`otherwise` works as in a gate."""
    rule = check(within, "too much", otherwise="degrade")
    node = spending(11, 4)
    app = app_of(node, rule, policy=Policy(Retry(3), Degrade({"spent": 0})))
    assert run(app, {"limit": 10})["spent"] == 0
    assert len(node.told) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "output",
    [
        Command(update={"spent": 11}),
        [Command(update={"spent": 6}), {"spent": 5}],
        {"spent": Overwrite(11)},
        {"spent": {"__overwrite__": 11}},
    ],
)
def test_every_shape_of_update_is_read_as_langgraph_writes_it(output: Any) -> None:
    """Commands, lists with Commands in them, and values that go past the reducer."""
    assert broken(app_of(spending(output)), {"limit": 10}).keys == ("spent",)
    assert run(app_of(spending({"spent": Overwrite(3)})), {"limit": 10})["spent"] == 3


def test_a_reducer_that_changes_what_it_is_given_is_not_run_twice_on_it() -> None:
    """The prospect of a state is made of copies."""

    class Log(TypedDict):
        lines: Annotated[list[str], operator.iadd]

    short = check(lambda state: len(state["lines"]) < 3, "too long")
    app = app_of(lambda _: {"lines": ["b"]}, short, schema=Log)
    assert run(app, {"lines": ["a"]})["lines"] == ["a", "b"]


def test_an_attempt_under_a_timeout_is_judged() -> None:
    """LangGraph hides the step from an attempt that it times."""

    async def spend(_: State) -> dict[str, Any]:
        return {"spent": 11}

    builder = StateGraph(State).add_node("spend", spend, timeout=60).add_edge(START, "spend")
    app = guard(builder, invariants=[WITHIN]).compile(checkpointer=InMemorySaver())
    assert broken(app, {"limit": 10}, "async").nodes == ("spend",)


# What comes from outside


@both
def test_the_graphs_input_is_judged(how: str) -> None:
    """Input that would break one never becomes state, and the thread goes on."""
    app = app_of(spending(5, 5))
    run(app, {"limit": 10}, how)
    error = broken(app, {"limit": 1}, how)
    assert (error.origin, error.nodes, error.keys) == ("input", (), ("limit",))
    assert "the graph's input breaks invariant 'within'" in str(error)
    assert app.get_state(THREAD).values["limit"] == 10
    assert run(app, {"limit": 20}, how)["spent"] == 10


@pytest.mark.parametrize("node", ["spend", START])
def test_an_update_by_hand_is_judged(node: str) -> None:
    """`update_state` is refused where it would break one, and may mend what is wrong."""
    app = app_of(spending(5))
    run(app, {"limit": 10})
    with pytest.raises(InvariantViolated):
        app.update_state(THREAD, {"spent": 6}, as_node=node)
    app.update_state(THREAD, {"spent": 5}, as_node=node)
    assert app.get_state(THREAD).values["spent"] == 10


def test_a_thread_that_was_broken_before_blames_nobody_and_can_be_mended() -> None:
    """A state from an unguarded run is not the fault of the node that comes next."""
    bare = StateGraph(State).add_node("spend", spending(11, 1, 1)).add_edge(START, "spend")
    saver = InMemorySaver()
    bare.compile(checkpointer=saver).invoke({"limit": 10}, THREAD)
    app = guard(bare.compile(checkpointer=saver), invariants=[WITHIN])
    error = broken(app, {"note": "go on"})
    assert (error.origin, error.nodes) == ("before", ())
    assert "the state broke invariant 'within' before this step" in str(error)
    assert run(app, {"limit": 100})["spent"] == 12


def test_an_update_that_comes_with_a_command_is_found_at_the_next_step() -> None:
    """`Command(update=...)` as input is written by LangGraph before any step begins."""
    builder = StateGraph(State).add_node("wait", lambda _: None).add_node("spend", spending(1))
    builder.add_edge(START, "wait").add_edge("wait", "spend")
    app = guard(builder, invariants=[WITHIN]).compile(
        checkpointer=InMemorySaver(), interrupt_before=["spend"]
    )
    run(app, {"limit": 10})
    assert broken(app, Command(update={"spent": 20})).origin == "before"


# Keys


def test_a_key_that_is_not_there_yet_is_no_violation() -> None:
    """An invariant is asked once the keys that it reads are there."""

    class Late(TypedDict, total=False):
        total: int
        most: int

    def first(_: Late) -> dict[str, Any]:
        return {"most": 3}

    def second(_: Late) -> dict[str, Any]:
        return {"total": 4}

    for rule in (
        check(lambda state: state["total"] <= state["most"], "too much"),
        threshold("total", at_most=3),
        threshold("total", at_most=3) & not_empty("most"),
    ):
        builder = StateGraph(Late).add_sequence([first, second]).add_edge(START, "first")
        app = guard(builder, invariants=[rule]).compile(checkpointer=InMemorySaver())
        assert broken(app, {}).nodes == ("second",)
    needed = guard(builder, invariants=[not_empty("total")]).compile()
    assert broken(needed, {}).origin == "input"


def test_an_invariant_that_cannot_judge_has_not_passed() -> None:
    """One that raises for another reason than a key to come is a violation."""

    def misspelt(state: State) -> bool:
        return bool(state["spnt"])  # type: ignore[typeddict-item]

    assert "raised KeyError: 'spnt'" in str(broken(app_of(spending(1), misspelt), {"limit": 1}))
    assert "not a bool" in str(broken(app_of(spending(1), lambda _: 1), {"limit": 1}))


def test_a_state_that_cannot_be_made_yet_is_left_alone() -> None:
    """A model that lacks a required key is a state still to come; a wrong one is a violation."""

    class Whole(BaseModel):
        spent: int = 0
        note: str

    class Part(TypedDict):
        spent: int

    def spend(_: Part) -> dict[str, Any]:
        return {"spent": 4}

    builder = StateGraph(Whole).add_node("spend", spend, input_schema=Part)
    builder.add_edge(START, "spend")
    rule = check(lambda state: state.spent < 4, "too much")
    app = guard(builder, invariants=[rule]).compile(checkpointer=InMemorySaver())
    assert run(app, {"spent": 1})["spent"] == 4
    assert broken(app, {"note": "a", "spent": 1}).keys == ("spent",)


def test_a_gate_of_two_arguments_is_given_the_state_for_both() -> None:
    """An invariant has no output apart from the state."""

    @gate
    def same(output: Any, state: Any) -> bool:
        return output is state

    assert run(app_of(spending(1), same), {"limit": 1})["spent"] == 1


# Declaring


@pytest.mark.parametrize(
    ("invariants", "says"),
    [
        ([threshold("spnt", at_most=1)], "reads 'spnt', which is not a key of the state; did you"),
        ([gate(slow=True)(lambda state: True)], "waits, and an invariant is judged between"),
        (WITHIN, "give a list of gates"),
        ([7], "7 is not a gate"),
    ],
)
def test_what_cannot_work_is_refused_when_the_guard_is_built(invariants: Any, says: str) -> None:
    """A misspelt key, a gate that waits, and what is no list of gates."""
    builder = StateGraph(State).add_node("spend", spending(1)).add_edge(START, "spend")
    with pytest.raises(ConfigurationError, match=says):
        guard(builder, invariants=invariants).compile()


def test_a_graph_without_a_state_has_no_invariants() -> None:
    """An entrypoint's steps share nothing."""

    @entrypoint()
    def flow(_: str) -> str:
        return ""

    with pytest.raises(ConfigurationError, match="declare gates on it"):
        guard(flow, invariants=[WITHIN])


def test_guarding_twice_keeps_those_of_both() -> None:
    """What is given the second time is added, once."""
    app = app_of(spending(3, 3))
    positive = check(lambda state: state["spent"] > 2, "nothing is spent")
    twice = guard(guard(app, invariants=[positive]), invariants=[positive, WITHIN])
    assert [each.name for each in twice.coordgate.invariants] == ["within", "nothing is spent"]
    assert broken(twice, {"limit": 10}).invariant == "nothing is spent"


def test_a_graph_with_invariants_can_be_drawn() -> None:
    """Drawing runs the writes of every node on nothing, which is no state."""
    app = app_of(spending(1), not_empty("note"))
    assert [edge.target for edge in app.get_graph().edges] == ["spend", "__end__"]


def test_a_settings_file_may_hold_invariants(tmp_path: Path) -> None:
    """They stand at its top, written like gates, and add to those that are given beside it."""
    file = tmp_path / "coordgate.toml"
    file.write_text('invariants = [{ use = "threshold", args = ["spent"], at_most = 3 }]')
    builder = StateGraph(State).add_node("spend", spending(4)).add_edge(START, "spend")
    app = guard(builder, file, invariants=[WITHIN]).compile()
    assert broken(app, {"limit": 10}).invariant == "threshold(spent, at_most=3)"
    file.write_text('invariants = "all"')
    with pytest.raises(ConfigurationError, match="a list `invariants` and tables"):
        guard(builder, file)
