"""What is declared is held against the graph when the guard is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send
from pydantic import BaseModel, ConfigDict, field_validator
from typing_extensions import TypedDict

from coordgate import (
    ConfigurationError,
    Contract,
    ContractViolation,
    GateRejected,
    NodeGuard,
    Tracer,
    gate,
    gated,
    guard,
)
from coordgate.gates import check, cites, grounded_in, max_length, not_empty, threshold


class State(TypedDict, total=False):
    """The state of most graphs here."""

    draft: str
    context: list[str]
    confidence: float


class Draft(BaseModel):
    """A declared hand-over, with a property that gates may read."""

    draft: str

    @property
    def words(self) -> int:
        """The number of words."""
        return len(self.draft.split())


class Open(BaseModel):
    """A declared hand-over with any further keys."""

    model_config = ConfigDict(extra="allow")
    draft: str


def write(_: State) -> dict[str, Any]:
    """Write a draft."""
    return {"draft": "Owls fly.", "confidence": 0.5}


def graph_of(node: Callable[..., Any] = write, schema: Any = State) -> StateGraph[Any]:
    """Return a graph of one node."""
    return StateGraph(schema).add_node("write", node).add_edge(START, "write")


def declared(*gates: Any, returns: Any = None) -> dict[str, NodeGuard]:
    """Return the declaration of some gates on the node."""
    return {"write": NodeGuard(Contract(returns=returns) if returns else None, gates=gates)}


# Keys of ready-made gates


@pytest.mark.parametrize(
    ("misspelt", "says"),
    [
        (not_empty("drft"), r"'not_empty\(drft\)' reads 'drft'.*did you mean 'draft'\?"),
        (threshold("confidense", at_least=0.5), "did you mean 'confidence'"),
        (max_length("drafft.text", 5), "did you mean 'draft'"),
        (grounded_in("contxt"), "'contxt', which is not in the state; did you mean 'context'"),
        (cites("draft", sources="contexts"), "did you mean 'context'"),
        (~not_empty("error"), "there are confidence, context, draft"),
        (not_empty("draft") & not_empty("drft"), "did you mean 'draft'"),
    ],
)
def test_a_gate_on_a_key_that_is_nowhere_is_refused(misspelt: Any, says: str) -> None:
    """A key that can never be there is found when the guard is built, with the nearest one."""
    with pytest.raises(ConfigurationError, match=says):
        guard(graph_of().compile(), declared(misspelt))


def test_a_gate_on_a_key_that_the_declared_type_drops_is_refused() -> None:
    """With `returns` a gate is given the parsed object, which has its own fields alone."""
    sure = threshold("confidence", at_least=0.5)
    with pytest.raises(ConfigurationError, match="is not in returns=Draft"):
        guard(graph_of().compile(), declared(sure, returns=Draft))
    with pytest.raises(ConfigurationError, match=r"is not in returns=\{draft: str\}"):
        guard(graph_of().compile(), declared(sure, returns={"draft": str}))


@pytest.mark.parametrize(
    ("returns", "fine"),
    [
        (None, not_empty("draft", "context.0")),
        (Draft, threshold("words", at_least=1)),
        (Open, not_empty("anything")),
        (None, grounded_in("context", key="draft") | cites("draft", sources="context")),
    ],
)
def test_a_gate_on_a_key_that_may_be_there_is_taken(returns: Any, fine: Any) -> None:
    """Paths, properties, open models, and keys of the state are all fine."""
    guard(graph_of().compile(), declared(fine, returns=returns))


def test_a_node_that_may_be_sent_to_is_handed_anything() -> None:
    """What is sent need not be a key of the state, so a gate may read it there."""
    builder = StateGraph(State).add_node("write", write).add_edge("write", END)
    builder.add_conditional_edges(START, lambda _: [Send("write", {"doc": ["Owls fly."]})])
    app = guard(builder, declared(grounded_in("doc", key="draft"))).compile()
    assert app.invoke({})["draft"] == "Owls fly."
    with pytest.raises(ConfigurationError, match="did you mean 'draft'"):
        guard(builder, declared(not_empty("drft"))).compile()


def test_a_state_object_may_have_more_names_than_keys() -> None:
    """A property of a dataclass state is there for gates."""

    @dataclass
    class Notes:
        draft: str = ""

        @property
        def known(self) -> list[str]:
            return ["Owls fly."]

    def note(_: Notes) -> dict[str, Any]:
        return {"draft": "Owls fly."}

    app = guard(graph_of(note, Notes), declared(grounded_in("known", key="draft"))).compile()
    assert app.invoke({"draft": ""})["draft"] == "Owls fly."


def test_a_graph_without_keys_is_not_asked_for_them() -> None:
    """An entrypoint hands over one value, of any shape."""

    @entrypoint()
    def flow(_: str) -> dict[str, str]:
        return {"draft": "Owls fly."}

    app = guard(flow, {"flow": NodeGuard(gates=[not_empty("draft")])})
    assert app.invoke("x") == {"draft": "Owls fly."}


# The names of subgraphs' nodes


@pytest.mark.parametrize("name", ["inner", "sub:inner", "sub.inner", "sub/inner"])
def test_the_notation_for_a_node_of_a_subgraph_is_named(name: str) -> None:
    """An inner name alone, or with another separator, is answered with the right one."""
    inner = StateGraph(State).add_node("inner", write).add_edge(START, "inner").compile()
    outer = StateGraph(State).add_node("sub", inner).add_edge(START, "sub").compile()
    with pytest.raises(ConfigurationError, match=r"did you mean 'sub\|inner', a node of the sub"):
        guard(outer, {name: NodeGuard()})
    with pytest.raises(ConfigurationError, match=r"no node 'sub\|iner'; did you mean 'sub\|inner"):
        guard(outer, {"sub|iner": NodeGuard()})


# The shape of a declaration


def test_a_gate_with_its_parameters_swapped_is_refused() -> None:
    """`(state, output)` would be handed each in the other's place."""

    def swapped(state: State, output: dict[str, Any]) -> bool:
        return bool(state) and bool(output)

    for make in (gate, lambda function: check(function, "is wrong")):
        with pytest.raises(ConfigurationError, match=r"write \(output, state\)"):
            make(swapped)  # type: ignore[no-untyped-call]
    with pytest.raises(ConfigurationError, match=r"write \(output, state\)"):
        NodeGuard(gates=[swapped])


