"""Questions: what a person is asked about one task, and what the record keeps of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic_core import to_jsonable_python

from coordgate.answers import Decided
from coordgate.contract import Checked
from coordgate.plan import NodePlan
from coordgate.policy import Cause, Escalate
from coordgate.update import ship, shown, targets

KEY = "coordgate"
"""Where a payload and a kept answer hold what is the engine's own."""


@dataclass(slots=True)
class Question:
    """What a person is asked about one task."""

    rung: Escalate
    """The rung that asks."""
    cause: Cause
    """What failed."""
    candidate: Any
    """The update as it would ship; None if there is none."""
    output: Any
    """What would ship, where that is more than the candidate: a Command, an Overwrite."""
    goto: tuple[str, ...]
    """The nodes that the output goes to."""
    reasons: tuple[str, ...]
    """Why the last attempt was not accepted."""
    allowed: tuple[Decided, ...]
    """What may be decided."""
    asked_at: float
    """Seconds since the epoch."""
    position: int = -1
    """Which of the task's interrupts it is, from 0; -1 before it is put."""
    refused: tuple[str, ...] = ()
    """Why the last answer was not taken."""

    @property
    def name(self) -> str:
        """What the record and the errors call the person's judgement."""
        return f"escalate:{self.rung.to}"

    @property
    def until(self) -> float | None:
        """When it is closed if nobody has answered."""
        return None if self.rung.within is None else self.asked_at + self.rung.within

    def passed_on(self, rung: Escalate, reasons: tuple[str, ...]) -> Question:
        """Return the same question to somebody else."""
        return replace(
            self,
            rung=rung,
            reasons=(*self.reasons, *reasons),
            asked_at=now(rung),
            position=-1,
            refused=(),
        )

    @property
    def overdue(self) -> bool:
        """Whether its time is over."""
        return self.until is not None and now(self.rung) >= self.until


def open_question(
    rung: Escalate,
    node: NodePlan,
    checked: Checked | None,
    output: Any,
    cause: Cause,
    reasons: tuple[str, ...],
    *,
    repeatable: bool,
) -> Question:
    """Make the question about an attempt that was not accepted."""
    allowed: list[Decided] = ["approve", "edit", "reject", "retry"]
    candidate: Any = None
    whole: Any = None
    goto: tuple[str, ...] = ()
    if checked is not None and cause != "error":
        candidate, whole, goto = _shown(checked, output, node)
    if checked is None or cause != "gate":
        allowed.remove("approve")
        candidate, whole = to_jsonable_python(candidate, fallback=repr), None
    if cause == "input" or not repeatable:
        allowed.remove("retry")
    return Question(rung, cause, candidate, whole, goto, reasons, tuple(allowed), now(rung))


def _shown(checked: Checked, output: Any, node: NodePlan) -> tuple[Any, Any, tuple[str, ...]]:
    """Return the update that would ship, the output around it if there is more, and its targets."""
    named, sent = targets(output)
    goto = (*named, *sent)
    if checked.violations:
        return checked.update, None, goto
    whole: Any = output
    if checked.values is not None:
        whole = ship(output, iter(checked.values), node.keys)
    update = shown(whole, node.keys, node.reduced)
    if whole is update or (type(whole) is dict and _same(update, cast("dict[str, Any]", whole))):
        return update, None, goto
    return update, cast("Any", whole), goto


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) is value for key, value in other.items())


def recorded(payload: Mapping[str, Any], id: str) -> dict[str, Any]:
    """Return what the record keeps of a question: what was shown, without the answers' schemas."""
    kept = {key: value for key, value in payload.items() if key != KEY}
    asked_at = payload[KEY]["asked_at"]
    return {"id": id, **kept, "answers": list(payload["answers"]), "asked_at": asked_at}


def now(rung: Escalate) -> float:
    """Return the time, in seconds since the epoch."""
    return (rung.clock or time.time)()
