"""The page that the figures go into: a template with a place for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from pipeline import RATE, STEPS, Measured
from points import ALARMS, ATTEMPTS, DETECTION, ENDS, FALSE_ALARM, GOOD, OTHER_SEEDS, SHARES

from coordgate.audit.intervals import rate
from coordgate.audit.reliability import GateModel, reliability

TARGET = 0.96
_OUTCOMES = ("ends right", "stopped", "ends wrong", "steps run")
_BESIDE = ("ends right", "on paper", "stopped", "ends wrong", "steps run")


def written(found: Mapping[str, Measured], *, runs: int, seed: int) -> str:
    """Return the page, its figures those measured."""
    bare, hard = found["bare"], found["hard bare"]
    good, hard_gated = found[f"detect {GOOD} in 3"], found["hard gated"]
    enough = least_detection(found)
    takes = found[f"detect {enough} in 3"]
    values = {
        "runs": f"{runs:,}",
        "seed": seed,
        "langgraph": version("langgraph"),
        "rate": _percent(RATE),
        "fault": _percent(1 - RATE),
        "product": _percent(RATE ** len(STEPS)),
        "steps": ", ".join(STEPS),
        "target": _percent(TARGET),
        "alarm": _percent(FALSE_ALARM),
        "good": _percent(GOOD),
        "enough": _percent(enough),
        "enough_right": _rate(takes.correct, takes.runs),
        "enough_stopped": _rate(takes.stopped, takes.runs),
        "enough_wrong": _rate(takes.wrong, takes.runs),
        "enough_more": _percent(takes.calls / bare.calls - 1),
        "bare_wrong": _rate(bare.wrong, bare.runs),
        "bare_right": _right(bare),
        "persistent_none": _right(found["persistent 0.0"]),
        "persistent_all": _right(found["persistent 1.0"]),
        "hard_bare": _right(hard),
        "hard_gain": f"{100 * (hard_gated.correct - hard.correct) / runs:.1f}",
        "plain_gain": f"{100 * (good.correct - bare.correct) / runs:.1f}",
        "detection_table": _table(("attempts", "detection rate", *_BESIDE), _detection_rows(found)),
        "whole_table": _table(("detection rate", *_BESIDE), _whole_rows(found)),
        "persistent_table": _table(
            ("faults that come again", *_OUTCOMES),
            [(_percent(share), *_row(found[f"persistent {share}"])) for share in SHARES],
        ),
        "hard_table": _table(
            ("pipeline", *_OUTCOMES), [("bare", *_row(hard)), ("gated", *_row(hard_gated))]
        ),
        "blind_table": _table(
            ("gates on every step", *_OUTCOMES),
            [
                ("one", *_row(good)),
                ("two that err independently", *_row(found["two apart"])),
                ("two that err on the same outputs", *_row(found["two alike"])),
                ("one that errs alike at every attempt", *_row(found["blind"])),
            ],
        ),
        "seeds": f"{OTHER_SEEDS[0]} to {OTHER_SEEDS[-1]}",
        "seeds_table": _table(
            ("pipeline", "ends right, all these seeds", "least", "most"),
            [
                ("bare", *_over_seeds(found, "bare")),
                ("gated", *_over_seeds(found, "good")),
            ],
        ),
        "alarm_table": _table(
            ("false alarm rate", *_OUTCOMES),
            [(_percent(alarm), *_row(found[f"alarm {alarm}"])) for alarm in ALARMS],
        ),
    }
    template = Path(__file__).with_name("template.md").read_text(encoding="utf-8")
    return template.format_map(values)


def least_detection(found: Mapping[str, Measured]) -> float:
    """Return the lowest detection rate measured at which the target lies within the interval."""
    for each in DETECTION:
        seen = found[f"detect {each} in 3"]
        if rate(seen.correct, seen.runs).high >= TARGET:
            return each
    return DETECTION[-1]


def _detection_rows(found: Mapping[str, Measured]) -> Iterable[tuple[str, ...]]:
    yield "1 (bare)", "-", *_beside(found["bare"], reliability([RATE] * len(STEPS)).end_to_end)
    for attempts in ATTEMPTS:
        for each in DETECTION:
            gates = GateModel(each, FALSE_ALARM, attempts)
            paper = reliability([RATE] * len(STEPS), gates=gates).end_to_end
            seen = _beside(found[f"detect {each} in {attempts}"], paper)
            yield str(attempts), _percent(each), *seen


def _whole_rows(found: Mapping[str, Measured]) -> Iterable[tuple[str, ...]]:
    for each in ENDS:
        gates = GateModel(each, FALSE_ALARM, 3)
        paper = reliability([RATE ** len(STEPS)], gates=gates).end_to_end
        yield _percent(each), *_beside(found[f"whole {each}"], paper)


def _over_seeds(found: Mapping[str, Measured], name: str) -> tuple[str, str, str]:
    seen = [found[f"{name} by {seed}"] for seed in OTHER_SEEDS]
    shares = sorted(_share(each) for each in seen)
    right = _rate(sum(each.correct for each in seen), sum(each.runs for each in seen))
    return right, f"{shares[0]:.1%}", f"{shares[-1]:.1%}"


def _beside(seen: Measured, paper: float) -> tuple[str, ...]:
    right, *others = _row(seen)
    return (right, _percent(paper), *others)


def _row(seen: Measured) -> tuple[str, str, str, str]:
    outcomes = [_rate(each, seen.runs) for each in (seen.correct, seen.stopped, seen.wrong)]
    return (outcomes[0], outcomes[1], outcomes[2], f"{seen.calls / seen.runs:.2f}")


def _share(seen: Measured) -> float:
    return seen.correct / seen.runs


def _right(seen: Measured) -> str:
    return _percent(_share(seen))


def _rate(count: int, total: int) -> str:
    seen = rate(count, total)
    return f"{count / total:.1%} [{seen.low:.1%}, {seen.high:.1%}]"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace(".0%", "%")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
