"""The points that are measured."""

from __future__ import annotations

from pipeline import RATE, STEPS, Checker, Point

from coordgate.testing.faults import Burst, WrongValue

DETECTION = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
ALARMS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
ATTEMPTS = (2, 3)
ENDS = (0.5, 0.8, 0.95)
FALSE_ALARM = 0.02
GOOD = 0.8
"""The detection rate of the gates in all that follows the first table."""
OTHER_SEEDS = range(1, 11)
"""Where the two pipelines that matter most are measured again."""

_WRONG = 1 - RATE
_HARD_RUNS = 0.1
_EASY = 0.005
_HARD = (_WRONG - _EASY) / ((1 - _EASY) * _HARD_RUNS)
"""In hard runs, how often a step is wrong, so that over all runs it is right as often as stated."""


def gated(name: str, *checkers: Checker, attempts: int = 3, **more: object) -> Point:
    """Return a point with gates."""
    return Point(name, checkers=checkers, attempts=attempts, **more)  # type: ignore[arg-type]


def again() -> list[Point]:
    """Return the points that are measured with the other seeds too: bare, and well gated."""
    return [Point("bare"), gated("good", Checker(GOOD, FALSE_ALARM))]


def all_points() -> list[Point]:
    """Return every point, by a name of its own."""
    good = Checker(GOOD, FALSE_ALARM)
    points = [Point("bare")]
    points += [
        gated(f"detect {rate} in {attempts}", Checker(rate, FALSE_ALARM), attempts=attempts)
        for attempts in ATTEMPTS
        for rate in DETECTION
    ]
    points += [gated(f"whole {rate}", Checker(rate, FALSE_ALARM), whole=True) for rate in ENDS]
    points += [gated(f"alarm {rate}", Checker(GOOD, rate)) for rate in ALARMS]
    for share in SHARES:
        faults = {
            step: (
                WrongValue(_WRONG * (1 - share), key="value"),
                Burst(_WRONG * share, [WrongValue(1, key="value")], name=step),
            )
            for step in STEPS
        }
        points.append(gated(f"persistent {share}", good, faults=faults))
    hard = dict.fromkeys(
        STEPS,
        (WrongValue(_EASY, key="value"), Burst(_HARD_RUNS, [WrongValue(_HARD, key="value")])),
    )
    points += [Point("hard bare", faults=hard), gated("hard gated", good, faults=hard)]
    other = Checker(GOOD, FALSE_ALARM, name="other")
    points += [
        gated("two apart", good, other),
        gated("two alike", good, Checker(GOOD, FALSE_ALARM)),
        gated("blind", Checker(GOOD, FALSE_ALARM, blind=True)),
    ]
    return points
