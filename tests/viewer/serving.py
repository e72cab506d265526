"""A viewer that is really served: uvicorn in a thread, on a port of loopback."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

Reader = Callable[..., TestClient]
"""Opens the viewer of a store, with what `viewer` takes, for a client on this machine."""

Serve = Callable[..., str]
"""Serves the viewer of a store, with what `viewer` takes, and returns its address."""


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application; give its address without a slash at the end."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none"
    )
    server = uvicorn.Server(config)
    # The socket takes connections from now on; they wait until the server is ready.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def viewing(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; give its process and the address that it prints."""
    process = subprocess.Popen(  # noqa: S603 - this Python
        [sys.executable, "-m", "coordgate.cli", "view", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, process.communicate()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()
