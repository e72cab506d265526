"""The Store protocol: a sink that can also be read; and what every store does alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from coordgate.errors import StoreError
from coordgate.process import is_alive, is_here
from coordgate.tracer import Record, Run, RunStatus, Sink, Transition

BEAT_SECONDS = 5.0
"""How often a writer with open runs says that it lives."""

SILENT_SECONDS = 60.0
"""After so long without a sign, a run of another host is lost."""


@runtime_checkable
class Store(Sink, Protocol):
    """A sink that can also be read. What was written is read back as it was.

    One exception: a lone surrogate, which no UTF-8 file can hold, comes back as its escape.
    A run that says `running` and whose process is gone is read as `lost`.
    """

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch, in the order recorded. A Run with a known id replaces the earlier one.

        Raises:
            StoreError: the file cannot be written; nothing of the batch was.
        """
        ...

    def runs(
        self,
        *,
        limit: int | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
    ) -> Iterator[Run]:
        """Return the runs in the order of their start, of one status if given."""
        ...

    def run(self, id_or_prefix: str) -> Run:
        """Return one run by its id, or by a beginning of it that is unique.

        Raises:
            StoreError: there is none, or there are several.
        """
        ...

    def transitions(self, run_id: str, *, after: int = -1) -> Iterator[Transition]:
        """Return the transitions of a run numbered above `after`, in the order of their ending."""
        ...

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        ...


def as_it_stands(run: Run, seen: float, now: float) -> Run:
    """Return `run`, as lost if it says running and its process is gone.

    On this host the process is looked up; of another host, `seen`, the time of the last sign of
    life, must not be older than a minute.
    """
    if run.status != "running":
        return run
    if is_here(run.process):
        gone = not is_alive(run.process)
    else:
        gone = now - max(seen, run.started) > SILENT_SECONDS
    return replace(run, status="lost") if gone else run


def the_one(found: Sequence[Run], asked: str, where: str) -> Run:
    """Return the only run found for an id or prefix.

    Raises:
        StoreError: there is none, or there are several.
    """
    for run in found:
        if run.id == asked:
            return run
    if not found:
        raise StoreError(f"{where}: no run {asked!r}; `coordgate show` lists those that there are")
    if len(found) > 1:
        some = ", ".join(run.id for run in found[:3])
        raise StoreError(
            f"{where}: {asked!r} is the beginning of several runs ({some}, ...); give more of it"
        )
    return found[0]


def storable(record: Record) -> Record:
    """Return a record that any file can hold.

    Lone surrogates become their escapes, integers are held within 64 bits, NaN becomes 0, and
    what is not of its field's type becomes text.
    """
    changed: Record = _storable(record)
    return changed


def _storable(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return str(value).encode("utf-8", "backslashreplace").decode()
        case int():
            return max(-(2**63), min(2**63 - 1, int(value)))
        case float():
            return 0.0 if math.isnan(value) else float(value)
        case tuple() | list():
            return tuple(_storable(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return type(value)(*(_storable(getattr(value, each.name)) for each in fields(value)))
        case _:
            return _storable(str(value))


def file_at(path: Path) -> tuple[int, int]:
    """Return what tells the file at a path from another that takes its place.

    Raises:
        StoreError: there is none.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read: {error.strerror}; give the path of a trace file"
        ) from error
    return stat.st_dev, stat.st_ino


def first(runs: Iterable[Run], limit: int | None, status: RunStatus | None) -> Iterator[Run]:
    """Return the first `limit` runs of a status."""
    left = math.inf if limit is None else limit
    for run in runs:
        if left <= 0:
            return
        if status is None or run.status == status:
            left -= 1
            yield run
