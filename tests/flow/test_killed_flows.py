"""Wherever the process is killed, control that has left a node goes on as if it had not been."""

from pathlib import Path

import pytest
from killing import lines_of

PROGRAM = Path(__file__).with_name("dying.py")


@pytest.mark.parametrize("saver", ["sqlite-sync", "sqlite-async"])
def test_a_run_that_is_killed_ends_as_one_that_is_not(saver: str, tmp_path: Path) -> None:
    """Sent back once and left once, with all that was told, whichever write was the last."""
    cases = lines_of(PROGRAM, saver, str(tmp_path))
    assert len(cases) > 6
    assert [case["killed"] for case in cases] == [True] * (len(cases) - 1) + [False]
    for case in cases:
        ran = case["ends"]["ran"]
        assert sorted(ran[:2]) == ["check", "find"]
        assert ran[2:] == ["find", "mend", "compose"]
        assert case["ends"]["told"] == [
            "facts: string should have at least 1 character (got '')",
            "mend: good: is not good (compose)",
        ]
        assert case["ends"]["draft"] == "good"
