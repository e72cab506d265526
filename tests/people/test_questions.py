"""Questions to people, wherever a node can stand: in parallel, in subgraphs, sent, after others."""

import threading
from typing import Any

import pytest
from callers import Caller
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt
from people import State, Writer, asking, good, shown, writing

from coordgate import (
    Approve,
    ConfigurationError,
    Degrade,
    Edit,
    Escalate,
    Fallback,
    GateRejected,
    NodeGuard,
    Policy,
    Reject,
    Retry,
    RetryWith,
    Verdict,
    gate,
    guard,
)

EDITOR = Escalate("editor")


def start(caller: Caller, write: Any, *rungs: Any) -> Any:
    """Return the graph `write`, `send` with rungs on `write`: by default a question."""
    return guard(writing(caller.node(write)), asking(*(rungs or (EDITOR,)))).compile(
        checkpointer=caller.saver
    )


def pending(result: Any) -> dict[str, Any]:
    """Return what is asked in a paused run: the payloads by interrupt id."""
    return {each.id: each.value for each in result["__interrupt__"]}


def test_another_process_goes_on_from_the_checkpoint_alone(caller: Caller) -> None:
    """A graph built anew ships what the first one showed, and never runs the body."""
    caller.invoke(start(caller, Writer()), {})
    later = Writer()
    assert caller.invoke(start(caller, later), Command(resume=Approve()))["sent"] == "draft 1"
    assert later.calls == 0


def test_a_run_that_is_touched_without_an_answer_asks_the_same(caller: Caller) -> None:
    """`invoke(None)` shows the question again, unchanged."""
    write = Writer()
    app = start(caller, write)
    first = shown(caller.invoke(app, {}))
    assert shown(caller.invoke(app, None)) == first
    assert shown(caller.invoke(start(caller, write), None)) == first
    assert write.calls == 1


def test_several_branches_ask_at_once(caller: Caller) -> None:
    """Each question is answered by its id, in any order, some later than others."""
    builder = StateGraph(State)
    writers = {name: Writer({"draft": name}) for name in ("one", "two", "three")}
    nodes = {}
    keys = {"one": "draft", "two": "sent", "three": "size"}
    for name, write in writers.items():
        write.drafts = [{keys[name]: 3 if name == "three" else name}]
        builder.add_node(name, caller.node(write))
        builder.add_edge(START, name)
        nodes[name] = NodeGuard(gates=[gate(never)], policy=Policy(EDITOR))
    app = guard(builder, nodes).compile(checkpointer=caller.saver)
    asked = pending(caller.invoke(app, {}))
    ids = {payload["node"]: each for each, payload in asked.items()}
    assert set(ids) == set(writers)
    left = pending(
        caller.invoke(
            app, Command(resume={ids["two"]: Approve(), ids["one"]: Edit({"draft": "x"})})
        )
    )
    refused = {payload["node"]: payload.get("refused") for payload in left.values()}
    assert refused == {"one": ["never: did not pass"], "three": None}
    by_node = {payload["node"]: each for each, payload in left.items()}
    edit = Edit({"draft": "x"}, override=True)
    result = caller.invoke(app, Command(resume={by_node["one"]: edit, by_node["three"]: Approve()}))
    assert result == {"draft": "x", "sent": "two", "size": 3, "log": []}
    assert [write.calls for write in writers.values()] == [1, 1, 1]


def never(output: Any) -> bool:
    """Accept nothing."""
    return False


class Watched(InMemorySaver):
    """A saver that says when a task has paused."""

    def __init__(self) -> None:
        """Begin with no task paused."""
        super().__init__()
        self.paused = threading.Event()

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        """Write, and say so if it is an interrupt."""
        super().put_writes(config, writes, task_id, task_path)
        if any(channel == "__interrupt__" for channel, _ in writes):
            self.paused.set()


