"""`coordgate replay`: a recorded run once more, without its bodies."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from coordgate.commands.arguments import add_app, add_store
from coordgate.loading import open_graph
from coordgate.past.offline import offline
from coordgate.past.replay import lines, replay
from coordgate.recorded import chosen_run
from coordgate.stores import open_store

_CODES = {"same": 0, "diverged": 1, "incomplete": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Run a graph again on what was recorded of a run: recorded outputs in the place of the "
        "node bodies, everything else real, and no network. Exit codes: 0 the same transitions, 1 "
        "diverged, 3 the record lacks what it would take to go on."
    )
    add_store(parser)
    parser.add_argument("run", metavar="RUN", help="a run's id, a beginning of it, or `latest`")
    add_app(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Replay the run, and say whether it went the same way."""
    store = open_store(arguments.store)
    try:
        recorded = chosen_run(store, arguments.store, arguments.run)
        with open_graph(arguments.app) as app, offline():
            found = replay(store, recorded, app.graph, is_async=app.is_async, where=arguments.app)
    finally:
        store.close()
    if arguments.json:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    else:
        for line in lines(found):
            sys.stdout.write(line + "\n")
    return _CODES[found.result]
