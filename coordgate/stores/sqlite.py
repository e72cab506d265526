"""The store in a SQLite file: durable, shared by processes, and open to plain SQL."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from coordgate.errors import StoreError
from coordgate.process import identity
from coordgate.stores.base import BEAT_SECONDS, as_it_stands, file_at, first, storable, the_one
from coordgate.stores.connection import connect, said
from coordgate.stores.rows import INSERTS, Rows, run_of, transition_of
from coordgate.tracer import Capture, Record, Run, RunStatus, Transition

_ROWS_AT_ONCE = (64, 8, 1)
"""How many rows one statement inserts; 64 rows stay below the 999 parameters of every SQLite."""

_PAGE = 200
"""How many rows are read at once, so that no read holds the file for long."""


class SqliteStore:
    """Runs and transitions in one SQLite file in WAL mode; its tables are told in docs/record.md.

    Several processes may write it at once. Everything of one batch is written, or nothing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: Literal["read", "write"],
        busy_seconds: float = 5.0,
    ) -> None:
        """Open the file; with `mode="write"` create it, or bring its schema up to date.

        Args:
            path: The file.
            mode: Whether to write it.
            busy_seconds: How long to wait for another process that holds the file.

        Raises:
            StoreError: it cannot be opened, is not a trace file, or is of a newer coordgate.
        """
        self.path = Path(path)
        self._mode: Literal["read", "write"] = mode
        self._busy_seconds = busy_seconds
        self._closed = False
        self._open_runs: set[str] = set()
        self._next_beat = 0.0
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._ready()
        _living.add(self)

    def __repr__(self) -> str:
        """Return what opens it."""
        return f"SqliteStore({str(self.path)!r}, mode={self._mode!r})"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Close, as a file does."""
        if hasattr(self, "_connection"):
            self.close()

    def _ready(self) -> sqlite3.Connection:
        """Return the connection; open it if a fork closed it. The caller holds the lock."""
        if self._closed:
            raise StoreError(f"{self.path}: this store was closed; open it again")
        reads = self._mode == "read" and self._connection is not None
        if reads and file_at(self.path) != self._file:  # it would read on in one that was deleted
            self._disconnect()
        if self._connection is None:
            self._connection = connect(self.path, self._mode, self._busy_seconds)
            self._file = file_at(self.path)
        return self._connection

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        with self._lock:
            self._closed = True
            self._disconnect()
        _living.discard(self)

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def before_fork(self) -> None:
        """Close the connection, and keep others from using it until the fork is done.

        SQLite keeps what it knows of its locks in the process. The child would inherit that
        without the locks, write beside the parent, and overwrite what it wrote.
        """
        self._lock.acquire()
        self._disconnect()

    def after_fork(self, *, in_child: bool) -> None:
        """Let others use the store again."""
        if in_child:
            self._lock = threading.RLock()
            self._open_runs = set()
        else:
            self._lock.release()

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch, in the order recorded: all of it, or none."""
        self.write_settled(records)

    def write_settled(self, captures: Sequence[Record | Capture]) -> None:
        """Take a batch of records, or of settled captures, which saves making records of them."""
        with self._lock, said(self.path, "written"):
            connection = self._ready()
            try:
                self._insert(connection, captures)
            except (
                UnicodeEncodeError,
                OverflowError,
                sqlite3.IntegrityError,
                sqlite3.InterfaceError,
                sqlite3.ProgrammingError,
            ):
                # Something that no file can hold; it is rare, and so looked for only now.
                self._insert(connection, [storable(_frozen(each)) for each in captures])

    def _insert(self, connection: sqlite3.Connection, captures: Sequence[Record | Capture]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (last,) = connection.execute("SELECT max(id) FROM transitions").fetchone()
            rows = Rows(last or 0)
            for each in captures:
                if isinstance(each, Run):
                    rows.add_run(each)
                    self._note(each)
                else:
                    rows.add(each)
            for insert, parameters in zip(INSERTS, rows.parameters(), strict=True):
                # Many rows in one statement: sqlite3 lets go of the interpreter for each
                # statement, and beside a busy thread it takes 5 ms to get it back. Few sizes:
                # a statement of a new size costs more to prepare than its rows to write.
                start = 0
                for rows_at_once in _ROWS_AT_ONCE:
                    step = rows_at_once * insert.width
                    sql = insert.sql(rows_at_once)
                    while len(parameters) - start >= step:
                        connection.execute(sql, parameters[start : start + step])
                        start += step
            self._sign_of_life(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _note(self, run: Run) -> None:
        if run.status == "running":
            self._open_runs.add(run.id)
        else:
            self._open_runs.discard(run.id)

    def beat(self) -> float | None:
        """Say that this process lives, if it has open runs and has not said so for 5 seconds."""
        if not self._open_runs:
            return None
        with self._lock, said(self.path, "written"):
            self._sign_of_life(self._ready())
        return max(0.1, self._next_beat - time.monotonic())

    def _sign_of_life(self, connection: sqlite3.Connection) -> None:
        if self._open_runs and time.monotonic() >= self._next_beat:
            connection.execute(
                "INSERT INTO processes VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET seen = excluded.seen",
                (identity(), time.time()),
            )
            self._next_beat = time.monotonic() + BEAT_SECONDS

    def runs(
        self,
        *,
        limit: int | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
    ) -> Iterator[Run]:
        """Return the runs in the order of their start."""
        return first(self._all_runs(newest_first, status), limit, status)

    def _all_runs(self, newest_first: bool, status: RunStatus | None) -> Iterator[Run]:
        # A run that is stored as running may be lost; the rest stands as it is stored.
        wanted = [status, "running"] if status == "lost" else [status]
        some = f"status IN ({', '.join('?' * len(wanted))})" if status else "? IS NULL"
        way, order = ("<", "DESC") if newest_first else (">", "ASC")
        after: list[Any] = []
        while True:
            place = f"AND (started, id) {way} (?, ?)" if after else ""
            found = self._runs(
                f"WHERE {some} {place} ORDER BY started {order}, id {order} LIMIT {_PAGE}",
                [*wanted, *after],
            )
            yield from found
            if len(found) < _PAGE:
                return
            after = [found[-1].started, found[-1].id]

    def run(self, id_or_prefix: str) -> Run:
        """Return one run by its id, or by a beginning of it that is unique."""
        asked = id_or_prefix.encode("utf-8", "replace").decode()
        found = self._runs("WHERE id = ?", [asked]) or self._runs(
            "WHERE substr(id, 1, ?) = ? LIMIT 4", [len(asked), asked]
        )
        return the_one(found, id_or_prefix, str(self.path))

    def _runs(self, rest: str, parameters: Sequence[Any]) -> list[Run]:
        found = self.query(
            "SELECT id, graph, thread, mode, status, started, ended, error, runs.process, seen "  # noqa: S608 - made of constants
            f"FROM (SELECT * FROM runs {rest}) AS runs "
            "LEFT JOIN processes ON processes.process = runs.process",
            parameters,
        )
        now = time.time()
        return [as_it_stands(run_of(row), row[9] or 0.0, now) for row in found]

    def transitions(self, run_id: str, *, after: int = -1) -> Iterator[Transition]:
        """Return the transitions of a run numbered above `after`, in the order of their ending."""
        place = (after, 2**63 - 1)
        while True:
            page = self.query(
                "SELECT * FROM transitions WHERE run = ? AND (number, id) > (?, ?) "
                "ORDER BY number, id LIMIT ?",
                [run_id.encode("utf-8", "replace").decode(), *place, _PAGE],
            )
            ids = [row[0] for row in page]
            attempts = self._parts("attempts", ids)
            verdicts = self._parts("verdicts", ids)
            calls = self._parts("calls", ids)
            for row in page:
                with said(self.path, "read"):
                    transition = transition_of(
                        row,
                        attempts.get(row[0], ()),
                        verdicts.get(row[0], ()),
                        calls.get(row[0], ()),
                    )
                yield transition
            if len(page) < _PAGE:
                return
            place = (page[-1][2], page[-1][0])

    def _parts(self, table: str, ids: Sequence[int]) -> dict[int, list[Sequence[Any]]]:
        marks = ", ".join("?" * len(ids))
        found: dict[int, list[Sequence[Any]]] = {}
        for row in self.query(
            f"SELECT * FROM {table} WHERE transition IN ({marks}) ORDER BY rowid",  # noqa: S608 - made of constants
            ids,
        ):
            found.setdefault(row[0], []).append(row)
        return found

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Return the rows of a SELECT over the tables that docs/record.md tells."""
        with self._lock, said(self.path, "read"):
            return self._ready().execute(sql, parameters).fetchall()


_living: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
"""The stores that are open, for forks of this process."""

_held: list[SqliteStore] = []
"""The stores that a fork under way has closed."""


def _before_fork() -> None:
    for store in list(_living):
        store.before_fork()
        _held.append(store)


def _after_fork(*, in_child: bool) -> None:
    while _held:
        _held.pop().after_fork(in_child=in_child)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=partial(_after_fork, in_child=False),
    after_in_child=partial(_after_fork, in_child=True),
)


def _frozen(each: Record | Capture) -> Record:
    return each if isinstance(each, Run | Transition) else each.freeze()
