"""The store in a file of JSON lines: for `jq`, log shippers and diffs."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from coordgate.errors import StoreError
from coordgate.stores.base import as_it_stands, first, storable, the_one
from coordgate.tracer import Record, Run, RunStatus, Transition

VERSION = 1
"""The version of the format; stands in the file's first line."""

_HEADER = b'{"coordgate":"traces","version":%d}\n' % VERSION

_TAIL = 4096
"""So many bytes of the last line tell whether a file is still the one that was read."""


@cache
def _reader(kind: str) -> TypeAdapter[Any]:
    """Return what reads a record; made when first wanted, since making it takes a while."""
    return TypeAdapter(Run if kind == "Run" else Transition)


class JsonlStore:
    """Runs and transitions in a file of JSON lines, one record a line.

    Several processes may write it at once. A line that a dying process left unfinished is
    passed over, and cut off by the next writer.
    """

    def __init__(self, path: str | os.PathLike[str], *, mode: Literal["read", "write"]) -> None:
        """Open the file; with `mode="write"` create it.

        Raises:
            StoreError: it cannot be opened, is damaged, or is not a trace file.
        """
        self.path = Path(path)
        self._mode: Literal["read", "write"] = mode
        self._read_to = 0
        self._lines = 0
        self._tail = b""
        self._runs: dict[str, Run] = {}
        self._seen: dict[str, float] = {}
        self._places: dict[str, list[tuple[int, int]]] = {}
        self._begin()
        if mode == "read":
            self._catch_up()

    def __repr__(self) -> str:
        """Return what opens it."""
        return f"JsonlStore({str(self.path)!r}, mode={self._mode!r})"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Close, as a file does."""
        if hasattr(self, "_file"):
            self.close()

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch, in the order recorded: all of it, or none."""
        try:
            text = b"".join(map(_line, records))
        except ValueError:  # something that no file can hold; rare, and so looked for only now
            text = b"".join(_line(storable(record)) for record in records)
        if not text:
            return
        file = self._ready()
        with self._lock:
            try:
                _append(file, text)
            except OSError as error:
                raise StoreError(
                    f"{self.path}: cannot be written: {error.strerror}; "
                    "check the disk's room and the file's permissions"
                ) from error

    def _ready(self) -> int:
        """Return the open file; after a fork opened anew, since a lock goes with the opening."""
        if self._file is None:
            raise StoreError(f"{self.path}: this store is not open for writing; open it again")
        if self._pid != os.getpid():
            os.close(self._file)
            self._begin()
        return self._file

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._file: int | None = _open(self.path, self._mode)

    def runs(
        self,
        *,
        limit: int | None = None,
        status: RunStatus | None = None,
        newest_first: bool = True,
    ) -> Iterator[Run]:
        """Return the runs in the order of their start."""
        with self._lock:
            self._catch_up()
            known = sorted(self._runs.values(), key=attrgetter("started", "id"))
        if newest_first:
            known.reverse()
        return first(map(self._as_it_stands, known), limit, status)

    def run(self, id_or_prefix: str) -> Run:
        """Return one run by its id, or by a beginning of it that is unique."""
        with self._lock:
            self._catch_up()
            found = [run for id, run in self._runs.items() if id.startswith(id_or_prefix)]
        return self._as_it_stands(the_one(found, id_or_prefix, str(self.path)))

    def transitions(self, run_id: str, *, after: int = -1) -> Iterator[Transition]:
        """Return the transitions of a run numbered above `after`, in the order of their ending."""
        with self._lock:
            self._catch_up()
            places = sorted(each for each in self._places.get(run_id, ()) if each[0] > after)
        if not places:
            return
        with self._reading() as file:
            for _, place in places:
                file.seek(place)
                yield self._parsed(file.readline(), Transition)

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _as_it_stands(self, run: Run) -> Run:
        return as_it_stands(run, self._seen.get(run.id, 0.0), time.time())

    def _reading(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be read: {error.strerror}; give the path of a trace file"
            ) from error

    def _catch_up(self) -> None:
        """Take note of the lines that came since: the runs, and where each transition stands."""
        with self._reading() as file:
            file.seek(self._read_to - len(self._tail))
            if file.read(len(self._tail)) != self._tail:  # another file has taken its place
                self._read_to = self._lines = file.seek(0)
                for known in (self._runs, self._seen, self._places):
                    known.clear()
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._lines += 1
                if self._read_to == 0:
                    _check_header(line, self.path)
                else:
                    self._note(line)
                self._read_to += len(line)
                self._tail = line[-_TAIL:]

    def _note(self, line: bytes) -> None:
        if line.startswith(b'{"kind":"run",'):
            run = self._parsed(line, Run)
            self._runs[run.id] = run
            return
        each = self._parsed(line, Transition)
        self._places.setdefault(each.run, []).append((each.number, self._read_to))
        ended = each.started + each.seconds
        self._seen[each.run] = max(ended, self._seen.get(each.run, 0.0))

    def _parsed(self, line: bytes, kind: type[Run] | type[Transition]) -> Any:
        try:
            return _reader(kind.__name__).validate_json(line)
        except ValidationError as error:
            first_error = error.errors(include_url=False)[0]
            raise StoreError(
                f"{self.path}: line {self._lines} is damaged, or of a newer coordgate: "
                f"{first_error['msg']}; delete that line, or upgrade coordgate"
            ) from error


