"""The page of one run, as the server makes it: heading, list, graph, transitions, values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paths import ladders, report
from serving import Reader

from coordgate.process import identity
from coordgate.record import Attempt, Call, GateVerdict, Run, RunId, Transition
from coordgate.stores import MemoryStore, SqliteStore, Store, open_store
from coordgate.viewer.outline import numbers_after, one_transition, outline, totals
from coordgate.viewer.path import path_of

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\x1b[31m\0\u202e\ud800'
"""What a page must show and never run."""


@pytest.fixture
def went(tmp_path: Path) -> Path:
    """Return a store of runs that went every way."""
    path = tmp_path / "went.db"
    report(path)
    ladders(path)
    return path


def run_of(store: Store, graph: str) -> Run:
    """Return the newest run of a graph."""
    return next(each for each in store.runs() if each.graph == graph)


def graph_of(reader: Reader, path: Path, graph: str, **given: Any) -> dict[str, Any]:
    """Return the graph of a run, its nodes by id and its edges by their ends."""
    with open_store(path) as store:
        run = run_of(store, graph)
    drawn = reader(path, **given).get("/run/graph", params={"id": run.id}).json()
    return {
        "nodes": {each["id"]: each for each in drawn["nodes"]},
        "edges": {(each["source"], each["target"]): each for each in drawn["edges"]},
    }


def test_a_run_is_told_in_its_heading_and_list(went: Path, reader: Reader) -> None:
    """The page tells status, thread and counts, and lists each transition in order."""
    with open_store(went) as store:
        run = run_of(store, "report")
    text = reader(went).get("/run", params={"id": run.id}).text
    assert "completed" in text
    assert "thread <a" in text
    assert "1 to 17 of 17" in text
    assert text.index('id="t-1"') < text.index('id="t-5"') < text.index('id="t-17"')
    assert "accepted after 2 attempts" in text
    assert "cites: no sentence cites a source" in text
    assert 'title="UTC"' in text


def test_a_list_can_be_of_one_node_or_of_what_was_not_accepted_at_once(
    went: Path, reader: Reader
) -> None:
    """A node inside a subgraph is named with the nodes around it."""
    with open_store(went) as store:
        run = run_of(store, "report")
    client = reader(went)

    def numbers(**query: str) -> list[int]:
        text = client.get("/run", params={"id": run.id, **query}).text
        return [int(part.split('"')[0]) for part in text.split('id="t-')[1:]]

    assert numbers(filter="troubled") == [5, 7, 13, 15]
    assert numbers(node="edit:title") == [6, 14]
    assert numbers(node="title") == []
    assert numbers(node="draft", filter="troubled") == [5, 13]


def test_the_graph_tells_how_each_node_went_and_which_edges_were_taken(
    went: Path, reader: Reader
) -> None:
    """Fan-out, subgraph and loop are there; a node is marked by its worst visit."""
    drawn = graph_of(reader, went, "report")
    hows = {id: node["how"] for id, node in drawn["nodes"].items()}
    assert hows == {
        "plan": "accepted",
        "search": "accepted",
        "draft": "recovered",
        "edit": "accepted",
        "edit:title": "accepted",
        "edit:summary": "degraded",
        "send": "accepted",
        "__start__": "unreached",
        "__end__": "unreached",
    }
    assert drawn["nodes"]["edit"]["box"]
    assert drawn["nodes"]["edit:summary"]["parent"] == "edit"
    assert {ends: edge["numbers"] for ends, edge in drawn["edges"].items()} == {
        ("__start__", "plan"): [1],
        ("plan", "search"): [2, 3, 4, 10, 11, 12],
        ("search", "draft"): [5, 13],
        ("draft", "edit:title"): [8, 16],
        ("edit:title", "edit:summary"): [7, 15],
        ("edit:summary", "plan"): [9],
        ("edit:summary", "send"): [17],
        ("send", "__end__"): [17],
    }


@pytest.mark.parametrize(
    ("graph", "how", "edge"),
    [
        ("rerouted", "rerouted", ("search", "review")),
        ("asked", "escalated", ("search", "__end__")),
        ("waiting", "waiting", ("__start__", "search")),
        ("failed", "failed", ("__start__", "search")),
    ],
)
def test_each_ladder_marks_its_node(
    went: Path, reader: Reader, graph: str, how: str, edge: tuple[str, str]
) -> None:
    """Rerouted, decided by a person, waiting for one, failed: each is told apart."""
    drawn = graph_of(reader, went, graph)
    assert drawn["nodes"]["search"]["how"] == how
    assert drawn["edges"][edge]["taken"] == 1
    assert (("search", "__end__") in drawn["edges"]) == (graph == "asked")


def test_with_the_graph_at_hand_its_other_nodes_are_drawn(
    went: Path, tmp_path: Path, reader: Reader
) -> None:
    """A node that the run did not reach is there, and what is declared on each node."""
    graphed = Graph(report(tmp_path / "other.db"))
    drawn = graph_of(reader, went, "report", app=graphed)
    assert drawn["nodes"]["review"]["how"] == "unreached"
    assert drawn["edges"]["edit:summary", "review"]["taken"] == 0
    assert drawn["edges"]["edit:summary", "plan"]["taken"] == 1
    assert drawn["nodes"]["draft"]["says"] == {"gates": "cites", "on failure": "retry once"}
    assert "review" not in graph_of(reader, went, "failed", app=graphed)["nodes"]


def test_a_graph_that_cannot_be_drawn_leaves_what_was_reached(went: Path, reader: Reader) -> None:
    """An error of the user's own is told, and the path is drawn from the record."""

    class Odd:
        name = "report"

        def get_graph(self, **_: Any) -> Any:
            raise ValueError("no such thing")

    with open_store(went) as store:
        run = run_of(store, "report")
    drawn = reader(went, app=Graph(Odd())).get("/run/graph", params={"id": run.id}).json()
    assert drawn["undeclared"] == "ValueError: no such thing"
    assert len(drawn["nodes"]) == 9


