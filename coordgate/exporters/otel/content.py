"""Content: what of the record goes on the spans as attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from opentelemetry.trace import Span, Status, StatusCode

from coordgate.exporters.otel import names
from coordgate.record import FAILED, Attempt, GateVerdict, Run, Transition
from coordgate.values import ValueText

"""The outcomes of an attempt that are errors: a question, a jump or a cancellation is none."""


_NOTHING = frozenset({"", '""', "{}", "[]", "null"})
"""The text of what says nothing."""


class Content:
    """Puts on spans what they were given and gave, redacted and cut; or nothing, if told so."""

    __slots__ = ("_shown", "_text")

    def __init__(self, text: ValueText, *, shown: bool) -> None:
        """Take what makes text; unless it is to be `shown`, nothing that could quote a state is."""
        self._text = text
        self._shown = shown

    def value(self, span: Span, name: str, value: Any) -> None:
        """Put a value on a span: of a message what it says, of a text the text itself."""
        if self._shown:
            shown = _plain(value)
            self.made(
                span,
                name,
                self._text.words(shown) if isinstance(shown, str) else self._text.json(shown),
            )

    def made(self, span: Span, name: str, text: str) -> None:
        """Put on a span what is redacted text already.

        Nothing at all, such as an empty update, is said to be that: some servers drop it.
        """
        if self._shown:
            if text in _NOTHING:
                text = json.dumps({name.partition(".")[0]: json.loads(text or '""')})
            span.set_attribute(name, text)

    def error(self, span: Span, error: str, *, redacted: bool) -> None:
        """Mark a span as failed by an exception, given as its type and its message."""
        kind, _, message = error.partition(": ")
        if not redacted:
            message = self._text.words(message)
        span.set_attribute(names.ERROR_TYPE, kind)
        shown = {names.EXCEPTION_MESSAGE: message} if self._shown else {}
        span.add_event(names.EXCEPTION, {names.EXCEPTION_TYPE: kind, **shown})
        span.set_status(Status(StatusCode.ERROR, f"{kind}: {message}" if self._shown else kind))

    def run(self, span: Span, run: Run, given: Any, returned: Any) -> None:
        """Put a run on its span."""
        span.set_attribute(names.RUN_STATUS, run.status)
        span.set_attribute(names.MODE, run.mode)
        self.value(span, names.INPUT, given)
        self.value(span, names.OUTPUT, {"status": run.status} if returned is None else returned)
        if run.status == "failed":
            self.error(span, run.error or "Error: ", redacted=True)

    def node(self, span: Span, node: Transition) -> None:
        """Put a transition on its node's span."""
        span.set_attributes(
            {
                names.NODE_STATUS: node.status,
                names.NUMBER: node.number,
                names.NAMESPACE: node.namespace,
                names.STEP: node.step,
                names.PRODUCERS: node.producers,
                names.GOTO: node.goto,
                names.ATTEMPTS: len(node.attempts),
            }
        )
        self.made(span, names.INPUT, node.reads or "null")
        ended = {"status": node.status, "goto": list(node.goto)}
        wrote = None if node.writes in _NOTHING else node.writes
        self.made(span, names.OUTPUT, wrote or json.dumps(ended))
        if node.status == "failed":
            self._failed(span, node.attempts[-1])

    def attempt(self, span: Span, attempt: Attempt, node: Transition) -> None:
        """Put an attempt on its span."""
        span.set_attribute(names.OUTCOME, attempt.outcome)
        if attempt.reasons and self._shown:
            span.set_attribute(names.REASONS, attempt.reasons)
        told = {
            names.DECISION: attempt.decision,
            names.DECIDED_BY: attempt.by if self._shown else None,
            names.COST: attempt.cost,
        }
        for name, value in told.items():
            if value is not None:
                span.set_attribute(name, value)
        self.made(span, names.INPUT, node.reads or "null")
        ended = {"outcome": attempt.outcome, "reasons": list(attempt.reasons)}
        gave = None if attempt.output in _NOTHING else attempt.output
        self.made(span, names.OUTPUT, gave or json.dumps(ended, ensure_ascii=False))
        if attempt.outcome in FAILED and node.status != "observed":
            self._failed(span, attempt)

    def _failed(self, span: Span, attempt: Attempt) -> None:
        if attempt.error is not None:
            self.error(span, attempt.error, redacted=True)
            return
        span.set_attribute(names.ERROR_TYPE, attempt.outcome)
        said = "; ".join(attempt.reasons) if self._shown else attempt.outcome
        span.set_status(Status(StatusCode.ERROR, said))

    def gate(self, span: Span, verdict: GateVerdict, judged: str | None) -> None:
        """Put a verdict on its gate's span; `judged` is the text of what it is about."""
        span.set_attributes(
            {
                names.PASSED: verdict.passed,
                names.EVALUATION_LABEL: "passed" if verdict.passed else "failed",
            }
        )
        if verdict.score is not None:
            span.set_attribute(names.SCORE, verdict.score)
            span.set_attribute(names.EVALUATION_SCORE, verdict.score)
        if verdict.reason:
            self.made(span, names.REASON, verdict.reason)
            self.made(span, names.EVALUATION_EXPLANATION, verdict.reason)
        said = {"passed": verdict.passed, "score": verdict.score, "reason": verdict.reason}
        self.made(span, names.INPUT, "null" if judged is None else judged)
        self.made(span, names.OUTPUT, json.dumps(said, ensure_ascii=False))

    def text_of(self, value: Any) -> str | None:
        """Return the text of a value, if it will be shown."""
        return self._text.json(value) if self._shown else None


def updates(writes: Sequence[tuple[str, str | None]]) -> Any:
    """Return what the nodes of a step wrote, as LangGraph streams updates."""
    return [{node: None if written is None else _parsed(written)} for node, written in writes]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a redaction of the user's own may have broken it
        return text


def _plain(value: Any) -> Any:
    """Return messages and documents as what they say, anything else as it is."""
    match value:
        case BaseMessage():
            return _said(value)
        case Document():
            return {"content": value.page_content, "metadata": cast("Any", value).metadata}
        case list() | tuple():
            return [_plain(each) for each in cast("Sequence[Any]", value)]
        case _:
            return value


def _said(message: BaseMessage) -> Mapping[str, Any]:
    told: Any = message
    said = {
        "role": _ROLES.get(message.type, message.type),
        "content": told.content,
        "name": message.name,
        "tool_calls": getattr(told, "tool_calls", None),
        "tool_call_id": getattr(told, "tool_call_id", None),
        "status": getattr(told, "status", None),
    }
    return {key: value for key, value in said.items() if value or key == "content"}


_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
