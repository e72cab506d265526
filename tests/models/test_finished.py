"""An answer that was cut off, filtered, refused, malformed or left empty does not pass."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from calling import Chat, State, attempts_of, one_node
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Reply
from verbatim import serving

from coordgate import ConfigurationError, GateRejected, NodeGuard, Policy, Retry, guard
from coordgate.gate import as_verdict, gate
from coordgate.gates import finished
from coordgate.testing import ScriptedModel

FAULTS: list[Any] = ["truncated", "filtered", "refused", "invalid_tool_calls", "empty"]
GUARDED = NodeGuard(gates=[finished()])


def drafting(model: Any) -> Callable[[State], State]:
    """Return a node that keeps the text of an answer and nothing else of it."""
    return lambda _: {"draft": model.invoke("Why is the street wet?").text}


def streaming(model: Any) -> Callable[[State], State]:
    """Return a node that keeps the text of a stream."""
    return lambda _: {"draft": "".join(c.text for c in model.stream("Why is the street wet?"))}


def swallowing(model: Any) -> Callable[[State], State]:
    """Return a node that makes do with what came before the stream broke."""

    def node(_: State) -> State:
        parts: list[str] = []
        try:
            parts.extend(chunk.text for chunk in model.stream("Why is the street wet?"))
        except Exception:  # noqa: BLE001 - the careless node that the gate is for
            return {"draft": "".join(parts)}
        return {"draft": "".join(parts)}

    return node


def reason(node: Any) -> str:
    """Return why the only attempt of a node was rejected; empty if it was accepted."""
    (attempt,) = attempts_of(node, GUARDED)
    assert attempt.outcome in {"accepted", "rejected"}
    return "; ".join(attempt.reasons)


def test_a_whole_answer_passes(llmock: LLMock, chat: Chat) -> None:
    """An answer that ended by itself passes, streamed or not."""
    assert reason(drafting(chat())) == ""
    assert reason(streaming(chat())) == ""


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        ("length", r"cut off \(finish reason 'length'\)"),
        ("content_filter", "was filtered"),
        ("refusal", "the model refused"),
        ("odd", "ended for 'odd', which is not known"),
    ],
)
@pytest.mark.parametrize("way", [drafting, streaming])
def test_a_finish_reason_that_is_no_end_does_not_pass(
    llmock: LLMock, chat: Chat, way: Any, finish: str, said: str
) -> None:
    """The vendor's word is read from the call, although the node hands over a text alone."""
    llmock.add(Reply("Because it", finish_reason=finish))
    assert re.search(said, reason(way(chat())))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_truncated_stream_does_not_pass_as_an_answer(
    llmock: LLMock, chat: Chat, asynchronous: bool
) -> None:
    """The client raises nothing when a stream ends early; the gate rejects, and a retry helps."""
    llmock.truncate(after_chunks=2)
    guarded = NodeGuard(gates=[finished()], policy=Policy(Retry(1)))

    async def node(_: State) -> State:
        model = chat()
        return {"draft": "".join([c.text async for c in model.astream("Why is the street wet?")])}

    made = node if asynchronous else streaming(chat())
    first, second = attempts_of(made, guarded, asynchronous=asynchronous)
    assert "does not say why it ended" in first.reasons[0]
    assert (first.outcome, second.outcome) == ("rejected", "accepted")
    assert len(llmock.requests) == 2


@pytest.mark.parametrize("fault", ["disconnect", "corrupt"])
def test_what_came_before_a_stream_broke_is_no_answer(
    llmock: LLMock, chat: Chat, fault: str
) -> None:
    """A node that swallows the error and hands over a part of the answer does not pass."""
    getattr(llmock.reply("It rained for a week and a day and an hour."), fault)(after_chunks=4)
    assert "does not say why it ended" in reason(swallowing(chat()))


def test_a_stream_that_stalls_is_no_answer(llmock: LLMock, chat: Chat) -> None:
    """Nor does one that the client gave up on."""
    llmock.reply("It rained for a week and a day and an hour.").stall(after_chunks=4, seconds=2)
    assert "does not say why it ended" in reason(swallowing(chat(timeout=0.2)))


