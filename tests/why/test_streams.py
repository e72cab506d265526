"""Failure 14 of `docs/why.md`: rejected attempts have already streamed."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
from callers import Caller
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, RemoveMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy

from coordgate import NodeGuard, Policy, Retry, Verdict, gate, guard

WORDS = ["attempt 1", "attempt 2", "attempt 3"]
BOTH = ("messages", "custom")


@gate
def third(output: dict[str, Any]) -> Verdict:
    """Pass what the third attempt says."""
    said = output["messages"][0].text
    return Verdict.accept() if said == WORDS[2] else Verdict.reject(f"{said} is not the third")


def talk() -> Callable[..., Any]:
    """Return a node that asks a streaming model, which says another thing each time."""
    model = GenericFakeChatModel(messages=iter(AIMessage(words) for words in WORDS))

    def write(state: MessagesState) -> dict[str, Any]:
        answer = model.invoke("go on")
        get_stream_writer()(answer.text)
        return {"messages": [answer]}

    return write


def one_node(function: Any, **kwargs: Any) -> StateGraph[Any]:
    """Return a graph of the node `write`."""
    return StateGraph(MessagesState).add_node("write", function, **kwargs).add_edge(START, "write")


def guarded(caller: Caller, stream: Literal["announce", "hold"]) -> Any:
    """Return the graph, guarded, compiled."""
    spec = NodeGuard(gates=[third], policy=Policy(Retry(2)), stream=stream)
    return guard(one_node(caller.node(talk())), nodes={"write": spec}).compile(
        checkpointer=caller.saver
    )


def shown(streamed: list[Any]) -> str:
    """Return what a front end shows that appends each chunk and obeys each RemoveMessage."""
    texts: dict[str, str] = {}
    for mode, chunk in streamed:
        if mode == "messages" and isinstance(chunk[0], RemoveMessage):
            texts.pop(str(chunk[0].id))
        elif mode == "messages":
            texts[chunk[0].id] = texts.get(chunk[0].id, "") + chunk[0].text
    return "".join(texts.values())


def test_14_a_rejected_attempt_is_taken_back(caller: Caller) -> None:
    """Bare, all attempts stay on the screen; guarded, each rejected one is taken back."""
    attempt = talk()

    def retried(state: MessagesState) -> dict[str, Any]:
        update: dict[str, Any] = attempt(state)
        if not third(update):
            raise ConnectionError("try again")
        return update

    policy = RetryPolicy(initial_interval=0.0, jitter=False)
    bare = one_node(caller.node(retried), retry_policy=policy).compile(checkpointer=caller.saver)
    assert shown(caller.stream(bare, {"messages": []}, BOTH, "bare")) == "".join(WORDS)

    app = guarded(caller, "announce")
    streamed = caller.stream(app, {"messages": []}, BOTH, "guarded")
    assert shown(streamed) == WORDS[2]
    taken_back = [
        (chunk[0].id, chunk[1]["coordgate"]["reasons"])
        for mode, chunk in streamed
        if mode == "messages" and isinstance(chunk[0], RemoveMessage)
    ]
    assert [reasons for _, reasons in taken_back] == [
        ["third: attempt 1 is not the third"],
        ["third: attempt 2 is not the third"],
    ]
    announced = [
        chunk["coordgate"] for mode, chunk in streamed if mode == "custom" and chunk not in WORDS
    ]
    assert [(each["event"], each["node"], each["attempt"]) for each in announced] == [
        ("rejected", "write", 1),
        ("rejected", "write", 2),
    ]
    assert [each["message_ids"] for each in announced] == [[id_] for id_, _ in taken_back]


@pytest.mark.parametrize("modes", [("messages",), ("custom",), BOTH])
def test_14_nothing_of_a_rejected_attempt_is_let_out_on_hold(
    caller: Caller, modes: tuple[str, ...]
) -> None:
    """Held, only what the accepted attempt said and wrote streams."""
    streamed = caller.stream(guarded(caller, "hold"), {"messages": []}, modes)
    said = "".join(chunk[0].text for mode, chunk in streamed if mode == "messages")
    written = [chunk for mode, chunk in streamed if mode == "custom"]
    assert said == (WORDS[2] if "messages" in modes else "")
    assert written == ([WORDS[2]] if "custom" in modes else [])


@pytest.mark.parametrize("modes", [["updates"], ["updates", "messages"]])
def test_14_nothing_of_a_rejected_subgraph_is_let_out_on_hold(modes: list[str]) -> None:
    """Held, a subgraph's own steps stream once it was accepted as a whole."""
    spec = NodeGuard(gates=[third], policy=Policy(Retry(2)), stream="hold")
    app: Any = guard(one_node(one_node(talk()).compile()), nodes={"write": spec}).compile()
    streamed = app.stream({"messages": []}, stream_mode=modes, subgraphs=True)
    inner = [
        chunk["write"]["messages"][0].text
        for namespace, mode, chunk in streamed
        if mode == "updates" and namespace
    ]
    assert inner == [WORDS[2]]
