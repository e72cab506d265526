"""Prices: what a call costs by the user's own table, and that the rest is unknown, never 0."""

import re
from pathlib import Path
from typing import Any

import pytest
from calling import State, one_node
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import START, StateGraph

from coordgate import ConfigurationError, Prices, guard

counts = st.integers(0, 10**9)


@given(sent=counts, received=counts)
def test_tokens_cost_what_the_table_says(sent: int, received: int) -> None:
    """A call costs its tokens at the model's price for a million."""
    prices = Prices({"small": {"input": 0.5, "output": 2.0}})
    expected = (sent * 0.5 + received * 2.0) / 1e6
    assert prices.cost("small", sent, received, {}) == pytest.approx(expected)


def test_cached_tokens_have_their_own_price() -> None:
    """Of the tokens sent, those read from the vendor's cache, or put into it, are priced apart."""
    table = {"input": 1.0, "output": 0.0, "cached_input": 0.1, "cache_write": 1.25}
    split = {"cache_read": 600_000, "cache_creation": 200_000}
    assert Prices({"m": table}).cost("m", 1_000_000, 0, split) == pytest.approx(0.2 + 0.06 + 0.25)
    plain = {"input": 1.0, "output": 0.0}
    assert Prices({"m": plain}).cost("m", 1_000_000, 0, split) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("model", "sent", "received", "details"),
    [
        ("other", 10, 10, {}),
        (None, 10, 10, {}),
        ("small", None, 10, {}),
        ("small", 10, None, {}),
        ("small", 10, 10, {"audio": 3}),
        ("small", 10, 10, {"priority": 10}),
    ],
    ids=["no such model", "no model", "no tokens in", "no tokens out", "audio", "service tier"],
)
def test_what_the_table_does_not_say_is_unknown(
    model: str | None, sent: int | None, received: int | None, details: dict[str, int]
) -> None:
    """A cost with an unknown part is None."""
    prices = Prices({"small": {"input": 0.5, "output": 2.0}})
    assert prices.cost(model, sent, received, details) is None


@pytest.mark.parametrize("name", ["small-2026-01-31", "small-20260131", "small@20260131"])
def test_a_name_stands_for_its_dated_versions(name: str) -> None:
    """What a vendor answers as, the model of one day, costs what the model does."""
    prices = Prices({"small": {"input": 1.0, "output": 1.0}})
    assert prices.of(name) == prices.of("small") is not None


def test_a_longer_name_is_another_model() -> None:
    """No prefix stands for a family: `small-fast` is not priced as `small`."""
    assert Prices({"small": {"input": 1.0, "output": 1.0}}).of("small-fast") is None


def test_a_table_is_read_from_toml(tmp_path: Path) -> None:
    """`Prices.load`, and `guard(prices=PATH)`, read a table for each model."""
    path = tmp_path / "prices.toml"
    path.write_text('[models."small.1"]\ninput = 0.5\noutput = 2\n')
    assert Prices.load(path).cost("small.1", 1_000_000, 500_000, {}) == 1.5
    guard(one_node(lambda _: {}), prices=path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models", "is not TOML"),
        ("[small]\ninput = 1\noutput = 1", r"has tables \[models"),
        ("[models.small]\ninput = 1", "the price of 'small'.*output"),
        ("[models.small]\ninput = 1\noutput = -1", "the price of 'small'.*output=-1"),
        ("[models.small]\ninput = true\noutput = 1", "the price of 'small'.*input=True"),
        ("[models.small]\ninput = 1\noutput = 1\nimage = 1", "the price of 'small'.*image"),
        ("[models]\nsmall = 3", "the price of 'small' is 3"),
    ],
)
def test_a_table_that_says_nothing_useful_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A file of prices that cannot be read says which entry, and what to write."""
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"^{re.escape(str(path))}: .*{said}"):
        guard(one_node(lambda _: {}), prices=path)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"m": {"input": 1}}, "the price of 'm' has no output"),
        ({"m": {"output": 1}}, "the price of 'm' has no input"),
        ({"m": {}}, "the price of 'm' has no input and no output"),
        ({"m": {"input": -1, "output": 1}}, r"the price of 'm'.*input=-1"),
        ({"m": {"input": 1, "output": float("nan")}}, "the price of 'm'.*output=nan"),
        ({"m": {"input": float("inf"), "output": 1}}, "the price of 'm'.*input=inf"),
        ({"m": {"input": "1", "output": 1}}, "the price of 'm'.*input='1'"),
        ({"m": {"input": None, "output": 1}}, "the price of 'm'.*input=None"),
        ({"m": 1.0}, "the price of 'm' is 1.0"),
        ({"": {"input": 1, "output": 1}}, "'' is no name"),
        ({3: {"input": 1, "output": 1}}, "3 is no name"),
        (0.5, "prices=0.5: give"),
        ([], r"prices=\[\]: give"),
    ],
)
def test_an_incomplete_table_is_refused_when_the_graph_is_guarded(table: Any, said: str) -> None:
    """A dict is a table too: what it lacks is said then, with the model, and not in a run."""
    with pytest.raises(ConfigurationError, match=said):
        guard(one_node(lambda _: {}), prices=table)


def test_a_plain_dict_is_a_table() -> None:
    """`guard(prices={...})` is `guard(prices=Prices({...}))`."""
    app = guard(one_node(lambda _: {}), prices={"m": {"input": 1, "output": 2}})
    assert app.coordgate.prices.cost("m", 1_000_000, 1_000_000, {}) == 3.0


def test_prices_stay_when_a_graph_is_guarded_again() -> None:
    """Guarding twice is guarding once: what was said of prices is kept."""
    builder = StateGraph(State).add_node("write", lambda _: {}).add_edge(START, "write")
    prices = Prices({})
    app = guard(guard(builder.compile(), prices=prices), tracer="memory:")
    assert app.coordgate.prices is prices  # type: ignore[attr-defined]
