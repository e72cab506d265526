"""A model that is told: on a retry the rejected answer and the reasons are in its messages."""

import asyncio
from typing import Any

import pytest
from calling import (
    ASKED,
    Chat,
    attempts_of,
    batched,
    invoked,
    invoked_async,
    streamed,
    streamed_async,
)
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from llmock.pytest_plugin import LLMock
from pydantic import BaseModel

from coordgate import ConfigurationError, Feedback, NodeGuard, Policy, Retry, guard
from coordgate.gates import check
from coordgate.models import rejected_text, telling, with_feedback
from coordgate.testing import ScriptedModel

TOO_SHORT = check(lambda output: len(output["draft"]) > 10, "the draft is too short")
GUARDED = NodeGuard(gates=[TOO_SHORT], policy=Policy(Retry(1)))


def sent(llmock: LLMock) -> list[list[tuple[str, str]]]:
    """Return the messages of each request, as role and content."""
    return [
        [(each["role"], each["content"]) for each in request.body["messages"]]
        for request in llmock.requests
    ]


def generated(model: Any) -> Any:
    """Return a node that uses LangChain's older method."""
    return lambda _: {"draft": model.generate([[HumanMessage(ASKED)]]).generations[0][0].text}


def in_a_sequence(model: Any) -> Any:
    """Return a node that is a sequence of LangChain's."""
    prompt = ChatPromptTemplate.from_template(ASKED)
    return prompt | model | RunnableLambda(lambda answer: {"draft": answer.text})


SYNC = [invoked, streamed, batched, generated, in_a_sequence]


@pytest.mark.parametrize("way", [*SYNC, invoked_async, streamed_async])
def test_a_retry_sends_the_rejected_answer_and_the_reasons(
    llmock: LLMock, chat: Chat, way: Any
) -> None:
    """However the model is called, the node need not be edited; a first attempt adds nothing."""
    llmock.reply("rain").reply("It has been raining.")
    attempts = attempts_of(way(with_feedback(chat())), GUARDED, asynchronous=way not in SYNC)
    assert [attempt.outcome for attempt in attempts] == ["rejected", "accepted"]
    first, second = sent(llmock)
    assert first == [("user", ASKED)]
    assert second[:2] == [("user", ASKED), ("assistant", "rain")]
    ((role, told),) = second[2:]
    assert role == "user"
    assert "was not accepted" in told
    assert "the draft is too short" in told


def test_a_model_that_is_not_told_is_not_changed(llmock: LLMock, chat: Chat) -> None:
    """The model that was given stays as it was."""
    model = chat()
    with_feedback(model)
    llmock.reply("rain").reply("It has been raining.")
    attempts_of(invoked(model), GUARDED)
    assert sent(llmock) == [[("user", ASKED)]] * 2


def test_it_is_the_same_model_in_all_else(chat: Chat) -> None:
    """Type, attributes, serialised name and further copies are those of the model."""
    model = chat("small", temperature=0.5)
    told = with_feedback(model)
    assert isinstance(told, ChatOpenAI)
    assert type(told).__name__ == "ChatOpenAI"
    assert (told.model_name, told.temperature, told.max_retries) == ("small", 0.5, 0)
    assert told.lc_id() == model.lc_id()
    assert with_feedback(told) is told


@tool
def look_up(order: str) -> str:
    """Look up an order."""
    return order


def test_bound_tools_stay_bound(llmock: LLMock, chat: Chat) -> None:
    """`bind_tools` gives a model that is told, and that has the tools."""
    llmock.call_tool("look_up", {"order": "7"}).reply("It has been sent today.")
    model = with_feedback(chat()).bind_tools([look_up])
    assert len(attempts_of(invoked(model), GUARDED)) == 2
    assert [request.body["tools"][0]["function"]["name"] for request in llmock.requests] == [
        "look_up"
    ] * 2
    assert "the draft is too short" in sent(llmock)[1][-1][1]


class Draft(BaseModel):
    """A draft."""

    draft: str


def test_structured_output_is_told(llmock: LLMock, chat: Chat) -> None:
    """`with_structured_output` gives a chain whose model is told."""
    llmock.reply('{"draft": "rain"}').reply('{"draft": "It has been raining."}')
    asked = with_feedback(chat()).with_structured_output(Draft)
    attempts = attempts_of(lambda _: asked.invoke(ASKED).model_dump(), GUARDED)
    assert [attempt.outcome for attempt in attempts] == ["rejected", "accepted"]
    second = sent(llmock)[1]
    assert second[1] == ("assistant", "rain")
    assert "the draft is too short" in second[2][1]


