"""The rule gates: what passes, what is rejected and why, and what is refused when it is built."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, Verdict, as_verdict
from coordgate.gates import check, matches, max_length, not_empty, threshold


def ask(gate: Gate, output: Any, state: Any = None) -> Verdict:
    """Return the verdict of a gate that is not async."""
    return as_verdict(gate(output, state))


class Draft(BaseModel):
    """A contract object."""

    text: str = ""
    confidence: float = 0.0


@dataclass
class Note:
    """A contract object that holds another."""

    draft: Draft


# -- check


def test_check_passes_on_true_and_says_its_message_on_false() -> None:
    """A predicate's False is the message, its True passes."""
    gate = check(lambda output: output["total"] >= 0, "total is below 0")
    assert ask(gate, {"total": 1})
    assert ask(gate, {"total": -1}).reason == "total is below 0"


def test_check_gives_the_state_to_a_predicate_that_takes_it() -> None:
    """A predicate of two arguments sees the state."""
    gate = check(lambda output, state: output["id"] == state["id"], "another order")
    assert ask(gate, {"id": 1}, {"id": 1})
    assert not ask(gate, {"id": 1}, {"id": 2})


@pytest.mark.parametrize("result", [None, 1, "yes", re.match("a", "a")])
def test_check_does_not_pass_on_what_is_no_bool(result: object) -> None:
    """Anything but True and False is a broken gate, also inverted."""
    gate = check(lambda output: result, "m")  # type: ignore[arg-type,return-value]
    assert ask(gate, {}).broken
    assert not ask(~gate, {})


def test_check_of_an_async_predicate_is_async() -> None:
    """An async predicate is awaited, and its False is the message."""

    async def small(output: dict[str, int]) -> bool:
        return output["n"] < 3

    gate = check(small, "n is too large")
    assert gate.is_async
    assert asyncio.run(gate({"n": 5}, {})).reason == "n is too large"  # type: ignore[arg-type,union-attr]
    assert asyncio.run(gate({"n": 1}, {})).passed  # type: ignore[arg-type,union-attr]


def test_check_is_named_after_the_predicate_or_the_message() -> None:
    """A function gives its name, a lambda the message, and name= wins."""

    def has_text(output: object) -> bool:
        return True

    assert check(has_text, "m").name == "has_text"
    assert check(lambda output: True, "no text").name == "no text"
    assert check(has_text, "m", name="other").name == "other"


@pytest.mark.parametrize("predicate", [lambda: True, lambda a, b, c: True, 3])
def test_check_refuses_what_is_no_predicate(predicate: Any) -> None:
    """A predicate takes the output, or the output and the state."""
    with pytest.raises(ConfigurationError):
        check(predicate, "m")


def test_check_refuses_an_empty_message() -> None:
    """Without a message a node would not be told anything."""
    with pytest.raises(ConfigurationError, match="message"):
        check(lambda output: True, " ")


# -- threshold


@pytest.mark.parametrize(
    ("value", "passed"),
    [(0.8, True), (1, True), (Decimal("0.8"), False), (Fraction(4, 5), False), (0.79, False)],
)
def test_threshold_counts_the_bound_as_inside(value: Any, passed: bool) -> None:
    """The number itself is compared, exactly: 0.8 as a float is a little above four fifths."""
    assert ask(threshold("score", at_least=0.8), {"score": value}).passed is passed


