"""`coordgate export`: records as other tools read them, whole and with their types."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from coordgate.cli import main
from coordgate.exporters.parquet import export_parquet
from coordgate.record import Attempt, Call, GateVerdict, Record, Run, RunId, Transition
from coordgate.stores import MemoryStore, open_store

START = 1_750_000_000.25


def records(runs: int = 2) -> list[Record]:
    """Return runs with every part that a record has."""
    made: list[Record] = []
    for at in range(runs):
        id = RunId(f"run-{at}")
        made.append(Run(id, "brief", None, "enforce", "completed", START + at, START + at + 2))
        attempts = (
            Attempt(
                1,
                "first",
                "rejected",
                0.2,
                ("cites: no source", "second reason"),
                output='{"draft": "é\\u0000"}',
                verdicts=(GateVerdict("cites", False, 0.25, "no source"),),
                tokens_in=8,
                calls=(Call("some-model", "stop", 8, 9, None, None, 0.1),),
            ),
            Attempt(2, "retry", "accepted", 0.1, verdicts=(GateVerdict("cites", True),)),
        )
        made.append(
            Transition(
                id,
                1,
                None,
                "",
                1,
                "draft",
                "accepted",
                START,
                0.4,
                ("a", "b"),
                (),
                attempts=attempts,
            )
        )
    return made


def store(runs: int = 2) -> MemoryStore:
    """Return a store that holds them."""
    held = MemoryStore()
    held.write(records(runs))
    return held


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """Return what DuckDB reads of a table."""
    # DuckDB wants one more package to give a time with its zone to Python.
    times = "EXCLUDE (started)" if table == "transitions" else ""
    found = duckdb.sql(f"SELECT * {times} FROM '{folder / table}.parquet'")  # noqa: S608 - our own path
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def test_every_part_of_a_record_is_a_row(tmp_path: Path) -> None:
    """Each table has its rows, with lists, texts, numbers and nothings as they were."""
    counted = export_parquet(store(), tmp_path / "out.parquet")
    assert counted == {"runs": 2, "transitions": 2, "attempts": 4, "verdicts": 4, "calls": 2}
    first, second = rows(tmp_path / "out.parquet", "attempts")[:2]
    assert first["reasons"] == ["cites: no source", "second reason"]
    assert first["output"] == '{"draft": "é\\u0000"}'
    assert (first["tokens_in"], first["cost"], second["tokens_in"]) == (8, None, None)
    times = duckdb.sql(f"SELECT epoch(started) FROM '{tmp_path}/out.parquet/runs.parquet'")  # noqa: S608 - our own path
    assert times.fetchall() == [(START,), (START + 1,)]
    transition = rows(tmp_path / "out.parquet", "transitions")[1]
    assert (transition["run"], transition["producers"], transition["goto"]) == (
        "run-1",
        ["a", "b"],
        [],
    )


def test_parts_find_what_they_belong_to(tmp_path: Path) -> None:
    """Run, transition and attempt join a verdict and a call to the rest."""
    folder = tmp_path / "out.parquet"
    export_parquet(store(), folder)
    joined = duckdb.sql(
        f"SELECT v.run, a.rung, v.passed FROM '{folder}/verdicts.parquet' v "  # noqa: S608 - our own path
        f"JOIN '{folder}/attempts.parquet' a "
        "ON a.run = v.run AND a.transition = v.transition AND a.number = v.attempt ORDER BY ALL"
    ).fetchall()
    assert joined == [
        ("run-0", "first", False),
        ("run-0", "retry", True),
        ("run-1", "first", False),
        ("run-1", "retry", True),
    ]


def test_an_empty_store_gives_empty_tables_with_columns(tmp_path: Path) -> None:
    """A query over it finds nothing, and does not fail."""
    assert export_parquet(MemoryStore(), tmp_path / "none.parquet")["runs"] == 0
    assert rows(tmp_path / "none.parquet", "calls") == []


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({"writes": '"\ud800\0"'}, {"writes": '"\\ud800\0"'}),
        ({"step": 2**70}, {"step": 2**63 - 1}),
        ({"seconds": math.nan}, {"seconds": 0.0}),
    ],
)
def test_what_no_file_can_hold_is_written_as_stores_write_it(
    change: dict[str, Any], read: dict[str, Any], tmp_path: Path
) -> None:
    """One strange record does not keep the others from being exported."""
    run, transition = records(1)
    held = MemoryStore()
    held.write([run, replace(transition, **change)])
    export_parquet(held, tmp_path / "out.parquet")
    (row,) = rows(tmp_path / "out.parquet", "transitions")
    assert {name: row[name] for name in read} == read


@pytest.mark.parametrize("started", [1e15, -1e12, math.inf])
def test_a_time_that_no_calendar_has_is_left_out(started: float, tmp_path: Path) -> None:
    """The rest of the record is exported."""
    run, transition = records(1)
    held = MemoryStore()
    held.write([run, replace(transition, started=started)])
    export_parquet(held, tmp_path / "out.parquet")
    found = duckdb.sql(f"SELECT node, started FROM '{tmp_path}/out.parquet/transitions.parquet'")  # noqa: S608 - our own path
    assert found.fetchall() == [("draft", None)]


def test_more_rows_than_are_held_at_once(tmp_path: Path) -> None:
    """Nothing is lost at the seams between batches."""
    export_parquet(store(6_000), tmp_path / "many.parquet")
    found = rows(tmp_path / "many.parquet", "attempts")
    assert len({(each["run"], each["number"]) for each in found}) == 12_000


@pytest.mark.parametrize("name", ["copy.jsonl", "copy.db"])
def test_copies_to_the_other_stores_are_whole(name: str, tmp_path: Path) -> None:
    """What is read back is what was recorded."""
    source = tmp_path / "traces.db"
    with open_store(source, mode="write") as made:  # type: ignore[attr-defined]
        made.write(records())
    assert main(["export", str(source), str(tmp_path / name)]) == 0
    with open_store(tmp_path / name) as copied, open_store(source) as made:  # type: ignore[attr-defined]
        assert list(copied.runs()) == list(made.runs())
        for run in made.runs():
            assert list(copied.transitions(run.id)) == list(made.transitions(run.id))


@pytest.mark.parametrize(
    ("target", "told"),
    [("out.csv", ".parquet for a folder"), ("taken.jsonl", "is there already")],
)
def test_says_what_is_wrong_with_a_target(
    target: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is overwritten, and an ending that says nothing is refused with the choices."""
    source = tmp_path / "traces.db"
    open_store(source, mode="write").close()
    (tmp_path / "taken.jsonl").write_text("mine")
    assert main(["export", str(source), str(tmp_path / target)]) == 2
    assert told in capsys.readouterr().err
    assert (tmp_path / "taken.jsonl").read_text() == "mine"


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    """A store that cannot be read to its end leaves no half of a folder."""

    class Torn(MemoryStore):
        def transitions(self, run_id: str, *, after: int = -1) -> Any:
            raise OSError("torn")

    torn = Torn()
    torn.write(records())
    with pytest.raises(OSError, match="torn"):
        export_parquet(torn, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    """The error of a missing extra says what to install."""
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from coordgate.cli import main\n"
        f"sys.exit(main(['export', {str(tmp_path / 't.db')!r}, {str(tmp_path / 't.parquet')!r}]))"
    )
    open_store(tmp_path / "t.db", mode="write").close()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)  # noqa: S603 - our own script
    assert done.returncode == 2
    assert "coordgate[parquet]" in done.stderr
