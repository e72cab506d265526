"""The policy: a ladder of rungs, and which rung comes next after a failed attempt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, assert_never, runtime_checkable

from coordgate.errors import ConfigurationError
from coordgate.gate import RungName

Cause = Literal["input", "contract", "gate", "error"]
"""What failed: what the node was handed, its contract, a gate, or the node itself (it raised)."""


@runtime_checkable
class Breaker(Protocol):
    """What a `Circuit` is to a policy."""

    name: str

    def enter(self, node: str) -> int:
        """Ask whether a call may be made."""
        ...

    def leave(self, era: int, came: Literal["passed", "failed", "unknown"], said: str = "") -> None:
        """Say what came of it."""
        ...


@dataclass(frozen=True, slots=True)
class Retry:
    """Run the node again, told why, up to `attempts` further times.

    A rejected hand-over is retried at once. After an exception the node waits first: `wait`
    seconds, times `backoff` for each further attempt, at most `max_wait`, plus up to a second of
    jitter, as LangGraph's own `RetryPolicy` does.
    """

    attempts: int = 1
    """Further attempts, after the first."""
    wait: float = field(default=0.5, kw_only=True)
    """Seconds before the first repeat after an exception."""
    backoff: float = field(default=2.0, kw_only=True)
    """What the wait is multiplied by each time."""
    max_wait: float = field(default=128.0, kw_only=True)
    """The longest wait, in seconds."""
    jitter: bool = field(default=True, kw_only=True)
    """Whether a random part of a second is added to the wait."""
    circuit: str | Breaker | None = field(default=None, kw_only=True)
    """The dependency that the node calls, by name, or as a `Circuit`. After repeated errors of
    transport, in any node of the process that names it, the node is not run, and the ladder goes on
    above `Retry`, until it answers again."""

    def __post_init__(self) -> None:
        """Refuse counts and waits that mean nothing."""
        if type(self.attempts) is not int or self.attempts < 1:
            raise ConfigurationError(
                f"Retry({self.attempts!r}): give the number of further attempts, 1 or more; "
                "leave Retry out for none"
            )
        if self.wait < 0 or self.max_wait < 0 or self.backoff < 1:
            raise ConfigurationError(
                "Retry: wait and max_wait are seconds from 0, backoff is 1 or more"
            )
        circuit: Any = self.circuit
        if circuit == "" or not isinstance(circuit, str | Breaker | None):
            raise ConfigurationError(
                f"Retry(circuit={self.circuit!r}): give the dependency's name, such as 'openai', "
                "or a Circuit"
            )


@dataclass(frozen=True, slots=True)
class Fallback:
    """Run another node function or Runnable in the node's place, once."""

    node: Any
    """Anything that LangGraph's add_node takes."""
    name: str = field(default="", kw_only=True)
    """What the record calls it; the function's name if empty."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        has, given = {*dir(self.node)}, f"Fallback({self.node!r:.60})"
        if "bind_tools" in has or not has & {"__call__", "invoke"}:  # a chat model gives no update
            raise ConfigurationError(f"{given}: give a node function or a Runnable of the state")
        if not self.name:
            named = getattr(self.node, "__name__", None) or getattr(self.node, "name", None)
            object.__setattr__(self, "name", named or type(self.node).__name__)


@dataclass(frozen=True, slots=True)
class Reroute:
    """Go to another node of the same graph, and nowhere else; nothing of this node is written.

    That node may read the reasons as `feedback()`. Once the node has been left `times` times in a
    row, without a hand-over of its own that passed, the ladder goes on above.
    """

    node: str
    """The node's name, or `END`."""
    times: int = field(default=10, kw_only=True)
    """How often in a row, from one input of the graph to the next."""

    def __post_init__(self) -> None:
        """Refuse what is no name, and a bound that means nothing."""
        if not isinstance(self.node, str) or not self.node:  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(f"Reroute({self.node!r}): give the name of a node, or END")
        _check_times("Reroute", self.times)


@dataclass(frozen=True, slots=True)
class SendBack:
    """Have the producer of a bad input run again, told what could not be used.

    It is for what the node `accepts`, and for gates that name it (`otherwise="send_back"`). The
    producer is the node that wrote the bad key last. Its hand-over goes along its own edges, and
    so this node runs again. After `times` times in a row the ladder goes on above.
    """

    node: str | None = None
    """The node that is run again; None is whoever wrote what could not be used."""
    times: int = field(default=1, kw_only=True)
    """How often in a row, from one input of the graph to the next."""

    def __post_init__(self) -> None:
        """Refuse what is no name, and a bound that means nothing."""
        if self.node is not None and (not isinstance(self.node, str) or not self.node):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(
                f"SendBack({self.node!r}): give the name of a node, or nothing for the producer; "
                "how often it may be sent back is SendBack(times=...)"
            )
        _check_times("SendBack", self.times)


