"""Pretty values: recorded JSON text set out on lines, as it was written and of bounded length."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

MOST_SHOWN: Final = 12_000
"""So many characters of a value are set out; the whole is there to be kept as a file."""

_MOST_INLINE = 72
"""A list or object of plain values stays on one line, if it is no longer."""

_DEEPEST = 30
"""Deeper levels are not indented further."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+')


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as a page shows it."""

    text: str
    """The value on lines, cut if it is long."""
    length: int
    """How many characters the whole has."""
    is_cut: bool
    """Whether there is more."""


def shown(text: str, most: int = MOST_SHOWN) -> Shown:
    """Return a recorded value as a page shows it."""
    return Shown(pretty(text[:most]), len(text), len(text) > most)


def pretty(text: str) -> str:
    """Return JSON text set out on lines; what is no JSON stays readable, and nothing is lost.

    No value is parsed: numbers and repeated keys stay as they were written, and depth is no harm.
    Inside a string, a line break is shown as its escape, and breaks the line as well.
    """
    if text[:1] not in ("{", "[", '"'):
        return text
    tokens = _TOKEN.findall(text)
    lines: list[str] = []
    line, depth, at = "", 0, 0
    while at < len(tokens):
        part = tokens[at]
        if part in ("{", "["):
            length = _inline(tokens, at)
            if length:
                line += _joined(tokens[at : at + length])
                at += length
                continue
            lines.append(line + part)
            depth += 1
            line = _indent(depth)
        elif part in ("}", "]"):
            if line.strip():
                lines.append(line)
            depth = max(0, depth - 1)
            line = _indent(depth) + part
        elif part == ",":
            lines.append(line + part)
            line = _indent(depth)
        elif part == ":":
            line += ": "
        else:
            *before, last = _broken(part)
            for piece in before:
                lines.append(line + piece)
                line = _indent(depth) + " "
            line += last
        at += 1
    return "\n".join([*lines, line])


def _indent(depth: int) -> str:
    return "  " * min(depth, _DEEPEST)


def _inline(tokens: Sequence[str], start: int) -> int:
    """Return how many tokens a short list or object of plain values has; 0 if it is none."""
    length = 0
    for count, token in enumerate(tokens[start : start + _MOST_INLINE], 1):
        if count > 1 and token in ("{", "["):
            return 0
        length += len(token)
        if length > _MOST_INLINE or "\\n" in token:
            return 0
        if token in ("}", "]"):
            return count
    return 0


def _joined(tokens: Sequence[str]) -> str:
    return "".join({",": ", ", ":": ": "}.get(token, token) for token in tokens)


def _broken(token: str) -> Iterator[str]:
    """Yield a token, a string broken behind each escape of a line break in it."""
    start = 0
    for found in re.finditer(r"\\(.)", token):
        if found[1] == "n" and found.end() < len(token) - 1:
            yield token[start : found.end()]
            start = found.end()
    yield token[start:]
