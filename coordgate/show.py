"""How runs and transitions look in a terminal, and as JSON: pure functions of records."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rich.text import Text

from coordgate.printable import printable as printable  # what else is shown needs it, too
from coordgate.record import FAILED
from coordgate.tracer import Attempt, Run, Transition

_COLOURS: Final = {
    "accepted": "green",
    "completed": "green",
    "observed": "yellow",
    "degraded": "yellow",
    "rerouted": "yellow",
    "sent_back": "yellow",
    "interrupted": "yellow",
    "running": "cyan",
    "handed_up": "cyan",
    "cancelled": "yellow",
    "rejected": "red",
    "violated": "red",
    "raised": "red",
    "failed": "red",
    "lost": "red",
}


@dataclass(frozen=True, slots=True)
class FirstFailure:
    """The first attempt of a run that was not accepted."""

    transition: int
    """The number of its transition."""
    node: str
    """The node."""
    attempt: int
    """The number of the attempt."""
    outcome: str
    """How it ended."""
    reason: str
    """Why it was not accepted: the first reason, or what it raised."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run with what its transitions say in short."""

    run: Run
    """The run."""
    transitions: int
    """How many it has."""
    seconds: float | None
    """From its start to its end; to the end of its last transition if it has not ended."""
    first_failure: FirstFailure | None
    """What failed first, if anything did."""

    @property
    def failed(self) -> bool:
        """Whether anything did not go as it should."""
        return self.first_failure is not None or self.run.status in {"failed", "lost"}


def summarise(run: Run, transitions: Iterable[Transition]) -> Summary:
    """Return a run in short."""
    count, last, failure = 0, None, None
    for transition in transitions:
        count += 1
        ended = transition.started + transition.seconds
        last = ended if last is None else max(last, ended)
        failure = failure or _first_failure(transition)
    end = run.ended if run.ended is not None else last
    return Summary(run, count, None if end is None else max(0.0, end - run.started), failure)


def has_failed(transition: Transition) -> bool:
    """Return whether any attempt of a transition was not accepted, or the whole of it failed."""
    return transition.status == "failed" or _first_failure(transition) is not None


def _first_failure(transition: Transition) -> FirstFailure | None:
    for attempt in transition.attempts:
        if attempt.outcome in FAILED:
            return FirstFailure(
                transition.number,
                transition.node,
                attempt.number,
                attempt.outcome,
                next(iter(_reasons(attempt)), ""),
            )
    return None


def _reasons(attempt: Attempt) -> Sequence[str]:
    if attempt.reasons:
        return attempt.reasons
    return [attempt.error] if attempt.error else []


def unsaid(attempt: Attempt) -> Sequence[str]:
    """Return the reasons of an attempt that no verdict of it states already."""
    told = {verdict.reason for verdict in attempt.verdicts if verdict.reason}
    # The engine names the gate before its reason.
    return [reason for reason in attempt.reasons if not any(reason.endswith(t) for t in told)]


def duration(seconds: float | None) -> str:
    """Return a duration in the unit that suits it."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min"


def moment(at: float) -> str:
    """Return a time as date and time of day, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def runs_lines(summaries: Sequence[Summary], *, width: int | None = None) -> Text:
    """Return runs as lines, one for each and one more for what failed first in it.

    Args:
        summaries: The runs.
        width: Where long reasons are wrapped; None to leave them whole, one line each.
    """
    lines = _Lines(width)
    ids = _short([summary.run.id for summary in summaries])
    widest = max([3, *map(len, ids)])
    head = f"{'RUN':{widest}}  {'STATUS':11}  {'STARTED (UTC)':19}  {'TOOK':>8}  TRANSITIONS  GRAPH"
    lines.add(Text(head, style="bold"))
    for id, summary in zip(ids, summaries, strict=True):
        run = summary.run
        line = Text(f"{id:{widest}}  ")
        line.append(f"{run.status:11}", style=_COLOURS.get(run.status, ""))
        line.append(f"  {moment(run.started)}  {duration(summary.seconds):>8}")
        line.append(f"  {summary.transitions:>11}  {printable(run.graph)}")
        lines.add(line)
        failure = summary.first_failure
        if failure is not None:
            where = f"{failure.node}, attempt {failure.attempt}, {failure.outcome}"
            lines.wrapped(4, f"failed first: {where}: {failure.reason}", style="dim")
        elif run.error:
            lines.wrapped(4, run.error, style="dim")
    return lines.text


