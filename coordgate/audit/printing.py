"""A report for the terminal, for machines, and for a pull request."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordgate.audit.report import AuditReport
from coordgate.audit.words import Section, sections
from coordgate.show import printable


def terminal(report: AuditReport) -> Group:
    """Return the report for a terminal."""
    shown: list[RenderableType] = []
    for section in sections(report):
        shown.append(Text(section.title, "bold"))
        if section.rows:
            shown.append(_table(section))
        shown += [Text(printable(note)) for note in section.notes]
        shown.append(Text())
    return Group(*shown[:-1])


def _table(section: Section) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in section.head:
        table.add_column(name, overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def markdown(report: AuditReport) -> str:
    """Return the report as Markdown, for a pull request."""
    parts = [f"# Audit of {_inline(report.store)}"]
    for section in sections(report):
        parts.append(f"## {section.title}")
        if section.rows:
            rows = [section.head, ["---"] * len(section.head), *section.rows]
            parts.append("\n".join(_row(row, plain=place < 2) for place, row in enumerate(rows)))
        parts += [_inline(note) for note in section.notes]
    return "\n\n".join(parts) + "\n"


def _row(cells: Sequence[str], *, plain: bool) -> str:
    return f"| {' | '.join(cell if plain else _inline(cell) for cell in cells)} |"


def _inline(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    flat = " ".join(printable(text).split())
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>#|!~" else each for each in flat)


def as_json(report: AuditReport) -> str:
    """Return the report as one JSON document, its keys the fields of the records."""
    return json.dumps(_finite(asdict(report)), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [_finite(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
