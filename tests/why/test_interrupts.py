"""Failures 9, 10 and 11 of `docs/why.md`: what goes wrong around a question to a person."""

from collections.abc import Callable
from typing import Any

from callers import Caller
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from coordgate import (
    Approve,
    Escalate,
    Fallback,
    NodeGuard,
    Policy,
    Retry,
    Verdict,
    gate,
    guard,
)


class State(TypedDict, total=False):
    """What is written, and by whom it goes on."""

    text: str
    sent: bool


def one_node(function: Callable[..., Any]) -> StateGraph[Any]:
    """Return a graph of the node `work`."""
    return StateGraph(State).add_node("work", function).add_edge(START, "work")


def template(state: State) -> dict[str, Any]:
    """Answer without anybody's help."""
    return {"text": "template"}


def naive(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the node with the fallback that one writes by hand."""

    def work(state: State) -> Any:
        try:
            return function(state)
        except Exception:  # noqa: BLE001 - this is the failure that is shown
            return template(state)

    return work


@gate
def asked_about(output: dict[str, Any]) -> Verdict:
    """Pass no text: a person is to see each one."""
    return Verdict.reject("is to be seen by a person")


def test_9_what_the_person_approved_is_what_ships(caller: Caller) -> None:
    """Bare, the node runs again on resume and another draft ships; guarded, the one shown does."""
    drafts: list[str] = []

    def draft(state: State) -> dict[str, Any]:
        drafts.append(f"draft v{len(drafts) + 1}")
        return {"text": drafts[-1]}

    def draft_and_ask(state: State) -> dict[str, Any]:
        update = draft(state)
        return update if interrupt(update["text"]) == "yes" else {}

    bare = one_node(caller.node(draft_and_ask)).compile(checkpointer=caller.saver)
    (asked,) = caller.invoke(bare, {}, "bare")["__interrupt__"]
    assert asked.value == "draft v1"
    assert caller.invoke(bare, Command(resume="yes"), "bare") == {"text": "draft v2"}

    drafts.clear()
    nodes = {"work": NodeGuard(gates=[asked_about], policy=Policy(Escalate("editor")))}

    def app() -> Any:
        """Make the graph anew, as another process would."""
        return guard(one_node(caller.node(draft)), nodes=nodes).compile(checkpointer=caller.saver)

    (asked,) = caller.invoke(app(), {}, "guarded")["__interrupt__"]
    assert asked.value["candidate"] == {"text": "draft v1"}
    assert caller.invoke(app(), Command(resume=Approve()), "guarded") == {"text": "draft v1"}
    assert drafts == ["draft v1"]


FALLBACK = {"work": NodeGuard(policy=Policy(Fallback(template)))}


def test_10_a_fallback_does_not_swallow_a_question(caller: Caller) -> None:
    """Bare, the fallback answers in the person's place; guarded, only for a failure."""

    def ask(state: State) -> dict[str, Any]:
        text = interrupt("what shall it say?")
        if not text:
            raise ValueError("nothing to say")
        return {"text": text}

    bare = one_node(caller.node(naive(ask))).compile(checkpointer=caller.saver)
    assert caller.invoke(bare, {}, "bare") == {"text": "template"}

    app = guard(one_node(caller.node(ask)), nodes=FALLBACK).compile(checkpointer=caller.saver)
    for answer, text in (("hello", "hello"), ("", "template")):
        paused = caller.invoke(app, {}, f"guarded {answer}")
        assert paused["__interrupt__"][0].value == "what shall it say?"
        assert app.get_state(caller.thread(f"guarded {answer}")).next == ("work",)
        resumed = caller.invoke(app, Command(resume=answer), f"guarded {answer}")
        assert resumed == {"text": text}


def test_10_a_fallback_does_not_swallow_a_command_for_the_parent(caller: Caller) -> None:
    """Bare, a subgraph's Command for its parent is lost in the fallback; guarded, it arrives."""

    def leave(state: State) -> Command[Any]:
        if state.get("text") == "fail":
            raise ConnectionError("down")
        return Command(graph=Command.PARENT, goto="send", update={"text": "from below"})

    below = one_node(leave).compile()

    def call(state: State) -> Any:
        return below.invoke(state)

    def send(state: State) -> dict[str, Any]:
        return {"sent": True}

    def graph(function: Callable[..., Any]) -> StateGraph[Any]:
        return one_node(caller.node(function)).add_node("send", caller.node(send))

    bare = graph(naive(call)).compile(checkpointer=caller.saver)
    assert caller.invoke(bare, {}, "bare") == {"text": "template"}

    app = guard(graph(call), nodes=FALLBACK).compile(checkpointer=caller.saver)
    assert caller.invoke(app, {}, "guarded") == {"text": "from below", "sent": True}
    assert caller.invoke(app, {"text": "fail"}, "guarded again") == {"text": "template"}


@gate
def long_enough(output: dict[str, Any]) -> Verdict:
    """Pass a text of three words."""
    words = len(output["text"].split())
    return Verdict.accept() if words >= 3 else Verdict.reject(f"{words} words, not 3")


def test_11_a_retry_does_not_ask_an_answered_question_again(caller: Caller) -> None:
    """Bare, a loop around the node asks again; guarded, the answer that was given is used."""
    drafts: list[str] = []

    def write(state: State) -> dict[str, Any]:
        topic = interrupt("which topic?")
        drafts.append(" ".join([topic] * (len(drafts) + 1)))
        return {"text": drafts[-1]}

    def loop(state: State) -> dict[str, Any]:
        for _ in range(3):
            update = write(state)
            if long_enough(update):
                break
        return update

    bare = one_node(caller.node(loop)).compile(checkpointer=caller.saver)
    (asked,) = caller.invoke(bare, {}, "bare")["__interrupt__"]
    (again,) = caller.invoke(bare, Command(resume="rain"), "bare")["__interrupt__"]
    assert drafts == ["rain"]
    assert again.value == asked.value

    drafts.clear()
    nodes = {"work": NodeGuard(gates=[long_enough], policy=Policy(Retry(2)))}
    app = guard(one_node(caller.node(write)), nodes=nodes).compile(checkpointer=caller.saver)
    assert len(caller.invoke(app, {}, "guarded")["__interrupt__"]) == 1
    resumed = caller.invoke(app, Command(resume="rain"), "guarded")
    assert drafts == ["rain", "rain rain", "rain rain rain"]
    assert resumed == {"text": "rain rain rain"}
