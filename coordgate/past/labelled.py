"""Labels by what they are about: the label of one attempt, of what shipped, of a whole run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from coordgate.audit.labels import of_attempts, of_runs
from coordgate.labels import Label
from coordgate.record import Attempt, Transition


@dataclass(slots=True)
class Confusion:
    """What a check rejected, beside what was correct."""

    rejected_wrong: int = 0
    """Rejected, and not correct."""
    rejected_right: int = 0
    """Rejected, and correct: false alarms."""
    passed_wrong: int = 0
    """Passed, and not correct: misses."""
    passed_right: int = 0
    """Passed, and correct."""

    def add(self, *, rejected: bool, correct: bool) -> None:
        """Count one."""
        if rejected:
            self.rejected_right += correct
            self.rejected_wrong += not correct
        else:
            self.passed_right += correct
            self.passed_wrong += not correct

    @property
    def of_rejected(self) -> tuple[int, int]:
        """Precision: how many of those rejected were not correct, of how many."""
        return self.rejected_wrong, self.rejected_wrong + self.rejected_right

    @property
    def of_wrong(self) -> tuple[int, int]:
        """Recall: how many of those not correct were rejected, of how many."""
        return self.rejected_wrong, self.rejected_wrong + self.passed_wrong


class Labelled:
    """The labels of a store, looked up by what they are about; several sources must all agree."""

    def __init__(self, labels: Iterable[Label]) -> None:
        """Sort them by run."""
        self._of: defaultdict[str, list[Label]] = defaultdict(list)
        for label in labels:
            self._of[label.run].append(label)

    def run(self, run: str) -> bool | None:
        """Return whether a run's result was correct; None if nobody says."""
        return of_runs(self._of.get(run, ())).get(run)

    def attempt(self, transition: Transition, attempt: Attempt) -> bool | None:
        """Return whether what an attempt handed over was correct; None if nobody says."""
        given = self._of.get(transition.run, ())
        return of_attempts(given, transition).get(attempt.number) if given else None
