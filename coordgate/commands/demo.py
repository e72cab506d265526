"""`coordgate demo`: a guarded retrieve-draft-verify agent on real documents."""

from __future__ import annotations

import argparse

from coordgate.commands.arguments import share


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = "Run a guarded retrieve-draft-verify agent on real documents."
    parser.add_argument("--docs", metavar="DIR", help="a folder of Markdown to answer from")
    parser.add_argument("--ask", metavar="TEXT", help="the question")
    parser.add_argument(
        "--faults",
        type=share,
        metavar="P",
        help="how often the offline stand-in for a model goes wrong, from 0 to 1",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the seed of those faults")
    parser.add_argument("--bare", action="store_true", help="the same run without the guard")
    parser.add_argument("--store", metavar="PATH", help="record there (a bare run is not recorded)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from coordgate.demo import main  # noqa: PLC0415 - it loads LangGraph, and needs an extra

    return main(arguments)