def test_one_answer_never_goes_to_a_question_that_nobody_has_seen() -> None:
    """A branch that asks for the first time in a resumed run waits for an answer of its own."""
    saver, verdicts, resumed = Watched(), iter(["fail", None]), threading.Event()

    def clock() -> float:
        if resumed.is_set():  # the other question comes first
            assert saver.paused.wait(10)
        return 0.0

    def late(state: State) -> State:
        if not resumed.is_set():
            assert saver.paused.wait(10)
        return {"sent": "late"}

    @gate
    def moody(output: Any) -> Verdict:
        return Verdict.reject("no", otherwise=next(verdicts))

    early = Escalate("editor", within=60, clock=clock)
    builder = StateGraph(State)
    builder.add_node("early", Writer())
    builder.add_node("late", late)
    builder.add_edge(START, "early")
    builder.add_edge(START, "late")
    nodes = {
        "early": NodeGuard(gates=[good], policy=Policy(early)),
        "late": NodeGuard(gates=[moody], policy=Policy(EDITOR)),
    }
    app = guard(builder, nodes).compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "1"}}
    with pytest.raises(GateRejected):
        app.invoke({}, config)
    saver.paused.clear()
    resumed.set()
    payload = shown(app.invoke(Command(resume=Approve()), config))
    assert payload["node"] == "late"
    result = app.invoke(Command(resume=Approve()), config)
    assert (result["draft"], result["sent"]) == ("draft 1", "late")


def test_an_answer_that_was_given_is_not_taken_again(caller: Caller) -> None:
    """LangGraph keeps an answer with the checkpoint; a later question does not get it."""
    write = Writer()
    app = start(caller, write)
    caller.invoke(app, {})
    second = shown(caller.invoke(app, Command(resume=RetryWith("again"))))
    for _ in range(2):
        assert shown(caller.invoke(start(caller, write), None)) == second
    assert write.calls == 2
    third = shown(caller.invoke(app, Command(resume=RetryWith("again"))))
    assert third["candidate"] == {"draft": "draft 3"}
    assert caller.invoke(app, Command(resume=Approve()))["sent"] == "draft 3"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_node_of_a_subgraph_asks(caller: Caller, depth: int) -> None:
    """The question comes out of the subgraph, and its answer goes in."""
    write = Writer()
    inner: Any = writing(caller.node(write)).compile()
    name = "write"
    for _ in range(depth):
        outer = StateGraph(State)
        outer.add_node("sub", inner)
        outer.add_edge(START, "sub")
        inner, name = outer.compile(checkpointer=caller.saver), f"sub|{name}"
    nodes = {name: asking(EDITOR)["write"]}
    app = guard(inner, nodes)
    assert shown(caller.invoke(app, {}))["node"] == "write"
    assert "refused" in shown(caller.invoke(app, Command(resume="what?")))
    assert caller.invoke(guard(inner, nodes), Command(resume=Approve()))["sent"] == "draft 1"
    assert write.calls == 1


def test_a_subgraph_as_a_node_asks(caller: Caller) -> None:
    """What a subgraph hands over is shown, and ships without running the subgraph again."""
    write = Writer({"draft": "bad"})
    inner = StateGraph(State)
    inner.add_node("inner", caller.node(write))
    inner.add_edge(START, "inner")
    app = guard(writing(inner.compile()), asking(EDITOR)).compile(checkpointer=caller.saver)
    assert shown(caller.invoke(app, {}))["candidate"]["draft"] == "bad"
    assert caller.invoke(app, Command(resume=Approve()))["sent"] == "bad"
    assert write.calls == 1


def test_tasks_that_were_sent_ask_each_for_itself(caller: Caller) -> None:
    """Several tasks of one node wait at the same time."""
    seen: list[str] = []

    def write(state: State) -> State:
        seen.append(state["draft"])
        return {"log": [state["draft"]]}

    builder = StateGraph(State)
    builder.add_node("write", caller.node(write))
    builder.add_conditional_edges(
        START, lambda state: [Send("write", {"draft": each}) for each in "abc"], ["write"]
    )
    nodes = {"write": NodeGuard(gates=[gate(never)], policy=Policy(EDITOR))}
    app = guard(builder, nodes).compile(checkpointer=caller.saver)
    asked = pending(caller.invoke(app, {}))
    answers: dict[str, Any] = {}
    for each, payload in asked.items():
        (text,) = payload["candidate"]["log"]
        answers[each] = Approve() if text != "b" else Edit({"log": ["B"]}, override=True, by="ann")
    result = caller.invoke(app, Command(resume=answers))
    assert sorted(result["log"]) == ["B", "a", "c"]
    assert sorted(seen) == ["a", "b", "c"]


