"""Which runs a list shows: what the address asks for, and where in the list it goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self, get_args

from coordgate.record import Run, RunStatus, Transition

STATUSES: Final[tuple[str, ...]] = get_args(RunStatus)

VERDICTS: Final = {"rejected": "rejected by a gate", "passed": "passed by a gate"}
"""What may be asked of verdicts, and how the page says it."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What runs must have to be listed; empty and None let all through.

    Node, verdict, gate and text are looked for in one and the same transition; text also in the
    run's own id, thread, graph and error.
    """

    status: str = ""
    """The run's status."""
    node: str = ""
    """A node that ran."""
    verdict: str = ""
    """`rejected` or `passed`: what a gate said."""
    gate: str = ""
    """The gate that said it, or that was asked at all."""
    text: str = ""
    """What stands in the run, in what was read, handed over or written, or why it was rejected."""
    since: float | None = None
    """The run began at this time or later, in seconds since the epoch."""
    before: float | None = None
    """The run began earlier."""

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> Self:
        """Return what an address asks for.

        Raises:
            ValueError: something in it is not what it should be; the message says what.
        """
        status, verdict = query.get("status", ""), query.get("verdict", "")
        if status not in {"", *STATUSES}:
            raise ValueError(f"{status!r} is no status of a run: {', '.join(STATUSES)}")
        if verdict not in {"", *VERDICTS}:
            raise ValueError(f"{verdict!r} is no verdict: {', '.join(VERDICTS)}")
        return cls(
            status,
            query.get("node", "").strip(),
            verdict,
            query.get("gate", "").strip(),
            query.get("text", "").strip(),
            _time(query.get("from", "")),
            _time(query.get("to", "")),
        )

    def query(self) -> dict[str, str]:
        """Return what of an address asks for this."""
        given = {
            "status": self.status,
            "node": self.node,
            "verdict": self.verdict,
            "gate": self.gate,
            "text": self.text,
            "from": _shown(self.since),
            "to": _shown(self.before),
        }
        return {name: value for name, value in given.items() if value}

    def looks_into(self, run: Run) -> bool:
        """Return whether a run's transitions decide."""
        if self.node or self.verdict or self.gate:
            return True
        return bool(self.text) and not self.in_run(run)

    def needles(self) -> tuple[str, ...]:
        """Return the text as it may stand in a record: as it is, and as JSON writes it."""
        if not self.text:
            return ()
        written = json.dumps(self.text, ensure_ascii=False)[1:-1]
        return tuple({self.text.casefold(): None, written.casefold(): None})

    def in_run(self, run: Run) -> bool:
        """Return whether the text stands in the run itself."""
        own = "\n".join((run.id, run.thread or "", run.graph, run.error or ""))
        return contains(own, self.needles())

    def in_transition(self, each: Transition, *, text: bool) -> bool:
        """Return whether a transition has all that is asked; `text`: whether the text is, too."""
        verdicts = [verdict for attempt in each.attempts for verdict in attempt.verdicts]
        return (
            self.node in {"", each.node}
            and (
                not (self.verdict or self.gate)
                or any(
                    self.gate in {"", verdict.gate}
                    and self.verdict in {"", "passed" if verdict.passed else "rejected"}
                    for verdict in verdicts
                )
            )
            and (not text or contains(_text_of(each), self.needles()))
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the list something stands; the list goes from the newest run to the oldest."""

    started: float
    """When the run began."""
    id: str
    """The run."""
    number: int | None = None
    """The transition up to which the run was looked at; None if it is done with."""

    @classmethod
    def told(cls, text: str) -> Self:
        """Return the place that `str` has told.

        Raises:
            ValueError: it is no place.
        """
        started, _, rest = text.partition("~")
        number, tilde, id = rest.partition("~")
        at = float(started)
        if not tilde or not math.isfinite(at) or not (number == "" or number.isdecimal()):
            raise ValueError(f"{text!r} is no place in the list")
        return cls(at, id, min(int(number), 2**63 - 1) if number else None)

    def __str__(self) -> str:
        """Return it as text for an address."""
        return f"{self.started!r}~{'' if self.number is None else self.number}~{self.id}"


def contains(text: str, needles: tuple[str, ...]) -> bool:
    """Return whether any of the needles, which are casefolded, stands in a text."""
    folded = text.casefold()
    return any(each in folded for each in needles)


def _text_of(each: Transition) -> str:
    parts = [each.reads, each.writes]
    for attempt in each.attempts:
        parts += [*attempt.reasons, attempt.error, attempt.output]
    return "\n".join(part for part in parts if part)


def _time(text: str) -> float | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: write it as 2026-01-31 or 2026-01-31T09:30, in UTC"
        ) from None


def _shown(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
