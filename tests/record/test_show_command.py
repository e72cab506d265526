"""`coordgate show`: what a person and a machine get to see of a store."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from inline_snapshot import snapshot
from records import NOW, a_run, a_transition

from coordgate.cli import main
from coordgate.show import printable, transition_lines
from coordgate.stores import open_store
from coordgate.tracer import Attempt, Call, GateVerdict, Record

START = 1_750_000_000.0
REASON = (
    "cites_sources: two of the three sentences of this draft cite nothing that was retrieved, "
    "and the third one cites a source that does not exist"
)


WHOLE = REASON.partition(": ")[2]


def records() -> list[Record]:
    """Return three runs: one mended by a retry, one failed, one that had no trouble."""
    rejected = Attempt(
        1,
        "first",
        "rejected",
        0.2,
        (REASON,),
        output='{"draft":"because"}',
        verdicts=(GateVerdict("cites_sources", False, 0.25, WHOLE),),
        model="some-model",
        tokens_in=812,
        tokens_out=90,
        cost=0.0012,
    )
    raised = Attempt(
        2, "retry", "raised", 0.1, (), "ValueError: no [bold]such[/bold]\n\x1b[31mthing"
    )
    accepted = Attempt(3, "fallback:template", "accepted", 0.3, output='{"draft":"\\u001b[2J [1]"}')
    return [
        a_run("aaaa-1", started=START, ended=START + 2.5, thread="t1"),
        a_transition("aaaa-1", 1, node="retrieve", started=START, producers=(), attempts=()),
        a_transition("aaaa-1", 2, started=START, attempts=(rejected, raised, accepted)),
        a_run(
            "bbbb-1", started=START + 5, ended=START + 6, status="failed", error="Boom: \x1b[31m"
        ),
        a_run("bbbb-2", started=START + 9, ended=START + 10),
        a_transition("bbbb-2", 1, attempts=(Attempt(1, "first", "accepted", 0.1),)),
    ]


@pytest.fixture(params=["t.db", "t.jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a trace file of each kind."""
    store = open_store(tmp_path / request.param, mode="write")
    store.write(records())
    store.close()
    return str(tmp_path / request.param)