def test_a_body_that_asks_first_keeps_its_answers(caller: Caller) -> None:
    """The body's own answers and the person's are told apart, over retries and processes."""
    asked: list[Any] = []

    def write(state: State, feedback: Any = None) -> State:
        topic = interrupt("topic?")
        length = interrupt("length?") if feedback else "any"
        asked.append((topic, length))
        return {"draft": f"{topic}, {length}"}

    app = start(caller, write)
    assert shown(caller.invoke(app, {})) == "topic?"
    assert shown(caller.invoke(app, Command(resume="rain")))["candidate"] == {"draft": "rain, any"}
    assert shown(caller.invoke(start(caller, write), None))["candidate"] == {"draft": "rain, any"}
    told = RetryWith("say how long")
    assert shown(caller.invoke(start(caller, write), Command(resume=told))) == "length?"
    assert shown(caller.invoke(start(caller, write), None)) == "length?"
    payload = shown(caller.invoke(start(caller, write), Command(resume="short")))
    assert payload["candidate"] == {"draft": "rain, short"}
    assert asked == [("rain", "any"), ("rain", "short")]
    assert [each["rung"] for each in payload["attempts"]] == ["first", "escalate:editor", "retry"]
    result = caller.invoke(start(caller, write), Command(resume=Approve()))
    assert result["sent"] == "rain, short"


def test_a_fallback_after_a_rejection_may_ask_a_question_of_its_own(caller: Caller) -> None:
    """When it is answered, the run goes on with the fallback, and asks the person no more."""
    write = Writer()

    def ask(state: State) -> State:
        return {"draft": f"good {interrupt('what then?')}"}

    rungs = (EDITOR, Fallback(caller.node(ask)))
    caller.invoke(start(caller, write, *rungs), {})
    asked = caller.invoke(start(caller, write, *rungs), Command(resume=Reject("no")))
    assert shown(asked) == "what then?"
    result = caller.invoke(start(caller, write, *rungs), Command(resume="rain"))
    assert result["sent"] == "good rain"
    assert write.calls == 1


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        """Begin at a round number."""
        self.time = 1000.0

    def __call__(self) -> float:
        """Say the time."""
        return self.time


def test_a_deadline_lets_the_ladder_go_on(caller: Caller) -> None:
    """Before it the question stays; after it the next rung answers, when the run is touched."""
    clock, write = Clock(), Writer()
    rungs = (
        Escalate("editor", within=60, otherwise="degrade", clock=clock),
        Retry(1),
        Degrade({"draft": "late"}),
    )
    app = start(caller, write, *rungs)
    assert shown(caller.invoke(app, {}))["until"] == 1060.0
    clock.time = 1059.9
    assert shown(caller.invoke(app, None))["until"] == 1060.0
    clock.time = 1060.0
    assert caller.invoke(start(caller, write, *rungs), None)["sent"] == "late"
    assert write.calls == 1


def test_a_late_answer_is_an_answer(caller: Caller) -> None:
    """Nothing is decided before the run is touched, so an answer that comes with it counts."""
    clock = Clock()
    rungs = (Escalate("editor", within=60, clock=clock), Degrade({"draft": "late"}))
    app = start(caller, Writer(), *rungs)
    caller.invoke(app, {})
    clock.time = 2000.0
    assert caller.invoke(app, Command(resume=Approve()))["sent"] == "draft 1"


def test_a_deadline_without_a_rung_after_it_fails(caller: Caller) -> None:
    """The error says that nobody has answered."""
    clock = Clock()
    app = start(caller, Writer(), Escalate("editor", within=60, clock=clock))
    caller.invoke(app, {})
    clock.time = 2000.0
    with pytest.raises(GateRejected, match="nobody has answered within 60 seconds"):
        caller.invoke(app, None)


