"""Opening a SQLite trace file: which file it is, what may be done with it, what went wrong."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import Literal

from coordgate.errors import StoreError
from coordgate.process import is_alive, is_here
from coordgate.stores.schema import STEPS, migrate, recognise


@contextlib.contextmanager
def said(path: Path, what: str) -> Generator[None, None, None]:
    """Say which file it was, and what to do, when SQLite fails."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise StoreError(f"{path}: cannot be {what}: {error}{_cure(error)}") from error


def _cure(error: Exception) -> str:
    text = str(error)
    for sign, cure in (
        ("locked", "; another process holds it, end that one's transaction"),
        ("full", "; make room on the disk"),
        ("readonly", "; give write permission for the file and its directory"),
        ("malformed", "; the file is damaged, try `sqlite3 FILE .recover`"),
        ("not a database", "; it is not a trace file, give another path"),
        ("no such table", "; the file is damaged or was changed, give another path"),
        ("unable to open", "; check that it may be read and written here"),
    ):
        if sign in text:
            return cure
    return ""


def connect(path: Path, mode: Literal["read", "write"], busy: float) -> sqlite3.Connection:
    """Open a trace file.

    Raises:
        StoreError: see `SqliteStore`.
    """
    if path.is_dir():
        raise StoreError(f"{path}: is a directory; give the path of a file in it")
    if mode == "read" and not path.exists():
        raise StoreError(f"{path}: there is no such file; give the path of a trace file")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the directory {path.parent} does not exist; create it first")
    with said(path, "opened"):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={_sqlite_mode(path, mode)}",
            uri=True,
            timeout=busy,
            isolation_level=None,
            check_same_thread=False,
        )
    try:
        with said(path, "opened"):
            if mode == "write":
                _prepare(connection, path, busy)
            else:
                _inspect(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _sqlite_mode(path: Path, mode: Literal["read", "write"]) -> str:
    if mode == "write":
        return "rwc"
    # A reader that may write tidies up the files beside the database when it is the last to close.
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "rw"
    beside = path.with_name(f"{path.name}-wal").exists()
    return "ro" if beside else "ro&immutable=1"


def _prepare(connection: sqlite3.Connection, path: Path, busy: float) -> None:
    """Make the file ready for writing, and mark as lost what dead processes left running."""
    recognise(connection, str(path))
    _switch_to_wal(connection, busy)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")  # of 4 kB; saves a tenth of the time
    migrate(connection, str(path))
    open_processes = connection.execute(
        "SELECT DISTINCT process FROM runs WHERE status = 'running'"
    ).fetchall()
    for (process,) in open_processes:
        if is_here(process) and not is_alive(process):
            connection.execute(
                "UPDATE runs SET status = 'lost' WHERE status = 'running' AND process = ?",
                (process,),
            )


def _switch_to_wal(connection: sqlite3.Connection, busy: float) -> None:
    """Switch to WAL; SQLite does not wait here for another process that does the same."""
    until = time.monotonic() + busy
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _inspect(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA query_only = ON")
    version = recognise(connection, str(path))
    if version == 0:
        raise StoreError(f"{path}: holds no traces; give the path of a trace file")
    if version < len(STEPS):
        raise StoreError(
            f"{path}: written by an older coordgate (schema {version}); bring it up to date with "
            f"open_store({str(path)!r}, mode='write')"
        )
    connection.execute("SELECT 1 FROM runs, transitions, attempts, verdicts LIMIT 1")
