"""Backtest: today's gates over what was recorded, without running anything else."""

from __future__ import annotations

import contextlib
import json
import random
import sys
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

from coordgate import (
    ConfigurationError,
    Contract,
    CoordgateError,
    Degrade,
    NodeGuard,
    Policy,
    Retry,
    Tracer,
    Verdict,
    gate,
    guard,
)
from coordgate.cli import main
from coordgate.gates import check, finished, max_length
from coordgate.labels import Label, labels_beside, write_labels
from coordgate.past.backtest import CONTRACT, Backtest, GateTurn, backtest
from coordgate.past.telling import as_json, lines
from coordgate.stores import MemoryStore


class State(TypedDict, total=False):
    """The state of the graphs here."""

    words: int
    draft: str


def build(*, fixed: bool = False) -> Any:
    """Return a builder whose node writes as many words as it is told, and fewer when told off."""

    def write(state: State, feedback: Any = None) -> State:
        if fixed:
            raise AssertionError("no body runs")
        count = state.get("words", 0) if feedback is None else 2
        return {"draft": " ".join(["word"] * count)}

    builder: Any = StateGraph(State)
    return builder.add_node(write).add_edge(START, "write")


def at_most(words: int) -> Any:
    """Return a gate on the number of words."""
    return check(lambda output: len(output["draft"].split()) <= words, f"over {words}", name="few")


def recorded(*, words: int, retries: int = 2, mode: Any = "enforce") -> MemoryStore:
    """Return the record of runs of 1 to 10 words under a gate."""
    store = MemoryStore()
    tracer = Tracer(store)
    policy = Policy(Retry(retries), Degrade({"draft": ""}))
    nodes = {"write": NodeGuard(gates=[at_most(words)], policy=policy)}
    app = guard(build(), nodes, mode=mode, tracer=tracer).compile()
    for count in range(1, 11):
        app.invoke({"words": count})
    tracer.close()
    return store


def today(*gates: Any, policy: Policy | None = None, **parts: Any) -> Any:
    """Return the graph with other gates, whose body must not run."""
    nodes = {"write": NodeGuard(gates=gates, policy=policy, **parts)}
    return guard(build(fixed=True), nodes).compile()


def turn(found: Backtest, gate: str) -> GateTurn:
    """Return what a gate said."""
    return next(each for each in found.gates if each.gate == gate)


def test_the_same_gates_say_the_same() -> None:
    """Nothing changes where nothing was changed; every attempt is judged."""
    found = backtest(recorded(words=7), today(at_most(7)))
    assert (found.runs, found.outputs, found.changes, found.retries) == (10, 13, [], [])
    few = turn(found, "few")
    assert (few.asked_then, few.rejected_then, few.asked_now, few.rejected_now) == (13, 3, 13, 3)


def test_a_stricter_gate_rejects_what_shipped() -> None:
    """Each verdict that changes is told with its run, and what further attempts it would take."""
    store = recorded(words=7)
    found = backtest(store, today(at_most(5), policy=Policy(Retry(2))))
    few = turn(found, "few")
    assert (few.rejected_now, few.now_rejected, few.now_passed) == (5, 2, 0)
    runs = [run.id for run in store.runs(newest_first=False)]
    assert [(each.run, each.passes, each.was) for each in found.changes] == [
        (runs[5], False, True),
        (runs[6], False, True),
    ]
    (cost,) = found.retries
    assert (cost.now_rejected, cost.now_passed, cost.fewer) == (2, 0, 0)
    # 5 of 13 are rejected now: a first repeat for each, a second for those that fail again.
    assert cost.more == pytest.approx(2 * (1 + 5 / 13))
    assert cost.seconds > 0


def test_a_laxer_gate_would_have_spared_attempts() -> None:
    """What was rejected and would ship now spares the attempts that came after it."""
    found = backtest(recorded(words=7), today(at_most(9)))
    few = turn(found, "few")
    assert (few.rejected_then, few.rejected_now, few.now_passed) == (3, 1, 2)
    (cost,) = found.retries
    assert (cost.now_passed, cost.fewer, cost.more) == (2, 2, 0)
    assert cost.seconds < 0