def run_line(run: Run) -> Text:
    """Return how a run stands, in one line."""
    line = Text(f"run {printable(run.id)}  ", style="bold")
    line.append(run.status, style=_COLOURS.get(run.status, ""))
    thread = f"  thread {printable(run.thread)}" if run.thread is not None else ""
    took = "" if run.ended is None else f"  took {duration(run.ended - run.started)}"
    line.append(f"  graph {printable(run.graph)}{thread}{took}", style="dim not bold")
    if run.error:
        line.append(f"  {printable(run.error)}", style="red not bold")
    return line


def run_lines(summary: Summary, *, width: int | None = None) -> Text:
    """Return what stands above a run's transitions."""
    lines = _Lines(width)
    run = summary.run
    line = Text(f"run {printable(run.id)}  ", style="bold")
    line.append(run.status, style=_COLOURS.get(run.status, ""))
    lines.add(line)
    thread = f"  thread {run.thread}" if run.thread is not None else ""
    lines.wrapped(2, f"graph {run.graph}  mode {run.mode}{thread}", style="dim")
    lines.wrapped(
        2,
        f"started {moment(run.started)} UTC  took {duration(summary.seconds)}"
        f"  transitions {summary.transitions}",
        style="dim",
    )
    if run.error:
        lines.wrapped(2, run.error, style="red")
    return lines.text


def transition_lines(
    transition: Transition, *, width: int | None = None, values: bool = False
) -> Text:
    """Return a transition with its attempts, and the verdict and reason of each gate.

    Args:
        transition: The transition.
        width: Where long reasons are wrapped; None to leave them whole, one line each.
        values: Whether to show what was read, handed over and written as well.
    """
    lines = _Lines(width)
    came = ", ".join(transition.producers) or "input"
    goes = ", ".join(transition.goto)
    line = Text(f"{transition.number:>3}  ")
    line.append(printable(transition.node), style="bold")
    line.append("  ")
    line.append(transition.status, style=_COLOURS.get(transition.status, ""))
    line.append(f"  {duration(transition.seconds)}")
    line.append(printable(f"  {came} -> {goes}" if goes else f"  from {came}"), style="dim")
    lines.add(line)
    if transition.namespace:
        lines.wrapped(5, f"in {transition.namespace}", style="dim")
    if values:
        lines.value(5, "read", transition.reads)
    for attempt in transition.attempts:
        _add_attempt(lines, attempt, values)
    if values:
        lines.value(5, "wrote", transition.writes)
    return lines.text


def _add_attempt(lines: _Lines, attempt: Attempt, values: bool) -> None:
    line = Text(f"     attempt {attempt.number}  {printable(attempt.rung)}  ")
    line.append(attempt.outcome, style=_COLOURS.get(attempt.outcome, ""))
    line.append(f"  {duration(attempt.seconds)}")
    if attempt.model is not None:
        line.append(f"  {printable(attempt.model)}")
    if attempt.tokens_in is not None or attempt.tokens_out is not None:
        line.append(f"  {attempt.tokens_in or 0}+{attempt.tokens_out or 0} tokens")
    if attempt.decision is not None:
        by = f" by {printable(attempt.by)}" if attempt.by else ""
        line.append(f"  {printable(attempt.decision)}{by}")
    if attempt.cost is not None:
        line.append(f"  ${attempt.cost:.4g}")
    lines.add(line)
    for verdict in attempt.verdicts:
        score = "" if verdict.score is None else f" {verdict.score:.3g}"
        mark, style = ("pass", "green") if verdict.passed else ("FAIL", "red")
        reason = f": {verdict.reason}" if verdict.reason else ""
        lines.wrapped(7, f"{verdict.gate}{score}{reason}", mark=f"{mark} ", mark_style=style)
    for reason in unsaid(attempt):
        lines.wrapped(7, reason, mark="why  ", mark_style="red")
    if attempt.error is not None and attempt.error not in attempt.reasons:
        lines.wrapped(7, attempt.error, mark="error ", mark_style="red")
    for call in _failed_calls(attempt):
        lines.wrapped(7, call, mark="call  ", mark_style="red")
    if values and attempt.output is not None:
        lines.value(7, "gave", attempt.output)


