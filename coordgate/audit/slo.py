"""Service levels: rates that were agreed, and whether an audit shows them met or missed.

A check of many rates errs no more often than one of a single rate. That rates are missed is shown
by Holm's method (1979) over exact tests, so that a check of rates that are all kept is failed by
chance at most 1 time in 40, however many they are and however they hang together. That all are met
is shown by each one's own test, since all must be (Berger 1982): a check is passed though a rate is
not kept at most 1 time in 40.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from coordgate.audit.intervals import Rate, chance_of_fewer, chance_of_more
from coordgate.audit.report import AuditReport
from coordgate.contract import nearest
from coordgate.errors import ConfigurationError

Verdict = Literal["met", "missed", "undecided"]

_WHOLE: Final = ("completed", "accepted", "first_pass", "correct")
_PART: Final = ("first_pass", "accepted")

CHANCE: Final = 1 / 40
"""How often at most a check may err, either way."""

_NOTHING: Final = Rate(0, 0, None, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Agreed:
    """A rate that was agreed."""

    scope: Literal["end_to_end", "nodes", "handoffs"]
    """What it is of."""
    name: str
    """The node, or the handoff as `producer -> consumer`; empty for end to end."""
    what: str
    """`completed`, `accepted`, `first_pass` or `correct`."""
    at_least: float
    """The rate."""

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{self.name or 'end to end'}: {self.what.replace('_', ' ')}"


@dataclass(frozen=True, slots=True)
class Checked:
    """An agreed rate beside what was seen."""

    agreed: Agreed
    """What was agreed."""
    seen: Rate
    """What was seen."""
    verdict: Verdict
    """What is shown of it, among all rates that are checked together."""
    nearest: str = ""
    """What is recorded under a name that is near, where nothing is under this one."""


def read_slo(path: str | os.PathLike[str]) -> tuple[Agreed, ...]:
    """Return the agreed rates of a TOML file.

    Raises:
        ConfigurationError: there is no such file, it is no TOML, or says what cannot be checked.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: is no TOML: {error}") from error
    agreed = tuple(_agreed(document, str(path)))
    if not agreed:
        raise ConfigurationError(
            f"{path}: agrees on nothing; write, for one, [end_to_end] and accepted = 0.95"
        )
    return agreed


def _agreed(document: Mapping[str, Any], path: str) -> Iterator[Agreed]:
    for scope, content in document.items():
        if scope == "end_to_end":
            yield from _rates("end_to_end", "", _table(content, f"{path}: [{scope}]"), _WHOLE, path)
        elif scope in {"nodes", "handoffs"}:
            named: Literal["nodes", "handoffs"] = "nodes" if scope == "nodes" else "handoffs"
            for name, rates in _table(content, f"{path}: [{scope}]").items():
                where = f'{path}: [{scope}."{name}"]'
                yield from _rates(named, name, _table(rates, where), _PART, path)
        else:
            raise ConfigurationError(
                f"{path}: [{scope}] is not known; use [end_to_end], [nodes.NAME] or "
                '[handoffs."PRODUCER -> CONSUMER"]'
            )


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where} must be a table")
    return cast("dict[str, Any]", value)


def _rates(
    scope: Literal["end_to_end", "nodes", "handoffs"],
    name: str,
    rates: Mapping[str, Any],
    known: tuple[str, ...],
    path: str,
) -> Iterator[Agreed]:
    for what, value in rates.items():
        where = f"{path}: {what!r} of {name or scope}"
        if what not in known:
            raise ConfigurationError(f"{where} cannot be checked; there are {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ConfigurationError(f"{where} is {value!r}; give a rate from 0 to 1")
        yield Agreed(scope, name, what, float(value))


def check(report: AuditReport, agreed: tuple[Agreed, ...]) -> tuple[Checked, ...]:
    """Return each agreed rate with what the audit shows of it."""
    seen = [_seen(report, each) for each in agreed]
    verdicts = verdicts_of(seen, [each.at_least for each in agreed])
    return tuple(
        Checked(each, rate, verdict, "" if rate.n else _near(report, each))
        for each, rate, verdict in zip(agreed, seen, verdicts, strict=True)
    )


def verdicts_of(seen: Sequence[Rate], at_least: Sequence[float]) -> list[Verdict]:
    """Return the verdict on each of several rates that are checked together."""
    pairs = list(zip(seen, at_least, strict=True))
    shown = _holm([chance_of_fewer(rate, agreed) for rate, agreed in pairs if rate.n], CHANCE)
    verdicts: list[Verdict] = []
    for rate, agreed in pairs:
        if not rate.n:
            verdicts.append("undecided")
        elif chance_of_fewer(rate, agreed) <= shown:
            verdicts.append("missed")
        else:
            verdicts.append("met" if chance_of_more(rate, agreed) <= CHANCE else "undecided")
    return verdicts


def _holm(chances: Sequence[float], level: float) -> float:
    """Return up to which chance a finding counts as shown among several; -1 if none does."""
    shown = -1.0
    for before, chance in enumerate(sorted(chances)):
        if chance > level / (len(chances) - before):
            break
        shown = chance
    return shown


def _near(report: AuditReport, agreed: Agreed) -> str:
    match agreed.scope:
        case "end_to_end":
            return ""
        case "nodes":
            return nearest(agreed.name, [each.node for each in report.nodes])
        case "handoffs":
            pairs = [f"{each.producer} -> {each.consumer}" for each in report.handoffs]
            return nearest(agreed.name, pairs)


def _seen(report: AuditReport, agreed: Agreed) -> Rate:
    match agreed.scope:
        case "end_to_end":
            whole = {
                "completed": report.completed,
                "accepted": report.accepted,
                "first_pass": report.first_pass.observed,
                "correct": report.correct or _NOTHING,
            }
            return whole[agreed.what]
        case "nodes":
            parts = {node.node: (node.first_pass, node.accepted) for node in report.nodes}
        case "handoffs":
            parts = {
                f"{each.producer} -> {each.consumer}": (each.first_pass, each.accepted)
                for each in report.handoffs
            }
    first_pass, accepted = parts.get(agreed.name, (_NOTHING, _NOTHING))
    return first_pass if agreed.what == "first_pass" else accepted


def overall(checked: tuple[Checked, ...]) -> Verdict:
    """Return whether all agreed rates are met, any is missed, or that is not decided."""
    verdicts = {each.verdict for each in checked}
    if "missed" in verdicts:
        return "missed"
    return "undecided" if "undecided" in verdicts else "met"
