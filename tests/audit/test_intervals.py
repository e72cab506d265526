"""Intervals as mathematics: against scipy, against exact coverage, and in simulated audits."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from intervals import RATES, SIZES, WAYS, Covered, points
from scipy.stats import binom, binomtest

from coordgate.audit.comparison import Sample, compare, effective_size
from coordgate.audit.intervals import Floats, Rate, difference, limits, rate

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("successes", "n"), [(186, 200), (500, 1000), (700, 2000), (140, 200)])
def test_away_from_the_edges_the_interval_is_wilsons(successes: int, n: int) -> None:
    """With some failures and some successes the limits are scipy's Wilson limits."""
    wilson = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    found = rate(successes, n)
    assert (found.low, found.high) == (pytest.approx(wilson.low), pytest.approx(wilson.high))


@pytest.mark.parametrize(("successes", "n"), [(97, 100), (19, 20), (99, 100), (999, 1000)])
def test_near_an_edge_the_interval_reaches_further_out(successes: int, n: int) -> None:
    """With few failures the upper limit lies further out than Wilson's, the lower one not."""
    wilson = binomtest(successes, n).proportion_ci(method="wilson")
    found = rate(successes, n)
    assert found.low == pytest.approx(wilson.low)
    assert wilson.high < found.high < 1
    mirrored = rate(n - successes, n)
    assert mirrored.high == pytest.approx(1 - found.low)
    assert mirrored.low == pytest.approx(1 - found.high)


@pytest.mark.parametrize("n", [20, 50, 100, 300, 1000])
def test_a_rates_interval_covers_at_every_rate_that_matters(n: int) -> None:
    """Exact coverage is 93% at least for every rate from 0.8 to 0.9995, not only on a grid."""
    counts = np.arange(n + 1)
    low, high = limits(counts / n, n)
    rates = np.linspace(0.8, 0.9995, 1000)[:, None]
    covered = (binom.pmf(counts, n, rates) * ((low <= rates) & (rates <= high))).sum(1)
    assert covered.min() > 0.93
    assert covered.mean() < 0.976
    assert n < 100 or 0.95 < covered.mean() < 0.958


def test_nothing_tried_is_nothing_known() -> None:
    """A rate of no trials has no estimate, and everything for its interval."""
    assert rate(0, 0) == Rate(0, 0, None, 0.0, 1.0)
    assert difference(rate(0, 0), rate(1, 2)).estimate is None


def test_a_difference_takes_the_correlation_into_account() -> None:
    """Of rates that rise and fall together the difference is known better."""
    first, second = rate(90, 100), rate(80, 100)
    apart, together = difference(first, second), difference(first, second, 0.8)
    assert apart.estimate == together.estimate == pytest.approx(0.1)
    assert apart.low < together.low < 0.1 < together.high < apart.high
    # Newcombe 1998, Statistics in Medicine 17:873, table II, example (a), method 10: 56/70, 48/80
    # give 0.0524 and 0.3339. The upper limit of 56/70 reaches a little further out here.
    newcombe = difference(rate(56, 70), rate(48, 80))
    assert newcombe.low == pytest.approx(0.0524, abs=5e-5)
    assert 0.3339 < newcombe.high < 0.3355


def arrays(*values: Iterable[float]) -> list[Floats]:
    """Return lists as arrays."""
    return [np.asarray(each, np.float64) for each in values]


def test_trials_that_hang_together_are_worth_fewer() -> None:
    """Six trials a run that pass or fail together are worth one; single ones are worth one each."""
    tried, passed, weight = arrays([6, 6], [6, 0], [90, 10])
    assert effective_size(tried, passed, weight) == pytest.approx(100, rel=0.02)
    tried, passed, weight = arrays([1, 1], [1, 0], [90, 10])
    assert effective_size(tried, passed, weight) == pytest.approx(100, rel=0.02)
    tried, passed, weight = arrays([6], [6], [100])
    assert effective_size(tried, passed, weight) == 100


def sample(
    runs: list[tuple[list[int], list[int], list[int], int, int, int]],
) -> Sample:
    """Return a sample, from (tried, passed, through, whole, complete, how many) of each kind."""
    columns = [np.asarray(each, np.float64) for each in zip(*runs, strict=True)]
    return Sample(*columns)


