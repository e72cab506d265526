"""Quantities: the numbers, amounts, dates and times in a sentence, brought to one notation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from coordgate.gates.units import CURRENCIES, UNITS
from coordgate.gates.words import word_set

_TOKEN = re.compile(
    r"\d(?:[\d.,:/\u2013-]*\d)?|[^\W\d_][^\W_]*(?:['\u2019][^\W\d_]+)*|[%$€£¥°;:,()\[\]—\u2013-]"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DECIMAL = re.compile(r"\d+(?:\.\d+)?")
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)(?::[0-5]\d)?")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_DASH = re.compile(r"[\u2013-]")

_SMALL: Final = {
    word: number
    for number, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
            *("seventeen", "eighteen", "nineteen"),
        )
    )
}
_TENS: Final = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
_SCALES: Final = {
    "hundred": 1e2,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
    "dozen": 12.0,
    "bn": 1e9,
    "mn": 1e6,
}
_LETTER_SCALES: Final = {"k": 1e3, "m": 1e6, "b": 1e9}
_PARTS: Final = {
    "third": 3,
    "thirds": 3,
    "quarters": 4,
    "fourths": 4,
    "fifth": 5,
    "fifths": 5,
    "sixths": 6,
    "eighths": 8,
    "tenths": 10,
}
_TIMES: Final = {"once": 1.0, "twice": 2.0, "thrice": 3.0}
_MONTH_NAMES: Final = (
    ("january", "jan"),
    ("february", "feb"),
    ("march", "mar"),
    ("april", "apr"),
    ("may",),
    ("june", "jun"),
    ("july", "jul"),
    ("august", "aug"),
    ("september", "sep", "sept"),
    ("october", "oct"),
    ("november", "nov"),
    ("december", "dec"),
)
_MONTHS: Final = {
    name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names
}
_MONTH_LEADS: Final = word_set(
    """
    in since until till by on of to from during early late and between
    """
)

_STARTS: Final = frozenset([*_SMALL, *_TENS, *_TIMES, *_MONTHS, *CURRENCIES, "half", "dozen"])

Date: TypeAlias = tuple[int | None, int, int | None]
"""Year, month and day; None where it is not said."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, or a date, and where it stands among the tokens."""

    value: float
    """The number in the base unit of its dimension; the year, or 0, of a date."""
    dimension: str
    """`time`, `length`, `percent`, `dollar`, ...; `date`; empty for a bare number."""
    start: int
    """The index of its first token."""
    end: int
    """The index after its last token."""
    bare: float = 0.0
    """The number as it is written, before its unit."""
    date: Date | None = None
    """The parts of a date."""
    words: tuple[str, ...] = ()
    """Its tokens, in lower case."""

    def said_by(self, other: Quantity) -> bool:
        """Return whether a source that says `other` says this quantity too."""
        if self.date is not None:
            return other.date is not None and all(
                mine is None or mine == theirs
                for mine, theirs in zip(self.date, other.date, strict=True)
            )
        if other.date is not None:
            return self.dimension == "" and self.bare == other.date[0]
        if self.dimension == other.dimension:
            return _same(self.value, other.value)
        return "" in {self.dimension, other.dimension} and _same(self.bare, other.bare)


def _same(first: float, second: float) -> bool:
    return abs(first - second) <= 1e-9 * max(abs(first), abs(second))


def tokens(text: str) -> list[str]:
    """Return the words, numbers and signs of `text`, as they are written."""
    return _TOKEN.findall(text)


def quantities(written: Sequence[str], words: Sequence[str]) -> list[Quantity]:
    """Return the quantities in a sentence's tokens, given as written and in lower case."""
    found: list[Quantity] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word not in _STARTS and not word[0].isdecimal():
            at += 1
            continue
        here = _date(written, words, at) or _number(words, at)
        if here:
            found.extend(here)
            at = max(at + 1, here[-1].end)
        else:
            at += 1
    return [_with_words(quantity, words) for quantity in _shared_units(found, words)]


def _with_words(quantity: Quantity, words: Sequence[str]) -> Quantity:
    return replace(quantity, words=tuple(words[quantity.start : quantity.end]))


