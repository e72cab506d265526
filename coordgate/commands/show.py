"""`coordgate show`: the recorded runs, or the transitions of one."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import islice

from rich.console import Console
from rich.text import Text

from coordgate import show
from coordgate.commands.arguments import add_store, count
from coordgate.errors import ConfigurationError
from coordgate.following import Following
from coordgate.record import Run, Transition
from coordgate.recorded import chosen_run
from coordgate.stores import open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = "Show the recorded runs, or the transitions of one run."
    add_store(parser)
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="a run's id, a beginning of it, or `latest`"
    )
    parser.add_argument(
        "--failed",
        action="store_true",
        help="only runs, or transitions, in which an attempt was not accepted",
    )
    parser.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help="at most N runs (20 if not given) or transitions (all); 0 for all",
    )
    parser.add_argument(
        "--values", action="store_true", help="show what was read, handed over and written, too"
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="go on with what is recorded from now on: of RUN until it ends, else of all runs "
        "until Ctrl-C",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document; one a line with --follow"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the runs, or a run's transitions."""
    if arguments.follow:
        return _follow(arguments)
    name: str = arguments.store
    limit: int | None = arguments.limit
    console = Console(highlight=False, markup=False, emoji=False)
    width = console.width if console.is_terminal else None

    def put(text: Text) -> None:
        console.print(text, soft_wrap=True)

    store = open_store(name)
    try:
        if arguments.run is None:
            summaries = (show.summarise(run, store.transitions(run.id)) for run in store.runs())
            chosen = (each for each in summaries if each.failed or not arguments.failed)
            most = (20 if limit is None else limit) or None
            found = list(islice(chosen, most and most + 1))
            more = len(found) > (most or len(found))
            found = found[:most]
            if arguments.json:
                sys.stdout.write(show.runs_json(name, found, more=more) + "\n")
            elif found:
                put(show.runs_lines(found, width=width))
                if more:
                    put(show.note(f"the latest {most}; there are more: --limit 0 shows all"))
            else:
                put(show.note("no run has failed" if arguments.failed else "no runs yet"))
            return 0
        run = chosen_run(store, name, arguments.run)
        summary = show.summarise(run, store.transitions(run.id))
        telling = (
            each
            for each in store.transitions(run.id)
            if show.has_failed(each) or not arguments.failed
        )
        wanted = islice(telling, limit or None)
        if arguments.json:
            sys.stdout.write(show.run_json(name, summary, wanted) + "\n")
            return 0
        put(show.run_lines(summary, width=width))
        for transition in wanted:
            put(show.transition_lines(transition, width=width, values=arguments.values))
        return 0
    finally:
        store.close()


def _follow(arguments: argparse.Namespace) -> int:
    """Print what is recorded, as it comes."""
    if arguments.limit is not None:
        raise ConfigurationError("--follow goes on until the end; leave --limit out")
    name: str = arguments.store
    console = Console(highlight=False, markup=False, emoji=False)
    width = console.width if console.is_terminal else None
    shown = ""
    store = open_store(name)
    try:
        one = None if arguments.run is None else chosen_run(store, name, arguments.run)
        following = Following(store, one)
        while True:
            for each in following.look():
                if isinstance(each, Transition) and arguments.failed and not show.has_failed(each):
                    continue
                if arguments.json:
                    sys.stdout.write(show.followed_json(each) + "\n")
                elif isinstance(each, Run):
                    console.print(show.run_line(each), soft_wrap=True)
                    shown = each.id
                else:
                    if each.run != shown:  # several runs at once
                        console.print(show.run_line(store.run(each.run)), soft_wrap=True)
                        shown = each.run
                    lines = show.transition_lines(each, width=width, values=arguments.values)
                    console.print(lines, soft_wrap=True)
            sys.stdout.flush()
            if following.done:
                return 0
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        return 0  # it is how one stops following
    finally:
        store.close()


_PAUSE = 0.2
"""Seconds between two looks."""
