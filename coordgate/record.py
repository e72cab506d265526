"""The record: what a run, a transition, an attempt and a verdict are once written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType, TypeAlias

from coordgate.printable import one_line

RunId = NewType("RunId", str)
ThreadId = NewType("ThreadId", str)

Mode = Literal["enforce", "observe"]

RunStatus = Literal["running", "completed", "failed", "interrupted", "cancelled", "lost"]
"""How a run stands. `lost`: its process died before it could say."""

TransitionStatus = Literal[
    "accepted",
    "observed",
    "degraded",
    "rerouted",
    "sent_back",
    "failed",
    "interrupted",
    "cancelled",
    "handed_up",
]
"""How a transition ended. `observed`: it did not pass, and shipped, since the mode is observe.
`rerouted`: nothing shipped, and control went to another node. `sent_back`: nothing shipped, and the
producers of its input run again. `handed_up`: the node gave a Command to its parent graph."""

Outcome = Literal[
    "accepted",
    "violated",
    "rejected",
    "raised",
    "rerouted",
    "sent_back",
    "interrupted",
    "cancelled",
    "handed_up",
]
"""How one attempt ended: `violated` is the contract, `rejected` a gate, `raised` an exception."""

FAILED: frozenset[Outcome] = frozenset({"rejected", "violated", "raised"})
"""The outcomes of an attempt that was not as it should be."""

WASTED: frozenset[Outcome] = frozenset({*FAILED, "cancelled"})
"""The outcomes of which nothing ships, though time and tokens were spent: what was cancelled has
not failed, and is paid for all the same. In mode observe it does ship: see the transition."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one gate said of one attempt."""

    gate: str
    """The gate's name."""
    passed: bool
    """Whether it passed."""
    score: float | None = None
    """The gate's own measure."""
    reason: str = ""
    """Why it did not pass."""
    seconds: float = 0.0
    """How long it took."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model, made while an attempt was."""

    model: str | None
    """The model that answered, or else that was asked; None if unknown."""
    finish: str | None = None
    """Why the answer ended, in the vendor's word; None if it did not say: it may be cut off."""
    tokens_in: int | None = None
    """Tokens sent; None if unknown."""
    tokens_out: int | None = None
    """Tokens received; None if unknown."""
    details: str | None = None
    """Of these tokens, those that are priced apart, as JSON text: `{"cache_read": 512}`."""
    cost: float | None = None
    """In US dollars; None if unknown."""
    seconds: float | None = None
    """How long it took; None if it had not ended when the attempt was recorded."""
    gate: str | None = None
    """The gate that made it; None if the node itself did."""
    error: str | None = None
    """Type and message of the exception that it raised."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of the node's body, of a fallback, or of a stated answer."""

    number: int
    """From 1."""
    rung: str
    """`first`, `retry`, `fallback:NAME`, `reroute:NODE`, `send_back:NODE+NODE`, `escalate:TO`,
    `degrade`, or `transport` for LangGraph's own retry."""
    outcome: Outcome
    """How it ended."""
    seconds: float
    """How long it took, gates included."""
    reasons: tuple[str, ...] = ()
    """Why it was not accepted."""
    error: str | None = None
    """Type and message of the exception that it raised."""
    output: str | None = None
    """What it handed over, as JSON text, redacted; None if it raised. Of a question that waits,
    what was shown."""
    verdicts: tuple[GateVerdict, ...] = ()
    """What each gate said, in the order asked."""
    model: str | None = None
    """The models that the node called, parted by commas; None if unknown."""
    tokens_in: int | None = None
    """Tokens sent in all calls, its gates' too; None if unknown."""
    tokens_out: int | None = None
    """Tokens received in all calls, its gates' too; None if unknown."""
    cost: float | None = None
    """In US dollars, its gates' calls too; None if any part of it is unknown."""
    decision: str | None = None
    """What the person decided who was asked: `approve`, `edit`, `reject` or `retry`."""
    by: str | None = None
    """Who decided, as the answer says."""
    calls: tuple[Call, ...] = ()
    """The calls of models, in the order of their beginning."""

    def __repr__(self) -> str:
        """Return it in a line, without its output."""
        why = f": {one_line(self.reasons[0], 80)}" if self.reasons else ""
        said = f"{one_line(self.rung, 60)}, {self.outcome} in {self.seconds:.3g} s{why}"
        return f"<attempt {self.number}: {said}>"


@dataclass(frozen=True, slots=True)
class Transition:
    """One execution of one node at one step: all its attempts, and what came of them."""

    run: RunId
    """The run that it belongs to."""
    number: int
    """Its place in the run, from 1, in the order of ending."""
    thread: ThreadId | None
    """LangGraph's thread_id; None without a checkpointer."""
    namespace: str
    """LangGraph's checkpoint namespace of the task: where in nested graphs it ran."""
    step: int
    """LangGraph's step number."""
    node: str
    """The node's name."""
    status: TransitionStatus
    """How it ended."""
    started: float
    """UTC, seconds since the epoch."""
    seconds: float
    """From the first attempt's start to the last one's end."""
    producers: tuple[str, ...] = ()
    """The nodes that handed over to it; empty for the graph's input."""
    goto: tuple[str, ...] = ()
    """Where control went next."""
    reads: str | None = None
    """What the node was handed, as JSON text, redacted."""
    writes: str | None = None
    """What shipped to the state, as JSON text, redacted."""
    attempts: tuple[Attempt, ...] = ()
    """The oldest first."""

    def __repr__(self) -> str:
        """Return it in a line, without what was read and written."""
        count = len(self.attempts)
        tried = "1 attempt" if count == 1 else f"{count} attempts"
        way = f"from {_names(self.producers) or 'input'}"
        way += f" to {_names(self.goto)}" if self.goto else ""
        said = f"{one_line(self.node, 60)} {self.status}, {tried}, {self.seconds:.3g} s, {way}"
        return f"<transition {self.number} of run {one_line(self.run, 60)}: {said}>"


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation of a guarded graph. Written when it starts and again when it ends."""

    id: RunId
    """Unique."""
    graph: str
    """The graph's name."""
    thread: ThreadId | None
    """LangGraph's thread_id."""
    mode: Mode
    """Whether failed hand-overs were stopped or only recorded."""
    status: RunStatus
    """How it stands."""
    started: float
    """UTC, seconds since the epoch."""
    ended: float | None = None
    """UTC, seconds since the epoch; None while it runs."""
    error: str | None = None
    """Type and message of what ended it, if it failed."""
    process: str = ""
    """`host:pid:start` of the process that runs it, to tell a lost run."""

    def __repr__(self) -> str:
        """Return it in a line."""
        took = "" if self.ended is None else f" in {self.ended - self.started:.3g} s"
        thread = "" if self.thread is None else f", thread {one_line(self.thread, 60)}"
        error = "" if self.error is None else f": {one_line(self.error, 120)}"
        said = f"{one_line(self.graph, 60)}, {self.status}{took}{thread}{error}"
        return f"<run {one_line(self.id, 60)}: {said}>"


def _names(nodes: tuple[str, ...]) -> str:
    return one_line(", ".join(nodes), 80)


Record: TypeAlias = Run | Transition


def path_of(transition: Transition) -> str:
    """Return a node's name behind those of the subgraphs that it stands in: `agent|model`."""
    return around(transition.namespace) + transition.node


def around(namespace: str) -> str:
    """Return the subgraphs that a task's checkpoint namespace names, each with a `|` behind."""
    parts = [part.partition(":")[0] for part in namespace.split("|")[:-1]]
    return "".join(f"{part}|" for part in parts if not part.isdecimal())
