"""`coordgate check`: agreed rates met, missed, or undecided, each with its own exit code."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lines import record
from scipy.stats import binom

from coordgate.audit import audit
from coordgate.audit.intervals import chance_of_fewer, rate
from coordgate.audit.slo import Agreed, check, overall, verdicts_of
from coordgate.cli import main
from coordgate.record import Attempt, Record, Run, RunId, Transition
from coordgate.stores import MemoryStore, Store, open_store


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a store of 200 observed runs: `make_a` at 90%, `make_b` at 60%."""
    found = tmp_path_factory.mktemp("check") / "traces.db"
    record(found, {"a": 0.9, "b": 0.6}, runs=200, mode="observe", seed=6)
    return str(found)


@pytest.mark.parametrize(
    ("slo", "code", "verdict"),
    [
        ("[nodes.make_a]\naccepted = 0.8", 0, "met"),
        ("[end_to_end]\ncompleted = 0.95\n[nodes.make_b]\nfirst_pass = 0.4", 0, "met"),
        ("[nodes.make_a]\naccepted = 0.8\n[nodes.make_b]\naccepted = 0.9", 1, "missed"),
        ('[handoffs."make_b -> __end__"]\naccepted = 0.8', 1, "missed"),
        ("[end_to_end]\naccepted = 0.99", 1, "missed"),
        ("[nodes.make_a]\naccepted = 0.9", 3, "undecided"),
        ("[end_to_end]\ncorrect = 0.5", 3, "undecided"),
        ("[nodes.never_ran]\naccepted = 0.5", 3, "undecided"),
        ("[nodes.never_ran]\naccepted = 0.5\n[nodes.make_b]\naccepted = 0.9", 1, "missed"),
    ],
)
def test_what_is_shown_decides(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], slo: str, code: int, verdict: str
) -> None:
    """Met is 0, shown to be missed is 1, and what the runs do not decide is 3."""
    file = tmp_path / "slo.toml"
    file.write_text(slo)
    assert main(["check", path, "--slo", str(file)]) == code
    assert capsys.readouterr().out.splitlines()[-1] == verdict


