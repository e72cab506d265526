"""`coordgate cost`: which node, model or run burns the budget, and what of it was wasted."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing

from rich.console import Console
from rich.text import Text

from coordgate.commands.arguments import add_store
from coordgate.costs import Costs, Spending, as_json, costs, told
from coordgate.prices import Prices
from coordgate.recorded import chosen_run
from coordgate.show import note, printable
from coordgate.stores import open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Sum up what the recorded model calls spent, the greatest first, and what of it went into "
        "attempts that were not accepted. What is unknown is said, and never taken for 0."
    )
    add_store(parser)
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="one run: its id, a beginning of it, or `latest`"
    )
    parser.add_argument(
        "--by", choices=["node", "model", "run"], default="node", help="what to sum over (node)"
    )
    parser.add_argument(
        "--prices", metavar="FILE", help="prices in TOML, to be used instead of what was recorded"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Print the spending."""
    name: str = arguments.store
    prices = None if arguments.prices is None else Prices.load(arguments.prices)
    with closing(open_store(name)) as store:
        asked = arguments.run
        runs = store.runs() if asked is None else [chosen_run(store, name, asked)]
        found = costs(
            ((each, store.transitions(each.id)) for each in runs), by=arguments.by, prices=prices
        )
    if arguments.json:
        sys.stdout.write(as_json(name, found) + "\n")
        return 0
    console = Console(highlight=False, markup=False, emoji=False)
    if not found.rows:
        console.print(note("no model call was recorded"), soft_wrap=True)
        return 0
    console.print(_table(found), soft_wrap=True)
    for line in told(found):
        console.print(note(printable(line)), soft_wrap=True)
    return 0


def _table(found: Costs) -> Text:
    names = [printable(row.name) for row in found.rows]
    width = max([len("TOTAL"), *map(len, names)])
    share = f"OF {found.share_of.upper()}"
    text = Text(
        f"{found.by.upper():{width}}  {'CALLS':>6}  {'TOKENS IN':>10}  {'OUT':>10}  {'COST':>14}"
        f"  {share:>9}  {'WASTED':>6}",
        style="bold",
    )
    for name, row in zip([*names, "TOTAL"], [*found.rows, found.total], strict=True):
        text.append(f"\n{name:{width}}  {_figures(row)}", style="")
        text.append(f"  {_percent(found.share(row)):>9}  {_percent(row.wasted):>6}", style="")
    return text


def _figures(row: Spending) -> str:
    tokens = f"{row.calls:>6}  {row.tokens_in:>10,}  {row.tokens_out:>10,}"
    return f"{tokens}  {_cost(row):>14}"


def _cost(row: Spending) -> str:
    if row.known:
        return f"${row.cost:.4g}"
    return f"over ${row.cost:.4g}" if row.cost else "unknown"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
