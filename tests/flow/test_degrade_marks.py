"""Degrade(mark=...): the state says that an answer was a stated one."""

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
from callers import Caller
from flows import both, run
from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from coordgate import (
    ConfigurationError,
    Contract,
    Degrade,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer


class State(TypedDict, total=False):
    """A draft, and what may say that it is a stated one."""

    draft: str
    degraded: bool
    maybe: NotRequired[bool | None]
    stated: Annotated[list[str], operator.add]
    either: Annotated[bool, operator.or_]
    anything: Any
    count: int
    names: list[str]
    numbers: Annotated[list[int], operator.add]


@gate
def good(output: Any) -> Verdict:
    """Pass a draft that is good."""
    return Verdict.accept() if output["draft"] == "good" else Verdict.reject("is not good")


def write(state: Any) -> dict[str, Any]:
    """Hand over a draft that no gate passes."""
    return {"draft": "bad"}


def app_of(mark: str, schema: Any = State, contract: Any = None, **kwargs: Any) -> Any:
    """Return a guarded graph of one node that ends in a stated answer."""
    builder = StateGraph(schema).add_node("write", write).add_edge(START, "write")
    policy = Policy(Retry(1), Degrade({"draft": "?"}, mark=mark))
    return guard(builder, {"write": NodeGuard(contract, [good], policy)}, **kwargs).compile()


@both
@pytest.mark.parametrize(
    ("mark", "value"),
    [
        ("degraded", True),
        ("maybe", True),
        ("stated", ["write"]),
        ("either", True),
        ("anything", True),
    ],
)
def test_the_key_says_so_by_its_own_annotation(how: str, mark: str, value: Any) -> None:
    """A bool becomes True, a list with a reducer gets the node's name; the record has it too."""
    tracer = RecordingTracer()
    result = run(app_of(mark, tracer=tracer), how)
    assert (result["draft"], result[mark]) == ("?", value)
    (transition,) = tracer.transitions
    assert transition.status == "degraded"
    assert f'"{mark}":' in (transition.writes or "")
    assert [attempt.rung for attempt in transition.attempts] == ["first", "retry", "degrade"]


def test_an_answer_that_passed_is_not_marked(caller: Caller) -> None:
    """Nor is a mark of an earlier turn set back: that is for the next input to say."""
    drafts = iter(["bad", "good", "good"])

    def node(state: Any) -> dict[str, Any]:
        return {"draft": next(drafts)}

    builder = StateGraph(State).add_node("write", caller.node(node)).add_edge(START, "write")
    policy = Policy(Degrade({"draft": "?"}, mark="degraded"))
    nodes = {"write": NodeGuard(gates=[good], policy=policy)}
    app = guard(builder, nodes).compile(checkpointer=caller.saver)
    assert caller.invoke(app, {"draft": ""})["degraded"] is True
    assert caller.invoke(app, {"draft": ""})["degraded"] is True
    assert caller.invoke(app, {"degraded": False})["degraded"] is False


@both
def test_several_nodes_gather_their_names(how: str) -> None:
    """With a reducer, the list tells which nodes have degraded, in one step too."""
    builder = StateGraph(State).add_node("other", lambda state: {"draft": "good"})
    nodes = {"other": NodeGuard(gates=[good], policy=Policy(Degrade({}, mark="stated")))}
    for name in ("a", "b"):
        builder.add_node(name, lambda state: {"draft": "bad"}).add_edge(START, name)
        nodes[name] = NodeGuard(gates=[good], policy=Policy(Degrade({}, mark="stated")))
    builder.add_edge(["a", "b"], "other")
    result = run(guard(builder, nodes).compile(), how)
    assert sorted(result["stated"]) == ["a", "b"]


@both
def test_a_router_sees_it(how: str) -> None:
    """The mark is in the state before the node's conditional edges are asked."""
    builder = StateGraph(State).add_node("write", write).add_edge(START, "write")
    builder.add_node("sorry", lambda state: {"names": ["sorry"]})
    builder.add_conditional_edges(
        "write", lambda state: "sorry" if state.get("degraded") else END, ["sorry", END]
    )
    nodes = {"write": NodeGuard(gates=[good], policy=Policy(Degrade({}, mark="degraded")))}
    assert run(guard(builder, nodes).compile(), how)["names"] == ["sorry"]


@both
def test_a_strict_contract_need_not_speak_of_it(how: str) -> None:
    """A model that forbids other keys is kept by the stated answer; the mark goes beside it."""

    class Draft(BaseModel):
        model_config = ConfigDict(extra="forbid")
        draft: str

    result = run(app_of("degraded", contract=Contract(returns=Draft)), how)
    assert (result["draft"], result["degraded"]) == ("?", True)


@both
def test_pydantic_and_dataclass_states_are_marked(how: str) -> None:
    """The key's annotation is found in any kind of state."""

    class Model(BaseModel):
        draft: str = ""
        degraded: bool = False

    @dataclass
    class Plain:
        draft: str = ""
        degraded: bool = False

    for schema in (Model, Plain):
        assert run(app_of("degraded", schema), how) == {"draft": "?", "degraded": True}


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("degradet", r"not a key of the state; did you mean 'degraded'\?"),
        ("count", "the key is int, and a mark is a bool, or a list of names with a reducer"),
        ("names", r"the key is list\[str\], and a mark is a bool"),
        ("numbers", "and a mark is a bool"),
    ],
)
def test_a_key_that_cannot_say_so_is_an_error_at_build(mark: str, told: str) -> None:
    """One that does not exist, and one of another type, are refused, in either mode."""
    for mode in ("enforce", "observe"):
        with pytest.raises(ConfigurationError, match=told):
            app_of(mark, mode=mode)


def test_an_update_that_sets_the_key_itself_is_refused() -> None:
    """Two would say it, perhaps not the same."""
    with pytest.raises(ConfigurationError, match="sets that key itself"):
        Degrade({"draft": "?", "degraded": False}, mark="degraded")


def test_an_entrypoint_has_no_key_to_say_so() -> None:
    """Its one value is the answer."""

    @entrypoint()
    def flow(question: str) -> str:
        return question

    spec = NodeGuard(policy=Policy(Degrade({"__root__": "?"}, mark="degraded")))
    with pytest.raises(ConfigurationError, match="not a key of the state"):
        guard(flow, {"flow": spec})


def test_toml_knows_the_mark(tmp_path: Path) -> None:
    """A settings file names the key."""
    settings = tmp_path / "coordgate.toml"
    settings.write_text(
        '[nodes.write]\ngates = [{ use = "max_length", args = ["draft", 1] }]\n'
        'policy = [{ degrade = { draft = "?" }, mark = "degraded" }]\n'
    )
    builder = StateGraph(State).add_node("write", write).add_edge(START, "write")
    assert guard(builder, str(settings)).compile().invoke({})["degraded"] is True
