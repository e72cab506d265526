"""A report as one HTML file: charts as SVG, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from coordgate.audit.intervals import Rate
from coordgate.audit.report import AuditReport
from coordgate.audit.words import Section, named, of_rate, percent, sections
from coordgate.show import printable

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #c9ced6;
  --one: #0b62c4; --other: #b34700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #16181c; --line: #474d57;
  --one: #6cb0ff; --other: #ff9d5c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
svg { max-width: 100%; height: auto; margin: .5rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
"""

_COLOURS: Final = (
    "--ink: currentColor; --paper: transparent; --line: #8a929e; --one: #3b82d6; --other: #d9772b; "
    "text-align: left"
)
_LEFT: Final = 260
_WIDE: Final = 460
_ROW: Final = 26


def page(report: AuditReport) -> str:
    """Return the report as one HTML document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Audit of {_text(report.store)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{_body(report)}\n</body></html>\n"
    )


def fragment(report: AuditReport) -> str:
    """Return the report as a part of a page, such as a notebook, in the colours around it."""
    return f'<div style="{_COLOURS}">\n{_body(report)}\n</div>'


def charts(report: AuditReport) -> dict[str, str]:
    """Return the charts as SVG, by the title of the section that they belong to."""
    return {
        "End to end": _chart(
            "Product of the nodes and observed rate, with 95% intervals",
            [
                ("product", report.product, None),
                (f"observed ({report.basis})", report.observed, None),
                ("product, first attempts", report.first_pass.product, None),
                ("observed, first attempts", report.first_pass.observed, None),
            ],
        ),
        "Handoffs": _chart(
            "First pass (filled) and accepted (hollow) by handoff, with 95% intervals",
            [(named(each), each.first_pass, each.accepted) for each in report.handoffs],
        ),
    }


def _body(report: AuditReport) -> str:
    body: list[str] = [f"<h1>Audit of {_text(report.store)}</h1>"]
    drawn = charts(report)
    for section in sections(report):
        body.append(f"<h2>{_text(section.title)}</h2>")
        body.append(drawn.get(section.title, ""))
        body.append(_table(section))
        body += [f"<p>{_text(note)}</p>" for note in section.notes]
    return "\n".join(filter(None, body))


def _text(text: str) -> str:
    return escape(printable(text))


def _table(section: Section) -> str:
    if not section.rows:
        return ""
    head = "".join(f"<th>{_text(name)}</th>" for name in section.head)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in section.rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>\n{rows}</table></div>'


def _chart(title: str, bars: Sequence[tuple[str, Rate, Rate | None]]) -> str:
    """Return intervals, one row each, on an axis that begins where the lowest one does."""
    shown = [each for each in bars if each[1].estimate is not None]
    if not shown:
        return ""
    rates = [rate for _, *both in shown for rate in both if rate is not None]
    low = max(0.0, min(rate.low for rate in rates) - 0.01)
    low = min(low, 0.9)

    def x(value: float) -> float:
        return _LEFT + (value - low) / (1 - low) * _WIDE

    height = len(shown) * _ROW + 30
    drawn = [
        f'<svg viewBox="0 0 {_LEFT + _WIDE + 30} {height}" width="{_LEFT + _WIDE + 30}" '
        f'role="img" aria-label="{_text(title)}" fill="currentColor" font-size="12" '
        f'font-family="sans-serif"><title>{_text(title)}</title>'
    ]
    for tick in range(5):
        value = low + (1 - low) * tick / 4
        drawn.append(
            f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="0" y2="{height - 22}" '
            f'stroke="var(--line)"/><text x="{x(value):.1f}" y="{height - 6}" '
            f'text-anchor="middle">{percent(value)}</text>'
        )
    for place, (label, first, second) in enumerate(shown):
        y = place * _ROW + 14
        drawn.append(f'<text x="0" y="{y + 4}">{_text(_short(label))}</text>')
        drawn.append(_whisker(first, x(first.low), x(first.estimate or 0), x(first.high), y, True))
        if second is not None and second.estimate is not None:
            ends = x(second.low), x(second.estimate), x(second.high)
            drawn.append(_whisker(second, *ends, y + 7, False))
    return "\n".join([*drawn, "</svg>"])


def _whisker(rate: Rate, low: float, middle: float, high: float, y: float, filled: bool) -> str:
    colour = "var(--one)" if filled else "var(--other)"
    fill = colour if filled else "var(--paper)"
    return (
        f'<g><title>{of_rate(rate)}</title><line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" '
        f'stroke="{colour}" stroke-width="2"/><circle cx="{middle:.1f}" cy="{y}" r="4" '
        f'stroke="{colour}" stroke-width="2" fill="{fill}"/></g>'
    )


def _short(label: str) -> str:
    return label if len(label) <= 40 else f"{label[:39]}…"
