"""`coordgate review`: what waits for a person, shown and answered from the terminal."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordgate.cli import main

COMMAND = [sys.executable, "-m", "coordgate.cli", "review"]

DESK = """
import contextlib
from pathlib import Path

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from coordgate import Escalate, NodeGuard, Policy, Tracer, Verdict, gate, guard

HERE = Path(__file__).parent


class State(TypedDict, total=False):
    draft: str
    sent: str


@gate
def good(output: State) -> Verdict:
    if output["draft"].startswith("good"):
        return Verdict.accept()
    return Verdict.reject("it is not good")


def write(state: State):
    with (HERE / "ledger").open("a") as file:
        file.write("wrote\\n")
    return {"draft": state.get("draft", "bad") + "\\x1b[2J"}


async def awrite(state: State):
    return write(state)


def send(state: State):
    if state["draft"] == "good, but it fails":
        raise ValueError("the mail server is away")
    return {"sent": state["draft"]}


def builder(node, tracer=None):
    nodes = {"write": NodeGuard(gates=[good], policy=Policy(Escalate("editor", within=86400)))}
    graph = StateGraph(State).add_node("write", node).add_node(send)
    return guard(graph.add_edge(START, "write").add_edge("write", "send"), nodes, tracer=tracer)


@contextlib.contextmanager
def desk():
    with SqliteSaver.from_conn_string(str(HERE / "saved.db")) as saver:
        with Tracer(HERE / "traces.db") as tracer:
            yield builder(write, tracer).compile(checkpointer=saver)


@contextlib.asynccontextmanager
async def adesk():
    async with AsyncSqliteSaver.from_conn_string(str(HERE / "saved.db")) as saver:
        yield builder(awrite).compile(checkpointer=saver)


bare = builder(write)


def asks(state: State):
    return {"draft": interrupt("topic?")}


@contextlib.contextmanager
def own():
    with SqliteSaver.from_conn_string(str(HERE / "own.db")) as saver:
        app = builder(asks).compile(checkpointer=saver)
        app.invoke({}, {"configurable": {"thread_id": "1"}})
        yield app


if __name__ == "__main__":
    with desk() as app:
        for name in ("1", "2"):
            app.invoke({}, {"configurable": {"thread_id": name}})
        app.invoke({"draft": "good"}, {"configurable": {"thread_id": "3"}})
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which two threads wait, and one is complete: written by another process."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "desk.py").write_text(DESK)
    subprocess.run([sys.executable, str(folder / "desk.py")], check=True)  # noqa: S603 - this file's
    return folder


