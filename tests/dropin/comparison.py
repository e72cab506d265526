"""How two runs of the suite differ, and what a difference is worth: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from suite import Result

Kind = Literal["difference", "now and then", "flaky", "not seen again", "other"]
"""What a test that did not come out alike turned out to be.

`difference`: passes bare every time, and never guarded. `now and then`: passes bare every time, and
fails guarded in the first run and in some repeat. `flaky`: not deterministic bare. `not seen
again`: failed guarded once, and in no repeat, alone or in its file. `other`: does not pass bare.
"""

ABSENT = Result("absent", 0.0, "the run has no result for it")


@dataclass(frozen=True, slots=True)
class Unlike:
    """A test that did not come out alike, with the outcome of every run of it."""

    test: str
    """Its id."""
    bare: tuple[str, ...]
    """The outcomes bare, the first run first."""
    guarded: tuple[str, ...]
    """The outcomes guarded."""
    error: str
    """The line that says what went wrong, guarded if it failed there."""
    trace: str
    """The whole traceback of that failure."""

    @property
    def kind(self) -> Kind:
        """Return what it turned out to be."""
        if len(set(self.bare)) > 1:
            return "flaky"
        if self.bare[0] != "passed":
            return "other"
        if "passed" not in self.guarded:
            return "difference"
        if all(outcome == "passed" for outcome in self.guarded[1:]):
            return "not seen again"
        return "now and then"

    @property
    def counts(self) -> bool:
        """Return whether it breaks the bar: every test that passes bare passes guarded."""
        return self.kind in {"difference", "now and then"}


def unlike(bare: Mapping[str, Result], guarded: Mapping[str, Result]) -> list[Unlike]:
    """Return the tests whose outcome is not the same in both runs, in order of their ids."""
    found: list[Unlike] = []
    for test in sorted(bare.keys() | guarded.keys()):
        one, other = bare.get(test, ABSENT), guarded.get(test, ABSENT)
        if one.outcome != other.outcome:
            worse = one if other.outcome == "passed" else other
            found.append(Unlike(test, (one.outcome,), (other.outcome,), worse.error, worse.trace))
    return found


def with_repeat(
    tests: Iterable[Unlike], bare: Mapping[str, Result], guarded: Mapping[str, Result]
) -> list[Unlike]:
    """Return the same tests with the outcomes of one more run each way."""
    return [
        replace(
            test,
            bare=(*test.bare, bare.get(test.test, ABSENT).outcome),
            guarded=(*test.guarded, guarded.get(test.test, ABSENT).outcome),
        )
        for test in tests
    ]


def reason_for(test: str, reasons: Mapping[str, str]) -> str | None:
    """Return the reason listed for a test, by its id with or without its parameters."""
    return reasons.get(test) or reasons.get(test.split("[")[0])


def unused(reasons: Mapping[str, str], tests: Sequence[Unlike], ran: Iterable[str]) -> list[str]:
    """Return the listed ids of tests that ran and came out alike."""
    return sorted(_ids(ran) & reasons.keys() - _ids(test.test for test in tests))


def _ids(tests: Iterable[str]) -> set[str]:
    """Return the ids with and without their parameters."""
    return {each for test in tests for each in (test, test.split("[")[0])}
