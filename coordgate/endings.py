"""Endings: what the vendors' words for why an answer ended mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from coordgate.integrations.openai import end_of_response

_WORDS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
"""Where vendors say why an answer ended, in the metadata of the message."""

WHOLE: Final = frozenset(
    {"stop", "end_turn", "tool_calls", "tool_use", "function_call", "stop_sequence"}
    | {"completed", "complete", "eos", "eos_token"}
)
TRUNCATED: Final = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
    | {"pause_turn", "incomplete"}
)
FILTERED: Final = frozenset(
    {"content_filter", "content_filtered", "guardrail_intervened", "safety", "recitation"}
    | {"blocklist", "prohibited_content", "spii", "error_toxic"}
)
REFUSED: Final = frozenset({"refusal", "refused"})
MALFORMED: Final = frozenset({"malformed_function_call", "unexpected_tool_call"})


def finish_of(metadata: Mapping[str, Any]) -> str | None:
    """Return why an answer ended, in the vendor's word, from the metadata of its message."""
    for each in _WORDS:
        said = metadata.get(each)
        if said:
            return str(said)
    return end_of_response(metadata)