def test_a_call_that_failed_and_was_made_good_does_not_count(llmock: LLMock, chat: Chat) -> None:
    """A node that falls back to another model after an error is judged by the answer it got."""
    llmock.fail(500)
    assert reason(drafting(chat().with_fallbacks([chat("large")]))) == ""


def test_a_stream_that_broke_and_was_made_good_does_not_count(llmock: LLMock, chat: Chat) -> None:
    """A node that asks again after a broken stream is judged by the answer that it got then."""
    llmock.reply("It rained for a week and a day and an hour.").disconnect(after_chunks=4)
    llmock.reply("It rained for a week and a day and an hour.")
    broken, whole = swallowing(chat()), streaming(chat())
    assert reason(lambda state: broken(state) and whole(state)) == ""


def test_a_stream_that_the_node_stopped_reading_is_its_own_affair(
    llmock: LLMock, chat: Chat
) -> None:
    """A node may leave a stream when it has what it wants."""

    def node(_: State) -> State:
        return {"draft": next(c.text for c in chat().stream("Why is it wet?") if c.text)}

    assert reason(node) == ""


@tool
def look_up(order: str) -> str:
    """Look up an order."""
    return order


def test_tool_arguments_that_are_no_json_do_not_pass(llmock: LLMock, chat: Chat) -> None:
    """The client keeps malformed arguments apart without raising; the gate says whose they are."""
    llmock.call_tool("look_up", {"order": "4471"}).break_tool_call("malformed_arguments")
    said = reason(drafting(chat().bind_tools([look_up])))
    assert "the arguments for the tool 'look_up' are not valid JSON" in said
    llmock.call_tool("look_up", {"order": "4471"})
    assert reason(drafting(chat().bind_tools([look_up]))) == ""


def test_an_empty_answer_does_not_pass(llmock: LLMock, chat: Chat) -> None:
    """Blank text without a tool call is no answer."""
    with serving({"content": " \n"}) as server:
        assert "the answer is empty" in reason(drafting(chat(base_url=server.url)))


def test_a_refusal_does_not_pass(llmock: LLMock, chat: Chat) -> None:
    """A refusal comes with the finish reason `stop`; its words are in the reason."""
    with serving({"content": None, "refusal": "I cannot help with that."}) as server:
        said = reason(drafting(chat(base_url=server.url)))
    assert said.endswith("the model refused: I cannot help with that.")


def test_a_node_that_calls_no_model_passes() -> None:
    """A fallback made of a template has nothing to be judged."""
    assert reason(lambda _: {"draft": "by hand"}) == ""


def test_a_gates_own_calls_are_not_judged(llmock: LLMock, chat: Chat) -> None:
    """Only what the node asked is its answer: a gate that is asked after another's model call."""
    llmock.add(Reply("It rains."), Reply("Yes, i", finish_reason="length"))

    @gate(slow=True)
    def asks(output: Any) -> bool:
        return bool(chat("judge").invoke("Is it so?").text)

    (attempt,) = attempts_of(drafting(chat()), NodeGuard(gates=[asks & finished()]))
    assert [call.finish for call in attempt.calls] == ["stop", "length"]
    assert attempt.outcome == "accepted"


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (AIMessage("cut", response_metadata={"stop_reason": "max_tokens"}), "truncated"),
        (AIMessage("cut", response_metadata={"stop_reason": "pause_turn"}), "truncated"),
        (AIMessage("cut", response_metadata={"finish_reason": "MAX_TOKENS"}), "truncated"),
        (AIMessage("cut", response_metadata={"stopReason": "max_tokens"}), "truncated"),
        (
            AIMessage(
                "cut",
                response_metadata={
                    "status": "incomplete",
                    "incomplete_details": {"reason": "max_output_tokens"},
                },
            ),
            "truncated",
        ),
        (AIMessage("cut", response_metadata={"status": "in_progress"}), "truncated"),
        (AIMessageChunk("cut"), "truncated"),
        (AIMessage("", response_metadata={"finish_reason": "SAFETY"}), "filtered"),
        (AIMessage("no", response_metadata={"stop_reason": "refusal"}), "refused"),
        (
            AIMessage(
                [{"type": "refusal", "refusal": "no"}], response_metadata={"status": "completed"}
            ),
            "refused",
        ),
        (
            AIMessage("", response_metadata={"finish_reason": "MALFORMED_FUNCTION_CALL"}),
            "invalid_tool_calls",
        ),
        (
            AIMessage(
                [{"type": "thinking", "thinking": "hm"}],
                response_metadata={"stop_reason": "end_turn"},
            ),
            "empty",
        ),
    ],
)
def test_each_vendors_words_are_read(message: AIMessage, fault: Any) -> None:
    """Each fault is found in a message by itself, and by the gate that is for it alone."""
    output = {"messages": [HumanMessage("Why?"), message]}
    every = {each: as_verdict(finished(each, key="messages")(output)).passed for each in FAULTS}
    assert [each for each, passed in every.items() if not passed and each != "empty"] == (
        [] if fault == "empty" else [fault]
    )
    assert not every[fault]


