"""Reroute: what bounds it, what is kept of it, and what is refused when the guard is built."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from callers import Caller
from flows import State, bad, both, ends, good, graph, run, thread
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.func import entrypoint
from langgraph.graph import END, START
from langgraph.types import CachePolicy, Command

from coordgate import (
    Approve,
    ConfigurationError,
    Degrade,
    Escalate,
    GateRejected,
    NodeGuard,
    Policy,
    Reject,
    Reroute,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer

AWAY = {"write": NodeGuard(gates=[good], policy=Policy(Reroute("mend")))}


def loop(*rungs: Any, write: Any = None, **kwargs: Any) -> Any:
    """Return a guarded graph in which the other node hands over to the first one again."""
    builder = graph("write", "mend", write=write or bad("write")).add_edge("mend", "write")
    spec = NodeGuard(gates=[good], policy=Policy(*rungs))
    return guard(builder, {"write": spec}, **kwargs)


@both
def test_a_loop_of_reroutes_ends(how: str) -> None:
    """After `times` in a row the ladder goes on above; past its end the error says why."""
    result = run(loop(Reroute("mend", times=2), Degrade({"draft": "?"})).compile(), how)
    assert result["ran"] == ["mend", "mend"]
    assert result["draft"] == "?"
    with pytest.raises(GateRejected, match=r"Reroute\(node='mend', times=2\) is used up after 2"):
        run(loop(Reroute("mend", times=2)).compile(), how)


@both
def test_the_bound_is_counted_anew_after_a_hand_over_that_passed(how: str) -> None:
    """A node that passes between two failures may be left as often again."""
    drafts = iter(["bad", "good", "bad", "good", "bad", "bad"])

    def write(state: State) -> dict[str, Any]:
        return {"draft": next(drafts)}

    tracer = RecordingTracer()
    builder = graph("write", "mend", write=write).add_edge("mend", "write")
    builder.add_conditional_edges("write", lambda state: "write", ["write"])
    spec = NodeGuard(gates=[good], policy=Policy(Reroute("mend", times=1)))
    with pytest.raises(GateRejected):
        run(guard(builder, {"write": spec}, tracer=tracer).compile(), how)
    statuses = [status for node, status, _ in ends(tracer) if node == "write"]
    assert statuses == ["rerouted", "accepted", "rerouted", "accepted", "rerouted", "failed"]


@both
def test_the_bound_is_counted_anew_with_each_input(how: str) -> None:
    """A thread's next input begins anew, also where the last one has failed."""
    saver = InMemorySaver()
    app = loop(Reroute("mend", times=1)).compile(checkpointer=saver)
    for made in (1, 2):
        with pytest.raises(GateRejected):
            run(app, how, {"facts": "new"}, thread())
        assert app.get_state(thread()).values["ran"] == ["mend"] * made


@both
def test_langgraph_s_own_limit_holds_as_well(how: str) -> None:
    """A bound above the recursion limit is cut short by it."""
    with pytest.raises(GraphRecursionError):
        run(loop(Reroute("mend", times=1000)).compile(), how, {}, {"recursion_limit": 10})


def test_the_bound_and_the_reasons_outlive_the_process(caller: Caller) -> None:
    """Paused before each node and gone on with by a graph made anew, all is as in one run."""
    nodes = {"write": NodeGuard(gates=[good], policy=Policy(Reroute("mend", times=2)))}

    def app() -> Any:
        builder = graph("write", "mend", write=bad("write")).add_edge("mend", "write")
        return guard(builder, nodes).compile(checkpointer=caller.saver, interrupt_before="*")

    caller.invoke(app(), {})
    for _ in range(4):
        caller.invoke(app(), None)
    with pytest.raises(GateRejected, match="is used up after 2"):
        caller.invoke(app(), None)
    values = app().get_state(caller.thread("1")).values
    assert values["ran"] == ["mend"] * 2
    assert values["told"] == ["mend: good: is not good (write)"] * 2


def test_nothing_that_was_rejected_reaches_a_checkpoint(caller: Caller) -> None:
    """No checkpoint of the thread, and none of its pending writes, holds the rejected draft."""

    def write(state: State) -> dict[str, Any]:
        return {"draft": "a draft to be rejected", "ran": ["write"]}

    app = guard(graph("write", "mend", write=write), AWAY).compile(checkpointer=caller.saver)
    caller.invoke(app, {"draft": "old"})
    kept = [*caller.saver.list(caller.thread("1"))]
    assert len(kept) > 2
    assert "a draft to be rejected" not in repr(kept)