def test_each_rate_is_printed_with_what_was_seen(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line says what was agreed and what was seen; JSON says the same."""
    file = tmp_path / "slo.toml"
    file.write_text('[handoffs."make_a -> make_b"]\nfirst_pass = 0.5\n')
    main(["check", path, "--slo", str(file)])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("met        make_a -> make_b: first pass: at least 50.0% agreed, ")
    main(["check", path, "--slo", str(file), "--json"])
    told = json.loads(capsys.readouterr().out)
    (checked,) = told["checked"]
    seen = rate(checked["seen"]["successes"], 200)
    assert checked["seen"]["low"] == pytest.approx(seen.low)
    assert told["verdict"] == "met"


@pytest.mark.parametrize(
    ("slo", "told"),
    [
        ("", "agrees on nothing"),
        ("[end_to_end", "is no TOML"),
        ("[whole]\naccepted = 0.5", "[whole] is not known"),
        ("end_to_end = 3", "must be a table"),
        ("[nodes.a]\ncorrect = 0.5", "there are first_pass, accepted"),
        ("[end_to_end]\naccepted = 95", "give a rate from 0 to 1"),
        ("[end_to_end]\naccepted = true", "give a rate from 0 to 1"),
    ],
)
def test_what_cannot_be_checked_is_refused(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], slo: str, told: str
) -> None:
    """A file that says nothing, or what is no rate, ends with code 2 and one line."""
    file = tmp_path / "slo.toml"
    file.write_text(slo)
    assert main(["check", path, "--slo", str(file)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_is_refused(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No SLO is not an SLO that is met."""
    assert main(["check", path, "--slo", "none.toml"]) == 2
    assert "none.toml: cannot be read" in capsys.readouterr().err


def test_a_name_that_nothing_has_is_told_with_the_nearest(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt node or handoff would stay undecided for ever; the line says what is near."""
    file = tmp_path / "slo.toml"
    file.write_text('[nodes.mak_a]\naccepted = 0.5\n[handoffs."make_a->make_b"]\naccepted = 0.5')
    assert main(["check", path, "--slo", str(file)]) == 3
    told = capsys.readouterr().out
    assert "nothing was recorded of it; did you mean 'make_a'?" in told
    assert "did you mean 'make_a -> make_b'?" in told


def test_what_nothing_is_known_of_is_told_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rate of runs lacks labels, or runs that have ended."""
    record(tmp_path / "some.db", {"a": 1.0}, runs=2)
    with open_store(tmp_path / "none.db", mode="write"):
        pass
    (tmp_path / "slo.toml").write_text("[end_to_end]\naccepted = 0.5\ncorrect = 0.5\n")
    for name, accepted in (("some", "100.0% ["), ("none", "no run has ended yet")):
        path = str(tmp_path / f"{name}.db")
        assert main(["check", path, "--slo", str(tmp_path / "slo.toml")]) == 3
        first, second, _ = capsys.readouterr().out.splitlines()
        assert accepted in first
        assert "at least 50.0% agreed, no run has a label" in second


RATES = 10
RUNS = 80


def stores(rates: list[float], times: int, seed: int) -> Iterator[Store]:
    """Yield stores of runs through ten nodes, whose hand-overs pass by chance, mode observe."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    for _ in range(times):
        store = MemoryStore()
        records: list[Record] = []
        for place in range(RUNS):
            run = RunId(f"{place:08x}")
            for number, share in enumerate(rates):
                good = chance.random() < share
                attempt = Attempt(1, "first", "accepted" if good else "rejected", 0.1)
                status: Any = "accepted" if good else "observed"
                node = f"n{number}"
                of_one = (run, number + 1, None, f"{node}:{place}", number, node, status, 1.0, 0.1)
                records.append(Transition(*of_one, attempts=(attempt,)))
            records.append(Run(run, "g", None, "observe", "completed", 1.0, 2.0))
        store.write(records)
        yield store


def agreed(at_least: float) -> tuple[Agreed, ...]:
    """Return one rate for each of the ten nodes."""
    return tuple(Agreed("nodes", f"n{place}", "accepted", at_least) for place in range(RATES))


def test_a_check_of_many_rates_that_are_kept_is_seldom_failed() -> None:
    """Ten rates that are exactly as agreed are failed at most 1 time in 40, less noise."""
    failed = apart = 0
    for store in stores([0.9] * RATES, 200, seed=1):
        report = audit(store)
        failed += overall(check(report, agreed(0.9))) == "missed"
        apart += any(check(report, (each,))[0].verdict == "missed" for each in agreed(0.9))
    assert failed <= 200 / 40 + 3 * (200 / 40) ** 0.5
    assert apart > 2 * failed + 10  # each by itself would have failed it much more often


def test_a_check_is_seldom_passed_though_one_rate_is_missed() -> None:
    """One rate just below what was agreed, the others far above: at most 1 time in 40 passed."""
    passed = 0
    for store in stores([0.899, *[0.999] * (RATES - 1)], 200, seed=2):
        passed += overall(check(audit(store), agreed(0.9))) == "met"
    assert passed <= 200 / 40 + 3 * (200 / 40) ** 0.5


def test_a_rate_that_is_far_below_is_found_among_many() -> None:
    """What the correction costs is little: one rate of ten at 70 instead of 90 in 100 is shown."""
    found = [check(audit(s), agreed(0.9)) for s in stores([0.7, *[0.97] * 9], 40, seed=3)]
    assert sum(each[0].verdict == "missed" for each in found) >= 36
    assert sum(overall(each) == "missed" for each in found) >= 36


@pytest.mark.parametrize("n", [20, 50, 300])
@pytest.mark.parametrize("at_least", [0.5, 0.8, 0.9, 0.95, 0.99, 0.999])
def test_a_single_rate_errs_at_most_once_in_forty(n: int, at_least: float) -> None:
    """Computed, not simulated: the chance of a wrong verdict where the rate is as agreed."""
    counts = range(n + 1)
    told = [verdicts_of([rate(count, n)], [at_least])[0] for count in counts]
    for verdict in ("missed", "met"):
        errs = [count for count in counts if told[count] == verdict]
        assert binom.pmf(errs, n, at_least).sum() <= 1 / 40


def test_any_rate_is_at_least_nothing() -> None:
    """A rate agreed to be at least 0 is met by runs that all failed."""
    assert verdicts_of([rate(0, 5), rate(5, 5), rate(4, 5)], [0.0, 1.0, 1.0]) == [
        "met",
        "undecided",
        "missed",
    ]


def test_holms_method_goes_on_from_the_least_likely() -> None:
    """With one rate shown to be missed, the next is held against one rate fewer."""
    first, second, third = rate(40, 100), rate(83, 100), rate(90, 100)
    at_once = [first, second, third], [0.9, 0.9, 0.9]
    assert verdicts_of(*at_once) == ["missed", "undecided", "undecided"]
    # 82 of 100 has a chance of 1 in 83: enough among two, and not among three.
    assert chance_of_fewer(rate(82, 100), 0.9) == pytest.approx(binom.cdf(82, 100, 0.9))
    assert 1 / 120 < chance_of_fewer(rate(82, 100), 0.9) < 1 / 80
    assert verdicts_of([first, rate(82, 100), third], [0.9] * 3)[1] == "missed"
    assert verdicts_of([third, rate(82, 100), third], [0.9] * 3)[1] == "undecided"


def test_a_rate_that_only_looks_missed_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where an interval lies below by itself and nothing is shown among all, the line says that."""
    slo = "".join(f"[nodes.n{place}]\naccepted = 0.9\n" for place in range(RATES))
    (tmp_path / "slo.toml").write_text(slo)
    for n, store in enumerate(stores([0.9] * RATES, 12, seed=7)):
        path = tmp_path / f"{n}.db"
        with open_store(path, mode="write") as copy:
            for run in store.runs():
                copy.write([run, *store.transitions(run.id)])
        assert main(["check", str(path), "--slo", str(tmp_path / "slo.toml")]) == 3
    assert "undecided  n" in (told := capsys.readouterr().out)
    assert "of 80, which may be chance\n" in told