@pytest.fixture
def folder(asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of that folder as the working directory."""
    for each in asked.iterdir():
        if each.is_file():
            (tmp_path / each.name).write_bytes(each.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def documented(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """Return what a command prints as JSON."""
    assert main(["review", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def bodies(folder: Path) -> int:
    """Return how often the node has run."""
    return len((folder / "ledger").read_text().splitlines())


@pytest.mark.parametrize("target", ["desk.py:desk", "desk.py:adesk", "traces.db"])
def test_what_waits_is_listed(
    folder: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a graph, sync or async, and from a store: who is asked of what, since and until when."""
    found = documented(capsys, target)["waiting"]
    assert sorted(each["thread"] for each in found) == ["1", "2"]
    for each in found:
        assert (each["node"], each["to"]) == ("write", "editor")
        assert each["reasons"] == ["good: it is not good"]
        assert each["until"] == each["since"] + 86400
        assert each["candidate"] == {"draft": "bad\x1b[2J"}
        assert [attempt["rung"] for attempt in each["attempts"]] == ["first"]
        assert list(each["answers"]) == ["approve", "edit", "reject", "retry"]
    assert main(["review", target]) == 0
    out = capsys.readouterr().out
    assert out.count("good: it is not good") == 2
    assert "answer with: coordgate review" in out
    assert ("--app FILE.py:NAME" in out) == (target == "traces.db")


@pytest.mark.parametrize("target", ["desk.py:desk", "traces.db"])
def test_one_is_shown(folder: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A thread shows the candidate, the attempts and what may be answered; nothing steers."""
    assert main(["review", target, "1"]) == 0
    out = capsys.readouterr().out
    for said in ('"draft": "bad\\u001b[2J"', "1 first: rejected", "approve, edit, reject, retry"):
        assert said in out
    assert "\x1b" not in out


@pytest.mark.parametrize("target", ["desk.py:desk", "desk.py:adesk"])
def test_an_approval_ships_what_was_shown(
    folder: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run goes on in this process, and the node does not run again; then it waits no more."""
    made = bodies(folder)
    came = documented(capsys, target, "1", "--approve", "--by", "ann")
    assert came["result"] == "completed"
    assert came["values"]["sent"] == "bad\x1b[2J"
    assert came["answered"]["by"] == "ann"
    assert bodies(folder) == made
    (left,) = documented(capsys, target)["waiting"]
    assert left["thread"] == "2"


def test_an_answer_through_the_store_needs_the_graph(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --app the store says which threads wait; afterwards it says who decided."""
    assert main(["review", "traces.db", "1", "--approve"]) == 2
    assert "--app FILE.py:NAME" in capsys.readouterr().err
    arguments = ["traces.db", "1", "--app", "desk.py:desk", "--reject", "no", "--by", "ann"]
    came = documented(capsys, *arguments)
    assert came["result"] == "failed"
    assert "ann: no" in came["reasons"][0]
    assert [each["thread"] for each in documented(capsys, "traces.db")["waiting"]] == ["2"]
    assert [each["thread"] for each in documented(capsys, "desk.py:desk")["waiting"]] == ["2"]
    assert main(["show", "traces.db", "latest"]) == 0
    assert "reject by ann" in capsys.readouterr().out


def test_a_refused_answer_says_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reasons are printed, the code is 1, and the question is still open."""
    (folder / "edit.json").write_text('{"draft": "worse"}')
    assert main(["review", "desk.py:desk", "1", "--edit", "edit.json"]) == 1
    out = capsys.readouterr().out
    assert "refused; the question is still open:\n  good: it is not good" in out
    (again,) = documented(capsys, "desk.py:desk", "1")["waiting"]
    assert again["refused"] == ["good: it is not good"]
    (again,) = documented(capsys, "traces.db", "1")["waiting"]
    assert again["refused"] == ["good: it is not good"]
    came = documented(capsys, "desk.py:desk", again["thread"], "--reject", "", code=1)
    assert came["result"] == "refused"
    done = subprocess.run(  # noqa: S603 - this project's own command
        [*COMMAND, "desk.py:desk", "1", "--edit", "-", "--override", "--json"],
        cwd=folder,
        input='{"draft": "worse"}',
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["values"]["sent"] == "worse"


def test_a_retry_runs_the_node_and_asks_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the person is then asked is part of the answer; an id names a question as well."""
    (first,) = [e for e in documented(capsys, "desk.py:desk")["waiting"] if e["thread"] == "1"]
    made = bodies(folder)
    came = documented(capsys, "desk.py:desk", first["id"][:10], "--retry", "shorter")
    assert bodies(folder) == made + 1
    assert came["result"] == "interrupted"
    (asked,) = came["waiting"]
    assert [each["rung"] for each in asked["attempts"]] == ["first", "escalate:editor", "retry"]
    assert main(["review", "desk.py:desk", "1", "--retry", "shorter"]) == 0
    assert "taken; the run waits again:" in capsys.readouterr().out


def test_an_answer_never_goes_to_a_question_that_was_not_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread that waits no more is not taken for the beginning of another question's id."""
    first, second = documented(capsys, "desk.py:desk")["waiting"]
    for digits in (2, 8, 9):
        for each in (first, second):
            assert main(["review", "desk.py:desk", each["id"][:digits], "--approve"]) == 2
            assert "nothing waits for a person under" in capsys.readouterr().err
    assert len(documented(capsys, "desk.py:desk")["waiting"]) == 2


def test_a_run_that_fails_after_the_answer_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer was taken; that the run then failed of something else is code 1."""
    (folder / "edit.json").write_text('{"draft": "good, but it fails"}')
    assert main(["review", "desk.py:desk", "1", "--edit", "edit.json"]) == 1
    out = capsys.readouterr().out
    assert "taken; the run has failed:" in out
    assert "ValueError: the mail server is away" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["desk.py:desk", "7"], "nothing waits for a person under '7'; the threads that wait: "),
        (["desk.py:desk", "--approve"], "2 questions wait; name one by its thread or id"),
        (["desk.py:desk", "1", "--approve", "--override"], "--override goes with --edit"),
        (["desk.py:desk", "1", "--edit", "none.json"], "none.json: cannot be read as JSON"),
        (["desk.py:desk", "--app", "desk.py:desk"], "--app is for a store"),
        (["desk.py:bare"], "has no checkpointer, so nothing can wait in it"),
        (["none.db"], "there is no such file"),
        (["desk.py:none"], "there is no 'none'"),
        (["desk.py:own", "--approve"], "nothing waits for a person, so there is nothing to answer"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_cure(
    folder: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, and code 2."""
    assert main(["review", *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_nothing_waiting_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No question is not an error; a node's own question is not one of these."""
    for thread in ("1", "2"):
        assert main(["review", "desk.py:desk", thread, "--approve"]) == 0
    capsys.readouterr()
    for target in ("desk.py:desk", "traces.db", "desk.py:own"):
        assert main(["review", target]) == 0
        assert capsys.readouterr().out == "nothing waits for a person\n"
        assert documented(capsys, target)["waiting"] == []


def typed(folder: Path, *lines: str) -> str:
    """Return what a terminal shows of a review in which these lines are typed."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(  # noqa: S603 - this project's own command
        [*COMMAND, "desk.py:desk", "1", "--by", "ann"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown, left = "", list(lines)
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 4096).decode()
        except OSError:  # the other end is closed
            break
        if left and shown.rstrip(" ").endswith((":", "?")) and shown.endswith(" "):
            os.write(ours, f"{left[0]}\n".encode())
            shown += "|"
            del left[0]
    os.close(ours)
    assert child.wait(60) == 0, shown
    assert not left, shown
    return shown


def test_an_answer_is_typed(folder: Path) -> None:
    """In a terminal the question is put, again if the answer is refused, until one is taken."""
    shown = typed(folder, "perhaps", "edit", '{"draft": 3}', "edit", '{"draft": "good now"}')
    assert "'perhaps' is no answer here" in shown
    assert "draft: must be str" in shown
    assert "taken; the run is complete" in shown
