"""The test kit itself: `coordgate.testing`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

from coordgate import ConfigurationError, CoordgateError, Feedback, guard
from coordgate.testing import NEVER, RecordingTracer, ScriptedModel, ScriptEnded, scripted


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str


def test_a_scripted_node_gives_its_answers_and_tells_how_it_was_run() -> None:
    """Answers come in their order; calls, states and feedbacks are kept."""
    told = Feedback(("no",), None, 2)
    node = scripted({"draft": "a"}, ValueError("b"), lambda state: {"draft": state["draft"] * 2})
    assert node({"draft": "x"}) == {"draft": "a"}
    with pytest.raises(ValueError, match="b"):
        node({"draft": "y"}, told)
    assert node({"draft": "z"}) == {"draft": "zz"}
    assert node.calls == 3
    assert node.states == [{"draft": "x"}, {"draft": "y"}, {"draft": "z"}]
    assert node.feedbacks == [None, told, None]


def test_an_async_scripted_node_is_async_and_can_hang() -> None:
    """It is awaited, and `NEVER` waits until it is cancelled."""
    node = scripted({"draft": "a"}, NEVER, kind="async")

    async def use() -> None:
        assert await node({}) == {"draft": "a"}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await node({})

    asyncio.run(use())
    assert node.calls == 2


def test_a_sync_scripted_node_cannot_hang() -> None:
    """The error names the async kind."""
    with pytest.raises(ConfigurationError, match="kind='async'"):
        scripted(NEVER)({})


def test_a_script_that_has_ended_says_so() -> None:
    """Running on past the last answer is an error of the test, and of ours."""
    node = scripted({"draft": "a"}, name="writer")
    node({})
    with pytest.raises(ScriptEnded, match="'writer' was run 2 times, but its script has 1 answers"):
        node({})
    assert issubclass(ScriptEnded, CoordgateError)
    assert issubclass(ScriptEnded, AssertionError)
    assert node.calls == 2


def test_a_scripted_node_has_the_name_that_it_is_given() -> None:
    """`add_node` takes its name, as of a function."""
    builder = StateGraph(State)
    builder.add_node(scripted({"draft": "a"}, name="writer"))
    builder.add_edge(START, "writer")
    assert guard(builder).compile().invoke({}) == {"draft": "a"}


def test_a_script_is_shared_by_threads() -> None:
    """Each answer is given once, however many threads ask."""
    node = scripted(*range(200))
    with ThreadPoolExecutor(16) as pool:
        given = list(pool.map(node, range(200)))
    assert sorted(given) == list(range(200))


def test_a_scripted_model_answers_and_remembers_what_it_was_asked() -> None:
    """Texts and messages come in order, as fresh objects with ids of their own."""
    said = AIMessage("second", tool_calls=[{"name": "t", "args": {}, "id": "1"}])
    model = ScriptedModel("first", said, ValueError("third"))
    assert model.invoke("a").text == "first"
    second = asyncio.run(model.ainvoke([HumanMessage("b")]))
    assert second is not said
    assert second.tool_calls[0]["name"] == "t"
    assert said.id is None
    with pytest.raises(ValueError, match="third"):
        model.invoke("c")
    with pytest.raises(ScriptEnded):
        model.invoke("d")
    assert model.calls == 4
    assert [prompt[-1].text for prompt in model.prompts] == ["a", "b", "c", "d"]


def test_a_scripted_model_streams_word_by_word() -> None:
    """Its chunks add up to the answer, tool calls and usage with it."""
    usage: Any = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    call: Any = {"name": "t", "args": {"x": 1}, "id": "1"}
    said = AIMessage("one two three", tool_calls=[call], usage_metadata=usage)
    model = ScriptedModel(said, said)

    async def read() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream("a")]  # type: ignore[misc]

    for chunks in (list(model.stream("a")), asyncio.run(read())):
        assert [chunk.text for chunk in chunks if chunk.text] == ["one ", "two ", "three"]
        whole = sum(chunks[1:], start=chunks[0])
        assert whole.text == "one two three"
        assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("t", {"x": 1})]
        assert whole.usage_metadata == usage


def test_a_scripted_model_takes_tools() -> None:
    """Binding tools changes nothing in what it says."""

    @tool
    def look() -> str:
        """Look."""
        return ""

    assert ScriptedModel("fine").bind_tools([look]).invoke("x").text == "fine"


def test_a_recording_tracer_gives_what_was_recorded_at_once() -> None:
    """Runs, transitions and attempts can be read without waiting for the tracer's thread."""
    tracer = RecordingTracer()
    builder = StateGraph(State)
    builder.add_node("write", scripted({"draft": "a"}, {"draft": "b"}))
    builder.add_edge(START, "write")
    app = guard(builder, tracer=tracer).compile()
    assert (tracer.runs, tracer.transitions) == ([], [])
    app.invoke({})
    app.invoke({})
    assert [run.status for run in tracer.runs] == ["completed", "completed"]
    assert [t.node for t in tracer.transitions] == ["write", "write"]
    assert tracer.of("write") == tracer.transitions
    assert tracer.of("other") == []
    assert [a.output for a in tracer.attempts("write")] == ['{"draft":"a"}', '{"draft":"b"}']


def test_a_recording_tracer_redacts_unless_it_is_told_not_to() -> None:
    """Secrets do not get into a test's records by accident either."""
    secret = "sk-abcdefghijklmnopqrstuvwx"  # noqa: S105 - the shape of one, and no more
    for redact, shown in ((True, "[redacted]"), (False, secret)):
        tracer = RecordingTracer(redact=redact)
        builder = StateGraph(State)
        builder.add_node("write", scripted({"draft": secret}))
        builder.add_edge(START, "write")
        guard(builder, tracer=tracer).compile().invoke({})
        assert tracer.of("write")[0].writes == f'{{"draft":"{shown}"}}'
