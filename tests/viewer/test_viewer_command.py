"""`coordgate view`: it serves until it is told to stop, and says what stands in its way."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from serving import viewing

from coordgate.cli import main


def test_it_serves_until_ctrl_c(traces: Path) -> None:
    """The address it prints shows the runs; Ctrl-C ends it with code 0 and no complaint."""
    with viewing(traces, "--port", "0") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert "herons" in httpx.get(address).text
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=20)
    assert (process.returncode, complaint) == (0, "")


def test_elsewhere_than_on_loopback_it_wants_a_token(traces: Path) -> None:
    """Bound to all addresses it prints one with a token, and answers to nobody without it."""
    with viewing(traces, "--port", "0", "--host", "0.0.0.0") as (_, address):  # noqa: S104
        here, token = re.fullmatch(r"http://[^:]+:(\d+)/\?token=(\S{20,})", address).groups()  # type: ignore[union-attr]
        base = f"http://127.0.0.1:{here}/"
        assert httpx.get(base).status_code == 401
        with httpx.Client(follow_redirects=True) as client:
            assert "herons" in client.get(base, params={"token": token}).text
            assert "herons" in client.get(base).text


def test_a_port_in_use_is_said(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where another program listens already, the error names the port and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["view", str(traces), "--port", port]) == 2
    said = capsys.readouterr().err
    assert f"port {port} is in use" in said
    assert "--port 0" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing.db"], "no such file"),
        (["t.db", "--host", "192.0.2.1", "--port", "0"], "cannot answer at 192.0.2.1"),
        (["t.db", "--port", "65536"], "not a port"),
        (["t.db", "--token", ""], "--token needs some text"),
        (["t.db", "--app", "nowhere.py:graph"], "no such file"),
    ],
)
def test_what_stands_in_the_way_is_one_line(
    traces: Path,
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wrong usage ends with code 2 and one line that says what to do instead."""
    monkeypatch.chdir(traces.parent)
    traces.rename("t.db")
    assert main(["view", *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(traces: Path) -> None:
    """Where a package of the viewer is missing, the error names the extra; other commands work."""
    code = f"""
import importlib.machinery
import sys
class Hiding(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "uvicorn" else super().find_spec(name, path, target)
finder = importlib.machinery.PathFinder
sys.meta_path[:] = [Hiding if each is finder else each for each in sys.meta_path]
from coordgate.cli import main
assert main(["show", {str(traces)!r}]) == 0
sys.exit(main(["view", {str(traces)!r}]))
"""
    done = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "uvicorn" in done.stderr
    assert "pip install 'coordgate[viewer]'" in done.stderr
