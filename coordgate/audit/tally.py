"""The tally: what an audit keeps of the runs that it reads; its size does not grow with them."""

from __future__ import annotations

import math
import random
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coordgate.audit.kinds import Kind, kind_of
from coordgate.audit.trend import Trend
from coordgate.record import WASTED

KEPT: Final = 10_000
"""How many different courses of runs are kept; past that, a sample of as many runs."""

_PAUSED: Final = 100_000
"""How many paused threads are remembered, until they go on."""

_ENDED: Final = frozenset({"completed", "failed"})
_AT_ONCE: Final = 10_000
_STEP: Final = math.log(1.02)
"""Durations are kept in classes 2% apart, so that a quantile is right within 1%."""


class Row(NamedTuple):
    """One attempt with its transition; of a transition without attempts, the attempt is None."""

    transition: Any
    """What tells transitions apart."""
    run: str
    """The run's id."""
    namespace: str
    """The task's checkpoint namespace, if it lies in a subgraph; else empty."""
    node: str
    """The node's name."""
    status: str
    """The transition's status."""
    producers: str
    """A JSON array."""
    goto: str
    """A JSON array."""
    rung: str | None
    """The attempt's rung."""
    outcome: str | None
    """The attempt's outcome."""
    refused: int | None
    """1 if the node was handed a bad input."""
    seconds: float
    """The transition's duration."""
    spent: float | None
    """The attempt's duration."""
    tokens_in: int | None
    """Tokens sent."""
    tokens_out: int | None
    """Tokens received."""
    cost: float | None
    """In US dollars."""


class Course(NamedTuple):
    """How a run went, and what is known of it."""

    status: str
    """How the run ended."""
    mode: str
    """`enforce` or `observe`."""
    correct: bool | None
    """What its label says; None without one."""
    kinds: tuple[int, ...]
    """The numbers of the kinds of its transitions, sorted."""


@dataclass(slots=True)
class Spending:
    """What the attempts of a node took."""

    attempts: int = 0
    """How many there were."""
    seconds: float = 0.0
    """How long they took together."""
    tokens_in: int = 0
    """Tokens sent, as far as known."""
    tokens_out: int = 0
    """Tokens received, as far as known."""
    cost: float = 0.0
    """In US dollars, as far as known."""
    priced: int = 0
    """Of how many attempts the cost is known."""
    metered: int = 0
    """Of how many attempts the tokens are known."""

    def add(self, figures: NDArray[np.float64]) -> None:
        """Add attempts: rows of seconds, tokens in and out, and cost, NaN where not known."""
        known = ~np.isnan(figures)
        seconds, sent, received, cost = np.where(known, figures, 0).sum(0).tolist()
        self.attempts += len(figures)
        self.seconds += seconds
        self.tokens_in += round(sent)
        self.tokens_out += round(received)
        self.cost += cost
        self.metered += int((known[:, 1] | known[:, 2]).sum())
        self.priced += int(known[:, 3].sum())


@dataclass(slots=True)
class Verdicts:
    """What a gate said of a node's attempts."""

    asked: int = 0
    """How often it was asked."""
    passed: int = 0
    """How often it passed."""
    seconds: float = 0.0
    """How long it took, all together."""


