"""The command line: `coordgate show`, `coordgate demo`. Each command is added by one function."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from coordgate.errors import CoordgateError

if TYPE_CHECKING:
    from rich.text import Text

Command: TypeAlias = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # pyright: ignore[reportPrivateUsage]

_DESCRIPTION = """\
Read what a guarded LangGraph graph recorded: its runs, every transition of a run, and why a
hand-over was not accepted."""

_EPILOG = """\
examples:
  coordgate show traces.db                 the latest runs, and what failed first in each
  coordgate show traces.db latest          the transitions of the latest run
  coordgate show traces.db 3f1b9c          of the run whose id begins so
  coordgate show traces.db --failed        only runs in which something failed
  coordgate show traces.db latest --json   for machines; docs/cli.md tells the keys
  coordgate demo                           a retrieve-draft-verify agent, guarded

A graph records its runs when it is guarded with a tracer:

  app = guard(builder, tracer=Tracer("traces.db")).compile()

exit codes: 0 done, 1 the demo's run failed, 2 wrong usage or a store that cannot be read."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and end with code 2."""
        self.exit(2, f"coordgate: {_one_line(message)}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        # What was recorded may hold what the terminal's encoding lacks.
        reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        run: Command = arguments.command
        code = run(arguments)
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    except CoordgateError as error:
        sys.stderr.write(f"coordgate: {_one_line(str(error))}\n")
        return 2
    except BrokenPipeError:
        # Who read has gone, as `| head` does. Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> Parser:
    parser = Parser(
        prog="coordgate",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"coordgate {version('coordgate')}")

    def print_help(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(command=print_help)
    commands: Commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_show, _add_demo):
        add(commands)
    return parser


def _add_show(commands: Commands) -> None:
    parser = commands.add_parser(
        "show",
        help="show the recorded runs, or the transitions of one",
        description="Show the recorded runs, or the transitions of one run.",
    )
    parser.add_argument("store", metavar="STORE", help="a trace file (.db, .jsonl) or its URL")
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
        type=_count,
        metavar="N",
        help="at most N runs (20 if not given) or transitions (all); 0 for all",
    )
    parser.add_argument(
        "--values", action="store_true", help="show what was read, handed over and written, too"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=_show)


def _show(arguments: argparse.Namespace) -> int:
    from itertools import islice  # noqa: PLC0415 - cli.py loads what a command needs, then

    from rich.console import Console  # noqa: PLC0415

    from coordgate import show  # noqa: PLC0415
    from coordgate.errors import StoreError  # noqa: PLC0415
    from coordgate.stores import open_store  # noqa: PLC0415

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
            found = list(islice(chosen, (20 if limit is None else limit) or None))
            if arguments.json:
                sys.stdout.write(show.runs_json(name, found) + "\n")
            elif found:
                put(show.runs_lines(found, width=width))
            else:
                put(show.note("no run has failed" if arguments.failed else "no runs yet"))
            return 0
        if arguments.run == "latest":
            run = next(store.runs(limit=1), None)
            if run is None:
                raise StoreError(f"{name}: holds no runs yet")
        else:
            run = store.run(arguments.run)
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


def _add_demo(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="run a guarded retrieve-draft-verify agent on real documents",
        description="Run a guarded retrieve-draft-verify agent on real documents.",
    )
    parser.add_argument("--docs", metavar="DIR", help="a folder of Markdown to answer from")
    parser.add_argument("--ask", metavar="TEXT", help="the question")
    parser.add_argument(
        "--faults",
        type=_share,
        metavar="P",
        help="how often the offline stand-in for a model goes wrong, from 0 to 1",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the seed of those faults")
    parser.add_argument("--bare", action="store_true", help="the same run without the guard")
    parser.add_argument("--store", metavar="PATH", help="record there (a bare run is not recorded)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from coordgate.demo import main as demo  # noqa: PLC0415 - it loads LangGraph
    except ImportError as error:
        sys.stderr.write(f"coordgate: {error}\n")
        return 2
    return demo(arguments)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a count from 0")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share


def _one_line(text: str) -> str:
    """Return a message as one line that cannot steer the terminal."""
    return " ".join(
        "".join(each if each.isprintable() else " " for each in line).strip()
        for line in text.splitlines()
    )


if __name__ == "__main__":
    sys.exit(main())
