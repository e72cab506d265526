"""Labels: kept beside a store, read back, and what a killed writer leaves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordgate import StoreError
from coordgate.labels import Label, labels_beside, read_labels, write_labels

FULL = Label("r2", False, "draft", 3, 1, 0.5, "scorer:m:f", "wrong order", "case 1", 2, "bare", 1.5)


def test_labels_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """Every field comes back, and what was left open is left open."""
    path = tmp_path / "traces.labels.jsonl"
    write_labels(path, [Label("r1", True), FULL])
    assert list(read_labels(path)) == [Label("r1", True), FULL]
    assert json.loads(path.read_text().splitlines()[0]) == {"run": "r1", "correct": True}


@pytest.mark.parametrize(
    "store", ["out/traces.db", "sqlite:///out/traces.db", "out/traces.jsonl", Path("out/traces.db")]
)
def test_labels_lie_beside_the_store(store: str | Path) -> None:
    """The file has the store's name, with an ending of its own."""
    assert labels_beside(store) == Path("out/traces.labels.jsonl")


@pytest.mark.parametrize("store", ["memory:", "postgresql://host/db"])
def test_a_store_without_a_file_has_no_place_for_labels(store: str) -> None:
    """The error says to name a file."""
    with pytest.raises(StoreError, match="name one"):
        labels_beside(store)


def test_the_latest_label_of_one_source_counts(tmp_path: Path) -> None:
    """A label on the same thing by the same source takes the earlier one's place."""
    path = tmp_path / "labels.jsonl"
    other = Label("r1", True, by="b")
    write_labels(path, [Label("r1", True, by="a"), other])
    write_labels(path, [Label("r1", False, by="a")])
    assert list(read_labels(path)) == [other, Label("r1", False, by="a")]


def test_no_file_holds_no_labels(tmp_path: Path) -> None:
    """A store without labels is no error."""
    assert list(read_labels(tmp_path / "none.jsonl")) == []


def test_what_a_killed_writer_left_is_passed_over(tmp_path: Path) -> None:
    """Half a line is no label, and the next writer begins a line of its own."""
    path = tmp_path / "labels.jsonl"
    write_labels(path, [Label("r1", True)])
    with path.open("a") as file:
        file.write('{"run": "r2", "corr')
    assert list(read_labels(path)) == [Label("r1", True)]
    write_labels(path, [Label("r3", False)])
    assert list(read_labels(path)) == [Label("r1", True), Label("r3", False)]


def test_several_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    """Labels written at the same time are all there."""
    path = tmp_path / "labels.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: write_labels(path, [Label(f"r{n}", True)]), range(200)))
    assert {label.run for label in read_labels(path)} == {f"r{n}" for n in range(200)}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"run": "r1"}', 'no label; write {"run"'),
        ("[]", "no label"),
        ('{"run": }', "no JSON"),
        ("r1,true", "no JSON"),
        ('{"run": "r1", "correct": "yes"}', "'correct' is \"yes\", of the wrong type"),
        ('{"run": "r1", "correct": true, "attempt": 1.5}', "'attempt' is 1.5"),
        ('{"run": "r1", "correct": true, "nod": "a"}', "a label has no 'nod'"),
    ],
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str, said: str) -> None:
    """The error says the file, the line, and what a label is."""
    path = tmp_path / "labels.jsonl"
    path.write_text(f'{{"run": "r0", "correct": true}}\n{line}\n')
    with pytest.raises(StoreError) as raised:
        list(read_labels(path))
    assert f"{path}:2: " in str(raised.value)
    assert said in str(raised.value)


def test_labels_that_cannot_be_written_or_read_say_so(tmp_path: Path) -> None:
    """A folder in the file's place is an error that names it."""
    with pytest.raises(StoreError, match="cannot be written"):
        write_labels(tmp_path, [Label("r1", True)])
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_labels(tmp_path))
