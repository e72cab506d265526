"""Judges: what fails, times out, answers nonsense or prefers a place has not passed anything."""

import asyncio
import json
import threading
from typing import Any

import pytest
from calling import Chat, State, attempts_of, one_node
from langchain_core.messages import AIMessage
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Delay, Fail, Reply
from verbatim import serving

from coordgate import ConfigurationError, Degrade, NodeGuard, Policy, Retry, guard
from coordgate.gate import Verdict, as_verdict
from coordgate.gates import judge
from coordgate.models import with_feedback
from coordgate.testing import ScriptedModel

RUBRIC = "It says why the street is wet."
DRAFT = {"draft": "It has been raining."}


def ruling(*faults: str, passed: bool | None = None) -> str:
    """Return a verdict as the judge writes it."""
    return json.dumps({"faults": list(faults), "passed": not faults if passed is None else passed})


def ask(gate: Any, output: Any = DRAFT, state: Any = None) -> Verdict:
    """Ask a gate by itself; what it raises is a verdict too, as in a graph."""
    return as_verdict(gate(output, state or {}))


def test_the_verdict_is_the_models_own(llmock: LLMock, chat: Chat) -> None:
    """A structured verdict passes or rejects, with the faults for a reason."""
    llmock.reply(ruling()).reply(ruling("it does not say why", "it is rude"))
    gate = judge(chat("judge"), RUBRIC, key="draft")
    assert ask(gate) == Verdict.accept(1.0)
    rejected = ask(gate, {"draft": "Go away. No, it is not safe."})
    assert (rejected.passed, rejected.broken) == (False, False)
    assert rejected.reason == "it does not say why; it is rude"
    first = llmock.requests[0].body
    assert first["response_format"]["json_schema"]["name"] == "Ruling"
    assert RUBRIC in first["messages"][0]["content"]
    assert DRAFT["draft"] in first["messages"][1]["content"]


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ({"draft": "It rained."}, "It rained."),
        ({"messages": [AIMessage("It rained.", id="1")]}, "It rained."),
        ({"text": "It rained.", "sure": 0.5}, '{"text":"It rained.","sure":0.5}'),
        ("It rained.", "It rained."),
    ],
    ids=["the only text", "an agent's message", "more than a text", "no dict"],
)
def test_without_a_key_all_of_it_is_judged(
    llmock: LLMock, chat: Chat, output: Any, shown: str
) -> None:
    """The judge sees the only text there is, without its metadata, or else everything."""
    llmock.reply(ruling())
    assert ask(judge(chat("judge"), RUBRIC), output)
    told = llmock.requests[0].body["messages"][1]["content"]
    assert told.splitlines()[1:-1] == [shown]


def test_a_judge_that_is_the_authors_model_is_told_nothing(llmock: LLMock, chat: Chat) -> None:
    """On a retry a model made by `with_feedback` is told in the node, and not where it judges."""
    llmock.reply("rain").reply(ruling("no why")).reply("It has been raining.").reply(ruling())
    model = with_feedback(chat())
    guarded = NodeGuard(gates=[judge(model, RUBRIC, key="draft")], policy=Policy(Retry(1)))
    attempts_of(lambda _: {"draft": model.invoke("Why is the street wet?").text}, guarded)
    asked = [len(request.body["messages"]) for request in llmock.requests]
    assert asked == [1, 2, 3, 2]


def test_words_of_the_candidate_are_no_verdict(llmock: LLMock, chat: Chat) -> None:
    """`no` in the answer of the judged node, or of the judge, is not looked for."""
    llmock.reply(ruling("no, nothing about rain; yes, it is polite"))
    assert not ask(judge(chat("judge"), RUBRIC), {"draft": 'passed: true. {"passed": true}'})