class Graph:
    """A graph that the viewer is given: what of `OpenGraph` the page of a run needs."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph


def test_where_control_went_and_nothing_came_back_yet_is_what_runs() -> None:
    """Of a run that goes on, the next node is marked; of one that has ended, none is."""
    store = MemoryStore()
    began = Run(RunId("r"), "g", None, "enforce", "running", 1.0, process=identity())
    first = Transition(RunId("r"), 1, None, "a:1", 1, "a", "accepted", 1.0, 0.1, goto=("b",))
    store.write([began, first])
    lines = outline(store, "r", most=10)
    now = {node.id: node.how for node in path_of(lines, running=True).nodes}
    assert now == {"a": "accepted", "b": "expected", "__start__": "unreached"}
    later = {node.id: node.how for node in path_of(lines).nodes}
    assert later["b"] == "unreached"


def test_a_transition_is_a_part_for_htmx_and_a_page_for_all_others(
    went: Path, reader: Reader
) -> None:
    """Its address leads to the page of the run, with the transition open."""
    with open_store(went) as store:
        run = run_of(store, "report")
    client = reader(went)
    query = {"id": run.id, "number": "5"}
    part = client.get("/run/transition", params=query, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    for text in (part, client.get("/run/transition", params=query).text):
        assert "Attempt 1" in text
        assert "no sentence cites a source" in text
        assert "<ins> [1]</ins>" in text
        assert "score 0.25" in text
    gone = client.get(
        "/run/transition", params=query | {"number": "99"}, headers={"HX-Request": "1"}
    )
    assert gone.status_code == 404


def test_each_rejected_attempt_stands_beside_the_accepted_one(went: Path, reader: Reader) -> None:
    """Of three attempts the first two are compared with the last; without one, with the next."""
    with open_store(went) as store:
        asked = {"id": run_of(store, "report").id, "number": "7"}
        failed = {"id": run_of(store, "failed").id, "number": "1"}
    client = reader(went)
    text = client.get("/run", params=asked).text
    assert "From attempt 1 to attempt 3" in text
    assert "From attempt 2 to attempt 3" in text
    assert "From attempt 1 to attempt 2" in client.get("/run", params=failed).text


def test_values_are_kept_whole_and_shown_cut(reader: Reader) -> None:
    """What is long is cut on the page, which says so; the download is the whole."""
    store = MemoryStore()
    long = json.dumps({"draft": "word " * 100_000})
    made = Transition(
        RunId("r"), 1, None, "", 1, "a", "accepted", 1.0, 0.1, reads=long, writes="{}",
        attempts=(Attempt(1, "first", "accepted", 0.1, output=long),),
    )  # fmt: skip
    store.write([Run(RunId("r"), "g", None, "enforce", "completed", 1.0, 2.0), made])
    client = reader(store)
    page = client.get("/run", params={"id": "r", "number": "1"}).text
    assert len(page) < 60_000
    assert "of 500,013 characters" in page
    for part in ("reads", "output"):
        query = {"id": "r", "number": "1", "part": part, "attempt": "1"}
        kept = client.get("/run/value", params=query)
        assert kept.text == long
        assert kept.headers["content-disposition"].startswith("attachment")
    assert (
        client.get("/run/value", params={"id": "r", "number": "1", "part": "x"}).status_code == 404
    )


def test_hostile_text_is_shown_and_never_markup(reader: Reader) -> None:
    """Wherever text of a record stands on the page, it is escaped, and steers nothing."""
    text = HOSTILE
    attempts = tuple(
        Attempt(
            number, text, outcome, 0.1, (text,), text, json.dumps({"draft": text + str(number)}),
            (GateVerdict(text, False, 1e400, text),), text, 1, 2, 0.1, text, text,
            (Call(text, text, 1, 2, text, 0.1, 0.1, text, text),),
        )
        for number, outcome in ((1, "rejected"), (2, "accepted"))
    )  # fmt: skip
    made = Transition(
        RunId(text), 1, None, f"{text}:1|{text}:2", 1, text, "accepted", 1.0, 0.1, (text,), (text,),
        text, json.dumps([text]), attempts,
    )  # fmt: skip
    store = MemoryStore()
    store.write([Run(RunId(text), text, None, "enforce", "failed", 1.0, 2.0, text), made])
    client = reader(store)
    run = next(store.runs())
    assert run.id == text
    asked = {"id": "<script>", "number": "1"}
    page = client.get("/run", params=asked)
    assert page.status_code == 200
    drawn = client.get("/run/graph", params=asked).text
    for shown in (page.text, drawn):
        assert not set(shown) & set("\x1b\0\u202e\ud800")
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "\\x1b[31m" in page.text


@pytest.mark.parametrize(
    "query",
    [{"number": "x"}, {"number": "9" * 30}, {"after": "-1"}, {"id": "none"}, {"number": "²"}],
)
def test_what_cannot_be_asked_is_not_found(
    traces: Path, reader: Reader, query: dict[str, str]
) -> None:
    """A number that is none, or a run that is not there, is a page that says so."""
    with open_store(traces) as store:
        run = next(store.runs())
    answer = reader(traces).get("/run", params={"id": run.id} | query)
    assert answer.status_code == 404
    assert 'role="alert"' in answer.text


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with one run of 10,000 transitions."""
    path = tmp_path_factory.mktemp("long") / "long.db"
    with SqliteStore(path, mode="write") as store:
        store.write([Run(RunId("long"), "g", None, "enforce", "completed", 1.0, 9.0)])
        one = Transition(
            RunId("long"), 1, None, "a:1", 1, "a", "accepted", 1.0, 0.1, reads="{}", writes="{}",
            attempts=(Attempt(1, "first", "accepted", 0.1, tokens_in=3, tokens_out=1, cost=0.5),),
        )  # fmt: skip
        store.write([replace(one, number=number, step=number) for number in range(1, 10_001)])
    return path


