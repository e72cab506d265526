"""Votes: a judge that is asked several times, as many at once as its quorum still lacks."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass

from coordgate.gate import Verdict
from coordgate.gates.values import said_of

_AT_ONCE = 8
"""How many votes are asked for at the same time at most."""


@dataclass(slots=True)
class _Vote:
    """What one vote came to."""

    passed: bool = False
    why: str = ""
    error: str | None = "it did not end"


def count(vote: Callable[[], tuple[bool, str]], votes: int, needed: int) -> Verdict:
    """Ask until the quorum is reached or cannot be reached any more.

    As many votes are asked for at once as the quorum lacks, so that a candidate which passes them
    all has cost no vote too many. Each is cast in a copy of the context, where what it spends is
    put on the attempt that is judged.
    """
    heard: list[_Vote] = []
    passed = 0
    while passed < needed <= passed + votes - len(heard):
        heard += _at_once(vote, min(needed - passed, _AT_ONCE))
        passed = sum(each.passed for each in heard)
    if passed >= needed:
        return Verdict.accept(passed / len(heard))
    against = [each.why for each in heard if not each.passed and each.error is None]
    failed = [each.error for each in heard if each.error is not None]
    if failed and votes - len(against) >= needed:
        said = "; ".join(dict.fromkeys(failed))
        return Verdict(passed=False, reason=f"the judge could not judge: {said}", broken=True)
    return Verdict.reject("; ".join(dict.fromkeys(against)), passed / len(heard))


def _at_once(vote: Callable[[], tuple[bool, str]], number: int) -> list[_Vote]:
    cast = [_Vote() for _ in range(number)]
    if number == 1:
        _cast(vote, cast[0])
        return cast
    threads = [
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(_cast, vote, each),
            name="coordgate-vote",
            daemon=True,
        )
        for each in cast
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return cast


def _cast(vote: Callable[[], tuple[bool, str]], into: _Vote) -> None:
    try:
        into.passed, into.why = vote()
        into.error = None
    except Exception as error:  # noqa: BLE001 - a vote that fails is no vote for it
        into.error = said_of(error)