@pytest.mark.parametrize(
    "message",
    [
        AIMessage("whole", response_metadata={"finish_reason": "stop"}),
        AIMessage("whole", response_metadata={"stop_reason": "end_turn"}),
        AIMessage("whole", response_metadata={"finish_reason": "STOP"}),
        AIMessage("whole", response_metadata={"status": "completed"}),
        AIMessage("whole", response_metadata={"done_reason": "stop"}),
        AIMessage(
            [{"type": "text", "text": "whole"}], response_metadata={"finish_reason": "COMPLETE"}
        ),
        AIMessage([{"type": "image_url"}], response_metadata={"finish_reason": "stop"}),
        AIMessage(
            "",
            tool_calls=[{"name": "look_up", "args": {}, "id": "1"}],
            response_metadata={"finish_reason": "tool_calls"},
        ),
    ],
)
def test_a_whole_message_passes(message: AIMessage) -> None:
    """What every vendor calls an end is one."""
    assert as_verdict(finished(key="answer")({"answer": message}))


def test_a_word_of_ones_own_vendor_can_be_added() -> None:
    """`whole` names what else means the end of an answer."""
    message = AIMessage("whole", response_metadata={"finish_reason": "Done"})
    assert not as_verdict(finished(key="answer")({"answer": message}))
    assert as_verdict(finished(key="answer", whole=["done"])({"answer": message}))


def test_what_is_missing_does_not_pass() -> None:
    """A key that holds nothing could not be judged."""
    assert as_verdict(finished(key="messages")({})).broken


@pytest.mark.parametrize("given", ["It rains.", ["It rains."], [("ai", "It rains.")], None])
def test_what_is_no_message_could_not_be_judged(given: Any) -> None:
    """A key that holds a text, or another notation of a message, says nothing of an end."""
    verdict = as_verdict(finished(key="draft")({"draft": given}))
    assert verdict.broken
    assert "where message objects should be" in verdict.reason


def test_the_answers_of_a_subgraph_are_judged_inside_it() -> None:
    """On a subgraph, whose calls belong to its nodes, the gate would judge nothing: refused."""
    outer = one_node(one_node(drafting(ScriptedModel("It rains."))))
    for each in (finished(), ~finished("empty")):
        with pytest.raises(ConfigurationError, match=r"subgraph makes none.*'write\|\.\.\.'"):
            guard(outer, {"write": NodeGuard(gates=[each])})
    guard(outer, {"write|write": GUARDED, "write": NodeGuard(gates=[finished(key="draft")])})


def test_a_fault_that_there_is_not_is_refused() -> None:
    """A name that is no fault is an error when the gate is made."""
    with pytest.raises(ConfigurationError, match="there is no such fault; use truncated, filtered"):
        finished("cut")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="give a list of words"):
        finished(whole="done")


def test_a_scripted_answer_is_whole() -> None:
    """A scripted model's texts end as a real one's do, so that tests need no metadata."""
    assert reason(drafting(ScriptedModel("It rains."))) == ""
    assert reason(streaming(ScriptedModel("It rains."))) == ""


def test_the_error_names_the_fault(llmock: LLMock, chat: Chat) -> None:
    """Without a policy the run ends with the gate, the fault and the finish reason."""
    llmock.add(Reply("Because it", finish_reason="length"))
    app = guard(one_node(drafting(chat())), {"write": GUARDED})
    with pytest.raises(GateRejected, match=r"(?s)gate 'finished'.*cut off \(finish reason"):
        asyncio.run(app.ainvoke({}))
