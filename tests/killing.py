"""Killing: steps of a program, each done in a process of its own that may be killed with SIGKILL.

A program that is killed some hundreds of times imports what it needs once, and does each step in a
fork of itself. Start such a program with `lines_of`, not within pytest: what forks must have no
threads. So a step opens its own files, savers and tracers.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

TESTS = Path(__file__).parent

NEVER = -1
"""The point at which what is not killed dies."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step in a process of its own has ended."""

    killed: bool
    """Whether it was killed before it could say what came of it."""
    value: Any
    """What it returned; None if it was killed."""
    seconds: float
    """From its start to its end."""


class StepFailed(AssertionError):
    """A step raised; the message is its traceback."""


def apart(step: Callable[[], Any], *, after: float | None = None) -> Ended:
    """Do a step in a process of its own, which is killed after so many seconds if it still runs.

    What the step returns must be the same as JSON. It may also kill itself: see `die`.

    Raises:
        StepFailed: the step raised.
    """
    reads, writes = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reads)
        _do(step, writes)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        if after is not None:
            select.select([pipe], [], [], after)
            # A step that has just ended is not there any more, and that is no failure.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        said = pipe.read()
    os.waitpid(child, 0)
    seconds = time.monotonic() - began
    if not said.endswith("\n"):
        return Ended(True, None, seconds)
    told = json.loads(said)
    if "raised" in told:
        raise StepFailed(told["raised"])
    return Ended(False, told["value"], seconds)


def _do(step: Callable[[], Any], writes: int) -> None:
    """Do the step, say what came of it, and end the process without what Python does at exit."""
    try:
        said = {"value": step()}
    except BaseException:  # noqa: BLE001 - told to the parent, whatever it is
        said = {"raised": traceback.format_exc()}
    with os.fdopen(writes, "w") as pipe:
        pipe.write(json.dumps(said) + "\n")
    os._exit(0)


def die() -> None:
    """End this process as a crash would: at once, nothing flushed or closed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """What a saver is, named before it, in a process that is killed at one of its writes."""

    dies = NEVER
    """The write, from 0, before which it is killed."""
    points = 0
    """How many there were."""

    def point(self) -> None:
        """Die, if this is the point."""
        if self.points == self.dies:
            die()
        self.points += 1

    def put_writes(self, *args: Any, **kwargs: Any) -> None:
        """Write, if still alive."""
        self.point()
        super().put_writes(*args, **kwargs)  # type: ignore[misc]

    def put(self, *args: Any, **kwargs: Any) -> Any:
        """Write, if still alive."""
        self.point()
        return super().put(*args, **kwargs)  # type: ignore[misc]

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        """Write, if still alive."""
        self.point()
        await super().aput_writes(*args, **kwargs)  # type: ignore[misc]

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        """Write, if still alive."""
        self.point()
        return await super().aput(*args, **kwargs)  # type: ignore[misc]


def until_done(
    step: Callable[[], Any], *, random: Random, longest: float, kills: int
) -> Iterator[Ended]:
    """Do a step again and again until one is not killed; yield how each has ended.

    The first `kills` are killed at a random moment within the seconds that it takes at `longest`.
    """
    for made in range(kills + 1):
        ended = apart(step, after=random.uniform(0, longest) if made < kills else None)
        yield ended
        if not ended.killed:
            return


def lines_of(program: Path, *arguments: str, timeout: float = 120) -> list[Any]:
    """Run a program with the tests' folder to import from; return what it prints, as JSON lines."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(  # noqa: S603 - a program of the tests
        [sys.executable, str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