def test_a_plain_function_composes_with_a_gate() -> None:
    """A function that a list of gates would take is taken beside `&` and `|` as well."""

    def short(output: dict[str, Any]) -> bool:
        return len(output["draft"]) < 5

    for both in (not_empty("draft") & short, short & not_empty("draft")):
        with pytest.raises(GateRejected):
            guard(graph_of(), declared(both)).compile().invoke({})
    for either in (not_empty("draft") | short, short | not_empty("draft")):
        assert guard(graph_of(), declared(either)).compile().invoke({})["draft"] == "Owls fly."
    with pytest.raises(ConfigurationError, match="a composed gate: 7 is not a gate"):
        not_empty("draft") & 7  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: NodeGuard(returns=Draft),  # type: ignore[call-arg]
            r"NodeGuard\(contract=Contract\(returns=\.\.\.\)\)",
        ),
        (lambda: NodeGuard(gate=[]), "no part 'gate'; did you mean 'gates'"),  # type: ignore[call-arg]
        (
            lambda: gated(contract=Contract(returns=Draft)),  # type: ignore[call-overload]
            r"given as @gated\(accepts=\.\.\., returns=\.\.\.\)",
        ),
        (lambda: gated(polcy=None), "no part 'polcy'; did you mean 'policy'"),  # type: ignore[call-overload]
        (lambda: Tracer(None), r"Tracer\(None\): give a path"),  # type: ignore[arg-type]
        (lambda: Tracer("memory:", redact="no"), "give True, False, or a function"),  # type: ignore[arg-type]
        (lambda: guard(graph_of(), "observe"), r"a mode is given as mode='observe'"),
        (lambda: guard(graph_of(), "t.db"), r"where to record is given as tracer='t\.db'"),
    ],
)
def test_a_part_in_the_wrong_place_is_answered_with_the_right_one(
    make: Callable[[], Any], says: str
) -> None:
    """The error says what to write instead."""
    with pytest.raises(ConfigurationError, match=says):
        make()


def test_an_empty_list_of_gates_leaves_those_that_the_code_declares() -> None:
    """A declared gate is not switched off from outside."""

    @gated(gates=[max_length("draft", 1)])
    def short(_: State) -> dict[str, Any]:
        return {"draft": "Owls fly."}

    with pytest.raises(GateRejected):
        guard(graph_of(short), declared()).compile().invoke({})


# The words of a violation


def told(app: Any, given: Any) -> str:
    """Return what a run's violation says."""
    with pytest.raises(ContractViolation) as caught:
        app.invoke(given)
    return str(caught.value)


def test_violations_speak_of_what_was_written() -> None:
    """A validator's message stands as it was raised, and inner names stay inside."""

    class Short(BaseModel):
        draft: str

        @field_validator("draft")
        @classmethod
        def one_word(cls, draft: str) -> str:
            if " " in draft:
                raise ValueError("say it in one word")
            return draft

    @entrypoint()
    def flow(_: str) -> int:
        return "x"  # type: ignore[return-value]

    said = told(guard(graph_of(), declared(returns=Short)).compile(), {})
    assert "- draft: say it in one word (got 'Owls fly.')" in said
    assert "- (value): must be int" in told(guard(flow), "x")
    listed = guard(graph_of(lambda _: [{"draft": "a"}])).compile()
    assert "a Command, a list with a Command in it, or None" in told(listed, {})
    chat = guard(graph_of(lambda _: {"messages": 5}, MessagesState)).compile()
    assert "- messages: item 0 is not a message: 5" in told(chat, {})
