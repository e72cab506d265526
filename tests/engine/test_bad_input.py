"""Bad input to coordgate itself: refused when it can be known, with the cure."""

import functools
import operator
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy
from pydantic import BaseModel
from small_graphs import State, both, graph_of, never, run, write
from typing_extensions import TypedDict

from coordgate import (
    ConfigurationError,
    Contract,
    Degrade,
    Fallback,
    Feedback,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    feedback,
    gate,
    gated,
    guard,
)
from coordgate.testing import ScriptedModel, scripted


def refused(match: str) -> Any:
    """Expect a ConfigurationError."""
    return pytest.raises(ConfigurationError, match=match)


@pytest.mark.parametrize("target", [None, 3, "graph", write, RunnableLambda(write), State, {}])
def test_what_is_no_graph_cannot_be_guarded(target: Any) -> None:
    """`guard` says what it takes."""
    with refused("give a StateGraph, a compiled graph or an @entrypoint"):
        guard(target)


def test_an_unknown_mode_is_refused() -> None:
    """The mode is one of two."""
    with refused("use 'enforce' or 'observe'"):
        guard(graph_of(), mode="warn")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wirte", r"no node 'wirte'; did you mean 'write'\?"),
        ("write|inner", "is no compiled graph, so it has no node 'inner' inside"),
        ("nowhere|inner", "no node 'nowhere'"),
        ("__start__", "no node '__start__'"),
    ],
)
def test_a_declaration_for_an_unknown_node_is_refused(name: str, says: str) -> None:
    """The name is checked when the graph is built, and the nearest one is named."""
    with refused(says):
        guard(graph_of().compile(), {name: NodeGuard()})
    with refused(says):
        guard(graph_of(), {name: NodeGuard()}).compile()


def test_a_declaration_for_an_unknown_node_of_a_subgraph_is_refused() -> None:
    """The path is checked all the way down."""
    outer = StateGraph(State)
    outer.add_node("sub", graph_of().compile())
    outer.add_edge(START, "sub")
    with refused(r"no node 'sub\|wirte'; did you mean 'sub\|write'\?"):
        guard(outer.compile(), {"sub|wirte": NodeGuard()})


def test_a_declaration_that_is_no_node_guard_is_refused() -> None:
    """The values of `nodes` are NodeGuards."""
    with refused("give a NodeGuard"):
        guard(graph_of(), {"write": [never]})  # type: ignore[dict-item]


def test_an_unreadable_settings_file_is_refused(tmp_path: Path) -> None:
    """A missing file, and one that is no TOML, are named."""
    with refused("missing.toml"):
        guard(graph_of(), tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("nodes = [")
    with refused("cannot be read as TOML"):
        guard(graph_of(), broken)


@pytest.mark.parametrize(
    "shape",
    [
        lambda: None,
        lambda output, state, more: True,
        lambda *, output: True,
        "max_length",
        3,
        None,
        Verdict,
        BaseModel,
    ],
)
def test_a_gate_of_the_wrong_shape_is_refused(shape: Any) -> None:
    """A gate takes (output, state) or (output), and is refused when it is declared."""
    with refused(r"\(output, state\)"):
        NodeGuard(gates=[shape])
    with refused(r"\(output, state\)"):
        gated(gates=[shape])(write)


@pytest.mark.parametrize(
    "shape",
    [
        lambda output: True,
        lambda output, state: True,
        lambda output, state=None: True,
        lambda *args: True,
        lambda output, /, state, *, flag=False: True,
        lambda output, limit=3: True,
        functools.partial(lambda limit, output: True, 3),
        bool,
    ],
)
def test_a_gate_of_the_right_shape_is_taken(shape: Any) -> None:
    """Anything that can be called so is a gate."""
    if shape is bool:
        shape = gate(bool)
    spec = NodeGuard(gates=[shape])
    assert run(guard(graph_of(), {"write": spec}).compile()) == {"draft": "x"}


@pytest.mark.parametrize("gates", [never, "never", 3, {never}])
def test_gates_that_are_no_list_are_refused(gates: Any) -> None:
    """One gate alone, or a string, is no list of gates."""
    with refused("give a list of gates"):
        NodeGuard(gates=gates)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"contract": State}, r"use Contract\("),
        ({"policy": Retry(1)}, r"use Policy\(Retry"),
        ({"policy": [Retry(1)]}, r"use Policy\(Retry"),
        ({"effects": "some"}, "effects='some'"),
        ({"stream": "drop"}, "stream='drop'"),
        ({"effects": "external", "policy": Policy(Retry(1))}, "drop Retry, or declare"),
        ({"gates": [gate(otherwise="degrade")(lambda output: True)]}, "jumps to 'degrade'"),
        (
            {
                "gates": [gate(otherwise="fallback")(lambda output: True)],
                "policy": Policy(Retry(1)),
            },
            "jumps to 'fallback', which is not on the node's policy",
        ),
    ],
)
def test_a_node_guard_that_cannot_work_is_refused(settings: Any, says: str) -> None:
    """Each part is checked when it is declared, here and on the decorator."""
    with refused(says):
        NodeGuard(**settings)
    if "contract" not in settings:
        with refused(says):
            gated(**settings)


