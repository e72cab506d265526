"""Where LangGraph's tests run: a virtual environment of their own, and the tests of one release."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
"""The root of this project."""

SUITE_NEEDS = (
    "pytest",
    "pytest-mock",
    "pytest-repeat",
    "pytest-timeout",
    "pytest-xdist[psutil]",
    "syrupy",
    "httpx",
    "langgraph-checkpoint-sqlite",
    "langgraph-checkpoint-postgres",
    "psycopg[binary]",
    "psycopg-pool",
    "pycryptodome",
    "redis",
    "requests",
    "uvloop",
)
"""What LangGraph's tests import, of its dependency group `test`; pytest-timeout is ours."""

BUILD_NEEDS = ("hatchling>=1.27",)
"""What builds coordgate's wheel and reads the metadata of LangGraph's sdist."""


class EnvironmentFailed(Exception):
    """A step that prepares the environment failed; the message holds the end of its output."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One LangGraph release on one interpreter, with its tests and this checkout's coordgate."""

    python: Path
    """The interpreter of the virtual environment."""
    source: Path
    """The unpacked sdist without its `langgraph/`, so that the installed one is tested."""
    langgraph: str
    """The release of LangGraph."""
    interpreter: str
    """The version of Python."""


def prepare(
    home: Path, python: str, langgraph: str, say: Callable[[str], None], *, guarded: bool
) -> Environment:
    """Make the environment below `home`, or reuse it; coordgate is built and installed afresh.

    Raises:
        EnvironmentFailed: a release, an interpreter or a package cannot be had.
    """
    interpreter = _output([python, "-c", "import platform; print(platform.python_version())"])
    place = home / f"langgraph-{langgraph}-python-{interpreter}"
    executable = place / "venv" / "bin" / "python"
    stamp = place / "installed"
    wanted = _fingerprint(langgraph)
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"making an environment for langgraph {langgraph} on Python {interpreter} in {place}")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        _run([python, "-m", "venv", str(place / "venv")])
        _pip(executable, "install", *BUILD_NEEDS)
        say("installing LangGraph, what its tests need, and coordgate's dependencies")
        _pip(
            executable,
            "install",
            f"langgraph=={langgraph}",
            *SUITE_NEEDS,
            str(CHECKOUT),
            "--no-build-isolation",
        )
        say("fetching the sdist, which holds the tests")
        _fetch_tests(executable, langgraph, place)
        stamp.write_text(wanted)
    if guarded:
        say("installing coordgate from this checkout")
        _pip(
            executable,
            "install",
            "--no-deps",
            "--force-reinstall",
            "--no-build-isolation",
            str(CHECKOUT),
        )
    return Environment(executable, place / "source", langgraph, interpreter)


def _fingerprint(langgraph: str) -> str:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = (langgraph, *SUITE_NEEDS, *BUILD_NEEDS, *project["dependencies"])
    return hashlib.sha256("\n".join(needs).encode()).hexdigest()


def _fetch_tests(executable: Path, langgraph: str, place: Path) -> None:
    downloads = place / "sdist"
    _pip(
        executable,
        "download",
        "--no-binary",
        "langgraph",
        "--no-deps",
        "--no-build-isolation",
        "--dest",
        str(downloads),
        f"langgraph=={langgraph}",
    )
    archive = next(downloads.glob("*.tar.gz"))
    with tarfile.open(archive) as sdist:
        root = sdist.getnames()[0].split("/")[0]
        chosen = [
            member
            for member in sdist.getmembers()
            if member.name.startswith(f"{root}/tests/") or member.name == f"{root}/pyproject.toml"
        ]
        for member in chosen:  # one by one: extractall() has its filter from Python 3.11.4 on only
            content = sdist.extractfile(member)
            if content is not None:
                path = downloads / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
    (downloads / root).rename(place / "source")


def _pip(executable: Path, *arguments: str) -> None:
    _run([str(executable), "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"])


def _output(command: Sequence[str]) -> str:
    return _run(command).strip()


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    except OSError as error:
        raise EnvironmentFailed(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise EnvironmentFailed(f"{' '.join(command)} failed:\n{end}")
    return done.stdout