def test_lists_runs_with_what_failed_first(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run is a line; what failed first stands below it, whole."""
    assert main(["show", path]) == 0
    assert capsys.readouterr().out.replace(WHOLE, "REASON") == snapshot(
        """\
RUN     STATUS       STARTED (UTC)            TOOK  TRANSITIONS  GRAPH
bbbb-2  completed    2025-06-15 15:06:49     1.0 s            1  brief
bbbb-1  failed       2025-06-15 15:06:45     1.0 s            0  brief
    Boom: \\x1b[31m
aaaa-1  completed    2025-06-15 15:06:40     2.5 s            2  brief
    failed first: draft, attempt 1, rejected: cites_sources: REASON
"""
    )


def test_says_that_there_are_more_runs(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A list that a limit cuts off says so, in words and in JSON; a whole one says nothing."""
    assert main(["show", path, "--limit", "2"]) == 0
    assert capsys.readouterr().out.endswith("the latest 2; there are more: --limit 0 shows all\n")
    for limit, more in (("2", True), ("3", False), ("0", False)):
        assert main(["show", path, "--limit", limit, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["more"] is more
    assert main(["show", path, "--limit", "3"]) == 0
    assert "there are more" not in capsys.readouterr().out


def test_shows_the_transitions_of_a_run(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Attempts, verdicts, reasons, errors, tokens and cost; escapes shown, markup left alone."""
    assert main(["show", path, "aa", "--values"]) == 0
    assert capsys.readouterr().out.replace(WHOLE, "REASON") == snapshot(
        """\
run aaaa-1  completed
  graph brief  mode enforce  thread t1
  started 2025-06-15 15:06:40 UTC  took 2.5 s  transitions 2
  1  retrieve  accepted  500 ms  input -> verify
     read  {"question":"why"}
     wrote {"draft":"because [1]"}
  2  draft  accepted  500 ms  retrieve -> verify
     read  {"question":"why"}
     attempt 1  first  rejected  200 ms  some-model  812+90 tokens  $0.0012
       FAIL cites_sources 0.25: REASON
       gave  {"draft":"because"}
     attempt 2  retry  raised  100 ms
       error ValueError: no [bold]such[/bold]
             \\x1b[31mthing
     attempt 3  fallback:template  accepted  300 ms
       gave  {"draft":"\\u001b[2J [1]"}
     wrote {"draft":"because [1]"}
"""
    )


def test_latest_is_the_run_that_began_last(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`latest` needs no id."""
    assert main(["show", path, "latest"]) == 0
    assert capsys.readouterr().out.startswith("run bbbb-2  completed\n")


def test_failed_shows_only_what_failed(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--failed` leaves out runs, and transitions, in which all went well."""
    main(["show", path, "--failed", "--json"])
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["id"] for run in runs] == ["bbbb-1", "aaaa-1"]
    main(["show", path, "aa", "--failed", "--json"])
    transitions = json.loads(capsys.readouterr().out)["transitions"]
    assert [each["number"] for each in transitions] == [2]


def test_limit(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--limit` bounds runs and transitions; 0 means all."""
    for arguments, key, count in (
        (["--limit", "1"], "runs", 1),
        (["--limit", "0"], "runs", 3),
        (["aa", "--limit", "1"], "transitions", 1),
    ):
        assert main(["show", path, *arguments, "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)[key]) == count


def test_the_keys_of_the_json_are_stable(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A script may rely on these keys; docs/cli.md tells them."""
    main(["show", path, "aa", "--json"])
    document = json.loads(capsys.readouterr().out)
    transition = document["transitions"][1]
    attempt = transition["attempts"][0]
    shown = (document, document["run"], document["run"]["first_failure"], transition, attempt)
    assert [list(each) for each in (*shown, attempt["verdicts"][0])] == snapshot(
        [
            ["store", "run", "transitions"],
            [
                "id",
                "graph",
                "thread",
                "mode",
                "status",
                "started",
                "ended",
                "error",
                "process",
                "seconds",
                "transitions",
                "first_failure",
            ],
            ["transition", "node", "attempt", "outcome", "reason"],
            [
                "run",
                "number",
                "thread",
                "namespace",
                "step",
                "node",
                "status",
                "started",
                "seconds",
                "producers",
                "goto",
                "reads",
                "writes",
                "attempts",
            ],
            [
                "number",
                "rung",
                "outcome",
                "seconds",
                "reasons",
                "error",
                "output",
                "verdicts",
                "model",
                "tokens_in",
                "tokens_out",
                "cost",
                "decision",
                "by",
                "calls",
            ],
            ["gate", "passed", "score", "reason", "seconds"],
        ]
    )


def in_a_terminal(*arguments: str) -> str:
    """Return what the command prints on a real pseudo-terminal of 80 columns."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm", "PYTHONUTF8": "1"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(  # noqa: S603 - the arguments are this file's own
        [sys.executable, "-m", "coordgate.cli", *arguments],
        stdout=theirs,
        stdin=subprocess.DEVNULL,
        env=environment,
    ) as child:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # how a pseudo-terminal says that the other end is closed
            pass
        os.close(ours)
    assert child.returncode == 0
    return shown.decode()


def test_in_a_terminal_reasons_are_wrapped_and_nothing_recorded_steers_it(path: str) -> None:
    """At 80 columns lines fit, reasons stay whole, and only our own colours are escapes."""
    shown = in_a_terminal("show", path, "aa", "--values") + in_a_terminal("show", path)
    plain = shown
    for code in ("1", "2", "31", "32", "33", "36", "1;32", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert "\x1b[32m" in shown
    assert "\x1b" not in plain
    assert "\\x1b[31mthing" in plain
    assert max(len(line) for line in plain.splitlines()) <= 80
    assert " ".join(plain.split()).count(WHOLE) == 2


def test_hostile_names_are_shown_escaped() -> None:
    """Node names, gates, reasons: whatever was recorded, no control character comes through."""
    evil = "a\x1b]0;x\x07\x9b31m\u202e\ud800\r[red]"
    attempt = Attempt(
        1, evil, "rejected", 0.1, (evil,), evil, evil, (GateVerdict(evil, False, 0.5, evil),), evil
    )
    transition = a_transition(
        node=evil, namespace=evil, producers=(evil,), goto=(evil,), reads=evil, attempts=(attempt,)
    )
    shown = transition_lines(transition, values=True).plain
    assert all(each.isprintable() or each == "\n" for each in shown)
    assert "\\x1b]0;x\\x07\\x9b31m\\u202e\\ud800\\r[red]" in shown
    assert printable("tab\there, é, 🦊") == "tab here, é, 🦊"


def test_a_failed_call_that_its_node_hid_is_shown() -> None:
    """A node may hide a model's error, and the record does not; one that it raised is said once."""
    down = "InternalServerError: 500 (the client had sent it 3 times)"
    calls = (Call("small", error=down, seconds=0.1), Call("large", "stop", 5, 3, seconds=0.1))
    swallowed = Attempt(1, "first", "accepted", 0.2, calls=calls)
    raised = Attempt(2, "retry", "raised", 0.2, (down,), down, calls=calls)
    lines = transition_lines(a_transition(attempts=(swallowed, raised))).plain.splitlines()
    assert [line.strip() for line in lines if "Server" in line] == [
        f"call  small: {down}",
        f"why  {down}",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "no-such.db"], "no-such.db: there is no such file"),
        (["show"], "arguments are required: STORE"),
        (["shew"], "invalid choice: 'shew'"),
        (["show", "{}", "zzz"], "no run 'zzz'"),
        (["show", "{}", "bbbb"], "several runs"),
        (["show", "{}", "--limit", "-1"], "'-1' is not a count"),
        (["show", "{}", "\x1b[31m"], "no run"),
        (["show", "postgres://x"], "Postgres is not there yet"),
        (["demo", "--faults", "2"], "not a number from 0 to 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], told: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage and unreadable stores end with code 2 and one line on stderr."""
    assert main([each.format(path) for each in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.startswith("coordgate: ")
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()


def test_an_empty_store_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store without runs says so, in words and in JSON; `latest` cannot be shown."""
    path = str(tmp_path / "t.db")
    open_store(path, mode="write").close()
    assert main(["show", path]) == 0
    assert capsys.readouterr().out == "no runs yet\n"
    assert main(["show", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"store": path, "runs": [], "more": False}
    assert main(["show", path, "latest"]) == 2
    assert "holds no runs yet" in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    """Help, also without a command, shows examples."""
    for arguments in (["--help"], []):
        assert main(arguments) == 0
        assert "coordgate show traces.db latest" in capsys.readouterr().out


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    """When the reader goes away, as `| head` does, there is no complaint."""
    path = tmp_path / "t.db"
    store = open_store(path, mode="write")
    store.write([a_transition("run-1", number) for number in range(1, 2001)])
    store.write([a_run("run-1", started=NOW)])
    store.close()
    for more in ([], ["--json"]):
        with subprocess.Popen(  # noqa: S603 - the arguments are this file's own
            [sys.executable, "-m", "coordgate.cli", "show", str(path), "latest", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            child.stdout.readline()
            child.stdout.close()
            assert child.stderr.read() == b""


def test_an_encoding_without_the_characters_is_no_error(path: str) -> None:
    """What a terminal's encoding lacks is shown as its escape."""
    store = open_store(path, mode="write")
    store.write([a_run("run-1", graph="🦊", started=NOW)])
    store.close()
    done = subprocess.run(  # noqa: S603 - the arguments are this file's own
        [sys.executable, "-m", "coordgate.cli", "show", path, "latest"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert b"\\U0001f98a" in done.stdout
