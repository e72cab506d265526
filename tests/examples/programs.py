"""Programs: how a test runs one of the examples, as a user does."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *flags: str, before: Path | None = None) -> list[str]:
    """Return the lines that a program prints, without a real model.

    `before` is a folder of packages that come before those installed.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    if before is not None:
        known = environment.get("PYTHONPATH", "")
        environment["PYTHONPATH"] = os.pathsep.join([str(before), *known.split(os.pathsep)])
    done = subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, str(EXAMPLES / f"{name}.py"), *flags],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
