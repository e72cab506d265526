"""Parquet: a store as five tables, one file each, for DuckDB, pandas and what else reads them."""

# pyarrow is not typed:
# mypy: disable-error-code="import-untyped"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coordgate.errors import StoreError
from coordgate.record import Attempt, Call, GateVerdict, Record, Run, Transition
from coordgate.stores import Store
from coordgate.stores.base import storable

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise ImportError(
        "to write Parquet, coordgate needs pyarrow: pip install 'coordgate[parquet]'"
    ) from error

_BATCH = 5_000
"""Rows of one table that are held before they are written."""

Row = dict[str, Any]


def export_parquet(
    store: Store, folder: str | os.PathLike[str], *, each: Callable[[], object] = lambda: None
) -> Mapping[str, int]:
    """Write all records of a store to a folder, and return how many rows each table has.

    The files are `runs.parquet`, `transitions.parquet`, `attempts.parquet`, `verdicts.parquet` and
    `calls.parquet`; docs/record.md tells their columns. They appear when all is written, or not at
    all. What is held in memory does not grow with the store.

    Args:
        store: What is exported.
        folder: A path at which nothing is yet.
        each: Called after each run, for a progress bar.

    Raises:
        StoreError: there is something at `folder`, or it cannot be written.
    """
    target = Path(folder)
    if target.exists():
        raise StoreError(f"{target}: is there already; give a new path, or remove it first")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from error
    try:
        written = _write(store, making, each)
        making.chmod(0o755)
        making.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return written


def _write(store: Store, folder: Path, each: Callable[[], object]) -> Mapping[str, int]:
    with ExitStack() as stack:
        tables = {name: stack.enter_context(_Table(folder, name)) for name in _COLUMNS}
        for run in store.runs(newest_first=False):
            tables["runs"].add(_own(storable(run)))
            for transition in store.transitions(run.id):
                for name, row in _rows(storable(transition)):
                    tables[name].add(row)
            each()
    return {name: table.rows for name, table in tables.items()}


def _rows(transition: Record) -> Iterator[tuple[str, Row]]:
    """Yield the rows of a transition and its parts, each with its table's name."""
    assert isinstance(transition, Transition)
    yield "transitions", _own(transition)
    place: Row = {"run": transition.run, "transition": transition.number}
    for attempt in transition.attempts:
        yield "attempts", {**place, **_own(attempt)}
        inside = {**place, "attempt": attempt.number}
        for verdict in attempt.verdicts:
            yield "verdicts", {**inside, **_own(verdict)}
        for call in attempt.calls:
            yield "calls", {**inside, **_own(call)}


def _own(record: object) -> Row:
    """Return the columns of a record, its parts aside."""
    found: Row = {}
    for name in _NAMES[type(record)]:
        value = getattr(record, name)
        if name in _TIMES:
            value = _moment(value)
        found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _moment(seconds: float | None) -> datetime | None:
    """Return a time; None for one that no calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


_TIMES = frozenset({"started", "ended"})

_KINDS: Mapping[str, Any] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "tuple[str, ...]": pa.list_(pa.string()),
}
"""The column of each type that a record's field has; any other is one of a few words."""

_NAMES: Mapping[type[object], tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind) if each.name not in parts)
    for kind, parts in (
        (Run, ()),
        (Transition, ("attempts",)),
        (Attempt, ("verdicts", "calls")),
        (GateVerdict, ()),
        (Call, ()),
    )
}


def _columns(kind: Any, *, inside: tuple[str, ...] = ()) -> Any:
    columns = [(name, pa.string() if name == "run" else pa.int64()) for name in inside]
    for each in fields(kind):
        if each.name in _NAMES[kind]:
            written = str(each.type).removesuffix(" | None")
            column = _KINDS.get(written, pa.string())
            columns.append(
                (each.name, pa.timestamp("us", "UTC") if each.name in _TIMES else column)
            )
    return pa.schema(columns)


_COLUMNS: Mapping[str, Any] = {
    "runs": _columns(Run),
    "transitions": _columns(Transition),
    "attempts": _columns(Attempt, inside=("run", "transition")),
    "verdicts": _columns(GateVerdict, inside=("run", "transition", "attempt")),
    "calls": _columns(Call, inside=("run", "transition", "attempt")),
}


class _Table:
    """One file that is being written."""

    def __init__(self, folder: Path, name: str) -> None:
        self._schema = _COLUMNS[name]
        self._writer = pq.ParquetWriter(folder / f"{name}.parquet", self._schema)
        self._held: list[Row] = []
        self.rows = 0

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *exc: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, row: Row) -> None:
        self._held.append(row)
        if len(self._held) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self.rows += len(self._held)
            self._writer.write_table(pa.Table.from_pylist(self._held, self._schema))
            self._held = []
