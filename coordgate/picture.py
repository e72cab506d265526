"""Pictures: where the boxes and arrows of a graph go, and the same as SVG. Pure, asks nobody."""

from __future__ import annotations

import textwrap
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final, TypeAlias

from coordgate.printable import one_line

Point: TypeAlias = tuple[float, float]

LINE: Final = 16
"""The height of a line of text, in pixels; a letter is 12 high."""

_PAD, _GAP, _RISE, _LANE = 10, 28, 48, 18
_WRAP, _MOST = 46, 5


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is to be drawn."""

    id: str
    """What edges call it."""
    name: str
    """What stands on it."""
    says: Mapping[str, str]
    """What else does, by what it is about."""


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge that is to be drawn."""

    source: str
    """The id of the node that it leaves."""
    target: str
    """The id of the node that it goes to."""
    label: str = ""
    """What stands on it."""
    dashed: bool = False
    """Whether it is one of several that may be taken."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node in its place."""

    x: float
    """The left side, in pixels."""
    y: float
    """The upper side."""
    width: float
    """In pixels."""
    height: float
    """In pixels."""
    title: str
    """The name of the node."""
    lines: tuple[str, ...]
    """What stands below it."""
    round: bool
    """Whether it is where the graph begins or ends."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge in its place."""

    points: tuple[Point, ...]
    """Where it goes: the first point, then three for each Bézier curve."""
    label: str
    """What stands on it."""
    dashed: bool
    """Whether it is one of several that may be taken."""

    @property
    def middle(self) -> Point:
        """Return where the label stands."""
        at = len(self.points) // 6 * 3
        return bezier(self.points[at : at + 4], 0.5)


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph laid out."""

    width: float
    """In pixels."""
    height: float
    """In pixels."""
    title: str
    """What it is a picture of."""
    boxes: tuple[Box, ...]
    """The nodes."""
    arrows: tuple[Arrow, ...]
    """The edges."""


def picture(title: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> Picture:
    """Return a graph laid out in rows, from above to below; what goes back goes round the right."""
    boxes = {node.id: _box(node) for node in nodes}
    known = [edge for edge in edges if edge.source in boxes and edge.target in boxes]
    forward, back = _split(list(boxes), known)
    rows, chains = _rows(list(boxes), forward)
    wide = {id: box.width for id, box in boxes.items()}
    placed: dict[str, Point] = {}
    widest = max((sum(wide.get(id, _LANE) + _GAP for id in row) for row in rows), default=0.0)
    y = float(_PAD)
    for row in rows:
        x = _PAD + (widest - sum(wide.get(id, _LANE) + _GAP for id in row)) / 2 + _GAP / 2
        for id in row:
            placed[id] = (x, y)
            x += wide.get(id, _LANE) + _GAP
        y += max(boxes[id].height if id in boxes else 0.0 for id in row) + _RISE
    for id, box in boxes.items():
        x, top = placed[id]
        boxes[id] = Box(x, top, box.width, box.height, box.title, box.lines, box.round)
    arrows = [_arrow(edge, [_joint(id, boxes, placed) for id in chain]) for edge, chain in chains]
    right = _PAD + widest
    for lane, edge in enumerate(back):
        arrows.append(_round(edge, boxes, right + lane * _LANE))
    width = right + len(back) * _LANE + _PAD
    return Picture(width, max(y - _RISE, 0) + _PAD, title, tuple(boxes.values()), tuple(arrows))


def _box(node: Node) -> Box:
    lines: list[str] = []
    for about, said in node.says.items():
        text = f"{about}: {one_line(said, 400)}"
        wrapped = textwrap.wrap(text, _WRAP, subsequent_indent="   ", break_on_hyphens=False)
        lines += wrapped if len(wrapped) <= _MOST else [*wrapped[: _MOST - 1], "   …"]
    title = one_line(node.name, _WRAP)
    width = max(_wide(title) * 1.15, *map(_wide, lines), 40) + 2 * _PAD
    return Box(0, 0, width, (1 + len(lines)) * LINE + _PAD, title, tuple(lines), not lines)


def _wide(text: str) -> float:
    """Return about how wide a text is: no font is asked."""
    return sum(12 if unicodedata.east_asian_width(each) in "WF" else 6 for each in text)


def _split(ids: Sequence[str], edges: Sequence[Edge]) -> tuple[list[Edge], list[Edge]]:
    """Return the edges that lead on, and those that lead back, as a walk from the first sees it."""
    leaving: dict[str, list[Edge]] = defaultdict(list)
    for each in edges:
        leaving[each.source].append(each)
    forward: list[Edge] = []
    back: list[Edge] = []
    entered: set[str] = set()
    for first in ids:
        if first in entered:
            continue
        entered.add(first)
        path = {first}
        walk = [(first, iter(leaving[first]))]
        while walk:
            id, rest = walk[-1]
            edge = next(rest, None)
            if edge is None:
                walk.pop()
                path.discard(id)
                continue
            if edge.target in path:
                back.append(edge)
            else:
                forward.append(edge)
                if edge.target not in entered:
                    entered.add(edge.target)
                    path.add(edge.target)
                    walk.append((edge.target, iter(leaving[edge.target])))
    return forward, back


def _rows(
    ids: Sequence[str], edges: Sequence[Edge]
) -> tuple[list[list[str]], list[tuple[Edge, list[str]]]]:
    """Return the rows, with a place in each that an edge passes, and each edge's way through."""
    depth = _depths(ids, edges)
    rows: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for id in ids:
        rows[depth[id]].append(id)
    chains: list[tuple[Edge, list[str]]] = []
    beside: dict[str, list[str]] = defaultdict(list)
    for number, edge in enumerate(edges):
        chain = [edge.source]
        for level in range(depth[edge.source] + 1, depth[edge.target]):
            chain.append(f"\0{number}:{level}")  # nobody calls a node so
            rows[level].append(chain[-1])
        chain.append(edge.target)
        chains.append((edge, chain))
        for above, below in pairwise(chain):
            beside[above].append(below)
            beside[below].append(above)
    _untangle(rows, beside)
    return rows, chains