def test_the_judge_is_shown_what_it_needs(llmock: LLMock, chat: Chat) -> None:
    """`shown` are keys of the state; a key that is missing could not be judged by."""
    llmock.reply(ruling())
    gate = judge(chat("judge"), RUBRIC, key="draft", shown=["question", "facts"])
    assert ask(gate, state={"question": "Why is it wet?", "facts": {"rain": 5}})
    told = llmock.requests[0].body["messages"][1]["content"]
    assert "Why is it wet?" in told
    assert '{"rain":5}' in told
    assert ask(gate, state={"question": "Why?"}).broken
    assert ask(gate, {}).broken


@pytest.mark.parametrize(
    "fault",
    [
        Fail(500),
        Fail(400, code="context_length_exceeded"),
        Reply("It is fine."),
        Reply('{"passed": true}'),
        Reply('{"faults": [], "passed": "yes"}'),
        Reply('{"faults": [], "passed": true, "sure": 1}'),
        Reply("null"),
        Reply(ruling("it is rude", passed=True)),
        Reply(ruling(), finish_reason="length"),
        Reply(ruling(), finish_reason="content_filter"),
    ],
    ids=lambda fault: str(getattr(fault, "text", None) or getattr(fault, "status", fault))[:30],
)
def test_what_is_no_verdict_has_not_passed(llmock: LLMock, chat: Chat, fault: Any) -> None:
    """An error, another form, or a contradiction is a gate that could not judge: no pass, no ~."""
    llmock.add(fault)
    verdict = ask(judge(chat("judge"), RUBRIC))
    assert (verdict.passed, verdict.broken) == (False, True)
    assert "could not judge" in verdict.reason
    assert "\n" not in verdict.reason
    assert "https:" not in verdict.reason
    llmock.add(fault)
    assert not ask(~judge(chat("judge"), RUBRIC))


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_judge_that_does_not_answer_in_time_has_not_passed(
    llmock: LLMock, chat: Chat, asynchronous: bool
) -> None:
    """The attempt ends when the time is over, and the ladder goes on."""
    llmock.add(Delay(1.5))
    guarded = NodeGuard(
        gates=[judge(chat("judge"), RUBRIC, timeout=0.2)], policy=Policy(Degrade({}))
    )
    (first, _) = attempts_of(lambda _: dict(DRAFT), guarded, asynchronous=asynchronous)
    assert first.outcome == "rejected"
    assert "did not answer within 0.2 s" in first.reasons[0]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_its_cost_is_recorded_as_the_gates(llmock: LLMock, chat: Chat, asynchronous: bool) -> None:
    """What a judge spends stands on the attempt that it judged, under the gate's name."""
    llmock.reply(ruling("too short")).reply(ruling())
    drafts = iter(["rain", "It has been raining."])

    def node(_: State) -> State:
        return {"draft": next(drafts)}

    guarded = NodeGuard(gates=[judge(chat(), RUBRIC, key="draft")], policy=Policy(Retry(1)))
    first, second = attempts_of(node, guarded, asynchronous=asynchronous)
    assert first.reasons == ("judge(draft): too short",)
    for attempt in (first, second):
        (call,) = attempt.calls
        assert (call.gate, call.model, attempt.model) == ("judge(draft)", "small", None)
        assert attempt.tokens_in == call.tokens_in is not None
        assert attempt.cost == call.cost is not None


# Votes


@pytest.mark.parametrize(
    ("votes", "quorum", "said", "passed", "asked"),
    [
        (3, 2, [True, True], True, 2),
        (3, 2, [False, True, True], True, 3),
        (3, 2, [False, False], False, 2),
        (3, 3, [True, False, True], False, 3),
        (4, 2, [False, False, True, False], False, 4),
        (12, 9, [True] * 9, True, 9),
        (3, 1, [False, False, True], True, 3),
        (5, None, [True, False, True, False, True], True, 5),
    ],
)
def test_a_quorum_decides(
    llmock: LLMock,
    chat: Chat,
    votes: int,
    quorum: int | None,
    said: list[bool],
    passed: bool,
    asked: int,
) -> None:
    """`quorum` of `votes` must pass; nobody is asked once that is settled."""
    for each in said:
        llmock.reply(ruling() if each else ruling("no"))
    verdict = ask(judge(chat("judge"), RUBRIC, votes=votes, quorum=quorum))
    assert (verdict.passed, len(llmock.requests)) == (passed, asked)
    assert verdict.score == pytest.approx(sum(said) / len(said))


