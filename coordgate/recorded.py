"""A recorded run whole, to be looked at in a terminal or a notebook."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from typing import Final

from coordgate.errors import StoreError
from coordgate.printable import printable
from coordgate.record import Attempt, Run, Transition
from coordgate.show import duration, moment, run_lines, summarise, transition_lines, unsaid
from coordgate.stores import Store, open_store

_ROWS: Final = 200
"""How many transitions a notebook is shown."""
_CHARS: Final = 400
"""Where a reason is cut there."""
_GREEN, _YELLOW, _RED = "#2e9e5b", "#b97a10", "#d64545"
_COLOURS: Final = {
    **dict.fromkeys(("accepted", "completed"), _GREEN),
    **dict.fromkeys(("rejected", "violated", "raised", "failed", "lost"), _RED),
}


@dataclass(frozen=True, slots=True, repr=False)
class RecordedRun:
    """A run and its transitions: in a terminal by `print`, in a notebook by itself."""

    run: Run
    """The run."""
    transitions: tuple[Transition, ...]
    """Its transitions, in the order of their ending."""

    def __repr__(self) -> str:
        """Return the run in a line."""
        count = len(self.transitions)
        return f"{self.run!r} ({count} transition{'' if count == 1 else 's'})"

    def __str__(self) -> str:
        """Return what `coordgate show` prints of it."""
        lines = [run_lines(summarise(self.run, self.transitions))]
        lines += map(transition_lines, self.transitions)
        return "\n".join(each.plain for each in lines)

    def _repr_html_(self) -> str:
        """Return its transitions and their attempts as a table, made harmless."""
        run, summary = self.run, summarise(self.run, self.transitions)
        thread = "" if run.thread is None else f", thread {run.thread}"
        error = "" if run.error is None else f"<br>{_text(run.error)}"
        shown = self.transitions[:_ROWS]
        more = len(self.transitions) - len(shown)
        return (
            f"<p><b>run {_text(run.id)}</b> {_status(run.status)} {_text(run.graph)}, mode "
            f"{run.mode}{_text(thread)}, started {moment(run.started)} UTC, took "
            f"{duration(summary.seconds)}{error}</p><table>{_row('th', _HEAD)}"
            f"{''.join(map(_transition, shown))}</table>"
            + (f"<p>and {more:,} more transitions</p>" if more else "")
        )


def recorded_run(store: Store | str | os.PathLike[str], run: str = "latest") -> RecordedRun:
    """Read a run whole: by its id, a beginning of it, or `latest`.

    Args:
        store: A store, or the path or URL of one.
        run: Which run.

    Raises:
        StoreError: the store cannot be read, or there is no such run, or there are several.
    """
    if not isinstance(store, Store):
        with closing(open_store(store)) as opened:
            return _read(opened, os.fspath(store), run)
    return _read(store, repr(store), run)


def _read(store: Store, name: str, asked: str) -> RecordedRun:
    run = chosen_run(store, name, asked)
    return RecordedRun(run, tuple(store.transitions(run.id)))


def chosen_run(store: Store, name: str, asked: str) -> Run:
    """Return the run that is asked for: by its id, a beginning of it, or `latest`.

    Raises:
        StoreError: there is none, or there are several.
    """
    if asked != "latest":
        return store.run(asked)
    run = next(store.runs(limit=1), None)
    if run is None:
        raise StoreError(f"{name}: holds no runs yet")
    return run


_HEAD = ("#", "node", "status", "took", "from", "to", "attempts")


def _graphs_around(each: Transition) -> list[str]:
    """Return the nodes that are the graphs around a transition's, the outermost first."""
    around, _, _ = each.namespace.rpartition("|")
    return [part.partition(":")[0] for part in around.split("|")] if around else []


def _transition(each: Transition) -> str:
    cells = (
        str(each.number),
        _text("|".join([*_graphs_around(each), each.node])),
        _status(each.status),
        duration(each.seconds),
        _text(", ".join(each.producers) or "input"),
        _text(", ".join(each.goto)),
        "<br>".join(map(_attempt, each.attempts)),
    )
    return _row("td", cells)


def _attempt(each: Attempt) -> str:
    failed = [verdict for verdict in each.verdicts if not verdict.passed]
    why = [f"{verdict.gate}: {verdict.reason}" for verdict in failed] + list(unsaid(each))
    spent = "" if each.cost is None else f", ${each.cost:.4g}"
    head = f"{each.number} {_text(each.rung)} {_status(each.outcome)} {duration(each.seconds)}"
    return f"{head}{spent}{''.join(f'<br>&nbsp;&nbsp;{_text(reason)}' for reason in why)}"


def _row(kind: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(_cell(kind, cell) for cell in cells)}</tr>"


def _cell(kind: str, html: str) -> str:
    return f"<{kind} style='text-align: left; vertical-align: top'>{html}</{kind}>"


def _status(status: str) -> str:
    return f"<span style='color: {_COLOURS.get(status, _YELLOW)}'>{_text(status)}</span>"


def _text(text: str) -> str:
    cut = text if len(text) <= _CHARS else f"{text[: _CHARS - 1]}…"
    return escape(printable(cut))