def _check_times(rung: str, times: object) -> None:
    if type(times) is not int or times < 1:
        raise ConfigurationError(f"{rung}(times={times!r}): give a number, 1 or more")


@dataclass(frozen=True, slots=True)
class Degrade:
    """Ship a stated update instead: always answers, so it stands last.

    The update is checked against the contract when the guard is built. The gates are not asked:
    the developer has stated it. The record says that the hand-over was degraded, and so does the
    state where `mark` names a key of it: a bool becomes True, a list with a reducer gets the node's
    name.
    """

    update: Mapping[str, Any]
    """The update that ships: state keys to values."""
    mark: str | None = field(default=None, kw_only=True)
    """The state key that says so; None for none. It is never set back by itself."""

    def __post_init__(self) -> None:
        """Refuse what is not an update, and a mark that it contradicts."""
        if not isinstance(self.update, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(
                f"Degrade({self.update!r}): give the update as a dict of state keys"
            )
        if self.mark is not None and self.mark in self.update:
            raise ConfigurationError(
                f"Degrade(mark={self.mark!r}): the update sets that key itself; leave it out"
            )


@dataclass(frozen=True, slots=True)
class Escalate:
    """Ask a person: the run pauses, shows the candidate, and goes on with the answer.

    Needs a checkpointer. What was shown ships on an approval, without running the node again, in
    whichever process the run is resumed.
    """

    to: str
    """Who is asked: a role or a queue, as the reviewer's page calls it."""
    within: float | None = field(default=None, kw_only=True)
    """Seconds after which an unanswered question is closed, when the run is next touched."""
    otherwise: RungName | None = field(default=None, kw_only=True)
    """The rung to go on with then, or `fail`; None is the next one."""
    clock: Callable[[], float] | None = field(default=None, kw_only=True, repr=False, compare=False)
    """Says the time, in seconds since the epoch; None is the system's clock."""

    def __post_init__(self) -> None:
        """Refuse a question to nobody, and deadlines that mean nothing."""
        if not isinstance(self.to, str) or not self.to:  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(f"Escalate({self.to!r}): say who is asked: Escalate('editor')")
        within = self.within
        if within is not None and (type(within) not in {int, float} or not 0 <= within < math.inf):
            raise ConfigurationError(f"Escalate(within={within!r}): give seconds, a number from 0")
        if self.otherwise is not None and self.within is None:
            raise ConfigurationError(
                "Escalate: otherwise says what happens after the deadline; give within as well"
            )


Rung: TypeAlias = Retry | Fallback | Reroute | SendBack | Degrade | Escalate


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed, as the ladder sees it."""

    cause: Cause
    """What failed."""
    reasons: tuple[str, ...]
    """In words, for the next attempt."""
    otherwise: RungName | None = None
    """The rung that a gate asked to jump to."""
    repeated: bool = False
    """True if LangGraph's policy, or a guarded subgraph, has already used its repeats."""
    bodiless: bool = False
    """True if no body may be run any more: what must not happen twice may have happened, or the
    run's budget is spent."""
    closed: frozenset[int] = frozenset()
    """The positions of rungs that cannot be taken now: they are used up, or lead nowhere."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next: climb to a rung, or fail."""

    rung: Rung | None
    """None means that the run fails."""
    position: int
    """Where on the ladder that rung stands; past its end for None."""
    used: int
    """How often the rung will have been used when it has run."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a ladder the last attempt was made; the first one is made below the first rung."""

    position: int = -1
    used: int = 0


class Policy:
    """A ladder: its rungs are tried in order until one hands over something that passes.

    `Policy(Retry(2), Fallback(template), Degrade({"draft": "..."}))`
    """

    __slots__ = ("rungs",)

    def __init__(self, *rungs: Rung) -> None:
        """Check the order of the rungs.

        Raises:
            ConfigurationError: something is not a rung, or a rung comes after Degrade, which
                always answers.
        """
        for rung in rungs:
            if not isinstance(rung, Rung):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
                raise ConfigurationError(
                    f"Policy: {rung!r} is not a rung; use Retry, Fallback, Reroute, SendBack, "
                    "Escalate or Degrade"
                )
        for rung, following in itertools.pairwise(rungs):
            if isinstance(rung, Degrade):
                raise ConfigurationError(
                    f"Policy: {type(following).__name__} stands after Degrade, which always "
                    "answers, and would never be reached; put Degrade last"
                )
        if len({rung.circuit for rung in rungs if isinstance(rung, Retry) and rung.circuit}) > 1:
            raise ConfigurationError(
                "Policy: two Retry rungs name different circuits, and a node has one; drop one"
            )
        for position, rung in enumerate(rungs):
            if isinstance(rung, Escalate) and rung.otherwise not in (None, "fail"):
                later = [rung_name(each) for each in rungs[position + 1 :]]
                if rung.otherwise not in later:
                    raise ConfigurationError(
                        f"Policy: {rung!r} goes on with {rung.otherwise!r}, and no such rung "
                        f"stands after it; use one of {sorted({*later, 'fail'})}"
                    )
        self.rungs: tuple[Rung, ...] = rungs

    def __repr__(self) -> str:
        """Return the call that makes this policy."""
        return f"Policy({', '.join(map(repr, self.rungs))})"

    def __eq__(self, other: object) -> bool:
        """Return whether the rungs are the same."""
        return isinstance(other, Policy) and self.rungs == other.rungs

    def __hash__(self) -> int:
        """Hash by rungs' kinds, since updates may not be hashable."""
        return hash(tuple(type(rung) for rung in self.rungs))

    def __bool__(self) -> bool:
        """Return whether there is any rung."""
        return bool(self.rungs)

    def names(self) -> frozenset[str]:
        """Return the names of the rungs on this ladder."""
        return frozenset(rung_name(rung) for rung in self.rungs)

    def of(self, kind: type[Rung]) -> tuple[Any, ...]:
        """Return the rungs of one kind."""
        return tuple(rung for rung in self.rungs if isinstance(rung, kind))


def rung_name(rung: Rung) -> RungName:
    """Return what a verdict's `otherwise` and the record call this rung."""
    match rung:
        case Retry():
            return "retry"
        case Fallback():
            return "fallback"
        case Reroute():
            return "reroute"
        case SendBack():
            return "send_back"
        case Degrade():
            return "degrade"
        case Escalate():
            return "escalate"
        case _:
            assert_never(rung)


def decide(policy: Policy, place: Place, failure: Failure) -> Decision:
    """Return the next rung after `failure` at `place`; at most one more than the rungs allow.

    A bad input cannot be cured by running the node on it again, so it goes to rungs that do not
    (`SendBack`, `Reroute`, `Escalate`, `Degrade`). A failure that was already repeated elsewhere is
    not repeated by `Retry`. `bodiless` leaves the rungs that run no body. `otherwise` jumps forward
    to the next rung of that name, and fails if there is none; from one that is closed the ladder
    goes on above.
    """
    rungs = policy.rungs
    end = Decision(None, len(rungs), 0)
    if failure.otherwise == "fail":
        return end
    here = place.position
    if failure.otherwise in {None, "retry"} and here >= 0:
        rung = rungs[here]
        if isinstance(rung, Retry) and place.used < rung.attempts and _applies(rung, failure):
            return Decision(rung, here, place.used + 1)
    jump = failure.otherwise
    for position in range(here + 1, len(rungs)):
        rung = rungs[position]
        if jump is not None and rung_name(rung) != jump:
            continue
        if position in failure.closed:
            jump = None
        elif _applies(rung, failure):
            return Decision(rung, position, 1)
    return end


def most_attempts(policy: Policy) -> int:
    """Return how many attempts, of the node and its fallbacks, this ladder can make at most.

    Those that a person asks for are not counted.
    """
    return 1 + sum(rung.attempts if isinstance(rung, Retry) else 1 for rung in policy.rungs)


def _applies(rung: Rung, failure: Failure) -> bool:
    if isinstance(rung, Degrade | Escalate | Reroute):
        return True
    if isinstance(rung, SendBack):
        asked = failure.cause == "input" or failure.otherwise == "send_back"
        return asked and not failure.bodiless
    if failure.cause == "input" or failure.bodiless:
        return False
    return not (isinstance(rung, Retry) and failure.repeated)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a retried node is told: why its last attempts were not accepted.

    A node that another one was rerouted to, or that was sent back to, is told what that one says.
    A node takes it as a parameter named `feedback`, or calls `coordgate.feedback()`.
    """

    reasons: tuple[str, ...]
    """The reasons against the last attempt, one line each."""
    rejected: Any
    """What the last attempt handed over; None if it raised, or if another node says so."""
    attempt: int
    """The number of the attempt that is about to be made; 1 after a `Reroute`."""
    history: tuple[tuple[str, ...], ...] = ()
    """The reasons against every earlier attempt, the oldest first."""
    by: tuple[str, ...] = ()
    """The nodes that say so by `Reroute` or `SendBack`; empty for the node's own attempts."""
    repeats: int = 0
    """How many of the earlier attempts LangGraph's own retry policy has repeated: for an error."""

    def __str__(self) -> str:
        """Return the reasons as lines for a prompt."""
        return "\n".join(f"- {reason}" for reason in self.reasons)