def test_a_gate_may_ask_for_a_person(caller: Caller) -> None:
    """`otherwise="escalate"` jumps over the retries."""
    write = Writer()
    spec = NodeGuard(gates=[gate(otherwise="escalate")(never)], policy=Policy(Retry(3), EDITOR))
    app = guard(writing(caller.node(write)), {"write": spec}).compile(checkpointer=caller.saver)
    shown(caller.invoke(app, {}))
    assert write.calls == 1


def test_a_fork_of_an_old_checkpoint_asks_anew(caller: Caller) -> None:
    """Time travel runs the node again; an answer to the other branch is none to this."""
    write = Writer()
    app = start(caller, write)
    caller.invoke(app, {})
    assert caller.invoke(app, Command(resume=Approve()))["sent"] == "draft 1"
    (before,) = [each for each in caller.history(app) if each.next == ("write",)]
    again = shown(caller.invoke_at(app, None, before.config))
    assert again["candidate"] == {"draft": "draft 2"}
    assert caller.invoke(app, Command(resume=Approve()))["sent"] == "draft 2"


def test_without_a_checkpointer_the_first_run_says_so() -> None:
    """The body is not run, and the error names the cure."""
    write = Writer()
    app = guard(writing(write), asking(EDITOR)).compile()
    with pytest.raises(ConfigurationError, match=r"compile\(checkpointer=InMemorySaver\(\)\)"):
        app.invoke({})
    assert write.calls == 0


def test_a_graph_that_refuses_a_checkpointer_is_refused() -> None:
    """A subgraph compiled with checkpointer=False could not wait."""
    builder = writing(Writer())
    with pytest.raises(ConfigurationError, match="checkpointer=False"):
        guard(builder, asking(EDITOR)).compile(checkpointer=False)


def test_observed_nodes_ask_nobody() -> None:
    """In the mode observe nothing pauses, and no checkpointer is needed."""
    app = guard(writing(Writer()), asking(EDITOR), mode="observe").compile()
    assert app.invoke({})["sent"] == "draft 1"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Escalate(""), "say who is asked"),
        (lambda: Escalate("editor", within=-1), "within"),
        (lambda: Escalate("editor", otherwise="degrade"), "give within"),
        (lambda: Policy(Escalate("editor", within=1, otherwise="degrade")), "no such rung"),
        (lambda: Policy(Degrade({}), EDITOR), "Escalate stands after Degrade"),
    ],
)
def test_questions_that_cannot_work_are_refused(make: Any, says: str) -> None:
    """A rung that means nothing is an error where it is declared."""
    with pytest.raises(ConfigurationError, match=says):
        make()


def test_a_question_in_every_durability() -> None:
    """However LangGraph writes its checkpoints, a paused run can be answered."""
    for durability in ("sync", "async", "exit"):
        saver, write = InMemorySaver(), Writer()
        app = guard(writing(write), asking(EDITOR)).compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}}
        shown(app.invoke({}, config, durability=durability))
        result = app.invoke(Command(resume=Approve()), config, durability=durability)
        assert result["sent"] == "draft 1"
        assert write.calls == 1


@pytest.mark.parametrize("stream", ["announce", "hold"])
def test_a_streamed_run_asks_and_is_answered(caller: Caller, stream: Any) -> None:
    """What is shown of attempts as they run changes nothing of whose answer is whose."""
    write = Writer()
    nodes = asking(EDITOR, stream=stream)

    def app() -> Any:
        return guard(writing(caller.node(write)), nodes).compile(checkpointer=caller.saver)

    def touch(given: Any) -> list[Any]:
        return [chunk for _, chunk in caller.stream(app(), given, ["messages", "updates"])]

    touch({})
    second = touch(Command(resume=RetryWith("again")))[-1]
    assert shown(second)["candidate"] == {"draft": "draft 2"}
    assert touch(None)[-1] == second
    assert touch(Command(resume=Approve()))[-1] == {"send": {"sent": "draft 2"}}
    assert write.calls == 2