@both
def test_a_thread_that_was_left_bare_goes_on_guarded(how: str) -> None:
    """A checkpoint that knows nothing of the engine's channel is no obstacle, nor the reverse."""
    saver = InMemorySaver()
    builder = graph("write", "mend", write=bad("write"))
    bare = builder.compile(checkpointer=saver, interrupt_before=["write"])
    run(bare, how, {"draft": "old"}, thread())
    guarded = guard(builder, AWAY).compile(checkpointer=saver, interrupt_before=["mend"])
    run(guarded, how, None, thread())
    result = run(builder.compile(checkpointer=saver), how, None, thread())
    assert result["ran"] == ["mend"]
    assert result["draft"] == "old"


@pytest.mark.parametrize(("how", "timeout"), [("sync", None), ("async", None), ("async", 30.0)])
def test_a_left_or_degraded_node_is_not_cached(how: str, timeout: float | None) -> None:
    """The next run with the same input runs the node again; what passed is cached as ever."""
    for rung in (Reroute("mend"), Degrade({"draft": "?"})):
        drafts = iter(["bad", "good"])

        def write(state: State) -> dict[str, Any]:
            return {"draft": next(drafts)}  # noqa: B023 - run before the next round

        async def awrite(state: State) -> dict[str, Any]:
            return write(state)

        builder = graph("mend")
        builder.add_node(
            "write",
            write if how == "sync" else awrite,
            cache_policy=CachePolicy(key_func=lambda state: "same"),
            timeout=timeout,
        )
        builder.edges.clear()
        builder.add_edge(START, "write")
        spec = NodeGuard(gates=[good], policy=Policy(rung))
        app = guard(builder, {"write": spec}).compile(cache=InMemoryCache())
        first, second, third = (run(app, how) for _ in range(3))
        assert first != second
        assert second["draft"] == third["draft"] == "good"


@both
def test_observing_goes_along_the_edges(how: str) -> None:
    """In observe mode nothing is left: the draft ships, and the record says what was wrong."""
    tracer = RecordingTracer()
    builder = graph("write", "send", "mend", write=bad("write")).add_edge("write", "send")
    app = guard(builder, AWAY, mode="observe", tracer=tracer).compile()
    assert run(app, how) == {"draft": "bad", "ran": ["write", "send"], "told": []}
    assert [status for _, status, _ in ends(tracer)] == ["observed", "accepted"]


@both
def test_guarding_again_is_guarding_once(how: str) -> None:
    """A second guard keeps the rung; one in observe mode takes it out of force."""
    builder = graph("write", "send", "mend", write=bad("write")).add_edge("write", "send")
    app = guard(builder).compile()
    for _ in range(3):
        app = guard(app, AWAY)
    assert run(app, how)["ran"] == ["mend"]
    observed = guard(app, mode="observe")
    assert run(observed, how)["ran"] == ["write", "send"]
    assert "__coordgate__" not in observed.channels
    assert run(guard(observed), how)["ran"] == ["mend"]


@both
def test_a_person_s_no_leads_there(how: str) -> None:
    """After a rejection by a person the node is left; an approval ships as ever."""
    saver = InMemorySaver()
    policy = Policy(Escalate("editor"), Reroute("mend"))
    builder = graph("write", "mend", write=bad("write"))
    app = guard(builder, {"write": NodeGuard(gates=[good], policy=policy)}).compile(
        checkpointer=saver
    )
    for name, answer, ran in (("no", Reject("not ours"), ["mend"]), ("yes", Approve(), ["write"])):
        run(app, how, {}, thread(name))
        result = run(app, how, Command(resume=answer), thread(name))
        assert result["ran"] == ran
        if name == "no":
            assert "not ours" in result["told"][0]


@both
def test_an_unanswered_question_may_lead_there(how: str) -> None:
    """Escalate(otherwise='reroute') jumps over the rungs between."""
    now = [0.0]
    policy = Policy(
        Escalate("editor", within=60, otherwise="reroute", clock=lambda: now[0]),
        Escalate("boss"),
        Reroute("mend"),
    )
    builder = graph("write", "mend", write=bad("write"))
    spec = {"write": NodeGuard(gates=[good], policy=policy)}
    app = guard(builder, spec).compile(checkpointer=InMemorySaver())
    run(app, how, {}, thread())
    now[0] = 61.0
    assert run(app, how, None, thread())["ran"] == ["mend"]


@both
def test_a_gate_may_jump_there(how: str) -> None:
    """`otherwise="reroute"` names the rung; from one that is used up the ladder goes on above."""

    @gate(otherwise="reroute")
    def ours(output: Any) -> Verdict:
        return Verdict.reject("is not ours")

    def app(*rungs: Any) -> Any:
        builder = graph("write", "mend", write=bad("write")).add_edge("mend", "write")
        return guard(builder, {"write": NodeGuard(gates=[ours], policy=Policy(*rungs))}).compile()

    stated = Degrade({"draft": "?"})
    result = run(app(Reroute("mend", times=1), stated), how)
    assert (result["ran"], result["draft"]) == (["mend"], "?")
    with pytest.raises(ConfigurationError, match="jumps to 'reroute', which is not on"):
        app(stated)


