"""PNG: a picture drawn on this machine, by Pillow and the font that it brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise
from math import dist
from typing import Final

from coordgate.picture import LINE, Arrow, Box, Picture, Point, bezier, tip_of

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError as error:
    raise ImportError(
        "to draw a PNG, coordgate needs Pillow: pip install 'coordgate[png]'; draw(app).svg and "
        "draw(app).mermaid need nothing"
    ) from error

_SCALE: Final = 2
_INK, _PALE, _FILL = "#1b1f24", "#6b7280", "#f1f3f6"
_LARGEST: Final = 16_000
"""Pixels of a side, beyond which the picture is drawn smaller."""


def png(drawn: Picture) -> bytes:
    """Return a picture as a PNG, on white."""
    scale = min(_SCALE, _LARGEST / max(drawn.width, drawn.height, 1))
    size = (max(1, round(drawn.width * scale)), max(1, round(drawn.height * scale)))
    image = Image.new("RGB", size, "white")
    pen = _Pen(ImageDraw.Draw(image), scale)
    for arrow in drawn.arrows:
        pen.arrow(arrow)
    for box in drawn.boxes:
        pen.box(box)
    made = BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


class _Pen:
    """Draws at a scale."""

    def __init__(self, canvas: ImageDraw.ImageDraw, scale: float) -> None:
        self._canvas = canvas
        self._scale = scale
        self._large = ImageFont.load_default(12 * scale)
        self._small = ImageFont.load_default(11 * scale)

    def arrow(self, arrow: Arrow) -> None:
        gone = 0.0
        for start, end in pairwise(_way(arrow.points)):
            gone += dist(start, end)
            if not arrow.dashed or gone % 9 < 5:
                self._canvas.line([self._at(start), self._at(end)], _PALE, round(self._scale))
        self._canvas.polygon([self._at(point) for point in tip_of(arrow)], _PALE)
        if arrow.label:
            x, y = arrow.middle
            self._text((x + 8, y - 10), arrow.label, self._small, _PALE)

    def box(self, box: Box) -> None:
        corners = [self._at((box.x, box.y)), self._at((box.x + box.width, box.y + box.height))]
        corner = (LINE if box.round else 4) * self._scale
        self._canvas.rounded_rectangle(
            corners, corner, fill=_FILL, outline=_PALE, width=round(self._scale)
        )
        left = box.x + 10
        self._text((left, box.y + 4), box.title, self._large, _INK, bold=True)
        for place, line in enumerate(box.lines, start=1):
            self._text((left, box.y + 4 + place * LINE), line, self._small, _INK)

    def _text(
        self,
        at: Point,
        text: str,
        font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
        ink: str,
        *,
        bold: bool = False,
    ) -> None:
        stroke = 0.4 if bold else 0
        self._canvas.text(self._at(at), text, fill=ink, font=font, stroke_width=stroke)

    def _at(self, point: Point) -> Point:
        return point[0] * self._scale, point[1] * self._scale


def _way(points: Sequence[Point]) -> Iterator[Point]:
    """Yield points of the curves, near enough to each other for straight lines between them."""
    yield points[0]
    for at in range(0, len(points) - 1, 3):
        curve = points[at : at + 4]
        far = sum(abs(b[0] - a[0]) + abs(b[1] - a[1]) for a, b in pairwise(curve))
        steps = max(2, round(far / 2))
        for step in range(1, steps + 1):
            yield bezier(curve, step / steps)
