"""What the demo shows: each transition as it happens, the answer, and what the gates caught."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from coordgate import show
from coordgate.tracer import BeatingSink, Record, Run, RunId, Sink, Transition


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that the answer cites."""

    number: int
    """The number it is cited by."""
    path: str
    """The file."""
    line: int
    """The line where the passage begins."""
    heading: str
    """The headings above it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run works with."""

    question: str
    """What is asked."""
    mode: Literal["guarded", "bare"]
    """Whether coordgate guards the graph."""
    model: str
    """What answers, in words."""
    documents: int
    """How many files were read."""
    passages: int
    """How many passages they were cut into."""
    folder: str
    """Where they were read from."""
    skipped: tuple[str, ...] = ()
    """The files that were left out, each with the reason."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended."""

    answer: str | None
    """What went out; None if nothing did."""
    sources: tuple[Source, ...]
    """The passages that the answer cites."""
    supported: bool | None
    """What `verify` said of the answer; None if it said nothing."""
    objections: tuple[str, ...]
    """What the gates of `draft`, asked after the fact, say against the answer."""
    stated: bool = False
    """Whether the answer is the one that the policy of `draft` states when no draft passes."""
    unverified: str | None = None
    """Why the answer is not verified, where `verify` does not say that it is supported."""
    error: str | None = None
    """What ended the run, if it failed."""
    failed_in: str | None = None
    """The node that it failed in; None if unknown."""


class Screen:
    """A terminal, or a pipe, to show a run on. Control characters from outside are escaped."""

    def __init__(self, console: Console | None = None) -> None:
        """Show on `console`; on the standard output if there is none."""
        self._console = console or Console(highlight=False, markup=False, emoji=False)

    def problem(self, text: str) -> None:
        """Say why a run could not begin."""
        self._line(f"coordgate demo: {text}", "red")

    def setting(self, setting: Setting) -> None:
        """Say what answers, from what, and to which question."""
        guarded = "guarded" if setting.mode == "guarded" else "bare, without a guard"
        self._line(f"retrieve -> draft -> verify, {guarded}", "bold")
        self._field("model", setting.model)
        read = f"{_count(setting.documents, 'document')}, {_count(setting.passages, 'passage')}"
        self._field("documents", f"{read} from {setting.folder}")
        for name in setting.skipped[:3]:
            self._field("", f"left out: {name}")
        if len(setting.skipped) > 3:
            self._field("", f"left out: {len(setting.skipped) - 3} more")
        self._field("question", setting.question)
        self._line("")

    def transition(self, transition: Transition) -> None:
        """Show one transition of a guarded run in a line, and its failed attempts below it."""
        style = {"accepted": "green", "degraded": "yellow", "failed": "red"}
        attempts = len(transition.attempts)
        line = Text(f"{transition.node:<10}")
        line.append(f"{transition.status:<10}", style.get(transition.status, ""))
        line.append(f"{transition.seconds * 1000:6.0f} ms")
        line.append(f"   -> {', '.join(transition.goto)}" if transition.goto else "")
        line.append(f"   ({attempts} attempts)" if attempts > 1 else "")
        self._console.print(line)

    def step(self, node: str, keys: Sequence[str]) -> None:
        """Show one step of a bare run: what the node wrote, whatever it is."""
        self._line(f"{node:<10}wrote {', '.join(keys) or 'nothing'}")

    def result(self, setting: Setting, result: Result) -> None:
        """Show the answer with its sources; where there is none, or a bad one, say so."""
        self._line("")
        if result.error is not None:
            where = f" in {result.failed_in}" if result.failed_in else ""
            how = "failed" if setting.mode == "guarded" else "crashed"
            self._line(f"The run {how}{where}. No answer went out.", "bold red")
            self._indented(brief(result.error) if setting.mode == "bare" else result.error)
            return
        self._line("Answer", "bold")
        self._indented(result.answer or "(empty)")
        self._line("")
        self._line("Sources", "bold")
        for source in result.sources:
            self._indented(f"[{source.number}] {source.path}:{source.line}  {source.heading}")
        if not result.sources:
            self._indented("none cited")
        if result.unverified is not None and not result.stated:
            self._line("")
            self._line(f"Not verified: {result.unverified}.", "yellow")
        if result.stated:
            self._line("")
            self._line(
                "No draft passed: this is the answer that the policy states for it.", "yellow"
            )
        elif result.objections:
            self._line("")
            self._line("This answer went out. The gates, asked after the fact, say:", "bold red")
            for objection in result.objections:
                self._indented(f"- {objection}")

    def caught(self, transitions: Sequence[Transition]) -> None:
        """Show each attempt of the nodes that did not succeed with their first."""
        self._line("")
        self._line("What the gates caught", "bold")
        troubled = [each for each in transitions if show.has_failed(each)]
        if not troubled:
            self._indented("nothing: every first attempt passed its contract and its gates")
        for transition in troubled:
            text = show.transition_lines(_briefly(transition), width=self._console.width)
            written = self._writable(text.plain)
            coloured = text if written == text.plain else Text(written)
            self._console.print(coloured, soft_wrap=True)

    def recorded(self, store: str, run: RunId | None, lost: int) -> None:
        """Say where the run was recorded and how to look at it."""
        if run is None or lost:
            self._line("")
            self._line(f"{lost} records could not be written to {store}", "red")
            return
        commands = [f"coordgate show {store} {run[:12]}"]
        if all(map(find_spec, ("jinja2", "starlette", "uvicorn"))):  # the extra `viewer`
            commands.append(f"coordgate view {store}")
        self.hint(f"Recorded in {store}. Look at it with:", *commands)

    def hint(self, text: str, *commands: str) -> None:
        """Show commands to try next, as they can be typed here."""
        here = Path(sys.argv[0])
        self._line("")
        self._line(text)
        for command in commands:
            if here.name == "coordgate" and shutil.which("coordgate") is None:
                command = command.replace("coordgate", os.path.relpath(here), 1)
            self._console.print(Text(f"  {self._printable(command)}"), soft_wrap=True)

    def document(
        self,
        setting: Setting,
        result: Result,
        live: Live | None = None,
        store: str | None = None,
    ) -> None:
        """Write the whole run as one JSON document; `live` holds the record of a guarded one."""
        told = {
            **asdict(setting),
            **asdict(result),
            "status": "completed" if result.error is None else "failed",
            "run": live.run if live else None,
            "store": store,
            "transitions": [asdict(each) for each in live.transitions] if live else [],
        }
        self._console.file.write(json.dumps(told, indent=2) + "\n")

    def _field(self, name: str, value: str) -> None:
        self._indented(value, first=f"{name:<11}", by=11)

    def _line(self, text: str, style: str = "") -> None:
        self._console.print(Text(self._printable(text), style=style))

    def _indented(self, text: str, *, by: int = 2, first: str | None = None) -> None:
        for line in self._printable(text).split("\n"):
            wrapped = textwrap.fill(
                line,
                max(self._console.width, 40),
                initial_indent=" " * by if first is None else first,
                subsequent_indent=" " * by,
                break_long_words=False,
                break_on_hyphens=False,
            )
            self._console.print(Text(wrapped), soft_wrap=True)

    def _printable(self, text: str) -> str:
        return self._writable(show.printable(text))

    def _writable(self, text: str) -> str:
        """Return `text` with what the terminal's encoding lacks shown as its escape."""
        encoding = self._console.encoding
        return text.encode(encoding, "backslashreplace").decode(encoding)