@pytest.mark.parametrize("most", [60, 80, 95])
def test_the_retries_that_are_foretold_are_those_that_are_made(most: int) -> None:
    """Under another gate real runs make about as many attempts as the backtest says."""

    def drawn(seed: int) -> Any:
        chance = random.Random(seed)  # noqa: S311 - a simulation
        builder: Any = StateGraph(State)
        builder.add_node("write", lambda state: {"words": chance.randrange(100)})
        return builder.add_edge(START, "write")

    def under(words: int) -> NodeGuard:
        few = check(lambda output: output["words"] < words, "too many", name="few")
        return NodeGuard(gates=[few], policy=Policy(Retry(3, wait=0)))

    def made(words: int, seed: int) -> tuple[int, MemoryStore]:
        store = MemoryStore()
        with Tracer(store) as tracer:
            app = guard(drawn(seed), {"write": under(words)}, tracer=tracer).compile()
            for _ in range(600):
                with contextlib.suppress(CoordgateError):
                    app.invoke({})
        attempts = [len(t.attempts) for run in store.runs() for t in store.transitions(run.id)]
        return sum(attempts), store

    before, store = made(90, seed=1)
    (told,) = backtest(store, guard(drawn(1), {"write": under(most)}).compile()).retries
    after, _ = made(most, seed=2)
    # Both are counts of chance: of some hundred attempts, four deviations at least.
    assert told.more - told.fewer == pytest.approx(after - before, abs=60)


def test_a_repeat_that_would_be_rejected_has_fewer_left() -> None:
    """Of an output that shipped at the last repeat nothing more is to be expected."""
    store = recorded(words=7, retries=1)  # 8, 9 and 10 words are made again, as 2 words
    found = backtest(store, today(at_most(1), policy=Policy(Retry(1))))
    (cost,) = found.retries
    assert cost.now_rejected == 9
    assert cost.more == pytest.approx(6)  # one for each of 2 to 7 words; none after a repeat


def test_a_new_gate_and_one_that_is_gone() -> None:
    """A new gate was not asked then, one that is gone is not asked now."""
    found = backtest(recorded(words=7), today(max_length("draft", 20)))
    new = next(each for each in found.gates if "max_length" in each.gate)
    assert (new.asked_then, new.asked_now, new.rejected_now) == (0, 13, 6)
    assert (turn(found, "few").asked_then, turn(found, "few").asked_now) == (13, 0)
    assert {each.was for each in found.changes} == {None}


def test_a_new_contract_is_backtested_too() -> None:
    """The contract is judged like a gate, and gates are not asked about what breaks it."""

    class Short(BaseModel):
        draft: str

        def model_post_init(self, _context: Any) -> None:
            assert len(self.draft) < 20

    from_now = today(at_most(7), contract=None)
    strict = guard(from_now, {"write": NodeGuard(contract=Contract(returns=Short))})
    found = backtest(recorded(words=7), strict)
    broken = turn(found, CONTRACT)
    assert (broken.asked_then, broken.rejected_then, broken.rejected_now) == (13, 0, 6)
    assert turn(found, "few").asked_now == 7


def test_labels_give_precision_and_recall_before_and_after() -> None:
    """Of what was rejected, how much was wrong; of what was wrong, how much was rejected."""
    store = recorded(words=7, mode="observe")
    labels = [
        Label(run.id, number <= 5, "write", attempt=1)
        for number, run in enumerate(store.runs(newest_first=False), start=1)
    ]
    found = backtest(store, today(at_most(5)), labels)
    few = turn(found, "few")
    assert (few.labelled_then.of_rejected, few.labelled_then.of_wrong) == ((3, 3), (3, 5))
    assert (few.labelled_now.of_rejected, few.labelled_now.of_wrong) == ((5, 5), (5, 5))