def test_the_product_follows_each_runs_own_path() -> None:
    """Runs that branch or repeat are multiplied along what they went through."""
    found = compare(
        sample(
            [
                ([1, 1, 0], [1, 1, 0], [1, 1, 0], 1, 1, 40),
                ([1, 1, 0], [1, 0, 0], [1, 1, 0], 0, 1, 10),
                ([1, 0, 2], [1, 0, 2], [1, 0, 2], 1, 1, 30),
                ([1, 0, 2], [1, 0, 1], [1, 0, 2], 0, 1, 20),
            ]
        )
    )
    assert found.product.estimate == pytest.approx((50 * 0.8 + 50 * 0.8**2) / 100)
    assert found.observed.estimate == pytest.approx(0.7)


def test_a_path_cut_short_is_not_taken_for_a_short_path() -> None:
    """Where failures are independent and end the run, the product is what is observed."""
    found = compare(
        sample(
            [
                ([1, 1, 0], [1, 1, 0], [1, 1, 0], 1, 1, 63),
                ([1, 0, 1], [1, 0, 1], [1, 0, 1], 1, 1, 72),
                ([1, 1, 0], [1, 0, 0], [1, 0, 0], 0, 0, 27),
                ([1, 0, 1], [1, 0, 0], [1, 0, 0], 0, 0, 18),
                ([1, 0, 0], [0, 0, 0], [0, 0, 0], 0, 0, 20),
            ]
        )
    )
    assert found.product.estimate == pytest.approx(found.observed.estimate) == 135 / 200
    assert found.tied
    assert (found.gap.low, found.gap.high) == (-1, 1)


def test_failures_that_come_together_are_shown() -> None:
    """The same rates, with failures on the same runs, put the whole above the product."""
    both = [([1, 1], [1, 1], [1, 1], 1, 1, 160), ([1, 1], [0, 0], [1, 1], 0, 1, 40)]
    found = compare(sample(both))
    assert found.product.estimate == pytest.approx(0.64)
    assert found.gap.estimate == pytest.approx(-0.16)
    assert -0.25 < found.gap.low < found.gap.high < -0.1


def test_losses_that_no_gate_sees_are_shown() -> None:
    """Runs that came out badly though all was accepted put the whole below the product."""
    runs = [([1, 1], [1, 1], [1, 1], 1, 1, 150), ([1, 1], [1, 1], [1, 1], 0, 1, 50)]
    found = compare(sample(runs), unseen=True)
    assert found.product.estimate == 1.0
    assert found.gap.low > 0.15
    assert found.gap.high < 0.35


@pytest.fixture(scope="module")
def coverage() -> list[Covered]:
    """Return the coverage at every other point of the grid, from 200 audits each; seeded."""
    rng = np.random.default_rng(20)
    return [each for way in WAYS for n in SIZES for each in points(way, n, 200, rng, RATES[::2])]


def test_intervals_cover_at_every_point_of_the_grid(coverage: list[Covered]) -> None:
    """95% intervals cover 93% at least, less 4.5 deviations of a simulation of 200 audits."""
    least = 0.93 - 4.5 * (0.93 * 0.07 / 200) ** 0.5
    assert [each for each in coverage if each.share < least] == []


@pytest.mark.parametrize("what", ["rate", "product", "observed", "gap"])
def test_intervals_cover_as_they_say_on_average(coverage: list[Covered], what: str) -> None:
    """At 100 runs and more they cover between 94 and 97% on average, within a deviation or two."""
    shares = [each.share for each in coverage if each.what == what and each.n >= 100]
    assert len(shares) >= 30
    assert 0.94 < float(np.mean(shares)) < 0.976


def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    """`make intervals` writes the table of docs/audit.md, figures aside, and what it comes to."""
    page = tmp_path / "audit.md"
    page.write_text("before\n<!-- intervals -->\n\n<!-- end -->\nafter\n")
    command = [sys.executable, "evidence/intervals.py", "--audits", "3", "--page", str(page)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - ours
    told, written = (
        re.search("<!-- intervals -->.*<!-- end -->", text.read_text(), re.DOTALL)
        for text in (ROOT / "docs" / "audit.md", page)
    )
    assert told is not None
    assert written is not None
    assert _shape(told[0]) == _shape(written[0])
    page.write_text("nothing to write into")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 - ours
    assert "has no <!-- intervals -->" in done.stderr


def _shape(text: str) -> str:
    """Return a table without its figures, and without where the least of all is."""
    return re.sub(r"[\d.,]+", "#", text.partition(" (")[0])
