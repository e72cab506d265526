"""`coordgate check`: whether agreed rates are met, for CI."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.text import Text

from coordgate.audit.auditing import audit
from coordgate.audit.slo import Checked, Verdict, check, overall, read_slo
from coordgate.audit.words import of_rate, percent
from coordgate.commands.arguments import add_store
from coordgate.show import printable

CODES: Final[dict[Verdict, int]] = {"met": 0, "missed": 1, "undecided": 3}
"""The exit codes; 2 is wrong usage, as everywhere."""

_COLOURS: Final[dict[Verdict, str]] = {"met": "green", "missed": "red", "undecided": "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Compare what was recorded with agreed rates. Exit codes: 0 all are shown to be met, "
        "1 one is shown to be missed, 3 the runs do not decide, 2 wrong usage. However many rates "
        "there are, by chance alone a check is failed, or passed, at most 1 time in 40."
    )
    add_store(parser)
    parser.add_argument("--slo", metavar="FILE", required=True, help="the agreed rates, as TOML")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Print each agreed rate with its verdict; return the code of the worst."""
    agreed = read_slo(arguments.slo)
    checked = check(audit(arguments.store), agreed)
    verdict = overall(checked)
    if arguments.json:
        told = {"verdict": verdict, "checked": [asdict(each) for each in checked]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        for each in checked:
            console.print(_line(each), soft_wrap=True)
        console.print(Text(verdict, _COLOURS[verdict]), soft_wrap=True)
    return CODES[verdict]


def _line(checked: Checked) -> Text:
    agreed, seen = checked.agreed, checked.seen
    line = Text(f"{checked.verdict:9}", _COLOURS[checked.verdict])
    found = f"{of_rate(seen)} of {seen.n}" if seen.n else _nothing(checked)
    if checked.verdict == "undecided" and seen.n:
        beyond = seen.high < agreed.at_least or seen.low >= agreed.at_least
        found += ", which may be chance" if beyond else ""
    line.append(f"  {printable(agreed.title)}: at least {percent(agreed.at_least)} agreed, {found}")
    return line


def _nothing(checked: Checked) -> str:
    """Return why nothing is known of a rate."""
    if checked.agreed.scope != "end_to_end":
        return f"nothing was recorded of it{checked.nearest}"
    return "no run has a label" if checked.agreed.what == "correct" else "no run has ended yet"