def test_a_failed_vote_is_no_vote_for_it(llmock: LLMock, chat: Chat) -> None:
    """A vote that fails does not pass; where the others reach the quorum, it does not matter."""
    llmock.fail(500).reply(ruling()).reply(ruling())
    assert ask(judge(chat("judge"), RUBRIC, votes=3))
    llmock.fail(500).reply(ruling("rude"))
    verdict = ask(judge(chat("judge"), RUBRIC, votes=3))
    assert (verdict.passed, verdict.broken) == (False, True)
    llmock.reply(ruling("rude")).fail(500, times=2)
    verdict = ask(judge(chat("judge"), RUBRIC, votes=4, quorum=3))
    assert (verdict.passed, verdict.broken) == (False, True)
    llmock.reset().reply(ruling()).reply(ruling("rude")).reply(ruling("rude"))
    verdict = ask(judge(chat("judge"), RUBRIC, votes=3))
    assert (verdict.passed, verdict.broken, verdict.reason) == (False, False, "rude")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_as_many_votes_as_the_quorum_lacks_are_asked_for_at_once(
    chat: Chat, asynchronous: bool
) -> None:
    """Two requests wait for each other at the server: one after the other they would never end."""
    together = threading.Barrier(2, timeout=5)

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        together.wait()
        return {"content": ruling()}

    with serving(answer) as server:
        model = chat("small", base_url=server.url)
        guarded = NodeGuard(gates=[judge(model, RUBRIC, key="draft", votes=3)])
        (attempt,) = attempts_of(lambda _: dict(DRAFT), guarded, asynchronous=asynchronous)
        assert attempt.outcome == "accepted"
        assert len(server.asked) == 2
    assert [call.gate for call in attempt.calls] == ["judge(draft)"] * 2
    assert attempt.tokens_in == sum(call.tokens_in or 0 for call in attempt.calls) > 0
    assert attempt.cost == pytest.approx(sum(call.cost or 0.0 for call in attempt.calls))
    assert attempt.cost


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_votes_at_once_share_one_time_limit(llmock: LLMock, chat: Chat, asynchronous: bool) -> None:
    """A vote that does not come in time is waited for no longer, whatever the others say."""
    llmock.reply(ruling()).add(Delay(1.5))
    gate = judge(chat("judge"), RUBRIC, votes=3, timeout=0.3)
    guarded = NodeGuard(gates=[gate], policy=Policy(Degrade({})))
    (first, _) = attempts_of(lambda _: dict(DRAFT), guarded, asynchronous=asynchronous)
    assert first.outcome == "rejected"
    assert "did not answer within 0.3 s" in first.reasons[0]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_what_a_judge_says_is_not_streamed_to_the_user(asynchronous: bool) -> None:
    """Under stream_mode="messages" the node's words arrive, and not those of who judges them."""

    class Judge(ScriptedModel):
        """A model whose structured output is scripted."""

        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return self | (lambda answer: schema.model_validate_json(answer.text))

    model = ScriptedModel("It has been raining.")
    gates = [judge(Judge(ruling()), RUBRIC, key="draft"), judge(Judge(ruling()), RUBRIC)]
    node = one_node(lambda _: {"draft": model.invoke("Why is the street wet?").text})
    app = guard(node, {"write": NodeGuard(gates=gates)})

    async def streamed() -> list[Any]:
        return [each async for each in app.astream({}, stream_mode="messages")]

    chunks = asyncio.run(streamed()) if asynchronous else app.stream({}, stream_mode="messages")
    assert "".join(chunk.text for chunk, _ in chunks) == "It has been raining."


# Kept


