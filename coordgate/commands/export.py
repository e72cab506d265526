"""`coordgate export`: the records of a store, for other tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from coordgate.commands.arguments import add_store
from coordgate.errors import ConfigurationError, StoreError
from coordgate.stores import Store, open_store

_KINDS = ".jsonl for JSON lines, .db for SQLite, .parquet for a folder of Parquet files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Write all records of a store where other tools read them. TARGET's ending says how: "
        f"{_KINDS} (which needs coordgate[parquet])."
    )
    add_store(parser)
    parser.add_argument("target", metavar="TARGET", help="a path at which nothing is yet")


def run(arguments: argparse.Namespace) -> int:
    """Export, and say how much there was."""
    target = Path(arguments.target)
    if target.suffix not in {".jsonl", ".db", ".parquet"}:
        raise ConfigurationError(f"{target}: its ending does not say how to write; use {_KINDS}")
    console = Console(stderr=True)
    counting = TextColumn("{task.completed:,} runs")
    store = open_store(arguments.store)
    try:
        with Progress(counting, TimeElapsedColumn(), console=console, transient=True) as bar:
            task = bar.add_task("", total=None)
            if target.suffix == ".parquet":
                parquet: Any = import_module("coordgate.exporters.parquet")
                parquet.export_parquet(store, target, each=lambda: bar.advance(task))
            else:
                copy(store, target, each=lambda: bar.advance(task))
            runs = int(bar.tasks[0].completed)
    finally:
        store.close()
    sys.stdout.write(f"{target}: {runs:,} {'run' if runs == 1 else 'runs'}\n")
    return 0


def copy(store: Store, target: Path, *, each: Callable[[], object]) -> None:
    """Write all records of a store to another one, at a path at which nothing is yet."""
    if target.exists():
        raise StoreError(f"{target}: is there already; give a new path, or remove it first")
    into = open_store(target, mode="write")
    try:
        for found in store.runs(newest_first=False):
            into.write([found, *store.transitions(found.id)])
            each()
    finally:
        into.close()
