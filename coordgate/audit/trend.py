"""The trend: how often runs came out well, by when they began; its size does not grow with them."""

from __future__ import annotations

from typing import Final

from coordgate.audit.intervals import rate
from coordgate.audit.report import Period

_WIDTHS: Final = (60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 28 * 86400)
"""How many seconds a period may have; each is a multiple of the one before."""

_NEVER: Final = 253402300800.0
"""The year 10000, which no calendar of Python's knows."""

_KEPT: Final = 1_000
_SHOWN: Final = 100
"""How many periods there may lie between the first and the last, both included."""

_FEW: Final = 12
_RUNS_EACH: Final = 20
"""With more than a few periods, each has so many runs on average, or they are made longer."""


class Trend:
    """Counts of runs by the time of their start, in periods as short as their number allows."""

    def __init__(self) -> None:
        """Begin with no runs."""
        self._counts: dict[int, list[int]] = {}
        self._width = 0

    def take(self, started: float, *, accepted: bool, first_pass: bool) -> None:
        """Take a run that has ended."""
        if not 0 <= started < _NEVER:
            return  # a file may hold anything
        place = int(started // _WIDTHS[self._width])
        counts = self._counts.get(place)
        if counts is None:
            counts = self._counts[place] = [0, 0, 0]
            if len(self._counts) > _KEPT and self._width + 1 < len(_WIDTHS):
                self._widen()
                counts = self._counts[int(started // _WIDTHS[self._width])]
        counts[0] += 1
        counts[1] += accepted
        counts[2] += first_pass

    def _widen(self) -> None:
        """Go on with the next longer periods."""
        times = _WIDTHS[self._width + 1] // _WIDTHS[self._width]
        self._width += 1
        old, self._counts = self._counts, {}
        for place, counts in old.items():
            known = self._counts.setdefault(place // times, [0, 0, 0])
            for which, count in enumerate(counts):
                known[which] += count

    def _are_too_short(self) -> bool:
        runs = sum(n for n, *_ in self._counts.values())
        few = len(self._counts) > _FEW and runs < _RUNS_EACH * len(self._counts)
        return few or max(self._counts) - min(self._counts) >= _SHOWN

    def periods(self) -> tuple[Period, ...]:
        """Return the periods in which any run began, the first one first."""
        while self._counts and self._width + 1 < len(_WIDTHS) and self._are_too_short():
            self._widen()
        width = _WIDTHS[self._width]
        return tuple(
            Period(place * width, width, rate(accepted, n), rate(first_pass, n))
            for place, (n, accepted, first_pass) in sorted(self._counts.items())
        )