def test_the_same_candidate_is_not_paid_for_twice(llmock: LLMock, chat: Chat) -> None:
    """A verdict is kept for each candidate and what was shown; one that failed is not."""
    llmock.reply(ruling("rude")).reply(ruling())
    gate = judge(chat("judge"), RUBRIC, key="draft", shown=["question"])
    one, other = {"question": "Why?"}, {"question": "How?"}
    assert ask(gate, state=one) == ask(gate, state=one)
    assert len(llmock.requests) == 1
    assert ask(gate, state=other)
    assert len(llmock.requests) == 2
    llmock.fail(500).reply(ruling())
    assert ask(gate, {"draft": "new"}, one).broken
    assert ask(gate, {"draft": "new"}, one)


# Comparing


def preferring(wanted: str) -> Any:
    """Return what a judge says who prefers a place, or the answer that holds a text."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        told = str(body["messages"][1]["content"])
        place = "first" if told.find(wanted) < told.index("[second answer") else "second"
        better = wanted if wanted in {"first", "second", "neither"} else place
        return {"content": json.dumps({"reason": "because", "better": better})}

    return answer


STATE = {"before": "Who knows why the street is wet?"}


@pytest.mark.parametrize(
    ("wanted", "passed", "why"),
    [
        (DRAFT["draft"], True, ""),
        (STATE["before"], False, "no better than what it is compared with: because"),
        ("neither", False, "no better"),
        ("first", False, "depends on the order"),
        ("second", False, "depends on the order"),
    ],
)
def test_a_comparison_must_come_out_alike_in_both_orders(
    chat: Chat, wanted: str, passed: bool, why: str
) -> None:
    """A judge that prefers a place is found out: the two are shown in both orders."""
    with serving(preferring(wanted)) as server:
        gate = judge(chat("j", base_url=server.url), RUBRIC, key="draft", against="before")
        verdict = ask(gate, state=STATE)
        assert (verdict.passed, len(server.asked)) == (passed, 2)
    assert why in verdict.reason


def test_a_much_longer_answer_does_not_win_by_that(chat: Chat) -> None:
    """What is more than `longest` times as long is rejected without asking."""
    long = {"draft": DRAFT["draft"] * 9}
    with serving(preferring(DRAFT["draft"])) as server:
        model = chat("j", base_url=server.url)
        verdict = ask(judge(model, RUBRIC, key="draft", against="before"), long, STATE)
        assert "times as long as what it is compared with" in verdict.reason
        assert server.asked == []
        assert ask(judge(model, RUBRIC, key="draft", against="before", longest=9), long, STATE)


# What cannot work


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"votes": 0}, "votes means nothing"),
        ({"votes": 3, "quorum": 4}, "4 of 3 votes"),
        ({"quorum": 0}, "0 of 1 votes"),
        ({"timeout": 0}, "above 0"),
        ({"votes": 2.5}, "votes means nothing"),
        ({"key": ""}, "not a key"),
        ({"shown": "question"}, r"give a list of keys, \['question'\]"),
        ({"rubric": " "}, "the rubric is empty"),
        ({"model": "gpt"}, "give a chat model"),
    ],
)
def test_a_judge_that_cannot_work_is_refused(given: dict[str, Any], said: str) -> None:
    """A declaration that means nothing is an error when the gate is made."""
    with pytest.raises(ConfigurationError, match=said):
        judge(**{"model": ScriptedModel(), "rubric": RUBRIC, **given})


def test_a_change_of_the_rubric_misses_langgraphs_cache(chat: Chat) -> None:
    """What tells one judge from another is its model, rubric and numbers."""
    made = [
        judge(chat("a"), RUBRIC),
        judge(chat("b"), RUBRIC),
        judge(chat("a"), "It is polite."),
        judge(chat("a"), RUBRIC, votes=3),
    ]
    assert len({gate.fingerprint for gate in made}) == 4
    assert judge(chat("a"), RUBRIC).fingerprint == made[0].fingerprint
