"""Stores: where records are written and read back. `open_store` opens one by its path or URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from coordgate.errors import StoreError
from coordgate.stores.base import Store
from coordgate.stores.jsonl import JsonlStore
from coordgate.stores.memory import MemoryStore
from coordgate.stores.sqlite import SqliteStore

__all__ = ["JsonlStore", "MemoryStore", "SqliteStore", "Store", "open_store"]

_SQLITE = frozenset({".db", ".sqlite", ".sqlite3"})
_JSONL = frozenset({".jsonl", ".ndjson"})


def open_store(url: str | os.PathLike[str], *, mode: Literal["read", "write"] = "read") -> Store:
    """Open a store: a path, or `sqlite:///PATH`, `jsonl:///PATH`, `memory:`.

    The kind is told by the path's ending (`.db`, `.sqlite`, `.sqlite3`; `.jsonl`, `.ndjson`), or
    by what the file holds. `mode="read"` never creates or changes a file.

    Raises:
        StoreError: there is no such file, it cannot be opened, is of another kind, or is newer.
    """
    text = os.fspath(url)
    if text == "memory:":
        return MemoryStore()
    scheme, separator, rest = text.partition("://")
    if not separator or isinstance(url, os.PathLike):
        return _open_path(Path(url), mode)
    if scheme in {"postgres", "postgresql"}:
        raise StoreError("Postgres is not there yet; give a path that ends in .db or .jsonl")
    if scheme not in {"sqlite", "jsonl"}:
        raise StoreError(
            f"{text}: {scheme}:// is no kind of store; use sqlite:///PATH, jsonl:///PATH, memory: "
            "or a path"
        )
    if not rest.startswith("/") or len(rest) < 2:
        raise StoreError(f"{text}: write {scheme}:///PATH, or {scheme}:////PATH from the root")
    if scheme == "sqlite":
        return SqliteStore(rest[1:], mode=mode)
    return JsonlStore(rest[1:], mode=mode)


def _open_path(path: Path, mode: Literal["read", "write"]) -> Store:
    if path.suffix in _SQLITE:
        return SqliteStore(path, mode=mode)
    if path.suffix in _JSONL:
        return JsonlStore(path, mode=mode)
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        if mode == "read":
            raise StoreError(
                f"{path}: there is no such file; give the path of a trace file"
            ) from None
        start = b""
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}; give a file") from error
    if start.startswith(b"SQLite format 3"):
        return SqliteStore(path, mode=mode)
    if start.startswith(b'{"coordgate"'):
        return JsonlStore(path, mode=mode)
    raise StoreError(
        f"{path}: its name does not say what kind of store it is; let it end in .db or .jsonl"
    )