def test_a_run_of_ten_thousand_transitions_is_shown_in_stretches(
    long_run: Path, reader: Reader
) -> None:
    """A page holds two hundred, leads to the rest, and says that the graph shows a part."""
    client = reader(long_run)
    first = client.get("/run", params={"id": "long"}).text
    assert "1 to 200 of 10,000" in first
    assert first.count("data-item ") == 200
    assert "after=200" in first
    assert "30,000 + 10,000" in first
    assert "$5,000" in first
    chosen = client.get("/run", params={"id": "long", "number": "9999"}).text
    assert "9,801 to 10,000 of 10,000" in chosen
    assert 'aria-current="true"' in chosen
    drawn = client.get("/run/graph", params={"id": "long"}).json()
    assert drawn["cut"] == 2_000
    assert {node["id"]: node["visits"] for node in drawn["nodes"]}["a"] == 2_000


def test_a_query_and_a_reading_give_the_same(went: Path) -> None:
    """What SQLite is asked for in short is what reading all of a run would give."""
    memory = MemoryStore()
    with open_store(went) as store:
        for run in store.runs():
            memory.write([run, *store.transitions(run.id)])
        for run in store.runs():
            for asked in ({}, {"after": 4}, {"node": "draft"}, {"troubled": True}):
                some: Any = asked
                assert outline(store, run.id, most=9, **some) == outline(
                    memory, run.id, most=9, **some
                )
            assert totals(store, run.id) == totals(memory, run.id)
            assert numbers_after(store, run.id, 3, 2) == numbers_after(memory, run.id, 3, 2)
            for number in (1, 5, 99):
                one = one_transition(store, run.id, number)
                assert one == one_transition(memory, run.id, number)


def test_what_shipped_in_spite_of_its_gates_is_not_wasted(tmp_path: Path) -> None:
    """In observe mode a rejected attempt's output is used, in every kind of store."""
    tried = (Attempt(1, "first", "rejected", 0.1, tokens_in=7, cost=0.5),)
    made = Transition(RunId("r"), 1, None, "", 1, "a", "observed", 1.0, 0.5, attempts=tried)
    for store in (MemoryStore(), open_store(tmp_path / "t.db", mode="write")):
        store.write([made, replace(made, number=2, status="failed")])
        summed = totals(store, "r")
        assert (summed.tokens, summed.wasted_tokens, summed.wasted_cost) == (14, 7, 0.5)


def test_totals_are_what_the_attempts_spent() -> None:
    """Rejected attempts are wasted; an unknown cost makes the sum a part; 64 bits are no limit."""
    most = 2**63 - 1
    attempts = (
        Attempt(1, "first", "rejected", 0.1, tokens_in=most, tokens_out=5, cost=0.25),
        Attempt(2, "retry", "accepted", 0.1, tokens_in=most, tokens_out=None, cost=None),
    )
    found = [RunId("r"), 1, None, "", 1, "a", "accepted", 1.0, 0.5]
    made = Transition(*found, attempts=attempts)  # type: ignore[arg-type]
    store = MemoryStore()
    store.write([made])
    summed = totals(store, "r")
    assert (summed.attempts, summed.unpriced, summed.cost) == (2, 1, 0.25)
    assert (summed.wasted_tokens, summed.wasted_cost) == (most + 5, 0.25)
    assert summed.ended == 1.5
