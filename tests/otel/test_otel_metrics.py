"""The metrics of runs, nodes, attempts, verdicts and calls of models."""

from __future__ import annotations

from langchain_core.messages import AIMessage
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from otel_traces import State, Traces, says

from coordgate import Degrade, NodeGuard, Policy, Retry
from coordgate.gates import not_empty
from coordgate.testing import ScriptedModel


def answer(text: str, tokens_in: int, tokens_out: int) -> AIMessage:
    """Return a model's answer that says what it took."""
    return AIMessage(
        text,
        usage_metadata={
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        },
        response_metadata={"model_name": "m-1", "finish_reason": "stop"},
    )


def test_attempts_and_verdicts_are_counted_by_node_and_how_they_ended():
    """Each attempt and each verdict is one; durations are those of the record."""
    traces = Traces()
    policy = Policy(Retry(1), Degrade({"text": "none"}))
    guards = {"a": NodeGuard(gates=[not_empty("text")], policy=policy)}
    app = traces.guarded({"a": says(""), "b": says("1")}, guards)
    app.invoke({})
    app.invoke({})
    found = traces.metrics()
    assert found["coordgate.attempts"] == {  # node, outcome, rung: in the order of their names
        ("rejected", "first", "a"): 2,
        ("rejected", "retry", "a"): 2,
        ("accepted", "degrade", "a"): 2,
        ("accepted", "first", "b"): 2,
    }
    assert found["coordgate.verdicts"] == {("not_empty(text)", False, "a"): 4}
    assert set(found["coordgate.run.duration"]) == {("G", "completed")}
    assert set(found["coordgate.node.duration"]) == {("a", "degraded"), ("b", "accepted")}
    assert 0 < found["coordgate.node.duration"]["a", "degraded"] < 10


def test_tokens_are_counted_and_those_of_which_nothing_shipped():
    """A rejected attempt's tokens are wasted; the calls are told by their model."""
    traces = Traces()
    model = ScriptedModel(answer("", 100, 10), answer("good", 200, 20))

    def node(state: State) -> State:
        return {"text": model.invoke("?").text}

    guards = {"a": NodeGuard(gates=[not_empty("text")], policy=Policy(Retry(1)))}
    traces.guarded({"a": node}, guards).invoke({})
    found = traces.metrics()
    assert found["coordgate.tokens"] == {("a", "input"): 300, ("a", "output"): 30}
    assert found["coordgate.tokens.wasted"] == {
        ("rejected", "a", "input"): 100,
        ("rejected", "a", "output"): 10,
    }
    assert found["gen_ai.client.token.usage"] == {
        ("chat", "scriptedmodel", "input"): 300,
        ("chat", "scriptedmodel", "output"): 30,
    }
    (duration,) = found["gen_ai.client.operation.duration"].values()
    assert 0 < duration < 10
    told = [span.attributes or {} for span in traces.spans if span.name == "chat"]
    assert [each["gen_ai.usage.input_tokens"] for each in told] == [100, 200]
    assert {each["gen_ai.response.model"] for each in told} == {"m-1"}
    assert {each["gen_ai.response.finish_reasons"] for each in told} == {("stop",)}


def test_metrics_do_not_depend_on_what_is_sampled():
    """With a provider that samples nothing there are no spans, and the same counts."""
    traces = Traces(sampler=ALWAYS_OFF)
    traces.guarded({"a": says("1")}).invoke({})
    assert traces.outline() == []
    assert traces.metrics()["coordgate.attempts"] == {("accepted", "first", "a"): 1}