@both
def test_an_agent_is_left_for_its_end(how: str) -> None:
    """A model node of create_agent that is given up ends the run, its message unwritten."""

    @gate
    def polite(output: Any) -> Verdict:
        return Verdict.reject("is rude")

    model = GenericFakeChatModel(messages=iter([AIMessage("go away")] * 2))
    spec = NodeGuard(gates=[polite], policy=Policy(Reroute(END)))
    app = guard(create_agent(model), nodes={"model": spec})
    result = run(app, how, {"messages": [("user", "hello")]})
    assert [message.text for message in result["messages"]] == ["hello"]


@pytest.mark.parametrize(
    ("rung", "told"),
    [
        (Reroute("mand"), r"no node 'mand'; did you mean 'mend'\?"),
        (Reroute("write"), "run again in its place by Retry"),
        (Reroute(START), "no node '__start__'"),
    ],
)
def test_a_target_that_cannot_be_gone_to_is_an_error_at_build(rung: Reroute, told: str) -> None:
    """A node that does not exist, the start, and the node itself are refused, in either mode."""
    nodes = {"write": NodeGuard(policy=Policy(rung))}
    for mode in ("enforce", "observe"):
        with pytest.raises(ConfigurationError, match=told):
            guard(graph("write", "mend"), nodes, mode=mode).compile()  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=told):
            guard(graph("write", "mend").compile(), nodes, mode=mode)  # type: ignore[arg-type]


def test_an_entrypoint_has_no_nodes_to_go_to() -> None:
    """The error says so, and what to do."""

    @entrypoint()
    def flow(question: str) -> str:
        return question

    with pytest.raises(ConfigurationError, match="an @entrypoint has no nodes"):
        guard(flow, {"flow": NodeGuard(policy=Policy(Reroute("other")))})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Reroute(""), "give the name of a node"),
        (lambda: Reroute(3), "give the name of a node"),  # type: ignore[arg-type]
        (lambda: Reroute("mend", times=0), "give a number, 1 or more"),
        (lambda: Reroute("mend", times=True), "give a number, 1 or more"),
    ],
)
def test_what_means_nothing_is_refused(make: Any, told: str) -> None:
    """A target that is no name, and a bound that is no positive number, are errors at once."""
    with pytest.raises(ConfigurationError, match=told):
        make()


def test_toml_knows_the_rung(tmp_path: Path) -> None:
    """A settings file names the node, and the bound."""
    settings = tmp_path / "coordgate.toml"
    settings.write_text(
        '[nodes.write]\ngates = [{ use = "max_length", args = ["draft", 1] }]\n'
        'policy = [{ reroute = "mend", times = 2 }]\n'
    )
    app = guard(graph("write", "mend", write=bad("write")), str(settings)).compile()
    assert app.invoke({})["ran"] == ["mend"]
    settings.write_text('[nodes.write]\npolicy = [{ reroute = "mend", time = 2 }]\n')
    with pytest.raises(ConfigurationError, match="time"):
        guard(graph("write", "mend"), str(settings)).compile()
    assert pickle.loads(pickle.dumps(Reroute("mend"))) == Reroute("mend")  # noqa: S301 - our own


@both
def test_no_effect_that_has_happened_is_repeated(how: str) -> None:
    """Not the target's, nor what static edges lead to; past a router the graph decides."""
    effects = {"pay": NodeGuard(effects="external")}
    saying = "'pay' has external effects, and would run again"
    for target in ("pay", "plan"):
        builder = graph("plan", "pay", "write", write=bad("write"))
        builder.add_edge("plan", "pay").add_edge("pay", "write")
        away = NodeGuard(gates=[good], policy=Policy(Reroute(target)))
        tracer = RecordingTracer()
        with pytest.raises(GateRejected, match=saying):
            run(guard(builder, {"write": away, **effects}, tracer=tracer).compile(), how)
        assert [node for node, _, _ in ends(tracer)] == ["plan", "pay", "write"]
    builder = graph("write", "pay", write=bad("write"))
    away = NodeGuard(gates=[good], policy=Policy(Reroute("pay")))
    assert run(guard(builder, {"write": away, **effects}).compile(), how)["ran"] == ["pay"]
    builder = graph("pay", "mend", pay=bad("pay")).add_edge("mend", "pay")
    own = NodeGuard(gates=[good], policy=Policy(Reroute("mend")), effects="external")
    with pytest.raises(GateRejected, match=saying):
        run(guard(builder, {"pay": own}).compile(), how)
    builder = graph("pay", "write", "plan", write=bad("write")).add_edge("pay", "write")
    builder.add_conditional_edges("plan", lambda state: END, ["pay", END])
    away = NodeGuard(gates=[good], policy=Policy(Reroute("plan")))
    assert run(guard(builder, {"write": away, **effects}).compile(), how)["ran"] == ["pay", "plan"]