def _shared_units(found: list[Quantity], words: Sequence[str]) -> Iterator[Quantity]:
    """Yield the quantities, with the unit of "30 days" given to the 10 of "10 to 30 days"."""
    for index, quantity in enumerate(found):
        following = found[index + 1] if index + 1 < len(found) else None
        joined = (
            following is not None
            and quantity.dimension == ""
            and following.dimension not in {"", "date"}
            and not _is_year(quantity.bare)
            and following.start - quantity.end <= 1
            and words[quantity.end] in {"to", "-", "\u2013", "or", "and", *CURRENCIES}
        )
        if joined and following is not None and following.bare:
            factor = following.value / following.bare
            yield replace(quantity, value=quantity.bare * factor, dimension=following.dimension)
        else:
            yield quantity


def _is_year(number: float) -> bool:
    return 1900 <= number <= 2100 and number == int(number)


def _date(written: Sequence[str], words: Sequence[str], at: int) -> list[Quantity] | None:
    iso = _ISO_DATE.fullmatch(words[at])
    if iso:
        parts = [int(part) for part in iso.groups()]
        return [_dated((parts[0], parts[1], parts[2]), at, at + 1)]
    month_at, day = at, _day(words, at)
    if day is not None:
        month_at = at + 1 + _ordinal(words, at + 1)
        month_at += month_at < len(words) and words[month_at] == "of"
    if not _is_month(written, words, month_at, day is not None):
        return None
    end = month_at + 1
    if day is None and _day(words, end) is not None:
        day = _day(words, end)
        end += 1 + _ordinal(words, end + 1)
    comma = end < len(words) and words[end] == ","
    year_at = end + comma
    year: int | None = None
    if year_at < len(words) and len(words[year_at]) == 4 and words[year_at].isdecimal():
        year, end = int(words[year_at]), year_at + 1
    return [_dated((year, _MONTHS[words[month_at]], day), at, end)]


def _dated(date: Date, start: int, end: int) -> Quantity:
    return Quantity(float(date[0] or 0), "date", start, end, float(date[0] or 0), date)


def _day(words: Sequence[str], at: int) -> int | None:
    if at < len(words) and words[at].isdecimal() and len(words[at]) <= 2:
        day = int(words[at])
        return day if 1 <= day <= 31 else None
    return None


def _ordinal(words: Sequence[str], at: int) -> int:
    return int(at < len(words) and words[at] in {"st", "nd", "rd", "th"})


def _is_month(written: Sequence[str], words: Sequence[str], at: int, after_day: bool) -> bool:
    if at >= len(words) or words[at] not in _MONTHS or not written[at][0].isupper():
        return False
    if words[at] not in {"may", "march", "mar", "sep", "jan", "dec"}:
        return True
    follows = at + 1 < len(words) and words[at + 1][0].isdecimal()
    return after_day or follows or (at > 0 and words[at - 1] in _MONTH_LEADS)


def _number(words: Sequence[str], at: int) -> list[Quantity] | None:
    """Return the quantity that starts at a number, a number word or a currency sign."""
    currency = CURRENCIES.get(words[at], "")
    first = at + 1 if currency else at
    if first >= len(words):
        return None
    if words[first][0].isdecimal():
        values, end = _digits(words, first)
        if values is None:
            return _clock(words, first)
        if not values:
            # A version, a fraction or a foreign notation has to stand there as it is written.
            return [Quantity(0.0, f"as written {words[first]}", at, end, math.nan)]
    else:
        spelled = None if currency else _spelled(words, first)
        if spelled is None:
            return None
        values, end = [spelled[0]], spelled[1]
        if spelled[2]:
            return [_share(spelled[0], words, at, end)]
    scale, end = _scale(words, end, currency)
    values = [value * scale for value in values]
    dimension, factor, end = (currency, 1.0, end) if currency else _unit(words, end)
    return [Quantity(value * factor, dimension, at, end, value) for value in values]


def _share(share: float, words: Sequence[str], start: int, end: int) -> Quantity:
    """Return a spelled fraction: of a unit ("half a minute"), or a share in percent."""
    unit_at = end + (end < len(words) and words[end] in {"a", "an"})
    dimension, factor, unit_end = _unit(words, unit_at)
    if dimension:
        return Quantity(share * factor, dimension, start, unit_end, share)
    return Quantity(100 * share, "percent", start, end, share)


