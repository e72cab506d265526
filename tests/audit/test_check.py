"""`coordgate check`: agreed rates met, missed, or undecided, each with its own exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lines import record

from coordgate.audit.intervals import rate
from coordgate.cli import main


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
