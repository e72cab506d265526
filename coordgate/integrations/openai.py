"""OpenAI: what its client's errors, messages and answers say, read by their shape.

It imports neither the SDK nor coordgate, so that what counts calls and judges their ends can read
the words of this one vendor without loading its client. Azure, and the many servers that speak
OpenAI's protocol, are read alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

_RETRIED = "x-stainless-retry-count"
"""What the SDK says in a request's headers; those that are generated as it is, as Anthropic's."""

_PRICED_APART = frozenset({"flex", "priority"})
"""Tiers of service whose tokens have a price of their own."""


def repeats_of(error: BaseException) -> int:
    """Return how often the client itself had repeated the request that failed."""
    headers = getattr(getattr(error, "request", None), "headers", None)
    try:
        return max(int(headers.get(_RETRIED, 0)), 0)  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError):
        return 0


def refusal_of(message: Any) -> str | None:
    """Return the words of a model that refused: beside the content, or as a block of it."""
    beside: Any = getattr(message, "additional_kwargs", None)
    said = _mapping(beside).get("refusal")
    if said:
        return str(said)
    for block in _list(getattr(message, "content", None)):
        held = _mapping(block)
        if held.get("type") == "refusal" or "refusal" in held:
            return str(held.get("refusal"))
    return None


def end_of_response(metadata: Mapping[str, Any]) -> str | None:
    """Return why a response ended, which the Responses API says by a status and its details."""
    said = _mapping(metadata.get("incomplete_details")).get("reason") or metadata.get("status")
    return str(said) if said else None


@dataclass(frozen=True, slots=True)
class Answered:
    """What the body of an answer says of itself."""

    model: str | None
    """The model that answered."""
    finish: str | None
    """Why the answer ended."""
    tokens_in: int | None
    """Tokens sent."""
    tokens_out: int | None
    """Tokens received, those of its reasoning too."""
    details: Mapping[str, int]
    """Those among them that are told apart, by LangChain's names."""


def read_body(body: Any) -> Answered | None:
    """Return what the body of an answer says that the client could not make a message of.

    The client raises where it parses an answer that is no JSON, of another schema, or cut off in
    the middle of it; but the model has answered, and its tokens are billed. Chat Completions and
    Responses are read; None is anything else, such as the body of an error.
    """
    told = _mapping(body)
    usage = _mapping(told.get("usage"))
    if told.get("object") == "chat.completion":
        first = _mapping(next(iter(_list(told.get("choices"))), None))
        finish, sent, received = first.get("finish_reason"), "prompt_tokens", "completion_tokens"
    elif told.get("object") == "response":
        finish, sent, received = end_of_response(told), "input_tokens", "output_tokens"
    else:
        return None
    return Answered(
        _text(told.get("model")),
        _text(finish),
        _count(usage.get(sent)),
        _count(usage.get(received)),
        _details(usage, told.get("service_tier")),
    )


def _details(usage: Mapping[str, Any], tier: Any) -> dict[str, int]:
    sent = {**_mapping(usage.get("prompt_tokens_details"))}
    sent |= _mapping(usage.get("input_tokens_details"))
    received = {**_mapping(usage.get("completion_tokens_details"))}
    received |= _mapping(usage.get("output_tokens_details"))
    named = {
        "audio": (_count(sent.get("audio_tokens")) or 0)
        + (_count(received.get("audio_tokens")) or 0),
        "cache_read": _count(sent.get("cached_tokens")),
        "cache_creation": _count(sent.get("cache_write_tokens")),
        "reasoning": _count(received.get("reasoning_tokens")),
        # The whole answer is of the tier: its name alone says that the price is another.
        str(tier): 1 if tier in _PRICED_APART else None,
    }
    return {name: count for name, count in named.items() if count}


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] - of anything


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
