"""Calls: what each model call was, put on the attempt that made it, wherever below the node.

LangChain tells its callback handlers of every model call. Ours stands in a context variable that
the engine sets around a node's body and its gates, so that no config needs to be handed on: the
call belongs to the innermost guarded node that runs in the context where the call begins.
"""

# LangChain's handlers say what they ignore as properties; a class attribute is quicker to ask.
# pyright: reportAssignmentType=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from coordgate.asking import GATE
from coordgate.capture import RawAttempt, RawCall
from coordgate.endings import finish_of
from coordgate.integrations.openai import read_body, repeats_of
from coordgate.run import RUN
from coordgate.running import RUNNING


class CallCounter(BaseCallbackHandler):
    """Notes each model call on the attempt that is being made; there is one for all."""

    run_inline = True
    ignore_agent = True
    ignore_chain = True
    ignore_retriever = True
    ignore_custom_event = True
    ignore_retry = True

    def __init__(self) -> None:
        """Begin with no call under way."""
        # A call that never ends goes with its attempt.
        self._open: weakref.WeakValueDictionary[UUID, RawCall] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a chat model was called."""
        self._begin(run_id, kwargs.get("invocation_params") or {}, metadata or {})

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a model was called which takes a text."""
        self._begin(run_id, kwargs.get("invocation_params") or {}, metadata or {})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note what was answered, and what it took."""
        with self._lock:
            call = self._open.pop(run_id, None)
            if call is not None:
                _note_answer(call, response)
                self._end(call)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a call failed, was cancelled, or that nobody read its stream to the end."""
        with self._lock:
            call = self._open.pop(run_id, None)
            if call is not None:
                _note_failure(call, error, kwargs.get("response"))
                self._end(call)

    def _begin(self, run_id: UUID, params: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        running = RUNNING.get()
        if running is None:
            return
        run = RUN.get()
        prices = None if run is None else run.prices
        asked = params.get("model") or params.get("model_name") or metadata.get("ls_model_name")
        with self._lock:
            attempt = running.raw  # made when it is first asked for: by one thread alone
            call = RawCall(attempt, asked, GATE.get() or running.gate, prices)
            self._open[run_id] = call
            attempt.calls = [*attempt.calls, call]
            _sum(attempt)

    def _end(self, call: RawCall) -> None:
        call.seconds = time.perf_counter() - call.began
        attempt, call.attempt = call.attempt, None
        if attempt is not None:
            _sum(attempt)


COUNTER: ContextVar[CallCounter | None] = ContextVar("coordgate_calls", default=None)
"""Set where model calls are counted; LangChain looks here whenever a run of its own begins."""

COUNTING = CallCounter()
"""What stands in it then."""

register_configure_hook(COUNTER, inheritable=False)


def repeated_by_client(error: BaseException, calls: Sequence[RawCall]) -> bool:
    """Return whether an attempt failed of a request that its client had itself repeated.

    A node may raise the client's error, wrap it, or swallow it and go on. So the calls that the
    attempt made are asked too: those that failed, and after which no other one was answered.
    """
    own = [each for each in calls if each.gate is None]
    answered = [each.began for each in own if each.seconds is not None and each.error is None]
    last = max(answered, default=-math.inf)
    return any(repeats_of(each) for each in _causes(error)) or any(
        each.repeats and each.began + (each.seconds or 0.0) > last for each in own
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, those that it says it was raised from, and those of groups among them."""
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", each).exceptions
        if each.__cause__ is not None:
            left.append(each.__cause__)


def _status(error: BaseException) -> int | None:
    """Return the status by which a server refused a request."""
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) and status >= 400 else None


def _note_failure(call: RawCall, error: BaseException, response: LLMResult | None) -> None:
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    call.repeats = repeats_of(error)
    if call.repeats:
        said = f"{said} (the client had sent it {call.repeats + 1} times)"
    call.error = said
    call.refused = _status(error) is not None
    call.answer = _part(response)
    body = None if call.refused else read_body(_body(response))
    if body is not None:
        asked, call.model, call.finish = call.model, body.model or call.model, body.finish
        _price(call, body.tokens_in, body.tokens_out, body.details, asked)


def _body(response: LLMResult | None) -> Any:
    """Return the body of an answer of which the client could not make a message."""
    for each in response.generations[0] if response and response.generations else ():
        message = getattr(each, "message", None)
        return getattr(message, "response_metadata", {}).get("body")
    return None


def _part(response: LLMResult | None) -> AIMessage | None:
    """Return what had come of an answer that broke off, if anything had."""
    for each in response.generations[0] if response and response.generations else ():
        if isinstance(each, ChatGeneration) and isinstance(each.message, AIMessage):
            return each.message if each.message.content or each.message.tool_calls else None
    return None


def _note_answer(call: RawCall, response: LLMResult) -> None:
    answers = response.generations[0] if response.generations else []
    answer = answers[0] if answers else None
    told: Any = response.llm_output or {}
    if not isinstance(answer, ChatGeneration) or not isinstance(answer.message, AIMessage):
        used: Any = told.get("token_usage") or {}
        info: Any = getattr(answer, "generation_info", None) or {}
        call.model = told.get("model_name") or call.model
        call.finish = info.get("finish_reason")
        _price(call, used.get("prompt_tokens"), used.get("completion_tokens"), {})
        return
    message = answer.message
    call.answer = message
    metadata: Any = message.response_metadata
    asked = call.model
    call.model = metadata.get("model_name") or metadata.get("model") or asked
    call.finish = finish_of(metadata)
    usage: Any = message.usage_metadata
    if usage is None:
        return
    if usage.get("total_cost") == 0:  # LangChain's cache answered: the model was not called
        call.tokens_in, call.tokens_out, call.cost = 0, 0, 0.0
        return
    split: dict[str, int | None] = {
        **(usage.get("input_token_details") or {}),
        **(usage.get("output_token_details") or {}),
    }
    details = {name: count for name, count in split.items() if count}
    _price(call, usage["input_tokens"], usage["output_tokens"], details, asked)


def _price(
    call: RawCall,
    tokens_in: int | None,
    tokens_out: int | None,
    details: Mapping[str, int],
    asked: str | None = None,
) -> None:
    call.tokens_in, call.tokens_out, call.details = tokens_in, tokens_out, details
    prices = call.prices
    if prices is None:
        return
    named = call.model if asked is None or prices.of(call.model) is not None else asked
    call.cost = prices.cost(named, tokens_in, tokens_out, details)


def _sum(attempt: RawAttempt) -> None:
    """Put on an attempt what its calls come to; what is not known in whole is unknown."""
    calls: Sequence[RawCall] = [each for each in attempt.calls if not each.refused]
    own = [each.model for each in attempt.calls if each.gate is None and each.model]
    attempt.model = ", ".join(dict.fromkeys(own)) or None
    attempt.tokens_in = _total([each.tokens_in for each in calls])
    attempt.tokens_out = _total([each.tokens_out for each in calls])
    costs = [each.cost for each in calls if each.cost is not None]
    attempt.cost = sum(costs) if costs and len(costs) == len(calls) else None


def _total(counts: Sequence[int | None]) -> int | None:
    known = [each for each in counts if each is not None]
    return sum(known) if known else None