@given(st.floats(allow_nan=False), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_threshold_passes_exactly_within_the_bounds(value: float, a: float, b: float) -> None:
    """It passes if and only if low <= value <= high, and the score is the value."""
    low, high = sorted((a, b))
    verdict = ask(threshold("x", at_least=low, at_most=high), {"x": value})
    assert verdict.passed is (low <= value <= high)
    assert verdict.score == value


@pytest.mark.parametrize(
    "value", [math.nan, Decimal("NaN"), Decimal("sNaN"), "0.9", None, True, [0.9], 1j]
)
def test_threshold_does_not_judge_what_is_no_number(value: object) -> None:
    """Text, None, bools and NaN do not pass, inverted or not."""
    gate = threshold("score", at_least=0)
    verdict = ask(gate, {"score": value})
    assert not verdict
    assert "score is not a number" in verdict.reason
    assert not ask(~gate, {"score": value})


def test_threshold_takes_a_number_too_large_for_a_float() -> None:
    """The comparison is exact; the score is infinite."""
    verdict = ask(threshold("x", at_most=10), {"x": 10**400})
    assert not verdict
    assert verdict.score == math.inf


@pytest.mark.parametrize(
    "bounds",
    [
        {},
        {"at_least": math.nan},
        {"at_most": math.inf},
        {"at_least": "1"},
        {"at_least": True},
        {"at_least": 2, "at_most": 1},
    ],
)
def test_threshold_refuses_bounds_that_mean_nothing(bounds: dict[str, Any]) -> None:
    """No bound, no number, not finite, or excluding everything: refused when it is built."""
    with pytest.raises(ConfigurationError):
        threshold("score", **bounds)


def test_threshold_says_value_and_bound() -> None:
    """The reason names the key, the value and the bound."""
    assert (
        ask(threshold("c", at_least=0.8), {"c": 0.5}).reason == "c is 0.5, at least 0.8 is required"
    )
    assert ask(threshold("c", at_most=1), {"c": 2}).reason == "c is 2, at most 1 is allowed"


def test_otherwise_is_carried_and_checked() -> None:
    """The rung to jump to stands on the gate; an unknown one is refused."""
    assert threshold("c", at_least=1, otherwise="escalate").otherwise == "escalate"
    with pytest.raises(ConfigurationError):
        max_length("c", 1, otherwise="panic")  # type: ignore[arg-type]


# -- max_length


def test_max_length_counts_characters_or_words() -> None:
    """The reason says how long it is and what is allowed."""
    verdict = ask(max_length("draft", 400), {"draft": "x" * 512})
    assert verdict.reason == "draft has 512 characters, at most 400 are allowed"
    assert ask(max_length("draft", 512), {"draft": "x" * 512})
    assert ask(max_length("draft", 2, "words"), {"draft": " two  words\n"})
    assert not ask(max_length("draft", 1, "words"), {"draft": "two words"})


@pytest.mark.parametrize(
    ("n", "unit"), [(0, "words"), (-1, "words"), (True, "words"), (1, "lines")]
)
def test_max_length_refuses_bad_limits(n: Any, unit: Any) -> None:
    """The limit is a whole number from 1, in characters or words."""
    with pytest.raises(ConfigurationError):
        max_length("draft", n, unit)


# -- matches


def test_matches_searches_anywhere_unless_anchored() -> None:
    r"""`re.search` decides; \A and \Z tie it to the whole text."""
    assert ask(matches("id", r"\d{4}"), {"id": "order 4471, damaged"})
    assert not ask(matches("id", r"\A\d{4}\Z"), {"id": "order 4471"})
    assert ask(matches("id", re.compile("ORDER", re.I)), {"id": "order"})


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", b"a", re.compile(b"a"), 3])
def test_matches_refuses_a_pattern_that_is_none(pattern: Any) -> None:
    """A broken pattern, or one on bytes, is refused when the gate is built."""
    with pytest.raises(ConfigurationError, match="matches"):
        matches("id", pattern)


# -- not_empty


@pytest.mark.parametrize("value", [None, "", " \n", [], {}, (), set(), [""], [None, " "], b""])
def test_not_empty_rejects_what_holds_nothing(value: object) -> None:
    """None, blank text, and collections of nothing but such are empty."""
    assert ask(not_empty("x"), {"x": value}).reason == "x is empty"


@pytest.mark.parametrize("value", ["a", 0, False, [0], {"a": None}, Document(page_content="t")])
def test_not_empty_takes_zero_and_false_for_values(value: object) -> None:
    """Zero and False are values."""
    assert ask(not_empty("x"), {"x": value})


def test_not_empty_reads_messages() -> None:
    """A message without text is empty, unless it calls a tool."""
    call = {"name": "search", "args": {}, "id": "1"}
    assert not ask(not_empty("m"), {"m": AIMessage("")})
    assert ask(not_empty("m"), {"m": AIMessage("", tool_calls=[call])})


def test_not_empty_names_every_empty_key() -> None:
    """All keys are looked at, and a missing one is as good as empty."""
    verdict = ask(not_empty("a", "b", "c"), {"a": "", "b": 1})
    assert verdict.reason == "a is empty; 'c' is missing from the output"
    assert ask(~not_empty("c"), {})


def test_not_empty_refuses_no_keys() -> None:
    """Without a key there is nothing to look at."""
    with pytest.raises(ConfigurationError):
        not_empty()


# -- what all of them share

FACTORIES: list[Callable[[str], Gate]] = [
    lambda key: threshold(key, at_least=0),
    lambda key: max_length(key, 5),
    lambda key: matches(key, "."),
]


@pytest.mark.parametrize("make", FACTORIES)
def test_a_missing_key_does_not_pass_inverted_or_not(make: Callable[[str], Gate]) -> None:
    """What cannot be judged has not passed: neither the gate, nor its inversion."""
    verdict = ask(make("draft"), {"other": 1})
    assert verdict.reason == "'draft' is missing from the output"
    assert not verdict
    assert not ask(~make("draft"), {"other": 1})
    assert not ask(make("draft"), None)


@given(st.text(max_size=12), st.integers(1, 12))
def test_inverting_a_gate_that_can_judge_turns_its_verdict(text: str, n: int) -> None:
    """`~gate` passes where the gate rejects, `gate & ~gate` never, `gate | ~gate` always."""
    gate = max_length("t", n)
    output = {"t": text}
    assert ask(~gate, output).passed is not ask(gate, output).passed
    assert not ask(gate & ~gate, output)
    assert ask(gate | ~gate, output)


@given(st.one_of(st.none(), st.text(), st.floats(), st.binary(), st.lists(st.text())))
def test_a_gate_and_its_inversion_never_both_pass(value: object) -> None:
    """Whatever the value, at most one of the two passes."""
    for make in FACTORIES:
        assert not (ask(make("v"), {"v": value}) and ask(~make("v"), {"v": value}))


@pytest.mark.parametrize(
    "output",
    [
        {"draft": {"text": "abc"}},
        {"draft": Draft(text="abc")},
        Note(Draft(text="abc")),
        {"draft.text": "abc"},
    ],
)
def test_a_dotted_path_reaches_inside(output: object) -> None:
    """Mappings, models and dataclasses are read alike; a key that has a dot wins."""
    assert ask(matches("draft.text", "^abc$"), output)


def test_a_path_indexes_sequences_and_does_not_touch_methods() -> None:
    """`messages.-1` is the last message; a text has no parts."""
    messages = {"messages": [AIMessage("one"), AIMessage("two")]}
    assert ask(matches("messages.-1", "^two$"), messages)
    assert not ask(matches("messages.2", "."), messages)
    assert not ask(not_empty("messages.0.content.title"), messages)


@pytest.mark.parametrize(
    "value",
    [
        "abc",
        AIMessage("abc"),
        AIMessage([{"type": "text", "text": "ab"}, "c"]),
        Document(page_content="abc"),
        {"role": "assistant", "content": "abc"},
        [AIMessage("abc")],
    ],
)
def test_text_is_found_in_strings_messages_documents_and_dicts(value: object) -> None:
    """The text of a value is read by its shape."""
    assert ask(matches("draft", r"\Aabc\Z"), {"draft": value})


def test_what_has_no_text_is_not_judged() -> None:
    """The reason says what was found instead."""
    assert ask(max_length("d", 3), {"d": 7}).reason == "'d' in the output is no text, but int"


@pytest.mark.parametrize("key", ["", ".", "a..b", 3, None])
def test_a_key_that_is_none_is_refused(key: Any) -> None:
    """Keys are names or dotted paths."""
    for make in FACTORIES:
        with pytest.raises(ConfigurationError, match="not a key"):
            make(key)


def test_fingerprints_differ_with_every_parameter_and_are_stable() -> None:
    """A cached node is run again if a gate of it is changed, and not otherwise."""
    made = [
        threshold("c", at_least=0.8),
        threshold("c", at_least=0.9),
        threshold("c", at_most=0.8),
        threshold("d", at_least=0.8),
        threshold("c", at_least=0.8, otherwise="fail"),
        max_length("c", 8),
        max_length("c", 8, "words"),
        matches("c", "a"),
        matches("c", re.compile("a", re.I)),
        not_empty("c"),
        not_empty("c", "d"),
        check(bool, "a"),
        check(bool, "b"),
    ]
    assert len({gate.fingerprint for gate in made}) == len(made)
    assert threshold("c", at_least=0.8).fingerprint == made[0].fingerprint