def _line(record: Record) -> bytes:
    kind = b'{"kind":"run",' if isinstance(record, Run) else b'{"kind":"transition",'
    return kind + to_json(record, inf_nan_mode="strings")[1:] + b"\n"


def _open(path: Path, mode: Literal["read", "write"]) -> int | None:
    if path.is_dir():
        raise StoreError(f"{path}: is a directory; give the path of a file in it")
    if mode == "read" and not path.exists():
        raise StoreError(f"{path}: there is no such file; give the path of a trace file")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the directory {path.parent} does not exist; create it first")
    flags = os.O_RDONLY if mode == "read" else os.O_RDWR | os.O_APPEND | os.O_CREAT
    try:
        file = os.open(path, flags | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be opened: {error.strerror}; check the file's permissions"
        ) from error
    try:
        header = os.pread(file, 200, 0)
        if mode == "read" or not _HEADER.startswith(header):
            _check_header(header.partition(b"\n")[0], path)
        if mode == "write":
            _append(file, b"")
    except BaseException:
        os.close(file)
        raise
    if mode == "read":
        os.close(file)
        return None
    return file


def _check_header(line: bytes, path: Path) -> None:
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or "coordgate" not in header:
        raise StoreError(f"{path}: is not a file of traces of coordgate; give another path")
    version = cast("dict[str, object]", header).get("version")
    if not isinstance(version, int) or version > VERSION:
        raise StoreError(
            f"{path}: written by a newer coordgate (format {version}, this one knows up to "
            f"{VERSION}); upgrade with `pip install -U coordgate`"
        )


class _locked:
    """Holds the lock of a file against other processes."""

    def __init__(self, file: int) -> None:
        self._file = file

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *exc: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)


def _append(file: int, text: bytes) -> None:
    """Append all of `text`, or nothing; first cut off what a dead process left unfinished."""
    with _locked(file):
        size = os.fstat(file).st_size
        if size == 0:
            text = _HEADER + text
        elif os.pread(file, 1, size - 1) != b"\n":
            size = _end_of_last_line(file, size)
            os.ftruncate(file, size)
        try:
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(file, rest) :]
        except OSError:
            os.ftruncate(file, size)
            raise


def _end_of_last_line(file: int, size: int) -> int:
    step = 1 << 16
    while size > 0:
        start = max(0, size - step)
        end = os.pread(file, size - start, start).rfind(b"\n")
        if end >= 0:
            return start + end + 1
        size = start
    return 0