def _depths(ids: Sequence[str], edges: Sequence[Edge]) -> Mapping[str, int]:
    """Return how many steps the longest way to each node has."""
    depth = dict.fromkeys(ids, 0)
    changed = True
    while changed:
        changed = False
        for edge in edges:
            if depth[edge.target] <= depth[edge.source]:
                depth[edge.target] = depth[edge.source] + 1
                changed = True
    return depth


def _untangle(rows: Sequence[list[str]], beside: Mapping[str, Sequence[str]]) -> None:
    """Order the rows, so that few edges cross: each by the mean place of what it is joined to."""
    for sweep in range(4):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            at = {id: place / len(each) for each in rows for place, id in enumerate(each)}
            means = {id: _mean([at[o] for o in beside.get(id, ())], at[id]) for id in row}
            row.sort(key=means.__getitem__)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _joint(id: str, boxes: Mapping[str, Box], placed: Mapping[str, Point]) -> tuple[Point, Point]:
    """Return where an edge comes to a place in its row, and where it leaves it."""
    box = boxes.get(id)
    if box is None:
        x, y = placed[id]
        return (x + _LANE / 2, y), (x + _LANE / 2, y + 2 * LINE)
    middle = box.x + box.width / 2
    return (middle, box.y), (middle, box.y + box.height)


def _arrow(edge: Edge, joints: Sequence[tuple[Point, Point]]) -> Arrow:
    points: list[Point] = [joints[0][1]]
    for place, (into, out) in enumerate(joints[1:], start=1):
        points += _curve(points[-1], into)
        if place < len(joints) - 1:
            points += _curve(into, out)
    return Arrow(tuple(points), one_line(edge.label, 30), edge.dashed)