def test_a_jump_that_no_rung_answers_is_refused_once_both_halves_are_known() -> None:
    """Gate on the decorator, policy on the guard: what they are together is checked, too."""
    jumping = NodeGuard(
        gates=[gate(otherwise="degrade")(lambda output: False)],
        policy=Policy(Degrade({"draft": ""})),
    )
    app = guard(graph_of(), {"write": jumping})
    with refused("jumps to 'degrade'"):
        guard(app, {"write": NodeGuard(policy=Policy(Retry(1)))}).compile()


@pytest.mark.parametrize("rung", ["panic", "ship", "RETRY"])
def test_a_jump_to_no_rung_is_refused(rung: Any) -> None:
    """`otherwise` names a rung."""
    with refused("is not a rung"):
        gate(otherwise=rung)(lambda output: True)
    with refused("is not a rung"):
        Verdict.reject("no", otherwise=rung)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Retry(0), "1 or more"),
        (lambda: Retry(-1), "1 or more"),
        (lambda: Retry(True), "1 or more"),
        (lambda: Retry(1.5), "1 or more"),  # type: ignore[arg-type]
        (lambda: Retry(1, wait=-1), "seconds from 0"),
        (lambda: Retry(1, backoff=0.5), "backoff is 1 or more"),
        (lambda: Fallback(None), "give a node function or a Runnable"),
        (lambda: Fallback({"draft": "x"}), "give a node function or a Runnable"),
        (lambda: Fallback(ScriptedModel("x")), "give a node function or a Runnable of the state"),
        (lambda: Degrade("sorry"), "give the update as a dict"),  # type: ignore[arg-type]
        (lambda: Policy(Degrade({}), Retry(1)), "would never be reached"),
        (lambda: Policy(Degrade({}), Degrade({})), "would never be reached"),
        (lambda: Policy(3), "is not a rung"),  # type: ignore[arg-type]
        (lambda: Policy(Retry), "is not a rung"),  # type: ignore[arg-type]
        (lambda: gate(timeout=0)(lambda output: True), "seconds above 0"),
        (lambda: gate(3), "a gate is a function"),  # type: ignore[call-overload]
        (lambda: Contract(returns="Draft"), "give a type"),
        (lambda: Contract(accepts=["draft"]), "give a type"),
    ],
)
def test_a_part_that_cannot_work_is_refused(make: Any, says: str) -> None:
    """Rungs, policies, gates and contracts are checked when they are made."""
    with refused(says):
        make()


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ({"draft": 3}, "draft: .*string"),
        ({"darft": "x"}, "did you mean 'draft'"),
        ({"count": "many"}, "count"),
    ],
)
def test_a_degrade_value_that_breaks_the_contract_is_refused(update: Any, says: str) -> None:
    """A stated answer is checked when the guard is built, also where the contract is inferred."""
    spec = NodeGuard(policy=Policy(Degrade(update)))
    with refused(says):
        guard(graph_of().compile(), {"write": spec})


