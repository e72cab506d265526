"""Values set out on lines, and the differences of two: nothing lost, work bounded."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordgate.viewer.difference import MOST_ROWS, Difference, difference
from coordgate.viewer.pretty import MOST_SHOWN, pretty, shown

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_a_value_is_set_out_on_lines() -> None:
    """Short lists stay on a line; a line break in a string is shown, and breaks the line."""
    value = {"text": "One.\nTwo.", "tags": ["a", "b"], "deep": {"list": [1, {"n": 2}]}, "none": {}}
    assert pretty(json.dumps(value)).split("\n") == [
        "{",
        r'  "text": "One.\n',
        '   Two.",',
        '  "tags": ["a", "b"],',
        '  "deep": {',
        '    "list": [',
        "      1,",
        '      {"n": 2}',
        "    ]",
        "  },",
        '  "none": {}',
        "}",
    ]


@given(values)
def test_setting_out_loses_and_adds_nothing(value: object) -> None:
    """Without white space, the lines are what was given: numbers and escapes as they were."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert re.sub(r"\s", "", pretty(text)) == re.sub(r"\s", "", text)


@given(st.text(alphabet='{}[]",:\\n a1', max_size=60))
def test_what_is_no_json_is_kept_as_well(text: str) -> None:
    """Text that is cut, damaged or no JSON at all is set out without a loss."""
    assert re.sub(r"\s", "", pretty(text)) == re.sub(r"\s", "", text)


def test_repeated_keys_and_long_numbers_stay() -> None:
    """A value is not parsed: what a parser would fold or round is shown as it was written."""
    assert pretty('{"a":1.50,"a":1e999}') == '{"a": 1.50, "a": 1e999}'


def test_a_long_value_is_cut_and_says_so() -> None:
    """No more than the beginning is set out."""
    found = shown(json.dumps(["x" * 50] * 10_000))
    assert found.is_cut
    assert found.length > 500_000
    assert len(found.text) < MOST_SHOWN * 2
    assert not shown("{}").is_cut


def sides(found: Difference) -> tuple[str, str]:
    """Return what stands on the left and on the right, line by line."""
    return (
        "\n".join("".join(p.text for p in row.left) for row in found.rows if row.kind != "added"),
        "\n".join(
            "".join(p.text for p in row.right) for row in found.rows if row.kind != "removed"
        ),
    )


@given(
    st.lists(st.sampled_from(["a", "b. c", "d e f", ""]), max_size=8),
    st.lists(st.sampled_from(["a", "b. x", "d f", "g"]), max_size=8),
)
def test_a_difference_shows_both_sides_whole(left: list[str], right: list[str]) -> None:
    """Whatever was changed, removed and added, each side reads as it was, but for folded lines."""
    found = difference("\n".join(left), "\n".join(right))
    if found.is_same:
        assert left == right or "\n".join(left) == "\n".join(right)
    elif not any(row.kind == "folded" for row in found.rows):
        assert sides(found) == ("\n".join(left), "\n".join(right))


def test_only_the_words_that_changed_are_marked() -> None:
    """Within a changed line the words that both sides have are not marked."""
    found = difference('{"draft":"Herons fish at dawn."}', '{"draft":"Herons sleep at dawn."}')
    [row] = found.rows
    assert [piece.text for piece in row.left if piece.is_new] == ["fish"]
    assert [piece.text for piece in row.right if piece.is_new] == ["sleep"]
    assert (found.removed, found.added) == (1, 1)


def test_long_unchanged_stretches_are_folded() -> None:
    """Two lines around a change are shown, and how many others there are."""
    lines = [str(number) for number in range(50)]
    found = difference("\n".join(lines), "\n".join([*lines[:25], "new", *lines[25:]]))
    assert [(row.kind, row.folded) for row in found.rows] == [
        ("folded", 23),
        ("same", 0),
        ("same", 0),
        ("added", 0),
        ("same", 0),
        ("same", 0),
        ("folded", 23),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x" * 5_000_000, "y" * 5_000_000),
        (json.dumps(["ab"[n % 2] for n in range(50_000)]), json.dumps(["b"] * 50_000)),
        (json.dumps(" ".join(["a", "b."] * 5_000)), json.dumps(" ".join(["b.", "c"] * 5_000))),
        ("[" * 100_000, "[1," * 100_000),
        ('"' + "\\n" * 6_000, '"' + "\\nx" * 6_000),
        ("\\" * 100_000, '"' + "\\" * 99_999),
    ],
)
def test_the_work_of_a_difference_is_bounded(left: str, right: str) -> None:
    """Huge and malicious values are compared in part, which is said."""
    found = difference(left, right)
    assert not found.is_same
    assert found.is_cut
    assert len(found.rows) <= MOST_ROWS