def test_labels_of_whole_runs_say_which_runs_would_be_stopped() -> None:
    """A run counts as rejected if a gate rejects something that shipped in it."""
    store = recorded(words=10)
    runs = list(store.runs(newest_first=False))
    labels = [Label(run.id, number <= 5) for number, run in enumerate(runs, start=1)]
    found = backtest(store, today(at_most(3)), labels)
    assert found.stopped_then.of_wrong == (0, 5)
    assert found.stopped_now.of_wrong == (5, 5)
    assert found.stopped_now.of_rejected == (5, 7)


def test_a_label_without_an_attempt_is_about_what_shipped() -> None:
    """The rejected attempts before it have no label."""
    store = recorded(words=7)
    labels = [Label(run.id, True, "write") for run in store.runs()]
    few = turn(backtest(store, today(at_most(7)), labels), "few")
    assert few.labelled_now.passed_right == 10
    assert few.labelled_now.of_rejected == (0, 0)


def test_labels_of_what_shipped_alone_give_no_recall_of_then() -> None:
    """What a gate rejected then is not among them: a recall of 0 would be the labels' doing."""
    store = recorded(words=7)
    runs = enumerate(store.runs(newest_first=False))
    found = backtest(store, today(at_most(5)), [Label(r.id, n < 5, "write") for n, r in runs])
    few = turn(found, "few")
    assert (few.rejected_then, few.labelled_then.of_rejected[1]) == (3, 0)
    gates = {each["gate"]: each for each in as_json(found)["gates"]}
    assert gates["few"]["then"]["recall"]["n"] == 0
    assert gates["few"]["now"]["recall"]["n"] == 5
    (then,) = [each for each in lines(found) if "what it rejected has no label" in each]
    assert then.strip().startswith("then")


def test_a_gate_that_waits_is_asked_only_if_told_to() -> None:
    """It would call a model, so it is named instead; what it said then counts on."""
    asked: list[str] = []

    @gate(slow=True)
    async def judge(output: Any) -> bool:
        asked.append(output["draft"])
        return False

    store = recorded(words=7)
    found = backtest(store, today(judge))
    assert (asked, found.not_asked) == ([], ("write: judge",))
    found = backtest(store, today(judge), slow=True)
    assert len(asked) == turn(found, "judge").rejected_now == 13


def test_a_gate_on_the_models_answers_is_not_asked() -> None:
    """What the model answered is not recorded, so that its verdict of then counts on."""
    found = backtest(recorded(words=7), today(finished() & at_most(3)), slow=True)
    assert found.not_asked == ("write: (finished & few)",)
    assert found.changes == []


def test_a_gate_that_raises_has_not_passed() -> None:
    """It is counted as broken."""

    @gate
    def clumsy(output: Any) -> Verdict:
        raise KeyError("draft")

    found = backtest(recorded(words=7), today(clumsy))
    assert turn(found, "clumsy").broken_now == 13


def test_what_cannot_be_judged_again_is_counted() -> None:
    """A value that was redacted or cut, and a node that the graph no longer has."""

    def leak(state: State) -> State:
        return {"draft": "sk-abcdefghijklmnopqrstuvwx" if state.get("words") else "fine"}

    def other(state: State) -> State:
        return {}

    store = MemoryStore()
    tracer = Tracer(store)
    builder: Any = StateGraph(State)
    builder.add_sequence([leak, other]).add_edge(START, "leak")
    app = guard(builder, tracer=tracer).compile()
    app.invoke({"words": 1})
    app.invoke({"words": 0})
    tracer.close()
    lone: Any = StateGraph(State)
    lone.add_node(leak).add_edge(START, "leak")
    found = backtest(store, guard(lone, {"leak": NodeGuard(gates=[at_most(1)])}).compile())
    assert found.outputs == 1
    assert found.not_judged == {
        "leak: draft: a secret in it was redacted": 1,
        "the graph has no node 'other'": 2,
    }


def test_a_graph_that_is_not_guarded_has_no_gates() -> None:
    """The error says to name the guarded one."""
    with pytest.raises(ConfigurationError, match="name the guarded graph"):
        backtest(MemoryStore(), build().compile())


