"""What the tests of people share: a caller on each of LangGraph's savers."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import postgres as server
import pytest
from callers import Caller
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

SAVERS = [
    "memory-sync",
    "memory-async",
    "sqlite-sync",
    "sqlite-async",
    "postgres-sync",
    "postgres-async",
]


@pytest.fixture(scope="session")
def checkpoints() -> Iterator[str]:
    """Give the URI of a Postgres database with LangGraph's tables, one for all of these tests."""
    with server.database() as uri:
        with PostgresSaver.from_conn_string(uri) as saver:
            saver.setup()
        yield uri


@pytest.fixture(params=SAVERS)
def caller(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
    """Give a caller on one of LangGraph's own savers, sync or async."""
    kind, _, way = request.param.partition("-")
    asynchronous = way == "async"
    file = str(tmp_path / "checkpoints.db")
    with ExitStack() as stack:
        if kind == "memory":
            yield Caller(InMemorySaver(), asynchronous=asynchronous)
            return
        prefix = f"{uuid.uuid4().hex}-"
        uri = request.getfixturevalue("checkpoints") if kind == "postgres" else ""
        if not asynchronous:
            opens: Any = (
                PostgresSaver.from_conn_string(uri) if uri else SqliteSaver.from_conn_string(file)
            )
            yield Caller(stack.enter_context(opens), prefix=prefix)
            return
        runner = stack.enter_context(asyncio.Runner())
        opens = (
            AsyncPostgresSaver.from_conn_string(uri)
            if uri
            else AsyncSqliteSaver.from_conn_string(file)
        )
        saver = runner.run(opens.__aenter__())
        try:
            yield Caller(saver, asynchronous=True, runner=runner, prefix=prefix)
        finally:
            runner.run(opens.__aexit__(None, None, None))
