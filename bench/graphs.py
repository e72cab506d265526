"""Subject 1: a 6-node graph bare, guarded, and with the gates written by hand; by node."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from measure import Case, Figures, Series, ameasure, calls_for, measure, say, shown, table
from pipeline import QUESTION, STAGES, bare, by_hand, declaration, guarded

from coordgate import Tracer

SAVERS = ("none", "memory", "sqlite")
"""The checkpointers: none, InMemorySaver, SqliteSaver or AsyncSqliteSaver."""

LIMITS = {"sync": 1.08, "async": 1.06}
"""The bars: guarded over bare, without checkpointer."""


class Unlike(Exception):
    """A variant did not do the same work as the others, so its time says nothing."""


@dataclass(slots=True)
class Subject:
    """One variant of the graph, with the saver it writes to."""

    name: str
    """What the tables call it."""
    app: Any
    """The compiled graph."""
    saver: Any = None
    """Its checkpointer."""
    tracer: Tracer | None = None
    """Its tracer."""
    used: list[str] = field(default_factory=list)
    """The threads of this window."""
    _threads: Any = field(default_factory=itertools.count)

    def config(self) -> dict[str, Any] | None:
        """Return the config of the next run: a new thread, where there is a checkpointer."""
        if self.saver is None:
            return None
        thread = f"{self.name} {next(self._threads)}"
        self.used.append(thread)
        return {"configurable": {"thread_id": thread}}

    def call(self) -> Any:
        """Run the graph once."""
        return self.app.invoke({"question": QUESTION}, self.config())

    async def acall(self) -> Any:
        """Run the graph once, async."""
        return await self.app.ainvoke({"question": QUESTION}, self.config())

    def settle(self) -> None:
        """Wait until all that was traced is written.

        Raises:
            Unlike: it cannot be written.
        """
        tracer = self.tracer
        if tracer is not None and (not tracer.flush() or tracer.lost):
            raise Unlike(f"{self.name!r}: records were lost; mend that before you measure it")

    def clear(self) -> None:
        """Drop the threads of this window."""
        for thread in self.used:
            self.saver.delete_thread(thread)
        self.used.clear()

    async def aclear(self) -> None:
        """Drop the threads of this window, async."""
        for thread in self.used:
            await self.saver.adelete_thread(thread)
        self.used.clear()

    def case(self, *, in_async: bool) -> Case:
        """Return what is measured."""
        if in_async:
            return Case(self.name, self.acall, len(STAGES), None, self.settle, self.aclear)
        return Case(self.name, self.call, len(STAGES), None, self.settle, self.clear)


Build = Callable[[Any, Tracer | None], Any]


def variants(*, in_async: bool) -> dict[str, tuple[Build, bool]]:
    """Return what is compared: by name, how it is built, and whether it is traced."""
    full = partial(guarded, in_async=in_async, declared=declaration)
    found: dict[str, tuple[Build, bool]] = {
        "bare": (lambda saver, _: bare(saver, in_async=in_async), False),
        "guarded": (lambda saver, tracer: full(saver, tracer=tracer), True),
        "guarded, nothing declared": (
            lambda saver, tracer: guarded(saver, in_async=in_async, tracer=tracer),
            True,
        ),
        "guarded, no tracer": (lambda saver, _: full(saver), False),
        "gates by hand": (lambda saver, _: by_hand(saver, in_async=in_async), False),
    }
    if in_async:
        found["gates by hand, async routers"] = (
            lambda saver, _: by_hand(saver, in_async=True, async_routers=True),
            False,
        )
    return found


def run(home: Path, *, rounds: int, window: float) -> Figures:
    """Measure every combination, and print a table for each."""
    found: Figures = {}
    for way in ("sync", "async"):
        for saver in SAVERS:
            place = home / f"{way}-{saver}"
            place.mkdir()
            if way == "sync":
                taken, answers, calls = _in_sync(place, saver, rounds, window)
            else:
                taken, answers, calls = asyncio.run(_in_async(place, saver, rounds, window))
            found[f"{way}, {saver}"] = {
                "calls_per_window": calls,
                "variants": {n: s.figures(taken["bare"]) for n, s in taken.items()},
                "answers": answers,
            }
            _print(way, saver, taken, rounds, calls)
    return found


def _in_sync(
    home: Path, saver: str, rounds: int, window: float
) -> tuple[dict[str, Series], Figures, int]:
    with ExitStack() as stack:
        subjects: list[Subject] = []
        for at, (name, (build, traced)) in enumerate(variants(in_async=False).items()):
            own: Any = None
            if saver == "memory":
                own = InMemorySaver()
            elif saver == "sqlite":
                file = str(home / f"checkpoints-{at}.db")
                own = stack.enter_context(SqliteSaver.from_conn_string(file))
            tracer = _tracer(stack, home / f"traces-{at}.db") if traced else None
            subjects.append(Subject(name, build(own, tracer), own, tracer))
        answers = {each.name: each.call() for each in subjects}
        agree(answers)
        calls = calls_for(window, subjects[0].call, tries=5)
        for each in subjects:
            each.call()
            each.clear()
        cases = [each.case(in_async=False) for each in subjects]
        return measure(cases, rounds=rounds, calls=calls), answers, calls


async def _in_async(
    home: Path, saver: str, rounds: int, window: float
) -> tuple[dict[str, Series], Figures, int]:
    async with AsyncExitStack() as stack:
        subjects: list[Subject] = []
        for at, (name, (build, traced)) in enumerate(variants(in_async=True).items()):
            own: Any = None
            if saver == "memory":
                own = InMemorySaver()
            elif saver == "sqlite":
                file = str(home / f"checkpoints-{at}.db")
                own = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(file))
            tracer = _tracer(stack, home / f"traces-{at}.db") if traced else None
            subjects.append(Subject(name, build(own, tracer), own, tracer))
        answers = {each.name: await each.acall() for each in subjects}
        agree(answers)
        cases = [each.case(in_async=True) for each in subjects]
        # One call's time is taken from a short measurement, since a loop is running already.
        trial = await ameasure(cases, rounds=2, calls=5)
        calls = max(1, round(window * 1e6 / (min(trial["bare"].wall) * len(STAGES))))
        return await ameasure(cases, rounds=rounds, calls=calls), answers, calls


def _tracer(stack: ExitStack | AsyncExitStack, path: Path) -> Tracer:
    return stack.enter_context(Tracer(path))


def agree(answers: Figures) -> None:
    """Check that all variants gave what the bare graph gave.

    Raises:
        Unlike: one did not.
    """
    right = answers["bare"]
    for name, answer in answers.items():
        if any(answer.get(key) != value for key, value in right.items()):
            raise Unlike(
                f"{name!r} gave {json.dumps(answer)}, where bare gave {json.dumps(right)}: "
                "mend the variant before you measure it"
            )


def _print(way: str, saver: str, taken: dict[str, Series], rounds: int, calls: int) -> None:
    say(f"\n6-node graph, {way}, checkpointer: {saver} ({rounds} rounds of {calls} runs; µs/node)")
    base = taken["bare"]
    rows: list[Sequence[str]] = []
    for name, series in taken.items():
        figures = series.figures(None)
        rows.append(
            (
                name,
                _cell(figures["wall_us"]),
                shown(series.ratio(base), 3),
                shown(series.ratio(base, "typical"), 3),
                shown(series.ratio(base, "settled"), 3),
                _cell(figures["cpu_us"]),
                shown(series.ratio(base, "cpu"), 3),
            )
        )
    head = ("", "wall", "ratio to bare", "median run", "until written", "CPU", "ratio")
    table(head, rows)


def _cell(figure: Figures) -> str:
    return f"{figure['median']:.0f} [{figure['q1']:.0f}, {figure['q3']:.0f}]"
