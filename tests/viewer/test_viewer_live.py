"""Following what goes on, as the server tells it: only what is new, until a run has ended."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from serving import Reader

from coordgate.process import identity
from coordgate.record import Run, RunId, Transition
from coordgate.stores import MemoryStore, SqliteStore, Store, open_store

PART = {"HX-Request": "true"}

RUNNING = Run(RunId("r"), "g", None, "enforce", "running", 1.0, process=identity())


def step(number: int) -> Transition:
    """Return a transition of the run."""
    return Transition(RunId("r"), number, None, f"a:{number}", number, "a", "accepted", 1.0, 0.1)


@pytest.fixture(params=["memory", "t.db", "t.jsonl"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Return a store of each kind, with a run that goes on."""
    made: Store = (
        MemoryStore()
        if request.param == "memory"
        else open_store(tmp_path / request.param, mode="write")
    )
    made.write([RUNNING, step(1)])
    return made


def asked(text: str) -> str:
    """Return the address that a page asks for again."""
    [found] = re.findall(r'hx-get="([^"]*(?:state|seen)=[^"]*)"', text)
    return found.replace("&amp;", "&")


def test_a_page_asks_until_its_run_has_ended(store: Store, reader: Reader) -> None:
    """Nothing new is an empty answer; each change renews list and heading; the end ends it."""
    client = reader(store)
    again = asked(client.get("/run", params={"id": "r"}).text)
    assert client.get(again, headers=PART).status_code == 204
    store.write([step(2)])
    answer = client.get(again, headers=PART)
    assert answer.status_code == 200
    assert 'id="t-2"' in answer.text
    assert "2 transitions so far" in answer.text
    again = asked(answer.text)
    assert client.get(again, headers=PART).status_code == 204
    store.write([replace(RUNNING, status="failed", ended=3.0, error="ValueError: no")])
    last = client.get(again, headers=PART).text
    assert "The run has failed, after 2 transitions" in last
    assert "hx-trigger" not in last
    assert "ValueError: no" in last


def test_a_page_of_a_run_that_has_ended_asks_for_nothing(traces: Path, reader: Reader) -> None:
    """Such a page has nothing that goes on by itself."""
    with open_store(traces) as store:
        run = next(store.runs())
    assert "hx-trigger" not in reader(traces).get("/run", params={"id": run.id}).text


def test_transitions_that_come_out_of_order_are_not_missed(store: Store, reader: Reader) -> None:
    """A parallel node that ends first may be written last: it then stands in its place."""
    client = reader(store)
    store.write([step(3)])
    again = asked(client.get("/run", params={"id": "r"}).text)
    store.write([step(2)])
    text = client.get(again, headers=PART).text
    assert text.index('id="t-1"') < text.index('id="t-2"') < text.index('id="t-3"')


def test_what_comes_late_in_a_long_run_is_not_missed(store: Store, reader: Reader) -> None:
    """Of a long run the numbers near its end are looked at again."""
    numbers = [number for number in range(2, 452) if number != 449]
    store.write([step(number) for number in numbers])
    client = reader(store)
    again = asked(client.get("/run", params={"id": "r"}).text)
    assert client.get(again, headers=PART).status_code == 204
    store.write([step(449)])
    assert 'id="t-449"' in client.get(again, headers=PART).text


def test_a_long_run_is_followed_at_its_end(store: Store, reader: Reader) -> None:
    """Of a run that goes on the newest stretch is shown, and stays so."""
    store.write([step(number) for number in range(2, 452)])
    client = reader(store)
    text = client.get("/run", params={"id": "r"}).text
    assert 'id="t-451"' in text
    assert 'id="t-1"' not in text
    store.write([step(452)])
    assert 'id="t-452"' in client.get(asked(text), headers=PART).text
    first = client.get("/run", params={"id": "r", "after": "0"}).text
    assert 'id="t-1"' in first
    assert "after=0" in asked(first)


def test_the_list_of_runs_tells_what_is_new(store: Store, reader: Reader) -> None:
    """Only the newest page asks, and is answered only if a run has come or changed."""
    client = reader(store)
    again = asked(client.get("/").text)
    assert client.get(again, headers=PART).status_code == 204
    store.write([replace(RUNNING, id=RunId("s"), started=2.0)])
    answer = client.get(again, headers=PART)
    assert 'data-run="s"' in answer.text
    assert "The newest run, s, running" in answer.text
    assert "hx-replace-url" not in answer.headers
    again = asked(answer.text)
    assert client.get(again, headers=PART).status_code == 204
    store.write([replace(RUNNING, id=RunId("s"), started=2.0, status="completed", ended=3.0)])
    assert "completed" in client.get(again, headers=PART).text


def test_a_page_that_is_read_does_not_hold_up_the_writer(tmp_path: Path, reader: Reader) -> None:
    """Beside a viewer that has answered, another process writes at once, and empties the log."""
    path = tmp_path / "t.db"
    with SqliteStore(path, mode="write", busy_seconds=0.0) as writer:
        writer.write([RUNNING, step(1)])
        client = reader(path)
        for number in range(2, 12):
            client.get("/run", params={"id": "r"})
            client.get("/run/graph", params={"id": "r"})
            client.get("/run/changes", params={"id": "r", "state": "running.1.1"}, headers=PART)
            writer.write([step(number)])
        with closing(sqlite3.connect(path, timeout=0.0)) as other:
            blocked, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not blocked
