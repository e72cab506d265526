"""`coordgate view --app`: what becomes of runs that go on when it is told to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest
from desks import desk_in, hidden, ledger, links
from serving import viewing

from coordgate.loading import open_graph

SLOW = {"decision": "edit", "update": '{"draft": "good, but slow"}'}


def answer_slowly(address: str) -> None:
    """Answer the question that waits; the run then waits for somebody to write into a pipe."""
    with httpx.Client(base_url=address.rstrip("/"), follow_redirects=True) as client:
        form = hidden(client.get(links(client)[0]).text)
        origin = {"origin": address.rstrip("/")}
        page = client.post("/inbox/answer", data={**form, **SLOW}, headers=origin)
        assert "The run goes on" in page.text


@pytest.mark.parametrize("app", ["desk", "adesk"])
def test_ctrl_c_lets_a_run_come_to_its_end(tmp_path: Path, app: str) -> None:
    """It says what it waits for; what the person decided is done before it ends."""
    desk_in(tmp_path)
    os.mkfifo(tmp_path / "gate")
    arguments = [tmp_path / "traces.db", "--app", f"{tmp_path / 'desk.py'}:{app}", "--port", "0"]
    with viewing(*arguments) as (process, address):
        answer_slowly(address)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(2)]
        assert said[-1] == "waiting for 1 run that goes on; Ctrl-C cuts off\n"
        (tmp_path / "gate").write_text("go")
        _, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (0, "")
    assert ledger(tmp_path) == ["wrote", "sent 'good, but slow'"]


def test_a_second_ctrl_c_cuts_off_and_the_run_goes_on_later(tmp_path: Path) -> None:
    """The answer is in the checkpoint: `invoke(None)` goes on with it, and runs no body again."""
    desk_in(tmp_path)
    os.mkfifo(tmp_path / "gate")
    arguments = [tmp_path / "traces.db", "--app", f"{tmp_path / 'desk.py'}:desk", "--port", "0"]
    with viewing(*arguments) as (process, address):
        answer_slowly(address)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        while "waiting for" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    (tmp_path / "gate").unlink()
    (tmp_path / "gate").write_text("go")
    with open_graph(f"{tmp_path / 'desk.py'}:desk") as opened:
        opened.call("invoke", None, {"configurable": {"thread_id": "1"}})
    assert ledger(tmp_path) == ["wrote", "sent 'good, but slow'"]
