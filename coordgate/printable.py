"""Printable text: what would steer a terminal or has no shape stands there as its escape."""

from __future__ import annotations

import unicodedata
from typing import Final

_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control characters, invisible ones that reorder a line, lone surrogates, odd line ends."""


def printable(text: str) -> str:
    """Return `text` with what would steer a terminal shown as its escape; newlines stay."""
    if text.isprintable():
        return text
    return "".join(_shown(each) for each in text.expandtabs(4))


def _shown(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _UNPRINTABLE:
        return character
    return character.encode("unicode_escape").decode()


def one_line(text: str, limit: int) -> str:
    """Return `text` printable, on one line of at most `limit` characters."""
    flat = printable(" ".join(text[: 4 * limit].split()))
    return flat if len(flat) <= limit and len(text) <= 4 * limit else f"{flat[: limit - 1]}…"
