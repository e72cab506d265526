"""Captures and values: what becomes of raw references, whatever they are."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot as expected
from pydantic import BaseModel
from records import a_capture

from coordgate.capture import RawAttempt
from coordgate.gate import Judgement, Verdict
from coordgate.redaction import redact
from coordgate.snapshots import snapshot
from coordgate.values import ValueText

TEXT = ValueText(redact, 20_000)


class Model(BaseModel):
    """A state of pydantic's kind."""

    items: list[int] = []


@dataclass
class State:
    """A state of the dataclass kind."""

    items: list[int] = field(default_factory=list)


class Broken:
    """An object that cannot even be printed."""

    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    "value",
    [
        {"list": [1], "dict": {"a": 1}, "set": {1}, "text": "a"},
        [1, 2],
        Model(items=[1]),
        State(items=[1]),
    ],
    ids=["dict", "list", "pydantic", "dataclass"],
)
def test_a_snapshot_is_safe_from_later_mutation(value: Any) -> None:
    """What a node does to its containers afterwards does not change the record."""
    taken = snapshot(value)
    before = TEXT.json(taken)
    assert before == TEXT.json(value)
    if isinstance(value, list):
        value.append(3)
    elif isinstance(value, dict):
        value["list"].append(2)
        value["dict"]["b"] = 2
        value["set"].add(2)
        value["text"] = "b"
    else:
        value.items.append(2)
        value.items = []
    assert TEXT.json(taken) == before
    assert TEXT.json(value) != before


def test_a_snapshot_of_anything_else_is_the_thing_itself() -> None:
    """Text, numbers, None and strange objects are passed on as they are."""
    for value in ("text", 1, None, object(), Model):
        assert snapshot(value) is value


def test_freezing_a_rejected_attempt() -> None:
    """Outcome, reasons, verdicts, model and cost are all in the record."""
    raw = a_capture()
    first = raw.attempts[0]
    first.outcome = "rejected"
    first.output = {"draft": "why?"}
    first.reasons = ["cites: password=hunter2"]
    first.judgements = [
        Judgement("not_empty", Verdict.accept(), 0.5),
        Judgement("cites", Verdict.reject("password=hunter2", 0.25), 0.25),
    ]
    first.model, first.tokens_in, first.tokens_out, first.cost = "m", 1, 2, 0.5
    second = RawAttempt(2, "retry")
    second.outcome = "raised"
    second.error = "ValueError: no"
    raw.attempts.append(second)
    raw.settle(TEXT)
    record = raw.freeze()
    assert [
        (a.outcome, a.output, a.reasons, a.error, a.model, a.tokens_in, a.tokens_out, a.cost)
        for a in record.attempts
    ] == expected(
        [
            (
                "rejected",
                '{"draft":"why?"}',
                ("cites: password=[redacted]",),
                None,
                "m",
                1,
                2,
                0.5,
            ),
            ("raised", None, (), "ValueError: no", None, None, None, None),
        ]
    )
    assert [(v.gate, v.passed, v.score, v.reason) for v in record.attempts[0].verdicts] == expected(
        [("not_empty", True, None, ""), ("cites", False, 0.25, "password=[redacted]")]
    )


def test_a_node_that_returned_none_is_told_from_one_that_raised() -> None:
    """None handed over is `null`; nothing handed over is None."""
    raw = a_capture(writes=None)
    raw.attempts.append(RawAttempt(2, "retry"))
    raw.attempts[1].outcome = "raised"
    raw.settle(TEXT)
    assert [each.output for each in raw.freeze().attempts] == ["null", None]


def cycle() -> list[object]:
    """Return a list that holds itself."""
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        cycle(),
        {"a": cycle(), "text": "\ud800"},
        {"broken": Broken()},
        {"broken": Broken(), "text": "\ud800"},
        Broken(),
        threading.Lock(),
        {"lock": threading.Lock()},
        {"\ud800": 1, (1, 2): 2, None: 3, 1.5: 4},
        b"\xff\xfe",
        10**5000,
        {"n": 10**4000},
        [float("nan"), float("inf")],
        {1, 2},
        object,
        lambda: None,
        json,
        ["x"] * 50_000,
        {"deep": json.loads("[" * 500 + "]" * 500)},
        {str(number): "x" * 50 for number in range(5000)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_becomes_valid_json_of_bounded_length(value: object) -> None:
    """Cycles, broken objects, odd keys and huge values become JSON that says so."""
    text = TEXT.json(value)
    json.loads(text, parse_constant=pytest.fail, parse_int=str)
    assert len(text) <= 20_100
    text.encode()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=20,
    )
)
def test_json_values_are_recorded_as_they_are(value: object) -> None:
    """What is JSON already is recorded without change, as long as it is short."""
    assert (
        json.loads(ValueText(None, 1_000_000).json(value))
        == json.loads(json.dumps(value).encode("utf-8", "backslashreplace"))
        or not json.dumps(value, ensure_ascii=False).isprintable()
    )


def test_a_generator_is_not_used_up() -> None:
    """A generator in a state is named, and left for the one that it is for."""

    def pieces() -> Iterator[int]:
        yield from (1, 2)

    stream, inner = pieces(), pieces()
    assert "generator" in TEXT.json({"stream": stream})
    assert "generator" in TEXT.json(inner)
    assert list(stream) == list(inner) == [1, 2]


def test_a_long_value_keeps_its_shape() -> None:
    """The longest strings are cut first, so that the keys stay readable."""
    text = ValueText(None, 400).json({"question": "why", "page": "x" * 1000, "n": 1})
    assert json.loads(text) == expected(
        {"question": "why", "page": "x" * 40 + "… [cut: 1000 characters]", "n": 1}
    )


def test_a_secret_cannot_hide_behind_the_cut() -> None:
    """A value is redacted before it is cut."""
    key = "sk-" + "a" * 40
    text = ValueText(redact, 200).json({"text": "x" * 30 + " " + key + "y" * 1000})
    assert "sk-a" not in text
