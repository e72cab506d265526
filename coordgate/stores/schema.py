"""The SQLite schema: its versions, how a file is recognised, and how it is brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from coordgate.errors import StoreError

APPLICATION_ID = 0x63677472  # "cgtr"
"""Stands in the header of every trace file, so that no other SQLite file is taken for one."""

Step = tuple[str, ...]
"""The statements that lead from one version of the schema to the next."""

STEPS: tuple[Step, ...] = (
    (
        """
        CREATE TABLE runs (
            id      TEXT PRIMARY KEY,
            graph   TEXT NOT NULL,
            thread  TEXT,
            mode    TEXT NOT NULL,
            status  TEXT NOT NULL,
            started REAL NOT NULL,
            ended   REAL,
            error   TEXT,
            process TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX runs_by_start ON runs (started)",
        "CREATE INDEX runs_open ON runs (process) WHERE status = 'running'",
        """
        CREATE TABLE transitions (
            id        INTEGER PRIMARY KEY,
            run       TEXT NOT NULL,
            number    INTEGER NOT NULL,
            thread    TEXT,
            namespace TEXT NOT NULL,
            step      INTEGER NOT NULL,
            node      TEXT NOT NULL,
            status    TEXT NOT NULL,
            started   REAL NOT NULL,
            seconds   REAL NOT NULL,
            producers TEXT NOT NULL,
            goto      TEXT NOT NULL,
            reads     TEXT,
            writes    TEXT
        )
        """,
        "CREATE INDEX transitions_by_run ON transitions (run, number)",
        """
        CREATE TABLE attempts (
            transition INTEGER NOT NULL REFERENCES transitions (id),
            number     INTEGER NOT NULL,
            rung       TEXT NOT NULL,
            outcome    TEXT NOT NULL,
            seconds    REAL NOT NULL,
            reasons    TEXT NOT NULL,
            error      TEXT,
            output     TEXT,
            model      TEXT,
            tokens_in  INTEGER,
            tokens_out INTEGER,
            cost       REAL
        )
        """,
        "CREATE INDEX attempts_by_transition ON attempts (transition)",
        """
        CREATE TABLE verdicts (
            transition INTEGER NOT NULL REFERENCES transitions (id),
            attempt    INTEGER NOT NULL,
            gate       TEXT NOT NULL,
            passed     INTEGER NOT NULL,
            score      REAL,
            reason     TEXT NOT NULL,
            seconds    REAL NOT NULL
        )
        """,
        "CREATE INDEX verdicts_by_transition ON verdicts (transition)",
        "CREATE TABLE processes (process TEXT PRIMARY KEY, seen REAL NOT NULL) WITHOUT ROWID",
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
    (
        "ALTER TABLE attempts ADD COLUMN decision TEXT",
        "ALTER TABLE attempts ADD COLUMN decided_by TEXT",
    ),
    (
        """
        CREATE TABLE calls (
            transition INTEGER NOT NULL REFERENCES transitions (id),
            attempt    INTEGER NOT NULL,
            model      TEXT,
            finish     TEXT,
            tokens_in  INTEGER,
            tokens_out INTEGER,
            details    TEXT,
            cost       REAL,
            seconds    REAL,
            gate       TEXT,
            error      TEXT
        )
        """,
        "CREATE INDEX calls_by_transition ON calls (transition)",
    ),
)
"""Step number N makes version N of its predecessor. A released step is never edited."""


def recognise(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> int:
    """Return the schema version of an open file; 0 for one that holds nothing at all.

    Raises:
        StoreError: the file belongs to another program, or to a newer coordgate.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if empty and application == 0 and version == 0:
            return 0
        raise StoreError(
            f"{path}: this SQLite file belongs to another program, not to coordgate; "
            "give another path"
        )
    if version > len(steps):
        raise StoreError(
            f"{path}: written by a newer coordgate (schema {version}, this one knows up to "
            f"{len(steps)}); upgrade with `pip install -U coordgate`"
        )
    return version


def migrate(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> None:
    """Bring an open file up to the newest version, all steps or none; others may do so meanwhile.

    Raises:
        StoreError: the file belongs to another program, or to a newer coordgate.
    """
    if recognise(connection, path, steps) == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[recognise(connection, path, steps) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute(
            "INSERT INTO meta VALUES ('version', ?) "
            "ON CONFLICT DO UPDATE SET value = excluded.value",
            (str(len(steps)),),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
