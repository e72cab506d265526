"""What the viewer's tests share: readers of a store, with and without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from serving import Reader, Serve, served
from starlette.testclient import TestClient
from stories import write_store

from coordgate.stores import Store
from coordgate.viewer import viewer


@pytest.fixture
def reader() -> Iterator[Reader]:
    """Give a function that opens the viewer of a store for a client on this machine."""
    with ExitStack() as stack:

        def opened(store: Path | Store, **given: Any) -> TestClient:
            made = TestClient(viewer(store, **given), base_url="http://127.0.0.1:8765")
            return stack.enter_context(made)

        yield opened


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Give a function that serves the viewer of a store on loopback, and returns its address."""
    with ExitStack() as stack:
        yield lambda store, **given: stack.enter_context(served(viewer(store, **given)))


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Return a store with three runs: one retried, one degraded, one failed; the newest last."""
    return write_store(tmp_path / "traces.db", "herons", "hopeless storks", "broken owls")