def test_the_cache_does_not_give_the_rejected_answer_again(llmock: LLMock, chat: Chat) -> None:
    """LangChain's cache sees the messages with what was told, which is another question."""
    llmock.reply("rain").reply("It has been raining.")
    model = with_feedback(chat(cache=InMemoryCache()))
    attempts = attempts_of(invoked(model), GUARDED)
    assert [attempt.outcome for attempt in attempts] == ["rejected", "accepted"]
    (again,) = attempts_of(invoked(with_feedback(model)), NodeGuard())
    assert len(llmock.requests) == 2
    assert (again.tokens_in, again.tokens_out, again.cost) == (0, 0, 0.0)


def test_an_agent_is_told_without_being_edited(llmock: LLMock, chat: Chat) -> None:
    """A rejected message of an agent's state comes back as the model's own."""
    model = with_feedback(chat())
    graph = StateGraph(MessagesState)
    graph.add_node("answer", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "answer")
    long = check(lambda output: len(output["messages"][0].text) > 10, "too short")
    llmock.reply("rain").reply("It has been raining.")
    guarded = NodeGuard(gates=[long], policy=Policy(Retry(1)))
    app = guard(graph.compile(), {"answer": guarded})
    state = asyncio.run(app.ainvoke({"messages": [("human", ASKED)]}))
    assert [message.text for message in state["messages"]] == [ASKED, "It has been raining."]
    assert sent(llmock)[1][1] == ("assistant", "rain")


def test_a_retry_after_an_error_is_told_of_it(llmock: LLMock, chat: Chat) -> None:
    """Where there was no answer, the reasons are told alone."""
    model = with_feedback(ScriptedModel(ValueError("no such order"), "It has been raining."))
    again = Policy(Retry(1, wait=0.0, jitter=False))
    attempts_of(invoked(model), NodeGuard(policy=again))
    question, told = model.prompts[1]
    assert question.text == ASKED
    assert "ValueError: no such order" in told.text
    assert "That answer" not in told.text


TOLD = Feedback(("too short",), {"draft": "rain"}, 2)


@pytest.mark.parametrize(
    ("messages", "types"),
    [
        ([HumanMessage("a")], ["human", "ai", "human"]),
        ([SystemMessage("a")], ["system", "human"]),
        ([HumanMessage("a"), AIMessage("b")], ["human", "ai", "human"]),
        (
            [HumanMessage("a"), ToolMessage("c", tool_call_id="1")],
            ["human", "tool", "ai", "human"],
        ),
        ([], ["human"]),
    ],
)
def test_roles_stay_in_an_order_that_vendors_take(messages: list[Any], types: list[str]) -> None:
    """The answer is the model's own message only where one may stand; else it is quoted."""
    told = telling(messages, TOLD)
    assert [each.type for each in told] == types
    assert "rain" in "".join(each.text for each in told)
    assert telling(told, TOLD) is told


@pytest.mark.parametrize(
    ("rejected", "text"),
    [
        (None, None),
        ("rain", "rain"),
        ({"draft": "rain"}, "rain"),
        ({"draft": "rain", "sure": 0.5}, '{"draft":"rain","sure":0.5}'),
        (Draft(draft="rain"), "rain"),
        ({"messages": [HumanMessage("why"), AIMessage("rain")]}, "rain"),
        ({"messages": AIMessage("rain"), "n": 1}, "rain"),
        ({"draft": " "}, "(nothing)"),
        ({"draft": "x" * 30_000}, "x" * 20_000 + "… (cut)"),
    ],
)
def test_a_rejected_hand_over_as_text(rejected: Any, text: str | None) -> None:
    """What is shown to the model is what it wrote, as near as can be told."""
    assert rejected_text(rejected) == text


def test_tool_calls_are_told_as_json() -> None:
    """An answer of tool calls alone is shown as them, and not as calls that want an answer."""
    message = AIMessage("", tool_calls=[{"name": "look_up", "args": {"order": "7"}, "id": "1"}])
    assert '"order":"7"' in str(rejected_text({"messages": [message]}))


def test_what_is_no_model_is_refused(chat: Chat) -> None:
    """A model that tools were bound to is not one; the error says in what order to do it."""
    with pytest.raises(ConfigurationError, match=r"with_feedback\(model\)\.bind_tools"):
        with_feedback(chat().bind_tools([look_up]))  # type: ignore[type-var]
