"""The two kinds of file: their schema and format, foreign, newer, older and damaged ones."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from inline_snapshot import snapshot
from records import a_run, a_transition

from coordgate.errors import StoreError
from coordgate.stores import JsonlStore, SqliteStore, open_store
from coordgate.stores.schema import APPLICATION_ID, STEPS, migrate


def sql(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements on a file as any SQLite client would; return what the last one gives."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            found = connection.execute(statement).fetchall()
    return found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Give a SQLite trace file with one run."""
    path = tmp_path / "t.db"
    with SqliteStore(path, mode="write") as store:
        store.write([a_run(), a_transition()])
    return path


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Give a JSONL trace file with one run."""
    path = tmp_path / "t.jsonl"
    with JsonlStore(path, mode="write") as store:
        store.write([a_run(), a_transition()])
    return path


def test_the_tables_are_plain_sql(database: Path) -> None:
    """Runs, transitions, attempts and verdicts join on plain columns."""
    found = sql(
        database,
        "SELECT r.graph, t.node, a.number, a.outcome, v.gate, v.passed, v.reason, a.tokens_in "
        "FROM runs r JOIN transitions t ON t.run = r.id JOIN attempts a ON a.transition = t.id "
        "JOIN verdicts v ON v.transition = t.id AND v.attempt = a.number",
    )
    assert found == snapshot(
        [
            ("brief", "draft", 1, "rejected", "not_empty", 1, "", 812),
            (
                "brief",
                "draft",
                1,
                "rejected",
                "cites_sources",
                0,
                "no sentence cites a source",
                812,
            ),
        ]
    )
    assert sql(database, "SELECT json_extract(writes, '$.draft') FROM transitions") == [
        ("because [1]",)
    ]


def test_a_store_answers_a_query_of_its_tables(database: Path) -> None:
    """A SELECT gives its rows, cannot write where the store is read, and fails as a StoreError."""
    with SqliteStore(database, mode="read") as store:
        assert store.query("SELECT node, number FROM transitions WHERE run = ?", ["run-1"]) == [
            ("draft", 1)
        ]
        with pytest.raises(StoreError, match=r"t\.db: cannot be read: .*readonly"):
            store.query("DELETE FROM transitions")
        with pytest.raises(StoreError, match="no such column"):
            store.query("SELECT unknown FROM runs")


def test_the_file_says_what_it_is(database: Path) -> None:
    """A trace file carries an application id, its version, and is in WAL mode."""
    assert sql(database, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert sql(database, "PRAGMA user_version") == [(len(STEPS),)]
    assert sql(database, "SELECT value FROM meta WHERE key = 'version'") == [(str(len(STEPS)),)]
    assert sql(database, "PRAGMA journal_mode") == [("wal",)]


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    """A SQLite file of another program is neither read nor written, and not changed."""
    path = tmp_path / "other.db"
    sql(path, "CREATE TABLE customers (name TEXT)")
    before = path.read_bytes()
    for mode in ("read", "write"):
        with pytest.raises(StoreError, match=r"other\.db: .* belongs to another program"):
            SqliteStore(path, mode=mode)
    assert path.read_bytes() == before


def test_a_newer_database_is_refused(database: Path) -> None:
    """A file of a newer version says so and names the cure."""
    sql(database, "PRAGMA user_version = 99")
    for mode in ("read", "write"):
        with pytest.raises(StoreError, match=r"newer coordgate \(schema 99.*pip install -U"):
            SqliteStore(database, mode=mode)


def test_an_older_database_is_brought_up_to_date(database: Path) -> None:
    """Further steps lead an existing file to their version, its records kept."""
    later = (*STEPS, ("ALTER TABLE runs ADD COLUMN owner TEXT", "CREATE TABLE extra (id)"))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        migrate(connection, "t.db", later)
        migrate(connection, "t.db", later)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
        assert connection.execute("SELECT id, owner FROM runs").fetchall() == [("run-1", None)]


def test_a_file_of_before_model_calls_were_kept_is_read_once_it_was_opened_for_writing(
    tmp_path: Path,
) -> None:
    """A file of schema 2 keeps its records through the next steps; its attempts have no calls."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, "old.db", STEPS[:2])
        connection.execute(
            "INSERT INTO transitions VALUES (1, 'run-1', 1, NULL, '', 1, 'draft', 'accepted', 0.0, "
            "0.5, '[]', '[]', NULL, NULL)"
        )
        connection.execute(
            "INSERT INTO attempts VALUES (1, 1, 'first', 'accepted', 0.5, '[]', NULL, NULL, 'm', "
            "7, 9, NULL, NULL, NULL)"
        )
    with pytest.raises(StoreError, match="older coordgate"):
        SqliteStore(path, mode="read")
    SqliteStore(path, mode="write").close()
    with SqliteStore(path, mode="read") as store:
        (attempt,) = next(store.transitions("run-1")).attempts
    assert (attempt.model, attempt.tokens_in, attempt.calls) == ("m", 7, ())


