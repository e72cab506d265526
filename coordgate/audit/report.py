"""The report of an audit: plain records, whatever prints them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from coordgate.audit.intervals import Interval, Rate
from coordgate.audit.kinds import Path
from coordgate.printable import one_line

Basis = Literal["accepted", "correct"]
Waste = Literal["cost", "tokens", "seconds"]


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What was seen of a node."""

    node: str
    """Its name, with the subgraphs that it stands in: `sub|draft`."""
    transitions: int
    """How often it ran; paused and cancelled runs of it are not counted."""
    first_pass: Rate
    """How often its first attempt was accepted."""
    accepted: Rate
    """How often what it handed over was accepted, by whatever rung."""
    by_rung: dict[Path, Rate]
    """How often each way to settle it was the one; they add up to 1."""
    p50: float | None
    """Half of its transitions took no longer than this many seconds (within 1%)."""
    p95: float | None
    """95 in 100 took no longer than this many seconds (within 1%)."""
    attempts: int
    """How many attempts were made."""
    tokens_in: int | None
    """Tokens sent; None if no attempt knows."""
    tokens_out: int | None
    """Tokens received; None if no attempt knows."""
    cost: float | None
    """In US dollars; None if no attempt knows."""
    wasted: float
    """The share spent on attempts of which nothing shipped: not passed, raised, or cancelled."""
    wasted_of: Waste
    """Of what: of the cost where it is known, else of the tokens, else of the seconds."""
    gates: tuple[str, ...]
    """The gates that were asked about it."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """What was seen of a handoff."""

    producer: str
    """The node that hands over; `__start__` for the graph's input."""
    consumer: str
    """The node that is handed to; `__end__` for the graph's output. Of a producer that has several
    and was stopped before it chose: all of them, joined by ` | `."""
    first_pass: Rate
    """How often what was handed over was good at once."""
    accepted: Rate
    """How often it was good in the end, and taken by the consumer."""


@dataclass(frozen=True, slots=True)
class Weakest:
    """Which handoff is the weakest, by its first pass."""

    handoff: Handoff | None
    """The one; None if the data do not decide, or there are no two."""
    candidates: tuple[Handoff, ...]
    """Those that it may be, the lowest estimate first; one if decided."""
    more_runs: int | None
    """About how many further runs would tell the first candidate from the second 4 times in 5, if
    the rates are as seen; 0 if decided, None if they are seen as equal."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How the runs ended."""

    total: int
    """All that there are; a paused run and the one that resumed it are two."""
    completed: int
    """Reached their end."""
    failed: int
    """Ended with an error."""
    lost: int
    """Their process died."""
    cancelled: int
    """Were cancelled."""
    interrupted: int
    """Paused for a person."""
    running: int
    """Are under way."""
    observed: int
    """Of all, those in mode observe, where what is rejected ships."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The product of the parts beside what was observed of the whole."""

    product: Rate
    """What the parts come to along the runs' own paths, if they fail independently."""
    observed: Rate
    """How often runs came out well."""
    gap: Interval
    """`product` less `observed`; without an estimate, and from -1 to 1, where it is `tied`."""
    decided: Literal["below", "above", "undecided", "tied"]
    """Whether the whole is shown to be below or above the product. `tied`: it cannot be told, since
    nothing was tried after a failure in any run."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """What labels say of a gate. Its positive is a rejection."""

    node: str
    """The node, by its name alone."""
    gate: str
    """The gate."""
    asked: int
    """How often it was asked, with a label or without."""
    passed: int
    """How often it passed."""
    labelled: int
    """About how many hand-overs with a label it was asked."""
    precision: Rate
    """Of what it rejected, how much was wrong."""
    recall: Rate
    """Of what was wrong, how much it rejected: its detection rate. Like the next two, of nothing if
    only what passed has labels though it rejected something, or the other way round."""
    false_accept: Rate
    """Of what was wrong, how much it passed."""
    false_reject: Rate
    """Of what was correct, how much it rejected."""
    correct_if_passed: Rate
    """Of what it passed, how much was correct."""


@dataclass(frozen=True, slots=True)
class NextGate:
    """What a gate on a node's hand-over is expected to bring."""

    producer: str
    """The node to gate."""
    consumer: str
    """To whom it hands over."""
    reason: str
    """What speaks for it, in words."""
    loss: Rate
    """How often its hand-over was seen to go wrong, uncaught or without a remedy."""
    gain: Interval
    """By how much the rate of good runs rises, end to end."""
    calls: Interval
    """Further node bodies run, for each run of the graph."""
    tokens: Interval | None
    """Further tokens for each run; None if tokens are not known."""
    seconds: Interval
    """Further seconds for each run."""
    gain_per_call: float
    """What they are ranked by: the gain for each further call."""


@dataclass(frozen=True, slots=True)
class Period:
    """How the runs came out that began in a period."""

    start: float
    """Its beginning: UTC, seconds since the epoch."""
    seconds: float
    """How long it is."""
    accepted: Rate
    """How often runs completed with every hand-over accepted, of those that ended."""
    first_pass: Rate
    """How often they did so with every first attempt accepted."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """How reliable each handoff is, how reliable the whole, and which gate comes next."""

    store: str
    """What was audited."""
    runs: RunCounts
    """How the runs ended."""
    sampled: bool
    """Whether the runs went so many different ways that what is said of whole runs, and of how
    trials hang together, rests on a sample of 10,000 of them."""
    nodes: tuple[NodeReport, ...]
    """By node, in the order of their names."""
    handoffs: tuple[Handoff, ...]
    """By producer and consumer."""
    completed: Rate
    """How often runs reached their end, of those that ended or were lost."""
    accepted: Rate
    """How often they did so with every hand-over accepted; lost runs are not counted."""
    correct: Rate | None
    """How often they were correct, of those that have a label; None if none has."""
    basis: Basis
    """What `observed` is: correct where there are labels, else accepted."""
    product: Rate
    """What the parts come to: how often hand-overs were accepted, multiplied along the paths."""
    observed: Rate
    """How often runs came out well, by `basis`."""
    gap: Interval
    """`product` less `observed`."""
    compared: Compared
    """The same three, with what they show."""
    first_pass: Compared
    """The same for first attempts: what the graph would be without its policies."""
    weakest: Weakest
    """The weakest handoff, if the data decide."""
    gates: tuple[GateReport, ...]
    """What labels say of each gate that was asked about something labelled."""
    next_gates: tuple[NextGate, ...]
    """Which gate to add next, the best first."""
    trend: tuple[Period, ...]
    """The same by when runs began: in 12 periods at most, or in up to 100 that have 20 runs each on
    average; those without a run are left out."""

    def __repr__(self) -> str:
        """Return it in a line."""
        runs = "1 run" if self.runs.total == 1 else f"{self.runs.total:,} runs"
        observed = self.observed
        rate = (
            "nothing observed"
            if observed.estimate is None
            else f"{observed.estimate:.1%} {self.basis} [{observed.low:.1%}, {observed.high:.1%}]"
        )
        weakest = self.weakest.handoff
        said = "undecided" if weakest is None else f"{weakest.producer} -> {weakest.consumer}"
        told = f"{runs}, {rate}, weakest handoff {one_line(said, 120)}"
        return f"<audit of {one_line(self.store, 120)}: {told}>"

    def _repr_html_(self) -> str:
        """Return it as a part of a page, for a notebook."""
        shown: str = import_module("coordgate.audit.page").fragment(self)
        return shown
