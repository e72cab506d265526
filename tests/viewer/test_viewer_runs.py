"""The list of runs, as it is asked for by its address."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import Reader
from starlette.testclient import TestClient
from stories import write_store

from coordgate.record import Run, RunId, ThreadId, Transition
from coordgate.stores import MemoryStore, open_store
from coordgate.viewer import viewer
from coordgate.viewer.runs import PAGE

START = 1_750_000_000.0

STORE = MemoryStore()
"""Holds one run, whose every text would steer a terminal or a page."""

_TEXT = "<b>\x1b[1m\x00\u202e\ud800</b>"
_RUN = Run(RunId(_TEXT), _TEXT, ThreadId(_TEXT), "enforce", "failed", START, None, _TEXT)
STORE.write([_RUN, Transition(_RUN.id, 1, None, "", 1, _TEXT, "failed", START, 0.1)])


def threads(text: str) -> list[str]:
    """Return the threads in a page, in its order."""
    return re.findall(r'data-label="Thread"[^>]*>about ([^<]*)<', text)


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        ("", ["broken owls", "hopeless storks", "herons"]),
        ("status=failed", ["broken owls"]),
        ("verdict=rejected&gate=short", []),
        ("verdict=passed&gate=short&node=answer", ["hopeless storks", "herons"]),
        ("text=STORKS", ["hopeless storks"]),
        ("text=cannot+answer", ["broken owls"]),
        ("node=nowhere", []),
        ("to=2020-01-01", []),
        ("from=2020-01-01T10:00", ["broken owls", "hopeless storks", "herons"]),
    ],
)
def test_filters_stand_in_the_address(
    reader: Reader, traces: Path, query: str, topics: list[str]
) -> None:
    """Each filter of the address decides which runs are listed, and is shown in the form."""
    text = reader(traces).get(f"/?{query}").text
    assert threads(text) == topics
    if not topics:
        assert "All were searched" in text


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "verdict=maybe",
        "from=yesterday",
        "to=9999-12-31T23:59:59-23:59",
        "from=0001-01-01T00:00%2B23:59",
        "after=x",
        "have=x",
    ],
)
def test_an_address_that_makes_no_sense_is_told(reader: Reader, traces: Path, query: str) -> None:
    """A value that no filter has is an error page that says which it was."""
    answer = reader(traces).get(f"/?{query}")
    assert answer.status_code == 400
    assert unquote(query.partition("=")[2]) in answer.text


@given(
    query=st.dictionaries(
        st.sampled_from(
            ["status", "node", "verdict", "gate", "text", "from", "to", "after", "have", "seen"]
        ),
        st.text(max_size=30)
        | st.sampled_from(["failed", "rejected", "2026-01-01", "-5", "1.5~~x", "9e400~1~", "\x00"]),
    ),
    part=st.booleans(),
)
@settings(deadline=None)
def test_no_address_breaks_the_list(query: dict[str, str], part: bool) -> None:
    """Whatever an address asks for, the answer is a list, or says what was wrong with it."""
    client = TestClient(viewer(STORE), base_url="http://127.0.0.1:8765")
    address = "/?" + urlencode(query, errors="surrogatepass")
    answer = client.get(address, headers={"HX-Request": "true"} if part else {})
    assert answer.status_code in {200, 400}
    assert not set(answer.text) & set("\x00\x1b\u202e\ud800")


def followed(client: TestClient, address: str, link: str) -> list[list[str]]:
    """Return the ids on each page, going on by links that say `link`."""
    pages: list[list[str]] = []
    while True:
        text = client.get(address).text
        pages.append(re.findall(r'data-run="([^"]*)"', text))
        on = re.search(rf'href="([^"]*)"[^>]*>{link}<', text)
        if on is None:
            return pages
        address = on[1].replace("&amp;", "&")


def test_pages_follow_each_other_without_a_gap(reader: Reader) -> None:
    """Going on to older runs shows each once, also where many began at the same time."""
    store = MemoryStore()
    store.write(
        [
            Run(RunId(f"r{n:03}"), "g", None, "enforce", "completed", START + n // 40, START)
            for n in range(PAGE * 2 + 30)
        ]
    )
    pages = followed(reader(store), "/", "Older runs")
    assert [len(each) for each in pages] == [PAGE, PAGE, 30]
    every = [id for each in pages for id in each]
    assert every == sorted(every, reverse=True)


def test_a_search_that_takes_long_goes_on_by_links(reader: Reader, tmp_path: Path) -> None:
    """What takes more than one look is found by going on, with links as htmx does by itself."""
    path = tmp_path / "long.db"
    run = Run(RunId("old"), "g", None, "enforce", "completed", START, START + 1)
    with open_store(path, mode="write") as store:
        store.write([run])
        store.write(
            [
                Transition(run.id, n, None, "", n, node, "accepted", START, 0.1, reads=node)
                for n, node in enumerate(["heron"] + ["again"] * 60 + ["storks"])
            ]
        )
    client = reader(path)
    client.app.state.site = replace(client.app.state.site, patience=0.0)  # type: ignore[attr-defined]
    pages = followed(client, "/?text=storks", "Search on")
    assert len(pages) > 2
    assert [each for each in pages if each] == [["old"]]


def test_htmx_gets_the_results_alone(reader: Reader, traces: Path) -> None:
    """A request of htmx gets the table without the page, and the address to show."""
    client = reader(traces)
    part = client.get("/?status=failed&node=", headers={"HX-Request": "true"})
    assert "<html" not in part.text
    assert threads(part.text) == ["broken owls"]
    assert part.headers["hx-replace-url"] == "/?status=failed"
    back = client.get("/", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in back.text


def test_the_numbers_of_a_run_are_shown(reader: Reader, tmp_path: Path) -> None:
    """A row says how many nodes ran, how often, and what came of it."""
    text = reader(write_store(tmp_path / "t.db", "herons")).get("/").text
    told = dict(re.findall(r'data-label="(\w+)" class="num[^>]*>([^<]*)<', text))
    assert (told["Nodes"], told["Attempts"], told["Accepted"], told["Rejected"]) == (
        "3",
        "4",
        "3",
        "1",
    )


def test_a_store_without_runs_says_so(reader: Reader) -> None:
    """An empty list says why it is empty."""
    assert "No runs yet" in reader(MemoryStore()).get("/").text


def test_every_kind_of_store_is_shown(reader: Reader, tmp_path: Path) -> None:
    """A JSON lines file is listed like a SQLite file, by its path."""
    text = reader(write_store(tmp_path / "t.jsonl", "herons")).get("/").text
    assert threads(text) == ["herons"]
    assert "t.jsonl" in text