class Live:
    """A sink that shows each transition as it is recorded, and passes all on to a store."""

    def __init__(self, store: Sink, screen: Screen | None) -> None:
        """Pass on to `store`; show on `screen`, if there is one."""
        self._store = store
        self._screen = screen
        self.run: RunId | None = None
        """The run that was recorded."""
        self.transitions: list[Transition] = []
        """Its transitions so far."""

    def write(self, records: Sequence[Record]) -> None:
        """Show what is new, then store; a batch that the store refused comes here again."""
        for record in records:
            if isinstance(record, Run):
                self.run = record.id
            elif record.number > len(self.transitions):
                self.transitions.append(record)
                if self._screen is not None:
                    self._screen.transition(record)
        self._store.write(records)

    def beat(self) -> float | None:
        """Let the store say that this process lives."""
        return self._store.beat() if isinstance(self._store, BeatingSink) else None


def brief(reason: str, limit: int = 400) -> str:
    """Return a reason on one line, its middle left out if it is long: both ends tell most."""
    told = re.sub(r"For troubleshooting, visit: \S+", "", " ".join(reason.split())).strip()
    return told if len(told) <= limit else f"{told[: limit // 3]} ... {told[-limit * 2 // 3 :]}"


def _briefly(transition: Transition) -> Transition:
    """Return a transition with short reasons, and without the name of its task."""
    attempts = tuple(
        replace(
            attempt,
            reasons=tuple(brief(reason) for reason in show.unsaid(attempt)),
            error=None if attempt.error is None else brief(attempt.error),
        )
        for attempt in transition.attempts
    )
    return replace(transition, attempts=attempts, namespace="")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
