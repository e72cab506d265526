"""Finish: whether a model's answer is whole: not cut off, filtered, refused, malformed or empty."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, get_args

from coordgate.capture import RawCall
from coordgate.endings import FILTERED, MALFORMED, REFUSED, TRUNCATED, WHOLE, finish_of
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, RungName, Verdict, gate
from coordgate.gates.values import Unreadable, checked_key, is_mapping, is_sequence, read, text_of
from coordgate.integrations.openai import refusal_of
from coordgate.running import RUNNING

Fault = Literal["truncated", "filtered", "refused", "invalid_tool_calls", "empty"]
"""What is wrong with an answer that is not whole."""

FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)


def finished(
    *faults: Fault,
    key: str | None = None,
    whole: Collection[str] = (),
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if the model's answers are whole: none has one of the faults, or any if none is named.

    Judged are the answers to the calls that the node itself made in this attempt, whatever it made
    of them; or, with `key`, the model's messages that it hands over there, as an agent does.
    `truncated` is an answer that was cut off, or that does not say that it was not: a stream that
    broke off says nothing. `whole` are further words by which a vendor says that an answer is
    whole. A node that called no model, as a fallback may, has nothing to be judged, and passes.

    Raises:
        ConfigurationError: there is no such fault.
    """
    for fault in faults:
        if fault not in FAULTS:
            raise ConfigurationError(
                f"finished({fault!r}): there is no such fault; use {', '.join(FAULTS)}"
            )
    if key is not None:
        checked_key(key, "finished: key")
    if isinstance(whole, str):
        raise ConfigurationError(f"finished(whole={whole!r}): give a list of words, [{whole!r}]")
    wanted = frozenset(faults or FAULTS)
    known = WHOLE | {each.lower() for each in whole}

    def ask(output: Any) -> Verdict:
        try:
            answers = list(_calls() if key is None else _messages(read(output, key), key))
        except Unreadable as error:
            return error.verdict()
        found = [
            why
            for finish, answer in answers
            for fault, why in _faults(finish, answer, known)
            if fault in wanted
        ]
        return Verdict.reject("; ".join(dict.fromkeys(found))) if found else Verdict.accept()

    shown = ", ".join([*faults, *([f"key={key}"] if key else [])])
    made = gate(name=f"finished({shown})" if shown else "finished", otherwise=otherwise)(ask)
    parameters = (sorted(wanted), key, sorted(known), otherwise)
    return replace(made, fingerprint=f"finished{parameters!r}", reads=() if key is None else (key,))


def _calls() -> Iterator[tuple[str | None, Any]]:
    """Yield how each of the node's own calls in this attempt ended, and its answer."""
    running = RUNNING.get()
    own = [] if running is None else [call for call in running.raw.calls if call.gate is None]
    for call in own:
        if call.seconds is not None and (call.error is None or _left_over(call, own[-1])):
            yield (None if call.error else call.finish), call.answer


def _left_over(call: RawCall, last: RawCall) -> bool:
    """Return whether a part of an answer is all that the node got before its last call broke."""
    broke = call.error is not None and not call.error.startswith("GeneratorExit")
    return broke and call is last and call.answer is not None


def _messages(value: Any, key: str) -> Iterator[tuple[str | None, Any]]:
    for message in value if is_sequence(value) else [value]:
        kind = getattr(message, "type", None)
        if not isinstance(kind, str):
            raise Unreadable(
                f"{key} holds {type(message).__name__}, where message objects should be"
            )
        if kind in {"ai", "AIMessageChunk"}:
            yield finish_of(message.response_metadata), message


def _faults(finish: str | None, answer: Any, known: Collection[str]) -> Iterator[tuple[Fault, str]]:
    word = (finish or "").lower()
    refusal = refusal_of(answer)
    if refusal or word in REFUSED:
        yield "refused", f"the model refused: {refusal}" if refusal else "the model refused"
    elif word in FILTERED:
        yield "filtered", f"the answer was filtered (finish reason {finish!r}); ask differently"
    elif word in TRUNCATED:
        yield "truncated", f"the answer was cut off (finish reason {finish!r}); be shorter"
    elif not word:
        yield (
            "truncated",
            "the answer does not say why it ended (no finish reason), as one that broke off",
        )
    elif word not in known and word not in MALFORMED:
        yield "truncated", f"the answer ended for {finish!r}, which is not known to mean its end"
    broken = [_tool_fault(each) for each in getattr(answer, "invalid_tool_calls", None) or ()]
    if word in MALFORMED and not broken:
        broken = [f"a tool call could not be read (finish reason {finish!r})"]
    for why in broken:
        yield "invalid_tool_calls", why
    tools = getattr(answer, "tool_calls", None)
    if answer is not None and not (tools or broken or refusal) and not _says_something(answer):
        yield "empty", "the answer is empty"


def _tool_fault(call: Mapping[str, Any]) -> str:
    arguments = str(call.get("args"))
    shown = arguments if len(arguments) <= 200 else f"{arguments[:199]}…"
    return f"the arguments for the tool {call.get('name')!r} are not valid JSON: {shown}"


def _says_something(answer: Any) -> bool:
    """Return whether there is anything in a message beside what the model thought."""
    content = answer.content
    if is_sequence(content):
        content = [
            block
            for block in content
            if not is_mapping(block) or block.get("type") not in {"reasoning", "thinking"}
        ]
        if any(is_mapping(block) and "text" not in block for block in content):
            return True
    return bool((text_of(content) or "").strip())
