"""Calls: a span for each tool, retriever and model that is called while an attempt is made.

LangChain tells its callback handlers when they begin and end. Ours stands in a context variable for
as long as an attempt is made, so that no config needs to be handed on. It runs inline, in the
context that the tool or the client then runs in: their own spans nest in the one made here.
"""

# LangChain's handlers say what they ignore as properties; a class attribute is quicker to ask.
# pyright: reportAssignmentType=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook
from langgraph.errors import GraphBubbleUp
from opentelemetry.trace import Span, SpanKind, Tracer

from coordgate.endings import finish_of
from coordgate.exporters.otel import names
from coordgate.exporters.otel.content import Content
from coordgate.exporters.otel.metrics import Metrics
from coordgate.exporters.otel.scopes import end, push, tidy

_PENDING = object()


class OpenCall:
    """A call that is under way, or has ended and waits for its attempt's record."""

    def __init__(self, span: Span, kind: str, given: Any, told: dict[str, str]) -> None:
        """Begin, and make its span current."""
        self.span = span
        self.kind = kind
        self.given = given
        self.told = told
        self.scope = push(span)
        self.began = time.perf_counter()
        self.seconds: float | None = None
        self.ended: int | None = None
        self.returned: Any = _PENDING
        self.error: BaseException | None = None
        self.response: Mapping[str, Any] = {}

    def end(self, returned: Any, error: BaseException | None = None) -> None:
        """Note what came of it."""
        self.returned, self.error = returned, error
        self.seconds = time.perf_counter() - self.began
        self.ended = time.time_ns()
        end(self.scope)

    def finish(self, content: Content, metrics: Metrics, last: int) -> None:
        """End the span; `last` is when its attempt ended, for a call that has not."""
        span, error = self.span, self.error
        paused = isinstance(error, GraphBubbleUp)
        if span.is_recording():
            span.set_attributes(dict(self.response))
            content.value(span, names.INPUT, self.given)
            content.value(span, names.OUTPUT, self._came())
            if error is not None and not paused:
                content.error(span, f"{type(error).__name__}: {error}", redacted=False)
        if self.kind == names.LLM and self.seconds is not None:
            metrics.call(
                self.told,
                self.seconds,
                self.response.get(names.INPUT_TOKENS),
                self.response.get(names.OUTPUT_TOKENS),
                None if error is None else type(error).__name__,
            )
        span.end(max(last, 0) if self.ended is None else self.ended)

    def _came(self) -> Any:
        if self.returned is _PENDING:
            return {"status": "not ended"}
        if self.error is None:
            return self.returned
        paused = isinstance(self.error, GraphBubbleUp)
        return {"status": "interrupted" if paused else f"raised {type(self.error).__name__}"}


