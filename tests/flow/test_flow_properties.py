"""Properties of reroutes and send-backs: whatever happens, the run ends, and within its bounds."""

import asyncio
import itertools
from typing import Annotated, Any

from flows import State, graph, thread
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field

from coordgate import (
    Contract,
    CoordgateError,
    Degrade,
    NodeGuard,
    Policy,
    Reroute,
    Retry,
    SendBack,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer

ACCEPTS = Contract(accepts={"facts": Annotated[str, Field(min_length=1)]})
RUNGS = st.lists(
    st.one_of(
        st.builds(Retry, st.integers(1, 2), wait=st.just(0.0), jitter=st.just(False)),
        st.builds(Reroute, st.just("mend"), times=st.integers(1, 3)),
        st.builds(SendBack, st.sampled_from([None, "find"]), times=st.integers(1, 3)),
    ),
    max_size=4,
)
CALLED = {"rerouted": "reroute", "sent_back": "send_back"}
ENDED = {"accepted", "rerouted", "sent_back", "degraded", "failed"}


@gate
def passes(output: Any) -> Verdict:
    """Pass what says good; some that do not want their producer or another node instead."""
    said = output["draft"].partition(" ")[0]
    if said == "good":
        return Verdict.accept()
    jumps: Any = {"back": "send_back", "away": "reroute"}
    return Verdict.reject(f"{output['draft']} is not good", otherwise=jumps.get(said))


@settings(max_examples=120, deadline=None)
@given(
    rungs=RUNGS,
    stated=st.booleans(),
    facts=st.lists(st.sampled_from(["", "It rains."]), max_size=6),
    drafts=st.lists(st.sampled_from(["good", "bad", "back", "away", "raise"]), max_size=8),
    turns=st.integers(1, 3),
    asynchronous=st.booleans(),
)
def test_a_run_ends_within_its_bounds(
    rungs: list[Any],
    stated: bool,
    facts: list[str],
    drafts: list[str],
    turns: int,
    asynchronous: bool,
) -> None:
    """No more than each rung allows, nothing rejected is ever in the state, and all is recorded."""
    numbers = itertools.count()
    found, made = iter(facts), iter(drafts)
    calls = 0

    def find(state: State) -> dict[str, Any]:
        return {"facts": next(found, "It rains."), "ran": ["find"]}

    def use(state: State) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        draft = next(made, "bad")
        if draft == "raise":
            raise ConnectionError("down")
        return {"draft": f"{draft} {next(numbers)}", "ran": ["use"]}

    ladder = [*rungs, Degrade({"draft": "stated"})] if stated else rungs
    builder = graph("find", "use", "mend", find=find, use=use)
    builder.add_edge("find", "use").add_edge("mend", "use")
    tracer = RecordingTracer()
    nodes = {"use": NodeGuard(ACCEPTS, [passes], Policy(*ladder))}
    app: Any = guard(builder, nodes, tracer=tracer).compile(checkpointer=InMemorySaver())
    ended = 0
    for _ in range(turns):
        try:
            if asynchronous:
                asyncio.run(app.ainvoke({}, thread()))
            else:
                app.invoke({}, thread())
        except (CoordgateError, ConnectionError):
            ended += 1

    kept = {state.values.get("draft", "") for state in app.get_state_history(thread())}
    assert {draft.partition(" ")[0] for draft in kept} <= {"", "good", "stated"}
    visits = [each for each in tracer.transitions if each.node == "use"]
    assert {each.status for each in visits} <= ENDED
    assert [each.status for each in visits].count("failed") == ended
    repeats = sum(rung.attempts for rung in rungs if isinstance(rung, Retry))
    leaves = sum(rung.times for rung in rungs if not isinstance(rung, Retry))
    assert len(visits) <= turns * (1 + leaves)
    assert calls <= len(visits) * (1 + repeats)
    for each in visits:
        last = each.attempts[-1]
        if each.status in {"rerouted", "sent_back"}:
            assert last.outcome == each.status
            assert last.rung == f"{CALLED[each.status]}:{each.goto[0]}"
            assert each.writes is None
    followed = [
        (one.goto, other.node)
        for one, other in itertools.pairwise(tracer.transitions)
        if one.status in {"rerouted", "sent_back"}
    ]
    assert all(goto == (node,) for goto, node in followed)
