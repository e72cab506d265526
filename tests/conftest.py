"""What all tests share: callers on LangGraph's real savers, and a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import postgres as server
import pytest
from callers import Caller
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver


def pytest_configure(config: pytest.Config) -> None:
    """Say where Postgres will be, if a test wants it; workers take it from the environment."""
    if not hasattr(config, "workerinput"):
        server.announce()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop Postgres, if it was started."""
    if not hasattr(config, "workerinput"):
        server.withdraw()


@pytest.fixture
def postgres() -> Iterator[str]:
    """Give the URI of an empty Postgres database; there is one server for all tests of a run."""
    with server.database() as uri:
        yield uri


@pytest.fixture(params=["memory-sync", "memory-async", "sqlite-sync"])
def caller(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
    """Give a caller on the savers that need nothing but LangGraph and a file."""
    if request.param == "sqlite-sync":
        with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
            yield Caller(saver)
    else:
        yield Caller(InMemorySaver(), asynchronous=request.param == "memory-async")