def _digits(words: Sequence[str], at: int) -> tuple[list[float] | None, int]:
    """Return the numbers in a token of digits: one, or the two ends of a range."""
    word = words[at]
    if _CLOCK.fullmatch(word):
        return None, at
    values: list[float] = []
    for part in _DASH.split(word):
        if len(part) > 40:
            return [], at + 1
        if _THOUSANDS.fullmatch(part):
            values.append(float(part.replace(",", "")))
        elif _DECIMAL.fullmatch(part):
            values.append(float(part))
        else:
            return [], at + 1
    end = at + 1
    if len(values) == 1 and len(word) <= 3 and word.isdecimal():
        while end < len(words) and len(words[end]) == 3 and words[end].isdecimal():
            values[0] = values[0] * 1000 + float(words[end])
            end += 1
    return values, end


def _clock(words: Sequence[str], at: int) -> list[Quantity]:
    match = _CLOCK.fullmatch(words[at])
    hours, minutes = (int(part) for part in match.groups()) if match else (0, 0)
    half = words[at + 1] if at + 1 < len(words) and words[at + 1] in {"am", "pm"} else ""
    if half:
        hours = hours % 12 + (12 if half == "pm" else 0)
    value = float(60 * hours + minutes)
    return [Quantity(value, "clock", at, at + 1 + bool(half), value)]


def _spelled(words: Sequence[str], at: int) -> tuple[float, int, bool] | None:
    """Return a number in words, the index after it, and whether it is a fraction."""
    word = words[at]
    if word in _TIMES:
        return _TIMES[word], at + 1, False
    if word == "half":
        return 0.5, at + 1, True
    if word == "dozen":
        return 12.0, at + 1, False
    if word in _TENS:
        end = at + 1
        dash = end < len(words) and words[end] == "-"
        unit = _SMALL.get(words[end + dash], 0) if end + dash < len(words) else 0
        if 0 < unit < 10:
            return float(_TENS[word] + unit), end + dash + 1, False
        return float(_TENS[word]), end, False
    if word not in _SMALL:
        return None
    after = at + 1 + (at + 1 < len(words) and words[at + 1] == "-")
    if after < len(words) and words[after] in _PARTS and _SMALL[word] < _PARTS[words[after]]:
        return _SMALL[word] / _PARTS[words[after]], after + 1, True
    if word == "one" and (at + 1 >= len(words) or words[at + 1] in {"of", ",", "another"}):
        return None
    return float(_SMALL[word]), at + 1, False


def _scale(words: Sequence[str], end: int, currency: str) -> tuple[float, int]:
    scale = 1.0
    while end < len(words) and words[end] in _SCALES:
        scale *= _SCALES[words[end]]
        end += 1
    if scale == 1.0 and currency and end < len(words) and words[end] in _LETTER_SCALES:
        return _LETTER_SCALES[words[end]], end + 1
    return scale, end


def _unit(words: Sequence[str], end: int) -> tuple[str, float, int]:
    """Return the dimension, factor and end of the unit at `end`; no dimension if there is none."""
    at = end + (end + 1 < len(words) and words[end] in {"-", "\u2013", "°"})
    if at >= len(words):
        return "", 1.0, end
    word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
    if word == "per" and following == "cent":
        return "percent", 1.0, at + 2
    if word in {"percentage", "%"} and following in {"point", "points"}:
        return "percentage point", 1.0, at + 2
    if word in {"business", "working"} and following in {"day", "days"}:
        return "working day", 1.0, at + 2
    if word in {"light", "light-year"} and following in {"year", "years"}:
        return "light year", 1.0, at + 2
    if words[at - 1] == "°" and word in {"c", "f"}:
        return {"c": "celsius", "f": "fahrenheit"}[word], 1.0, at + 1
    if word not in UNITS:
        return "", 1.0, end
    dimension, factor = UNITS[word]
    if dimension == "power" and following in {"hour", "hours"}:
        return "energy", factor, at + 2
    if dimension == "degree" and following in {"celsius", "fahrenheit"}:
        return following, factor, at + 2
    return dimension, factor, at + 1
