"""`coordgate audit`: how reliable is each handoff, how reliable the whole, which gate next."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from coordgate.audit.auditing import audit
from coordgate.audit.page import page
from coordgate.audit.printing import as_json, markdown, terminal
from coordgate.commands.arguments import add_labels, add_store, named_labels
from coordgate.errors import StoreError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Say how reliable each handoff is, how reliable the whole is, and which gate to add next, "
        "with 95% intervals. Labels beside the store say what was correct. Needs the extra: "
        "pip install 'coordgate[audit]'."
    )
    add_store(parser)
    add_labels(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON document")
    form.add_argument("--markdown", action="store_true", help="print Markdown, for a pull request")
    parser.add_argument(
        "--html",
        metavar="FILE",
        nargs="?",
        const="-",
        help="write one HTML file, with charts; print it if no FILE is named",
    )


def run(arguments: argparse.Namespace) -> int:
    """Audit the store, and print or write the report."""
    report = audit(arguments.store, labels=named_labels(arguments.labels))
    if arguments.html == "-":
        sys.stdout.write(page(report))
    elif arguments.html is not None:
        try:
            Path(arguments.html).write_text(page(report), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{arguments.html}: cannot be written: {error.strerror}") from error
    if arguments.json:
        sys.stdout.write(as_json(report) + "\n")
    elif arguments.markdown:
        sys.stdout.write(markdown(report))
    elif arguments.html is None:
        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console = Console(highlight=False, markup=False, emoji=False, width=200)
        console.print(terminal(report))
    return 0
