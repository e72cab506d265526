"""`coordgate backtest`: today's gates over what was recorded."""

from __future__ import annotations

import argparse
import json
import sys

from coordgate.commands.arguments import add_app, add_labels, add_store, count, named_labels
from coordgate.labels import labels_beside, read_labels
from coordgate.loading import open_graph
from coordgate.past.backtest import backtest
from coordgate.past.telling import as_json, lines
from coordgate.stores import JsonlStore, SqliteStore, open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Ask a graph's current contracts and gates about everything that was recorded: which "
        "verdicts change, on which runs, what that would have cost in retries, and with labels "
        "precision and recall before and after. Nothing of the graph runs but its gates."
    )
    add_store(parser)
    add_app(parser)
    add_labels(parser)
    parser.add_argument(
        "--slow", action="store_true", help="ask gates that wait for a model or a network, too"
    )
    parser.add_argument(
        "--limit", type=count, default=20, metavar="N", help="show at most N changes; 0 for all"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Judge what was recorded again, and print what has changed."""
    store = open_store(arguments.store)
    try:
        labels = named_labels(arguments.labels)
        if labels is None and isinstance(store, SqliteStore | JsonlStore):
            labels = list(read_labels(labels_beside(store.path)))
        with open_graph(arguments.app) as app:
            found = backtest(
                store, app.graph, labels or (), slow=arguments.slow, where=arguments.app
            )
    finally:
        store.close()
    if arguments.json:
        sys.stdout.write(json.dumps(as_json(found), indent=2) + "\n")
    else:
        for line in lines(found, limit=arguments.limit or None):
            sys.stdout.write(line + "\n")
    return 0
