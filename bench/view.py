"""Subject 8: the pages of the viewer on a store of a million transitions, asked for over HTTP.

The store is the audit's. A filter whose runs are rare or absent is answered in several looks, each
a page of its own, as the browser goes on with them; each look counts.
"""

from __future__ import annotations

import http.client
import re
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import audit
import uvicorn
from measure import Figures, bar, say, table

from coordgate.record import Run, RunId, Transition
from coordgate.stores import open_store
from coordgate.viewer import viewer

BAR = 100.0
"""How many milliseconds a page may take."""

LOOKS = 20
"""How many looks of one search are followed, in each round."""


LONG = 10_000
"""How many transitions the long run has, which is alone in a store of its own."""

LONG_PAGES: Mapping[str, str] = {
    "long run: its first page": "/run?id=long",
    "long run: a late transition": "/run?id=long&number=9000",
    "long run: one node": "/run?id=long&node=draft",
    "long run: not accepted at once": "/run?id=long&filter=troubled",
    "long run: its graph": "/run/graph?id=long",
    "long run: beside itself": "/compare?a=long&b=long",
}
"""The pages of it."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What pages of one kind took, in seconds."""

    pages: int
    """How many were asked for."""
    median: float
    """The middle value."""
    most: float
    """The slowest."""


def run(home: Path, *, transitions: int, rounds: int) -> Figures:
    """Ask for every kind of page, by turns."""
    path = home / "audit.db"
    if not path.exists():
        audit.make_store(path, transitions // len(audit.NODES) + 1)
    long = home / "long.db"
    if not long.exists():
        _make_long(long)
    taken: dict[str, list[float]] = {}
    with ExitStack() as stack:
        pages = [
            (stack.enter_context(_served(store)), kinds)
            for store, kinds in ((path, _kinds(path)), (long, LONG_PAGES))
        ]
        for connection, kinds in pages:
            for kind, address in kinds.items():
                _asked(connection, address)  # templates are compiled, files opened
                taken[kind] = []
        for _ in range(rounds):
            for connection, kinds in pages:
                for kind, address in kinds.items():
                    taken[kind] += _looks(connection, address)
    told = {
        kind: Pages(len(each), statistics.median(each), max(each)) for kind, each in taken.items()
    }
    transitions = audit.count_transitions(path)
    say(f"\nview: {transitions} transitions, {rounds} rounds by turns")
    table(
        ("page", "pages", "median, ms", "slowest, ms"),
        [
            (kind, str(each.pages), f"{each.median * 1000:.1f}", f"{each.most * 1000:.1f}")
            for kind, each in told.items()
        ],
    )
    slowest = max(each.most for each in told.values()) * 1000
    return {
        "transitions": transitions,
        "rounds": rounds,
        "seconds": {kind: asdict(each) for kind, each in told.items()},
        "bars": [bar("ms of the slowest page", BAR, slowest, 1)],
    }


def _make_long(path: Path) -> None:
    """Write a run of many transitions: those of the audit's store, one after the other."""
    found = (each for each in audit.records(LONG) if isinstance(each, Transition))
    with open_store(path, mode="write") as store:
        store.write([Run(RunId("long"), "long", None, "enforce", "completed", audit.START, None)])
        store.write(
            [
                replace(each, run=RunId("long"), number=number, step=number)
                for number, each in enumerate(islice(found, LONG), 1)
            ]
        )


def _kinds(path: Path) -> Mapping[str, str]:
    """Return an address for each kind of page."""
    with closing(sqlite3.connect(path)) as database:
        newest, oldest, middle = (
            database.execute(sql).fetchone()
            for sql in (
                "SELECT id, started FROM runs ORDER BY started DESC LIMIT 1",
                "SELECT id, started FROM runs ORDER BY started LIMIT 1 OFFSET 20",
                "SELECT id, started FROM runs ORDER BY started LIMIT 1 OFFSET "
                "(SELECT count(*) / 2 FROM runs)",
            )
        )
    return {
        "newest runs": "/",
        "older runs, from the middle": f"/?after={middle[1]!r}~~{middle[0]}",
        "the oldest runs": f"/?after={oldest[1]!r}~~{oldest[0]}",
        "status: 1 in 100": "/?status=failed",
        "status: absent": "/?status=cancelled",
        "node: in each run": "/?node=draft",
        "node: absent": "/?node=absent",
        "verdict: rejected": "/?verdict=rejected",
        "verdict: rejected by an absent gate": "/?verdict=rejected&gate=absent",
        "text: in each run": "/?text=qqq",
        "text: one run": f"/?text={oldest[0]}",
        "text: absent": "/?text=absent",
        "node, verdict and text: absent": "/?node=draft&verdict=rejected&text=absent",
        "an hour in the middle": f"/?from={_moment(middle[1])}&to={_moment(middle[1] + 3600)}",
        "one run": f"/run?id={newest[0]}",
        "one run, a transition": f"/run?id={newest[0]}&number=2",
        "one run, its graph": f"/run/graph?id={newest[0]}",
        "two runs compared": f"/compare?run={oldest[0]}&run={newest[0]}",
    }


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


@contextmanager
def _served(path: Path) -> Iterator[http.client.HTTPConnection]:
    """Serve the viewer of a store in this process; give a connection to it."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        viewer(path), log_level="critical", lifespan="off", ws="none", timeout_keep_alive=3600
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    connection = http.client.HTTPConnection(*listening.getsockname())
    try:
        yield connection
    finally:
        connection.close()
        server.should_exit = True
        thread.join()


def _looks(connection: http.client.HTTPConnection, address: str) -> list[float]:
    """Return the seconds of each look of a search, or of the one page that it is."""
    taken: list[float] = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        text = _asked(connection, address)
        taken.append(time.perf_counter() - began)
        on = re.search(r'hx-get="([^"]*)" hx-trigger="load"', text)
        if on is None:
            break
        address = on[1].replace("&amp;", "&")
    return taken


def _asked(connection: http.client.HTTPConnection, address: str) -> str:
    connection.request("GET", address)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise RuntimeError(f"{address}: {answer.status}: {text}")
    return text
