"""Labels: what is known to be correct, beside a store of runs that says only what was accepted.

A label says whether a whole run, or what one node handed over in it, was correct. Labels come from
`coordgate eval`, whose scorer gives one for each run, or from a file of your own, and are kept as
JSON lines beside the store: those of `traces.db` in `traces.labels.jsonl`. A line needs `run` and
`correct`; whoever reads the labels takes them with `read_labels(labels_beside("traces.db"))`:

    {"run": "18c9...", "correct": true}
    {"run": "18c9...", "correct": false, "node": "draft", "attempt": 1, "reason": "wrong order"}

Of two labels by the same source on the same thing the later line counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, cast, get_args, get_type_hints

from coordgate.errors import StoreError

SUFFIX = ".labels.jsonl"
"""What the name of a labels file ends in, in the place of the store's own ending."""


@dataclass(frozen=True, slots=True)
class Label:
    """Whether one thing was correct, as one source says."""

    run: str
    """The run's id."""
    correct: bool
    """Whether it was correct."""
    node: str | None = None
    """The node whose hand-over is meant; None for the result of the whole run."""
    transition: int | None = None
    """The number of the transition; None for all of that node in the run."""
    attempt: int | None = None
    """The number of the attempt; None for what shipped: the last one of the transition."""
    score: float | None = None
    """The source's own measure."""
    by: str = ""
    """The source: `scorer:module:function`, a reviewer, or what you like."""
    reason: str = ""
    """Why."""
    case: str | None = None
    """The case of an eval that the run answers."""
    repetition: int | None = None
    """The how manyeth run of that case it is, from 0."""
    variant: str | None = None
    """`guarded` or `bare`, in an eval of both."""
    at: float | None = None
    """When it was given: UTC, seconds since the epoch."""
    experiment: str | None = None
    """The eval that it is of."""

    @property
    def about(self) -> tuple[str, str | None, int | None, int | None, str]:
        """What it is about, and who says so: a later label with the same takes its place."""
        return (self.run, self.node, self.transition, self.attempt, self.by)


def labels_beside(store: str | os.PathLike[str]) -> Path:
    """Return where the labels of a store are kept, by its path or URL.

    Raises:
        StoreError: the store has no path on this machine, so its labels need one of their own.
    """
    text = os.fspath(store)
    scheme, separator, rest = text.partition("://")
    if separator and scheme not in {"sqlite", "jsonl"}:
        raise StoreError(f"{scheme}://...: such a store has no file for labels beside it; name one")
    if text == "memory:":
        raise StoreError("memory: has no file for labels beside it; name one")
    return Path(rest[1:] if separator else text).with_suffix(SUFFIX)


def write_labels(path: str | os.PathLike[str], labels: Iterable[Label]) -> None:
    """Add labels to a file, all in one write; other processes may add theirs meanwhile.

    Raises:
        StoreError: the file cannot be written.
    """
    lines = [
        json.dumps({k: v for k, v in asdict(label).items() if v not in (None, "")})
        for label in labels
    ]
    if not lines:
        return
    text = "\n".join(lines) + "\n"
    try:
        with Path(path).open("ab+") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a writer was killed within a line
                    text = f"\n{text}"
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise StoreError(f"{path}: labels cannot be written: {error.strerror}") from error


def read_labels(path: str | os.PathLike[str]) -> Iterator[Label]:
    """Yield the labels of a file, the latest on each thing; none if there is no such file.

    Raises:
        StoreError: the file cannot be read, or a line is no label.
    """
    latest: dict[object, Label] = {}
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                label = _label(line, f"{path}:{number}", whole=line.endswith(b"\n"))
                if label is not None:
                    latest.pop(label.about, None)
                    latest[label.about] = label
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path}: labels cannot be read: {error.strerror}") from error
    yield from latest.values()


def _label(line: bytes, where: str, *, whole: bool) -> Label | None:
    """Return the label of a line; None for what a killed writer left of one."""
    try:
        value: Any = json.loads(line)
    except ValueError:
        torn = line.startswith(b"{") and not (whole and line.rstrip().endswith(b"}"))
        if not torn:
            raise StoreError(f"{where}: no JSON; a line is one label, as an object") from None
        return None
    found = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if not {"run", "correct"} <= found.keys():
        raise StoreError(f'{where}: no label; write {{"run": "...", "correct": true}}')
    for name, kind in _TYPES.items():
        if name in found and not isinstance(found[name], kind):
            raise StoreError(f"{where}: {name!r} is {json.dumps(found[name])}, of the wrong type")
    unknown = found.keys() - _TYPES.keys()
    if unknown:
        raise StoreError(f"{where}: a label has no {min(unknown)!r}; it has {', '.join(_TYPES)}")
    return Label(**found)


def _kinds(hint: Any) -> tuple[type, ...]:
    kinds: tuple[type, ...] = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return (*kinds, int) if float in kinds else kinds


_TYPES = {f.name: _kinds(get_type_hints(Label)[f.name]) for f in fields(Label)}
