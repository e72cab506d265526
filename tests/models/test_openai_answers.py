"""What OpenAI's own client does not say in a message: unparseable answers, refusals, repeats."""

import json
from typing import Any

import httpx
import pytest
from calling import Chat, State, attempts_of
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from llmock.pytest_plugin import LLMock
from llmock.scenarios import Reply
from pydantic import BaseModel
from verbatim import serving

from coordgate import NodeGuard, Policy, Retry
from coordgate.gates import finished
from coordgate.integrations.openai import end_of_response, read_body, refusal_of, repeats_of

ASKED = "Why is the street wet?"
AGAIN = NodeGuard(policy=Policy(Retry(1, wait=0.0, jitter=False)))


class Draft(BaseModel):
    """A draft."""

    draft: str


def filling(model: Any) -> Any:
    """Return a node that has a model fill the schema."""
    return lambda _: {"draft": model.with_structured_output(Draft).invoke(ASKED).draft}


@pytest.mark.parametrize("responses", [False, True], ids=["chat completions", "responses"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("said", "finish", "words"),
    [
        ('{"draft": "It ra', "length", {"length", "max_output_tokens"}),
        ("It rained.", "stop", {"stop", "completed"}),
        ('{"text": "It rained."}', "stop", {"stop", "completed"}),
    ],
    ids=["cut off", "prose", "another schema"],
)
def test_an_answer_that_the_client_cannot_parse_has_been_paid_for(
    llmock: LLMock,
    chat: Chat,
    said: str,
    finish: str,
    words: set[str],
    responses: bool,
    asynchronous: bool,
) -> None:
    """The client raises and makes no message: model, end, tokens and cost are still recorded."""
    llmock.add(Reply(said, finish_reason=finish)).reply('{"draft": "It rained."}')
    node = filling(chat(use_responses_api=responses))
    first, second = attempts_of(node, AGAIN, asynchronous=asynchronous)
    assert (first.outcome, second.outcome) == ("raised", "accepted")
    (call,) = first.calls
    assert call.error
    assert (call.model, first.model) == ("small", "small")
    assert call.finish in words
    assert call.tokens_in == first.tokens_in == second.tokens_in == 5
    assert call.tokens_out
    assert call.cost == first.cost == pytest.approx((5 * 1.0 + call.tokens_out * 4.0) / 1e6)


@pytest.mark.parametrize(
    ("finish", "words"), [("stop", "completed"), ("length", "max_output_tokens")]
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_responses_api_says_its_end_by_a_status(
    llmock: LLMock, chat: Chat, finish: str, words: str, streamed: bool
) -> None:
    """Through that API too the record has end and tokens, and `finished` rejects what was cut."""
    llmock.add(Reply("It has been raining.", finish_reason=finish))
    model = chat(use_responses_api=True)

    def node(_: State) -> State:
        if streamed:
            return {"draft": "".join(chunk.text for chunk in model.stream(ASKED))}
        return {"draft": model.invoke(ASKED).text}

    (attempt,) = attempts_of(node, NodeGuard(gates=[finished()]))
    (call,) = attempt.calls
    assert (call.finish, call.model) == (words, "small")
    assert call.tokens_in == 5
    assert call.cost
    assert attempt.outcome == ("accepted" if finish == "stop" else "rejected")


def test_a_body_is_read_as_the_client_reads_it(chat: Chat) -> None:
    """Tokens that are told apart have the names that LangChain gives them in a message."""
    usage = {
        "prompt_tokens": 900,
        "completion_tokens": 80,
        "total_tokens": 980,
        "prompt_tokens_details": {"cached_tokens": 700, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 60},
    }
    with serving({"content": "It rained.", "usage": usage}) as server:
        message = chat(base_url=server.url).invoke(ASKED)
    known: Any = message.usage_metadata
    body = {"object": "chat.completion", "model": "small", "usage": usage, "choices": []}
    answered = read_body(body)
    assert answered is not None
    assert (answered.tokens_in, answered.tokens_out) == (
        known["input_tokens"],
        known["output_tokens"],
    )
    split = {**known["input_token_details"], **known["output_token_details"]}
    assert answered.details == {name: count for name, count in split.items() if count}


def test_a_tier_of_service_has_no_price_in_the_table(llmock: LLMock, chat: Chat) -> None:
    """What was answered in another tier than the table's costs an unknown amount."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    answer = {"content": "prose", "usage": usage, "service_tier": "flex"}
    with serving(answer, {"content": '{"draft": "It rained."}'}) as server:
        attempt = attempts_of(filling(chat(base_url=server.url)), AGAIN)[0]
    assert (attempt.tokens_in, attempt.tokens_out, attempt.cost) == (5, 2, None)


NAMES = ["object", "usage", "choices", "prompt_tokens", "status", "model", "finish_reason"]
NAMES += ["incomplete_details", "input_tokens_details", "prompt_tokens_details", "reason"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
)


@given(body=json_values, kind=st.sampled_from(["chat.completion", "response"]))
def test_no_body_breaks_the_reader(body: Any, kind: str) -> None:
    """A server may answer anything: what cannot be read is unknown, and never an error."""
    read_body(body)
    told = {**(body if isinstance(body, dict) else {}), "object": kind}
    answered = read_body(told)
    assert answered is not None
    json.dumps(dict(answered.details))
    end_of_response(told)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (AIMessage("", additional_kwargs={"refusal": "I will not."}), "I will not."),
        (AIMessage([{"type": "refusal", "refusal": "I will not."}]), "I will not."),
        (AIMessage("I will not.", additional_kwargs={"refusal": None}), None),
        (AIMessage(["a text", {"type": "text", "text": "b"}]), None),
    ],
)
def test_a_refusal_stands_beside_the_content_or_in_it(message: AIMessage, said: str | None) -> None:
    """Chat Completions and the Responses API say it in their own places."""
    assert refusal_of(message) == said


@pytest.mark.parametrize(
    ("header", "count"), [("0", 0), ("2", 2), ("", 0), ("many", 0), ("-1", 0), (None, 0)]
)
def test_the_clients_repeats_are_read_from_the_request(header: str | None, count: int) -> None:
    """What the header does not say clearly is no repeat."""
    headers = {} if header is None else {"x-stainless-retry-count": header}
    request = httpx.Request("POST", "http://localhost", headers=headers)
    assert repeats_of(httpx.ReadError("broken", request=request)) == count
    assert repeats_of(ValueError()) == 0
