"""The command line: the table of commands, and what they share: usage errors, exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, NoReturn

from coordgate.errors import CoordgateError

COMMANDS: Final = {
    "show": ("coordgate.commands.show", "show the recorded runs, or the transitions of one"),
    "view": ("coordgate.commands.view", "show the records in a browser"),
    "cost": ("coordgate.commands.cost", "which node, model or run burns the budget, and wastes it"),
    "audit": ("coordgate.commands.audit", "how reliable are handoffs and whole, what gate next"),
    "check": ("coordgate.commands.check", "are agreed rates met? for CI"),
    "reliability": ("coordgate.commands.reliability", "multiply out a design on paper"),
    "eval": ("coordgate.commands.eval", "run a graph on cases, and score its answers"),
    "replay": ("coordgate.commands.replay", "run a recorded run again, without its bodies"),
    "backtest": ("coordgate.commands.backtest", "ask today's gates about what was recorded"),
    "export": ("coordgate.commands.export", "write the records where other tools read them"),
    "demo": ("coordgate.commands.demo", "run a guarded retrieve-draft-verify agent on documents"),
    "review": ("coordgate.commands.review", "list what waits for a person, and answer it"),
}
"""Each command: the module that has its `add_arguments` and `run`, and what `--help` says of it."""

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
  coordgate show traces.db --follow        what is recorded from now on, as it comes
  coordgate view traces.db                 all of it in a browser
  coordgate cost traces.db                 which node burns the budget, and what was wasted
  coordgate audit traces.db                how reliable each handoff is, and the whole
  coordgate check traces.db --slo slo.toml whether agreed rates are met
  coordgate reliability 0.98 0.96 --handoffs 0.97   what a design on paper comes to
  coordgate eval app.py:graph --cases cases.jsonl --scorer score.py:right --against bare
  coordgate replay traces.db latest --app app.py:graph   does it still go the same way?
  coordgate backtest traces.db --app app.py:graph        what would today's gates have said?
  coordgate export traces.db traces.parquet   for DuckDB, pandas and other tools
  coordgate demo                           a retrieve-draft-verify agent, guarded
  coordgate review app.py:graph            what waits for a person; answer with --approve, ...

A graph records its runs when it is guarded with a tracer:

  app = guard(builder, tracer=Tracer("traces.db")).compile()

exit codes: 0 done, 1 the run failed, an answer was refused or an agreed rate is missed, 2 wrong
usage or a store that cannot be read, 3 the runs do not decide about an agreed rate."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and end with code 2."""
        self.exit(2, f"coordgate: {_one_line(message)}; see `{self.prog} --help`\n")


class Command(Parser):
    """The parser of one command, whose module is loaded when it is asked for."""

    def __init__(self, *, module: str, **options: Any) -> None:
        super().__init__(**options)
        self._module: str | None = module

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it is overloaded
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Load the module, let it add its arguments, and parse."""
        if self._module is not None:
            module = import_module(self._module)
            self._module = None
            module.add_arguments(self)
            self.set_defaults(command=module.run)
        return super().parse_known_args(args, namespace)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        # What was recorded may hold what the terminal's encoding lacks.
        reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        code: int = arguments.command(arguments)
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
    except (CoordgateError, ImportError) as error:
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
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Command)
    for name, (module, says) in COMMANDS.items():
        commands.add_parser(name, help=says, module=module)
    return parser


def _one_line(text: str) -> str:
    """Return a message as one line that cannot steer the terminal."""
    return " ".join(
        "".join(each if each.isprintable() else " " for each in line).strip()
        for line in text.splitlines()
    )


if __name__ == "__main__":
    sys.exit(main())