def test_a_step_that_fails_changes_nothing(database: Path) -> None:
    """A migration is done whole or not at all."""
    broken = (*STEPS, ("CREATE TABLE extra (id)", "CREATE TABLE runs (id)"))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(connection, "t.db", broken)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)
        assert (
            connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'extra'").fetchall() == []
        )


@pytest.mark.parametrize("mode", ["read", "write"])
def test_what_is_no_database_is_refused(mode: str, tmp_path: Path) -> None:
    """A text file under the name of a database is refused by name."""
    path = tmp_path / "t.db"
    path.write_text("not a database at all, only some text\n" * 50)
    with pytest.raises(StoreError, match=r"t\.db: cannot be opened: .*not a trace file"):
        open_store(path, mode=mode)


def test_an_empty_file_can_be_written_and_not_read(tmp_path: Path) -> None:
    """An empty file holds no traces, and may become a store."""
    for name in ("t.db", "t.jsonl"):
        path = tmp_path / name
        path.touch()
        with pytest.raises(StoreError, match="traces"):
            open_store(path)
        store = open_store(path, mode="write")
        store.write([a_run()])
        store.close()
        assert len(list(open_store(path).runs())) == 1


def test_a_damaged_database_is_a_store_error(database: Path) -> None:
    """A file cut off in the middle is reported as damaged, with the cure."""
    content = database.read_bytes()
    database.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StoreError, match=r"t\.db: cannot be .*(damaged|malformed)"):
        list(SqliteStore(database, mode="read").runs())


def test_a_locked_database_is_a_store_error(database: Path) -> None:
    """A file that another process holds is reported, and written once it is free."""
    with (
        SqliteStore(database, mode="write", busy_seconds=0.05) as store,
        closing(sqlite3.connect(database, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds it"):
            store.write([a_run("run-2")])
        other.execute("ROLLBACK")
        store.write([a_run("run-2")])
        assert store.run("run-2") == a_run("run-2")


def test_a_batch_is_written_whole_or_not_at_all(database: Path) -> None:
    """When one row cannot be written, none of its batch is."""
    sql(
        database,
        "CREATE TRIGGER no BEFORE INSERT ON verdicts BEGIN SELECT RAISE(ABORT, 'no room'); END",
    )
    with SqliteStore(database, mode="write") as store:
        with pytest.raises(StoreError, match="no room"):
            store.write([a_run("run-2"), a_transition("run-2")])
        assert [run.id for run in store.runs()] == ["run-1"]
        assert list(store.transitions("run-2")) == []


def test_jsonl_is_one_json_document_a_line(lines: Path) -> None:
    """Each line is JSON; the first says what the file is, the others which kind they are."""
    header, run, transition = map(json.loads, lines.read_text().splitlines())
    assert header == {"coordgate": "traces", "version": 1}
    assert (run["kind"], run["id"]) == ("run", "run-1")
    assert (transition["kind"], transition["attempts"][0]["rung"]) == ("transition", "first")


@pytest.mark.parametrize("mode", ["read", "write"])
@pytest.mark.parametrize(
    ("first_line", "told"),
    [
        ('{"name": "somebody"}', "not a file of traces"),
        ("plain text", "not a file of traces"),
        ("[1]", "not a file of traces"),
        ('{"coordgate":"traces","version":99}', "newer coordgate"),
    ],
)
def test_jsonl_of_another_kind_is_refused(
    mode: str, first_line: str, told: str, tmp_path: Path
) -> None:
    """A JSONL file of something else, or of a newer version, is refused and left alone."""
    path = tmp_path / "t.jsonl"
    path.write_text(first_line + "\n")
    with pytest.raises(StoreError, match=told):
        open_store(path, mode=mode)
    assert path.read_text() == first_line + "\n"


def test_a_damaged_line_is_named(lines: Path) -> None:
    """A damaged line in the middle is a store error that says which line it is."""
    text = lines.read_text().splitlines(keepends=True)
    lines.write_text(text[0] + '{"kind":"run","id":4\n' + text[1])
    with pytest.raises(StoreError, match="line 2 is damaged"):
        open_store(lines)


def test_writers_of_jsonl_wait_for_one_another(lines: Path) -> None:
    """While another holds the file's lock a writer waits, and then it writes."""
    with JsonlStore(lines, mode="write") as store, lines.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer = threading.Thread(target=store.write, args=([a_run("run-2")],))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        assert b"run-2" not in lines.read_bytes()
        fcntl.flock(other, fcntl.LOCK_UN)
        writer.join(20)
        assert store.run("run-2") == a_run("run-2")


def test_an_unfinished_line_is_passed_over_and_cut_off(lines: Path) -> None:
    """What a dying process left unfinished harms neither the readers nor the next writer."""
    with lines.open("a") as file:
        file.write('{"kind":"run","id":"torn')
    assert [run.id for run in open_store(lines).runs()] == ["run-1"]
    with JsonlStore(lines, mode="write") as store:
        store.write([a_run("run-2")])
    assert {run.id for run in open_store(lines).runs()} == {"run-1", "run-2"}
    assert "torn" not in lines.read_text()