APP = """
from typing import TypedDict
from langgraph.graph import START, StateGraph
from coordgate import NodeGuard, Policy, Retry, guard
from coordgate.gates import check

class State(TypedDict, total=False):
    words: int
    draft: str

def write(state: State, feedback=None) -> State:
    return {"draft": " ".join(["word"] * (2 if feedback else state["words"]))}

builder = StateGraph(State).add_node(write).add_edge(START, "write")
few = check(lambda output: len(output["draft"].split()) <= MOST, "too long", name="few")
nodes = {"write": NodeGuard(gates=[few], policy=Policy(Retry(2)))}
graph = guard(builder, nodes, tracer="traces.db").compile()
"""


def test_the_command_tells_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`coordgate backtest` prints gates, labels, costs and changes, or all of it as JSON."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "app_backtested.py"
    sys.modules.pop(path.stem, None)
    space: dict[str, Any] = {"__name__": "recording"}
    exec(APP.replace("MOST", "7"), space)  # noqa: S102 - written above
    for words in range(1, 11):
        space["graph"].invoke({"words": words})
    tracer = space["graph"].coordgate.tracer
    tracer.flush()
    runs = list(tracer.sink.runs(newest_first=False))
    write_labels(
        labels_beside("traces.db"),
        [Label(run.id, n <= 5, "write") for n, run in enumerate(runs, start=1)],
    )
    tracer.close()
    path.write_text(APP.replace("MOST", "5"))
    arguments = ["backtest", "traces.db", "--app", f"{path}:graph"]
    assert main([*arguments, "--labels", "none.jsonl"]) == 2
    assert "none.jsonl: there is no such file of labels" in capsys.readouterr().err
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "13 recorded outputs of 10 runs" in told
    assert "3 of 13" in told
    assert "5 of 13" in told
    assert "recall 40.0% [" in told
    assert "] (2 of 5)" in told
    assert "write: few passed, now rejects: too long" in told
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    few = next(each for each in found["gates"] if each["gate"] == "few")
    assert few["now"]["precision"]["estimate"] == 1.0
    assert 0 < few["now"]["precision"]["low"] < 1
    assert len(found["changes"]) == 2


def test_a_run_that_failed_has_nothing_that_a_gate_missed() -> None:
    """Of a stopped run nothing shipped: its label is neither a rejection nor a miss."""
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = guard(build(), {"write": NodeGuard(gates=[at_most(7)])}, tracer=tracer).compile()
        for count in range(1, 11):
            with contextlib.suppress(CoordgateError):
                app.invoke({"words": count})
    labels = [Label(run.id, run.status == "completed") for run in store.runs()]
    found = backtest(store, today(at_most(5)), labels)
    assert (found.stopped_then.passed_right, found.stopped_then.of_wrong) == (7, (0, 0))
    assert (found.stopped_now.rejected_right, found.stopped_now.passed_right) == (2, 5)


def test_nothing_recorded_is_told_without_a_table() -> None:
    """An empty store has no gates to tell of; counts agree with their nouns."""
    assert list(lines(backtest(MemoryStore(), today(at_most(5))))) == [
        "0 recorded outputs of 0 runs, judged by today's gates"
    ]
    store = MemoryStore()
    with Tracer(store) as tracer:
        guard(build(), tracer=tracer).compile().invoke({"words": 1})
    other: Any = StateGraph(State).add_node("other", lambda state: {}).add_edge(START, "other")
    told = list(lines(backtest(store, guard(other).compile())))
    assert told[0].startswith("0 recorded outputs of 1 run,")
    assert told[-1] == "not judged: 1 output: the graph has no node 'write'"


def test_labels_of_several_sources_must_agree() -> None:
    """As in the audit: one that says it is wrong is enough, and a transition may be meant alone."""
    store = recorded(words=10)
    runs = [run.id for run in store.runs()]
    labels = [Label(run, True, "write", by="a") for run in runs]
    labels += [Label(runs[0], False, "write", by="b"), Label(runs[1], False, transition=1)]
    few = turn(backtest(store, today(at_most(10)), labels), "few")
    assert (few.labelled_now.passed_right, few.labelled_now.passed_wrong) == (8, 2)
