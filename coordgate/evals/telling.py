"""How an eval looks in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from coordgate.audit.words import of_rate, points
from coordgate.evals.summary import EvalReport, VariantReport
from coordgate.show import counted, duration

_ROWS: tuple[tuple[str, Callable[[VariantReport], str]], ...] = (
    ("correct", lambda each: of_rate(each.correct)),
    ("failed", lambda each: str(each.failed)),
    ("asked a person", lambda each: str(each.waiting)),
    ("attempts per correct answer", lambda each: _number(each.attempts_per_correct)),
    ("tokens per correct answer", lambda each: _number(each.tokens_per_correct)),
    ("USD per correct answer", lambda each: _number(each.usd_per_correct)),
    ("calls of models", lambda each: str(each.spent.calls)),
    ("seconds a run", lambda each: duration(each.spent.seconds / max(1, each.correct.n))),
)


def lines(found: EvalReport) -> Iterator[str]:
    """Yield an eval in words."""
    each = "each " if found.cases > 1 else ""
    times = "once" if found.runs == 1 else f"{found.runs} times"
    yield f"{counted(found.cases, 'case')}, {each}{times}; experiment {found.experiment}"
    yield f"runs in {found.store}"
    yield ""
    yield f"{'':28}" + "".join(f"{each.variant:>28}" for each in found.variants)
    rows = [*_ROWS]
    most = min(len(each.pass_at) for each in found.variants)
    if most > 1:
        rows[1:1] = [
            (f"pass@{most} (ever correct)", lambda each: of_rate(each.ever)),
            (f"pass^{most} (always correct)", lambda each: of_rate(each.always)),
        ]
    for name, told in rows:
        cells = [told(each) for each in found.variants]
        if any(cell != "-" for cell in cells):
            yield f"{name:28}" + "".join(f"{cell:>28}" for cell in cells)
    if found.gain is not None:
        yield ""
        yield f"guarded less bare, on the same cases and seeds: {points(found.gain)}"


def _number(given: float | None) -> str:
    if given is None:
        return "-"
    return f"{given:.2f}" if given >= 0.1 else f"{given:.3g}"