def _curve(start: Point, end: Point) -> list[Point]:
    bend = (end[1] - start[1]) / 2
    return [(start[0], start[1] + bend), (end[0], end[1] - bend), end]


def _round(edge: Edge, boxes: Mapping[str, Box], lane: float) -> Arrow:
    """Return an edge that goes back, up a lane at the right."""
    source, target = boxes[edge.source], boxes[edge.target]
    start = (source.x + source.width, source.y + source.height * 0.7)
    end = (target.x + target.width, target.y + target.height * 0.3)
    high, low = min(end[1], start[1]), max(end[1], start[1])
    turn = min(LINE, (low - high) / 2)
    up = start[1] - turn if start[1] > end[1] else start[1] + turn
    down = end[1] + turn if start[1] > end[1] else end[1] - turn
    points = [start, (lane - 8, start[1]), (lane, start[1]), (lane, up)]
    points += [(lane, up), (lane, down), (lane, down)]
    points += [(lane, end[1]), (lane - 8, end[1]), end]
    return Arrow(tuple(points), one_line(edge.label, 30), edge.dashed)


def bezier(curve: Sequence[Point], at: float) -> Point:
    """Return the point of a cubic Bézier curve at a share of its way."""
    shares = ((1 - at) ** 3, 3 * at * (1 - at) ** 2, 3 * at**2 * (1 - at), at**3)
    x, y = (sum(s * p[axis] for s, p in zip(shares, curve, strict=True)) for axis in (0, 1))
    return x, y


def svg(drawn: Picture) -> str:
    """Return a picture as SVG: no script, no style, in the colour of the text around it."""
    wide, high = _number(drawn.width), _number(drawn.height)
    title = escape(one_line(drawn.title, 200))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" '
        f'height="{high}" role="img" aria-label="{title}" font-family="sans-serif" '
        f'font-size="12" fill="currentColor"><title>{title}</title>'
    ]
    parts += map(_arrow_svg, drawn.arrows)
    parts += map(_box_svg, drawn.boxes)
    return "\n".join([*parts, "</svg>"])


def _arrow_svg(arrow: Arrow) -> str:
    first, *rest = [f"{_number(x)},{_number(y)}" for x, y in arrow.points]
    dash = ' stroke-dasharray="5 4"' if arrow.dashed else ""
    tip = " ".join(f"{_number(x)},{_number(y)}" for x, y in tip_of(arrow))
    drawn = (
        f'<path d="M{first} C{" ".join(rest)}" fill="none" stroke="currentColor" '
        f'stroke-opacity="0.6"{dash}/><polygon points="{tip}" fill-opacity="0.7"/>'
    )
    if arrow.label:
        x, y = arrow.middle
        drawn += (
            f'<text x="{_number(x + 8)}" y="{_number(y)}" font-size="11" font-style="italic">'
            f"{escape(arrow.label)}</text>"
        )
    return drawn


def tip_of(arrow: Arrow) -> Iterable[Point]:
    """Return the corners of the arrow's tip."""
    (from_x, from_y), (x, y) = arrow.points[-2:]
    if abs(x - from_x) > abs(y - from_y):
        back = 7 if from_x > x else -7
        return (x, y), (x + back, y - 4), (x + back, y + 4)
    back = 7 if from_y > y else -7
    return (x, y), (x - 4, y + back), (x + 4, y + back)


def _box_svg(box: Box) -> str:
    corner = LINE if box.round else 4
    x, y = _number(box.x + _PAD), box.y + LINE
    lines = "".join(
        f'<text x="{x}" y="{_number(y + place * LINE)}" font-size="11" xml:space="preserve">'
        f"{escape(line)}</text>"
        for place, line in enumerate(box.lines, start=1)
    )
    return (
        f'<rect x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" rx="{corner}" fill-opacity="0.06" '
        f'stroke="currentColor" stroke-opacity="0.6"/>'
        f'<text x="{x}" y="{_number(y)}" font-weight="bold">{escape(box.title)}</text>{lines}'
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
