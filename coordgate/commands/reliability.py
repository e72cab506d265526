"""`coordgate reliability`: what a design on paper comes to."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from coordgate.audit.reliability import GateModel, Reliability, reliability
from coordgate.commands.arguments import share
from coordgate.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Multiply out a series of nodes and the handoffs between them, with a gate on each node "
        "if --detection is given. The nodes are taken to fail independently of each other."
    )
    parser.add_argument(
        "nodes", metavar="RATE", nargs="+", type=share, help="how likely each node is right"
    )
    parser.add_argument(
        "--handoffs",
        metavar="RATE",
        nargs="+",
        type=share,
        default=[1.0],
        help="how likely a hand-over arrives right: one rate for all, or one for each (1)",
    )
    parser.add_argument(
        "--detection", metavar="P", type=share, help="how likely a gate rejects a wrong output"
    )
    parser.add_argument(
        "--false-alarm",
        metavar="P",
        type=share,
        default=0.0,
        help="how likely it rejects a right one (0)",
    )
    parser.add_argument(
        "--attempts",
        metavar="N",
        type=int,
        default=1,
        help="how often a gated node runs at most (1)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Print the design, node by node, and what it comes to."""
    gates = None
    if arguments.detection is not None:
        gates = GateModel(arguments.detection, arguments.false_alarm, arguments.attempts)
    elif arguments.false_alarm or arguments.attempts != 1:
        raise ConfigurationError(
            "--false-alarm and --attempts are of a gate: say with --detection how likely it is to "
            "reject a wrong output"
        )
    given: list[float] = arguments.handoffs
    design = reliability(
        arguments.nodes, handoffs=given[0] if len(given) == 1 else given, gates=gates
    )
    if arguments.json:
        sys.stdout.write(json.dumps(asdict(design), indent=2) + "\n")
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        console.print(_lines(design), soft_wrap=True)
    return 0


def _lines(design: Reliability) -> Text:
    gated = any(step.gate is not None for step in design.steps)
    width = max(len(step.node) for step in design.steps)
    text = Text()
    head = f"{'NODE':{width}}  {'RATE':>8}  {'HANDOFF':>8}  {'SO FAR':>8}"
    text.append(head + (f"  {'WRONG':>8}  {'STOPPED':>8}  {'CALLS':>8}" if gated else ""), "bold")
    for place, step in enumerate(design.steps):
        handoff = _rate(step.handoff) if place else "-"
        text.append(f"\n{step.node:{width}}  {_rate(step.rate):>8}  {handoff:>8}")
        text.append(f"  {_rate(step.correct):>8}")
        if gated:
            text.append(f"  {_rate(step.wrong):>8}  {_rate(step.stopped):>8}  {step.calls:8.4f}")
    text.append("\n\n")
    text.append(f"naive       {_rate(design.naive)}  the nodes alone\n")
    text.append(f"end to end  {_rate(design.end_to_end)}", "bold")
    text.append("  completed and right\n")
    text.append(f"gap         {_rate(design.gap)}")
    if gated:
        text.append(f"\nwrong       {_rate(design.wrong)}  completed, passed every gate, and wrong")
        text.append(f"\nstopped     {_rate(design.stopped)}  by a gate")
        text.append(f"\ncalls       {design.calls:.4f}  node bodies run, on average")
    return text


def _rate(value: float) -> str:
    """Return a rate with four digits: neither 1 of what is less, nor 0 of what is more."""
    text = f"{value:.4f}"
    if text == "1.0000" and value < 1:
        return f"1-{1 - value:.0e}"
    return f"{value:.1e}" if text in {"0.0000", "-0.0000"} and value else text