class CallSpans(BaseCallbackHandler):
    """Makes the spans of what is called while one attempt is made."""

    run_inline = True
    ignore_chain = True
    ignore_custom_event = True
    ignore_retry = True

    def __init__(self, tracer: Tracer, told: Mapping[str, str]) -> None:
        """Begin with no call; `told` is said on the span of each."""
        self.made: list[OpenCall] = []
        self._tracer = tracer
        self._told = told
        self._open: dict[UUID, OpenCall] = {}
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
        """Begin the span of a chat model's call."""
        given = [message for batch in messages for message in batch]
        self._model(run_id, names.CHAT, given, metadata or {}, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the span of the call of a model that takes a text."""
        given = prompts[0] if len(prompts) == 1 else prompts
        self._model(run_id, names.TEXT_COMPLETION, given, metadata or {}, kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note a model's answer, and what it took."""
        call = self._taken(run_id)
        if call is not None:
            returned, call.response = _answer(response)
            call.end(returned)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a model's call failed, or that nobody read its stream to the end."""
        self._failed(run_id, error)

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the span of a tool."""
        name = kwargs.get("name") or (serialized or {}).get("name") or "tool"
        told = {names.OPERATION: names.EXECUTE_TOOL, names.TOOL_NAME: name}
        if kwargs.get("tool_call_id"):
            told[names.TOOL_CALL] = kwargs["tool_call_id"]
        given = input_str if inputs is None else inputs
        self._begin(run_id, f"{names.EXECUTE_TOOL} {name}", names.TOOL, given, told)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note what a tool answered."""
        call = self._taken(run_id)
        if call is not None:
            call.end(output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a tool raised."""
        self._failed(run_id, error)

    def on_retriever_start(
        self, serialized: dict[str, Any], query: str, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Begin the span of a retriever."""
        name = kwargs.get("name") or (serialized or {}).get("name") or "retriever"
        told = {names.OPERATION: names.RETRIEVAL}
        self._begin(run_id, f"{names.RETRIEVAL} {name}", names.RETRIEVER, query, told)

    def on_retriever_end(
        self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note what was found."""
        call = self._taken(run_id)
        if call is not None:
            call.end(list(documents))

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a retriever raised."""
        self._failed(run_id, error)

    def _model(
        self,
        run_id: UUID,
        operation: str,
        given: Any,
        metadata: Mapping[str, Any],
        more: Mapping[str, Any],
    ) -> None:
        params: Mapping[str, Any] = more.get("invocation_params") or {}
        model = params.get("model") or params.get("model_name") or metadata.get("ls_model_name")
        told = {names.OPERATION: operation}
        for name, value in (
            (names.PROVIDER, metadata.get("ls_provider")),
            (names.REQUEST_MODEL, model),
        ):
            if value:
                told[name] = str(value)
        name = f"{operation} {model}" if model else operation
        call = self._begin(run_id, name, names.LLM, given, told)
        for attribute, key in _SETTINGS.items():
            if isinstance(metadata.get(key), int | float):
                call.span.set_attribute(attribute, metadata[key])

    def _begin(
        self, run_id: UUID, name: str, kind: str, given: Any, told: dict[str, str]
    ) -> OpenCall:
        tidy()
        client = SpanKind.CLIENT if kind in {names.LLM, names.RETRIEVER} else SpanKind.INTERNAL
        said = {names.KIND: kind, **told, **self._told}
        span = self._tracer.start_span(name, kind=client, attributes=said)
        call = OpenCall(span, kind, given, told)
        with self._lock:
            self._open[run_id] = call
            self.made.append(call)
        return call

    def _taken(self, run_id: UUID) -> OpenCall | None:
        with self._lock:
            return self._open.pop(run_id, None)

    def _failed(self, run_id: UUID, error: BaseException) -> None:
        call = self._taken(run_id)
        if call is not None:
            call.end(None, error)


_SETTINGS = {
    names.REQUEST_TEMPERATURE: "ls_temperature",
    names.REQUEST_MAX_TOKENS: "ls_max_tokens",
}

CALLS: ContextVar[CallSpans | None] = ContextVar("coordgate_otel_calls", default=None)
"""Set while an attempt is made; LangChain looks here whenever a run of its own begins."""

register_configure_hook(CALLS, inheritable=False)


def _answer(response: LLMResult) -> tuple[Any, Mapping[str, Any]]:
    """Return what a model said, and the attributes of its answer."""
    answers = response.generations[0] if response.generations else []
    answer = answers[0] if answers else None
    told: dict[str, Any] = {}
    if isinstance(answer, ChatGeneration) and isinstance(answer.message, AIMessage):
        message = answer.message
        metadata = cast("dict[str, Any]", message.response_metadata)
        told[names.RESPONSE_MODEL] = metadata.get("model_name") or metadata.get("model")
        finish = finish_of(metadata)
        usage: Mapping[str, Any] = message.usage_metadata or {}
        told[names.INPUT_TOKENS] = usage.get("input_tokens")
        told[names.OUTPUT_TOKENS] = usage.get("output_tokens")
        said: Any = message
    else:
        output: Mapping[str, Any] = response.llm_output or {}
        info: Mapping[str, Any] = getattr(answer, "generation_info", None) or {}
        usage = output.get("token_usage") or {}
        told[names.RESPONSE_MODEL] = output.get("model_name")
        finish = info.get("finish_reason")
        told[names.INPUT_TOKENS] = usage.get("prompt_tokens")
        told[names.OUTPUT_TOKENS] = usage.get("completion_tokens")
        said = None if answer is None else answer.text
    if finish:
        told[names.FINISH_REASONS] = (finish,)
    return said, {name: value for name, value in told.items() if value is not None}