def _failed_calls(attempt: Attempt) -> Iterator[str]:
    """Yield the errors of model calls which the attempt did not itself raise as they were."""
    for call in attempt.calls:
        if call.error is not None and call.error not in (attempt.error or ""):
            yield f"{call.model or 'a model'}: {call.error}"


class _Lines:
    """Lines of a text, wrapped with a hanging indent where a width is given."""

    def __init__(self, width: int | None) -> None:
        self.text = Text()
        self._width = width

    def add(self, line: Text) -> None:
        if self.text:
            self.text.append("\n")
        self.text.append_text(line)

    def wrapped(
        self, indent: int, body: str, *, style: str = "", mark: str = "", mark_style: str = ""
    ) -> None:
        hanging = indent + len(mark)
        pieces: list[str] = []
        for piece in printable(body).split("\n"):
            if self._width is None:
                pieces.append(piece)
            else:
                room = max(20, self._width - hanging)
                pieces += textwrap.wrap(piece, room, break_on_hyphens=False) or [""]
        for place, piece in enumerate(pieces):
            line = Text(" " * indent)
            line.append(mark if place == 0 else " " * len(mark), style=mark_style)
            line.append(piece, style=style)
            self.add(line)

    def value(self, indent: int, name: str, text: str | None) -> None:
        self.wrapped(indent, "nothing" if text is None else text, mark=f"{name:5} ", style="dim")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 run`, `1,200 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def note(text: str) -> Text:
    """Return a remark about what there is to see."""
    return Text(text, style="dim")


def _short(ids: Sequence[str]) -> list[str]:
    """Return beginnings of the ids, as short as keeps them apart, and no shorter than 8."""
    for length in range(8, max([8, *map(len, ids)])):
        if len({id[:length] for id in ids}) == len(ids):
            return [printable(id[:length]) for id in ids]
    return [printable(id) for id in ids]


def runs_json(store: str, summaries: Sequence[Summary], *, more: bool) -> str:
    """Return runs as one JSON document; docs/cli.md tells its keys."""
    runs = [_summary(each) for each in summaries]
    return _document({"store": store, "runs": runs, "more": more})


def run_json(store: str, summary: Summary, transitions: Iterable[Transition]) -> str:
    """Return a run with its transitions as one JSON document; docs/cli.md tells its keys."""
    return _document(
        {
            "store": store,
            "run": _summary(summary),
            "transitions": [asdict(transition) for transition in transitions],
        }
    )


def followed_json(record: Run | Transition) -> str:
    """Return what is new as one line of JSON; docs/cli.md tells its keys."""
    kind = "run" if isinstance(record, Run) else "transition"
    return _document({kind: asdict(record)}, indent=None)


def _summary(summary: Summary) -> dict[str, Any]:
    failure = summary.first_failure
    return {
        **asdict(summary.run),
        "seconds": summary.seconds,
        "transitions": summary.transitions,
        "first_failure": None if failure is None else asdict(failure),
    }


def _document(document: object, indent: int | None = 2) -> str:
    # JSON has no infinity; ASCII alone keeps a terminal out of the reach of what was recorded.
    text = json.dumps(_finite(document), indent=indent, ensure_ascii=True, allow_nan=False)
    return re.sub("\x7f", r"\\u007f", text)


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if value - value == 0 else str(value)
        case dict():
            return {key: _finite(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list() | tuple():
            return [_finite(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