class Tally:
    """Everything that an audit keeps of the runs."""

    def __init__(self) -> None:
        """Begin with no runs."""
        self.kinds: list[Kind] = []
        """The kinds of transitions, by number."""
        self.seen: Counter[int] = Counter()
        """How many transitions there were of each kind."""
        self.statuses: Counter[str] = Counter()
        """How many runs ended in each status."""
        self.modes: Counter[str] = Counter()
        """How many runs there were in each mode."""
        self.spending: dict[tuple[str, bool], Spending] = {}
        """By node, and whether it was not wasted."""
        self.verdicts: dict[tuple[str, str], Verdicts] = {}
        """By node (its name alone) and gate, what the gate said."""
        self.durations: dict[str, Counter[int]] = {}
        """By node, how many transitions fell in each class of duration."""
        self.runs = 0
        """How many runs were read."""
        self.sampled = False
        """Whether `courses` is a sample of the runs."""
        self.courses: Counter[Course] = Counter()
        """How many runs went how."""
        self.trend = Trend()
        """How runs that ended came out, by when they began."""
        # Rows that are alike but for their figures have one code; a transition's kind is that of
        # its row, or of the codes of its rows. Figures wait by code until they are added up.
        self._codes: dict[Any, int] = {}
        self._of_code: list[int] = []
        self._ladders: dict[tuple[int, ...], int] = {}
        self._well: list[int] = []  # by kind: 3 at once, 1 in the end, 0 not
        self._outcomes: dict[tuple[int, ...], int] = {}
        self._alone: list[list[Any]] = []
        self._laddered: list[list[Any]] = []
        self._begun: list[list[float]] = []
        self._waiting = 0
        self._paused: OrderedDict[str, list[int]] = OrderedDict()
        self._reservoir: list[Course] = []
        self._chance = random.Random(1)  # noqa: S311 - a sample

    def take(
        self,
        rows: Sequence[Sequence[Any]],
        status: str,
        mode: str,
        thread: str | None,
        correct: bool | None,
        started: float,
    ) -> None:
        """Take a run: its rows (of `Row`'s fields) in order, how it ended, and when it began."""
        numbers = self._numbers(rows)
        self.statuses[status] += 1
        self.modes[mode] += 1
        if thread is not None and (self._paused or status == "interrupted"):
            # What was paused goes on in the thread's next run: together they are one.
            numbers = self._paused.pop(thread, []) + numbers
            if status == "interrupted":
                self._paused[thread] = numbers
                if len(self._paused) > _PAUSED:
                    self._paused.popitem(last=False)
                return
        numbers.sort()
        kinds = tuple(numbers)
        if status in _ENDED:
            came = self._came(kinds) if status == "completed" else 0
            self.trend.take(started, accepted=came > 0, first_pass=came == 3)
        self._keep(Course(status, mode, correct, kinds))

    def _came(self, kinds: tuple[int, ...]) -> int:
        """Return how a run of these kinds that completed came out: as `_well` has it."""
        known = self._outcomes.get(kinds)
        if known is None:
            known = 3
            for number in kinds:
                known &= self._well[number]
            if len(self._outcomes) < KEPT:
                self._outcomes[kinds] = known
        return known

    def _numbers(self, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Return the numbers of the kinds of a run's transitions."""
        numbers: list[int] = []
        codes, of_code, alone = self._codes, self._of_code, self._alone
        last: Any = None
        before = -1
        ladder: list[int] = []
        for row in rows:
            key = row[2:10]
            code = codes.get(key, -1)
            if code < 0:
                code = self._code(key)
            if row[0] != last:
                last = row[0]
                numbers.append(of_code[code])
                alone[code].append(row[10:])
                if ladder:
                    ladder = []
            else:
                if not ladder:
                    ladder = [before]
                    figures = alone[before].pop()
                    self._laddered[before].append(figures)
                    self._begun[before].append(figures[0])
                else:
                    self.seen[numbers[-1]] -= 1
                ladder.append(code)
                self._laddered[code].append(row[10:])
                numbers[-1] = self._ladder(tuple(ladder))
                self.seen[numbers[-1]] += 1  # those that are no ladder are counted when added up
            before = code
        self._waiting += len(rows)
        if self._waiting > _AT_ONCE:
            self._add_up()
        return numbers

    def _code(self, key: Sequence[Any]) -> int:
        code = self._codes[key] = len(self._of_code)
        attempts: tuple[tuple[str, str], ...] = () if key[5] is None else ((key[5], key[6]),)
        self._of_code.append(len(self.kinds))
        namespace, node, status, producers, goto, *_, refused = key
        self.kinds.append(
            kind_of(namespace, node, status, producers, goto, attempts, bool(refused))
        )
        self._well.append(_well(self.kinds[-1]))
        self._alone.append([])
        self._laddered.append([])
        self._begun.append([])
        return code

    def _ladder(self, codes: tuple[int, ...]) -> int:
        number = self._ladders.get(codes, -1)
        if number < 0:
            number = self._ladders[codes] = len(self.kinds)
            rungs = [self.kinds[self._of_code[code]] for code in codes]
            attempts = tuple(each.attempts[0] for each in rungs)
            refused = any(each.refused for each in rungs)
            self.kinds.append(replace(rungs[0], attempts=attempts, refused=refused))
            self._well.append(_well(self.kinds[-1]))
        return number

    def _keep(self, course: Course) -> None:
        self.runs += 1
        if self.sampled:
            place = self._chance.randrange(self.runs)
            if place < KEPT:
                self._reservoir[place] = course
            return
        self.courses[course] += 1
        if len(self.courses) > KEPT:
            self.sampled = True
            known = list(self.courses)
            counts = list(self.courses.values())
            self._reservoir = self._chance.sample(known, KEPT, counts=counts)
            self.courses.clear()

    def _add_up(self) -> None:
        """Add up the figures that wait, and sort durations into their classes."""
        self._waiting = 0
        for code, number in enumerate(self._of_code):
            alone, laddered, begun = self._alone[code], self._laddered[code], self._begun[code]
            if not alone and not laddered:
                continue
            self.seen[number] += len(alone)
            kind = self.kinds[number]
            table = np.array(alone + laddered, np.float64)
            if kind.counts:
                self._classify(kind.node, [*table[: len(alone), 0].tolist(), *begun])
            if kind.attempts:
                wasted = kind.attempts[0][1] in WASTED and kind.status != "observed"
                which = (kind.node, not wasted)
                self.spending.setdefault(which, Spending()).add(table[:, 1:])
            alone.clear()
            laddered.clear()
            begun.clear()

    def _classify(self, node: str, seconds: Sequence[float]) -> None:
        if not seconds:
            return
        logs = np.log(np.maximum(np.asarray(seconds, np.float64), 1e-9)) / _STEP
        classes, counts = np.unique(np.floor(logs).astype(np.int64), return_counts=True)
        known = self.durations.setdefault(node, Counter())
        known.update(dict(zip(classes.tolist(), counts.tolist(), strict=True)))

    def judge(self, node: str, gate: str, asked: int, passed: int, seconds: float) -> None:
        """Take verdicts of a gate."""
        known = self.verdicts.setdefault((node, gate), Verdicts())
        known.asked += asked
        known.passed += passed
        known.seconds += seconds

    def close(self) -> None:
        """Settle what waits, once all runs are taken."""
        self._add_up()
        if self.sampled:
            self.courses = Counter(self._reservoir)

    def quantile(self, node: str, share: float) -> float | None:
        """Return the duration that a share of a node's transitions stayed below, within 1%."""
        classes = self.durations.get(node)
        if not classes:
            return None
        wanted, so_far = share * classes.total(), 0
        for each in sorted(classes):
            so_far += classes[each]
            if so_far >= wanted:
                return math.exp((each + 0.5) * _STEP)
        return None


def _well(kind: Kind) -> int:
    """Return 3 if a hand-over passed at once, or says nothing, 1 if in the end, 0 if not."""
    if not kind.counts or kind.at_once:
        return 3
    return int(kind.accepted)
