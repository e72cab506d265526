"""What the tools' tests share: real MCP servers, over stdio and over HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mcp_servers import HERE


def _serving(name: str) -> Iterator[dict[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(HERE / f"{name}_server.py"), str(port)]
    with subprocess.Popen(command) as process:  # noqa: S603 - a program of these tests
        try:
            _wait_for(port, process)
            yield {"transport": "streamable_http", "url": f"http://127.0.0.1:{port}/mcp"}
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as asked:
            asked.settimeout(1)
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="session")
def honest_http() -> Iterator[dict[str, Any]]:
    """Give the connection to an honest server over HTTP."""
    yield from _serving("honest")


@pytest.fixture(scope="session")
def lying_http() -> Iterator[dict[str, Any]]:
    """Give the connection to a lying server over HTTP."""
    yield from _serving("lying")
