"""What all tests share: callers on LangGraph's real savers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from callers import Caller
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver


@pytest.fixture(params=["memory-sync", "memory-async", "sqlite-sync"])
def caller(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
    """Give a caller on LangGraph's own savers; its SQLite saver is sync only."""
    if request.param == "sqlite-sync":
        with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
            yield Caller(saver)
    else:
        yield Caller(InMemorySaver(), asynchronous=request.param == "memory-async")
