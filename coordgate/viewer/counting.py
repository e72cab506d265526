"""Counting: audits that are made beside the pages, and kept until the store has changed."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from coordgate.errors import CoordgateError
from coordgate.labels import labels_beside
from coordgate.stores import JsonlStore, SqliteStore, Store

if TYPE_CHECKING:
    from coordgate.audit.report import AuditReport

_KEPT: Final = 8
"""How many audits are kept."""

_QUICK: Final = 1.0
"""An audit that took no longer than so many seconds is made again whenever the store changed."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which runs of a store are audited."""

    graph: str | None = None
    """Those of this graph; of all without one."""
    since: float | None = None
    """Those that began no earlier, in seconds since the epoch."""
    until: float | None = None
    """Those that began before it, in seconds since the epoch."""


@dataclass(slots=True)
class Count:
    """An audit: under way, or what came of it."""

    part: Part
    """Which runs."""
    stamp: object
    """What the store was when it began."""
    began: float = field(default_factory=time.time)
    """When it began, in seconds since the epoch."""
    seconds: float = 0.0
    """How long it took."""
    report: AuditReport | None = None
    """What was found."""
    error: str | None = None
    """Why there is no report."""
    done: threading.Event = field(default_factory=threading.Event)
    """Set when there is a report or an error."""
    stale: bool = False
    """Whether the store has changed since."""


class Counting:
    """Audits a store on a thread of its own, one audit at a time."""

    def __init__(self, store: Store) -> None:
        """Count what this store holds."""
        self._store = store
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._counts: OrderedDict[Part, Count] = OrderedDict()

    def ask(self, part: Part, *, again: bool = False) -> Count:
        """Return the audit of a part of the runs; begin it if there is none.

        One that is there and was quick is made again if the store has changed since; one that was
        not is given as it is, marked as stale, unless it is asked for `again`.
        """
        with self._lock:
            stamp = _stamp(self._store)
            known = self._counts.get(part)
            if known is not None:
                self._counts.move_to_end(part)
                known.stale = known.done.is_set() and (stamp is None or stamp != known.stamp)
                quick = known.seconds <= _QUICK
                if not known.done.is_set() or not known.stale or not (quick or again):
                    return known
            count = self._counts[part] = Count(part, stamp)
            while len(self._counts) > _KEPT:
                self._counts.popitem(last=False)
        threading.Thread(target=self._count, args=(count,), daemon=True).start()
        return count

    def _count(self, count: Count) -> None:
        try:
            with self._turn:
                begun = time.monotonic()
                count.report = _auditing()(
                    self._store,
                    graph=count.part.graph,
                    since=count.part.since,
                    until=count.part.until,
                )
                count.seconds = time.monotonic() - begun
        except (CoordgateError, ImportError) as error:
            count.error = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page that waits must be told
            count.error = f"{type(error).__name__}: {error}"
        finally:
            count.done.set()


def _auditing() -> Callable[..., AuditReport]:
    """Return the audit, which needs scipy; the viewer does without it but for this."""
    found: Any = import_module("coordgate.audit.auditing").audit
    return found  # type: ignore[no-any-return]


def _stamp(store: Store) -> object:
    """Return what changes whenever the store or its labels do; None if it cannot be known."""
    match store:
        case SqliteStore():
            ((version,),) = store.query("PRAGMA data_version", [])
            ((last,),) = store.query("SELECT max(id) FROM transitions", [])
            return version, last, _written(labels_beside(store.path))
        case JsonlStore():
            return _written(store.path), _written(labels_beside(store.path))
        case _:
            return None


def _written(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - a path of either kind
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
