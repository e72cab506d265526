"""The text gates on any text: quotations, foreign words, and how the work grows with the length."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordgate.gate import Verdict, as_verdict
from coordgate.gates import cites, grounded_in


def cited(text: str, sources: object, **options: Any) -> Verdict:
    """Return what `cites` says of a text."""
    asked = cites("draft", sources="docs", **options)
    return as_verdict(asked({"draft": text}, {"docs": sources}))


def grounded(text: str, context: object) -> Verdict:
    """Return what `grounded_in` says of a text."""
    asked = grounded_in("context", key="draft")
    return as_verdict(asked({"draft": text}, {"context": context}))


WORDS = st.text("abcdefgh ", min_size=1, max_size=30).map(str.strip).filter(bool)
SENTENCES = st.lists(
    st.tuples(
        st.sampled_from(["The", "No", "Acme", "All", "It may be that", "In 2021"]),
        WORDS,
        st.sampled_from(["3.5 km", "is not", "because of 7%", "before May 3", "e.g. Dr. Ito", "x"]),
        WORDS,
    ).map(lambda parts: f"{' '.join(parts)} ends."),
    min_size=1,
    max_size=6,
)


@given(SENTENCES, st.data())
def test_a_quotation_is_always_supported(sentences: list[str], data: st.DataObject) -> None:
    """Whatever a sentence says, quoting it from the context passes."""
    quoted = data.draw(st.lists(st.sampled_from(sentences), min_size=1))
    verdict = grounded(" ".join(quoted), " ".join(sentences))
    assert verdict.passed, verdict.reason


@given(SENTENCES, st.sampled_from(["Zyx", "8,191", "quux"]))
def test_a_foreign_name_or_figure_is_never_supported(sentences: list[str], foreign: str) -> None:
    """A sentence of nothing but what the context lacks does not pass."""
    assert not grounded(f"Then {foreign} {foreign} came.", " ".join(sentences))


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_gets_a_verdict(text: str, context: str) -> None:
    """No text makes a gate raise, and the score is a share."""
    for verdict in (
        grounded(text, context),
        cited(text, [context]),
        cited(text, [context], per="paragraph"),
    ):
        assert verdict.score is None or 0 <= verdict.score <= 1
        assert verdict.passed or verdict.reason


def steps(text: str, context: str) -> int:
    """Return how many calls the two text gates make for a text, C functions included."""
    count = 0

    def tick(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    output, state = {"draft": text}, {"context": context}
    made = (grounded_in("context", key="draft"), cites("draft", sources="context"))
    before = sys.getprofile()
    sys.setprofile(tick)
    try:
        for one in made:
            one(output, state)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "unit",
    [".", "a", "[a", "[a](", "1.", "1, ", "a'", "| a ", "\n", "x y; ", "May 3, "],
)
def test_200_kilobytes_of_one_thing_take_a_bounded_number_of_steps(unit: str) -> None:
    """Endless dots, brackets, digits or clauses cost at most so many steps a character."""
    text = unit * (200_000 // len(unit))
    assert steps(text, "Some context of Acme, at 3 km.") < 100 * len(text)
    assert steps("Acme is at 3 km.", text) < 100 * len(text)


@pytest.mark.parametrize(
    ("unit", "count"),
    [("Acme did not sell 5 of {} units, because {} fell; ", 40), ("{}. ", 100), ("{} ", 400)],
)
def test_four_times_the_text_takes_no_more_than_eight_times_the_steps(
    unit: str, count: int
) -> None:
    """The work grows with the length, also where text and context share every word."""

    def made(count: int, shift: int) -> str:
        return "".join(unit.format((i * 7 + shift) % 97, i % 13) for i in range(count))

    small = steps(made(count, 1), made(count, 2))
    assert steps(made(4 * count, 1), made(4 * count, 2)) < 8 * small
