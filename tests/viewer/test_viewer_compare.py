"""Two runs compared: which transitions answer to which, where they part first, what it cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from paths import report
from serving import Reader
from stories import write_store

from coordgate.record import Attempt, Run, RunId, Transition
from coordgate.stores import MemoryStore, open_store
from coordgate.viewer.alignment import align, first_divergence


def made(name: str, number: int = 1, wrote: str = "{}", **changes: object) -> Transition:
    """Return a transition of a node, at its own step."""
    one = Transition(
        RunId("r"), number, None, f"{name}:{number}", number, name, "accepted", 1.0, 0.1
    )
    return replace(one, writes=wrote, **changes)  # type: ignore[arg-type]


def told(a: list[Transition], b: list[Transition]) -> list[tuple[str, str, int]]:
    """Return the pairs of two runs in short."""
    return [(each.kind, each.key, each.visit) for each in align(a, b)]


def test_runs_that_went_alike_do_not_part() -> None:
    """The same nodes with the same values are alike."""
    run = [made("a", 1), made("b", 2)]
    assert told(run, run) == [("same", "a", 1), ("same", "b", 1)]
    assert first_divergence(align(run, run)) is None


def test_visits_answer_to_visits_of_the_same_node() -> None:
    """A further round of a loop is only in the run that made it."""
    once = [made("draft", 1), made("check", 2), made("send", 3)]
    twice = [
        made("draft", 1),
        made("check", 2),
        made("draft", 3),
        made("check", 4),
        made("send", 5),
    ]
    assert told(once, twice) == [
        ("same", "draft", 1),
        ("same", "check", 1),
        ("only_b", "draft", 2),
        ("only_b", "check", 2),
        ("same", "send", 1),
    ]
    assert first_divergence(align(once, twice)) == 2
    assert [kind for kind, *_ in told(twice, once)].count("only_a") == 2


def test_what_came_at_another_place_is_paired_all_the_same() -> None:
    """Two nodes in another order are not told as missing."""
    kinds = {
        key: kind for kind, key, _ in told([made("a"), made("b", 2)], [made("b"), made("a", 2)])
    }
    assert sorted(kinds.values()) == ["moved", "same"]


def test_parallel_tasks_are_matched_by_what_they_were_handed() -> None:
    """Tasks of one step end in any order; the order of ending is no difference."""
    a, b = (made("work", 1, wrote=name, reads=name, step=1) for name in ("x", "y"))
    assert told([a, b], [replace(b, number=1), replace(a, number=2)]) == [
        ("same", "work", 1),
        ("same", "work", 2),
    ]


def test_what_differs_is_named() -> None:
    """Outcome, attempts, values and ways are told apart."""
    tried = (Attempt(1, "first", "rejected", 0.1), Attempt(2, "retry", "accepted", 0.1))
    pairs = align(
        [made("a"), made("b", 2)],
        [made("a", attempts=tried, status="degraded"), made("b", 2, wrote="[]", goto=("c",))],
    )
    assert [each.differs_in for each in pairs] == [
        ("outcome", "attempts"),
        ("what it wrote", "where it went"),
    ]


def test_a_subgraphs_nodes_are_those_of_their_place() -> None:
    """A node inside a subgraph answers to none of the same name elsewhere."""
    inside = made("draft", namespace="sub:1|draft:2")
    assert told([inside], [made("draft")]) == [
        ("only_a", "sub:draft", 1),
        ("only_b", "draft", 1),
    ]


def test_two_runs_are_compared_on_a_page(tmp_path: Path, reader: Reader) -> None:
    """Boxes of the list lead to it, older run first; where they part is shown with its lines."""
    path = write_store(tmp_path / "t.db", "herons", "hopeless storks")
    with open_store(path) as store:
        newest, oldest = store.runs()
    client = reader(path)
    text = client.get("/compare", params={"run": [newest.id, oldest.id]}).text
    assert text.index(f"/run?id={oldest.id}") < text.index(f"/run?id={newest.id}")
    assert "They part first at" in text
    assert "<del>herons</del>" in text
    assert "<ins>hopeless storks</ins>" in text
    assert "+1 (+25%)" in text
    assert "differs in outcome, attempts, what it read, what it wrote" in text
    assert "What they wrote" in text
    more = {"a": oldest.id, "b": newest.id, "m": "2", "n": "2"}
    for headers in ({}, {"HX-Request": "true"}):
        part = client.get("/compare/pair", params=more, headers=headers).text
        assert "What they wrote" in part
        assert "retry <strong>accepted</strong>" in part
        assert "degrade <strong>accepted</strong>" in part
        assert ("<html" in part) == (not headers)


def test_a_run_of_many_ways_is_like_itself_again(tmp_path: Path, reader: Reader) -> None:
    """Fan-out, subgraph and loop align; the same graph run twice went alike."""
    path = tmp_path / "t.db"
    report(path)
    report(path)
    with open_store(path) as store:
        runs = [each.id for each in store.runs()]
    text = reader(path).get("/compare", params={"run": runs}).text
    assert "The runs went alike" in text


@pytest.mark.parametrize("chosen", [[], ["one"], ["one", "two", "three"]])
def test_other_than_two_runs_are_chosen_again(
    traces: Path, reader: Reader, chosen: list[str]
) -> None:
    """A form takes the two; how many were chosen is said."""
    answer = reader(traces).get("/compare", params={"run": chosen})
    assert answer.status_code == 200
    assert 'name="a"' in answer.text
    assert ("3 runs were chosen" in answer.text) == (len(chosen) == 3)


def test_long_runs_are_compared_in_part(reader: Reader) -> None:
    """Only the first two hundred of each are laid side by side, and the page says so."""
    store = MemoryStore()
    for id in ("a", "b"):
        store.write([Run(RunId(id), "g", None, "enforce", "completed", 1.0, 2.0)])
        store.write([replace(made("n", number), run=RunId(id)) for number in range(1, 1_001)])
    text = reader(store).get("/compare", params={"a": "a", "b": "b"}).text
    assert "Only the first 200 transitions" in text
    assert text.count('<li class="pair ') == 200