def test_a_degrade_value_that_breaks_a_declared_contract_is_refused() -> None:
    """A missing key of a declared contract is seen, too."""
    contract = Contract(returns={"draft": str, "count": int})
    spec = NodeGuard(contract=contract, policy=Policy(Degrade({"draft": "x"})))
    with refused("count: is required, and missing"):
        guard(graph_of().compile(), {"write": spec})


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        (Contract(returns={"darft": str}), r"not a key of the state; did you mean 'draft'\?"),
        (Contract(accepts={"cuont": int}), r"not handed; did you mean 'count'\?"),
        (Contract(returns=str), "does not say which state keys"),
        (Contract(returns={"draft": 3}), "draft"),
    ],
)
def test_a_contract_that_cannot_be_kept_is_refused(contract: Contract, says: str) -> None:
    """Unknown keys and types without keys are refused when the guard is built."""
    with refused(says):
        guard(graph_of().compile(), {"write": NodeGuard(contract=contract)})


def test_two_retry_engines_on_one_node_are_refused() -> None:
    """A library's retry inside and `Retry` outside would multiply."""
    spec = NodeGuard(policy=Policy(Retry(1)))
    runnable = RunnableLambda(write).with_retry()
    for node in (runnable, runnable | (lambda output: output)):
        with refused("two retry engines on one node"):
            guard(graph_of(node).compile(), {"write": spec})
    guard(graph_of(runnable).compile(), {"write": NodeGuard(gates=[never])})


def test_an_external_node_with_a_retry_policy_of_langgraphs_is_refused() -> None:
    """`effects="external"` and LangGraph's RetryPolicy contradict each other, default or own."""
    spec = NodeGuard(effects="external")
    with refused("retry policy contradict"):
        guard(graph_of(retry_policy=RetryPolicy()).compile(), {"write": spec})
    builder = graph_of()
    builder.set_node_defaults(retry_policy=RetryPolicy())
    with refused("retry policy contradict"):
        guard(builder.compile(), {"write": spec})


@pytest.mark.parametrize(
    "thing",
    [RunnableLambda(write), functools.partial(write), scripted({}), State, 3],
)
def test_only_functions_are_decorated(thing: Any) -> None:
    """For anything else the error names `guard(nodes=...)`."""
    with refused(r"use guard\(graph, nodes="):
        gated(gates=[never])(thing)


def test_what_no_contract_can_check_is_named_once() -> None:
    """`coordgate.unchecked` names the keys, with the reason."""

    def keep(old, new):  # type: ignore[no-untyped-def]
        return new

    class Odd(TypedDict, total=False):
        kept: Annotated[list[str], keep]
        added: Annotated[list[str], operator.add]
        draft: str

    builder = StateGraph(Odd)
    builder.add_node("a", lambda state: {"kept": 3})
    builder.add_node("b", lambda state: {"draft": "x"})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    app = guard(builder.compile())
    (named,) = app.coordgate.unchecked  # type: ignore[attr-defined]
    assert named.startswith("kept: ")
    assert "'keep'" in named
    assert run(app)["kept"] == 3


def test_the_error_of_a_bad_declaration_names_the_node() -> None:
    """Whoever reads it knows where to look."""
    spec = NodeGuard(policy=Policy(Degrade({"draft": 3})))
    with refused("node 'write'"):
        guard(graph_of().compile(), {"write": spec})


@both
def test_feedback_as_a_parameter_needs_no_default(how: str) -> None:
    """A guarded node may take `feedback` without a default, and is run by itself unguarded."""

    def asks(state: State, feedback: Feedback | None) -> State:
        return {"draft": str(feedback)}

    assert run(guard(graph_of(asks)).compile(), how) == {"draft": "None"}
    assert feedback() is None
