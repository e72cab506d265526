"""What users' type checkers see of the public API: `api.py`, under mypy and pyright, strictly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

API = Path(__file__).with_name("api.py")
ROOT = API.parents[2]


CHECKERS = {
    "mypy": ("--strict", "--python-executable", sys.executable),
    "pyright": ("--pythonpath", sys.executable),
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_public_api_keeps_the_users_types(checker: str) -> None:
    """A decorated node keeps its signature and a guarded graph its type; mistakes are reported."""
    done = subprocess.run(  # noqa: S603 - a type checker on a file of ours
        [sys.executable, "-m", checker, *CHECKERS[checker], str(API)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mistakes_are_expected_of_both_checkers() -> None:
    """Each mistake in the file is marked in the way that fails in both where it is no mistake."""
    text = API.read_text()
    assert text.count("# type: ignore[") >= 10
    assert "# pyright: reportUnnecessaryTypeIgnoreComment=true" in text
