"""The example of a model ladder, run as a user runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "examples" / "model_ladder.py"


def run(*flags: str) -> str:
    """Run the program against its own server."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    environment["NO_PROXY"] = "127.0.0.1"
    done = subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, str(PROGRAM), *flags],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_ladder_is_as_right_as_the_strong_model_for_fewer_of_its_tokens(tmp_path: Path) -> None:
    """Four mails of twelve climb; the strong model's tokens fall by more than half."""
    prices = tmp_path / "prices.toml"
    prices.write_text("[models.small]\ninput=1\noutput=1\n[models.large]\ninput=10\noutput=10\n")
    shown = run("--prices", str(prices))
    assert shown.count("12 of 12 right") == 2
    saved = re.search(r"saved: (\d+) of (\d+)", shown)
    assert saved is not None
    assert 0.5 < int(saved[1]) / int(saved[2]) < 0.8
    ladder, alone = [float(cost) for cost in re.findall(r"\$([\d.]+)", shown)]
    assert ladder < alone


def test_the_cheap_model_alone_is_wrong_where_it_is_hard() -> None:
    """Bare, the four mails with another number go out with the wrong order."""
    shown = run("--bare")
    assert "8 of 12 right" in shown
    assert "cost unknown" in shown
