"""`coordgate eval`: a graph on cases whose right answers are known."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from coordgate.commands.arguments import at_least_one
from coordgate.evals.cases import read_cases
from coordgate.evals.running import Plan, run_trials, variants_of
from coordgate.evals.scorer import Score, Scorer, load_scorer
from coordgate.evals.summary import summarise
from coordgate.evals.telling import lines
from coordgate.evals.trials import Trial, experiment_of, fingerprint, trials_of
from coordgate.labels import labels_beside, read_labels
from coordgate.loading import OpenGraph, open_graph
from coordgate.stores import open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "Run a graph on cases, score what it answers, and say how often it is correct, at what "
        "cost. Every run lands in the store, and its score beside it as a label. Killed in the "
        "middle, the same command goes on where it stopped."
    )
    parser.add_argument("app", metavar="FILE.py:NAME", help="the graph, or its factory")
    parser.add_argument(
        "--cases",
        required=True,
        metavar="CASES",
        help="cases.jsonl, FILE.py:NAME, or langsmith:DATASET",
    )
    parser.add_argument(
        "--scorer",
        required=True,
        metavar="MODULE:NAME",
        help="a function of (output, case), or an evaluator of LangSmith's",
    )
    parser.add_argument(
        "--runs", type=at_least_one, default=1, metavar="K", help="how often each case is run"
    )
    parser.add_argument(
        "--against", choices=["bare"], help="run the graph without its guard too, on the same seeds"
    )
    parser.add_argument(
        "--at-least", type=float, metavar="X", help="from which score on an answer is correct"
    )
    parser.add_argument(
        "--parallel", type=at_least_one, default=4, metavar="N", help="so many runs at once"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the runs' seeds")
    parser.add_argument(
        "--store", default="eval.db", metavar="STORE", help="where the runs land (eval.db)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Run what is left to run, and print what it came to."""
    target: str = arguments.app
    cases = read_cases(arguments.cases)
    scorer = load_scorer(arguments.scorer, at_least=arguments.at_least)
    path = labels_beside(arguments.store)
    with open_graph(target) as opened:
        variants = variants_of(opened.graph, target, arguments.against)
        wanted = trials_of(cases, arguments.runs, variants)
        mark = fingerprint(target, arguments.scorer, cases, arguments.seed, arguments.at_least)
        experiment, left = experiment_of(mark, list(read_labels(path)), wanted)
        plan = Plan(experiment, arguments.store, Path(path), arguments.seed, arguments.parallel)
        _run(opened, left, len(wanted), scorer, plan)
    store = open_store(arguments.store)
    try:
        found = summarise(experiment, store, arguments.store, read_labels(path), variants)
    finally:
        store.close()
    if arguments.json:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    else:
        for line in lines(found):
            sys.stdout.write(line + "\n")
    return 0


def _run(opened: OpenGraph, left: list[Trial], total: int, scorer: Scorer, plan: Plan) -> None:
    """Run trials, with a bar that says how far it is and how long it will take."""
    console = Console(stderr=True)
    done = total - len(left)
    if done:
        console.print(f"going on with {plan.experiment}: {done} of {total} are done")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(plan.experiment, total=total, completed=done)
        right = 0

        def hear(_trial: Trial, score: Score) -> None:
            nonlocal right, done
            done, right = done + 1, right + score.correct
            told = f"{plan.experiment}  {right} of {done - total + len(left)} correct"
            progress.update(bar, completed=done, description=told)

        run_trials(opened, left, scorer, plan, hear)
