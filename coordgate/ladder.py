"""The ladder of a task: the attempts made at it, its place on the policy, and what comes next."""

from __future__ import annotations

import contextlib
import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

from langgraph.errors import NodeTimeoutError

from coordgate.answers import Answer
from coordgate.calls import repeated_by_client
from coordgate.capture import RawAttempt, RawTransition
from coordgate.contract import Checked
from coordgate.entry import Entering, leave
from coordgate.errors import (
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContractViolation,
    HandoffError,
)
from coordgate.escalation import Escalation, again, ask_again, close_question
from coordgate.flow import Standing
from coordgate.plan import NodePlan
from coordgate.policy import (
    Cause,
    Decision,
    Degrade,
    Escalate,
    Failure,
    Fallback,
    Place,
    Reroute,
    Retry,
    Rung,
    SendBack,
    decide,
    rung_name,
)
from coordgate.question import open_question
from coordgate.record import Outcome, TransitionStatus
from coordgate.remedy import jump_of, remedy_for

TRANSPORT = "transport"
"""The tag, and the name in the record, of a repeat by one of LangGraph's own retry policies."""

NOW = "now"
"""The tag of an attempt that is made at once."""

LONGEST = 12
"""How many different waits there are before they no longer grow."""


_ENDS: dict[type[Any], TransitionStatus] = {
    Degrade: "degraded",
    Reroute: "rerouted",
    SendBack: "sent_back",
}
_FAILED: ContextVar[Ladder | None] = ContextVar("coordgate_failed", default=None)
_SAYS_ALL = (BudgetExceeded, CircuitOpen, ConfigurationError)
_SPENT = "__coordgate_spent__"
_LADDER = "__coordgate_ladder__"


class Attempting(Entering, Protocol):
    """What a ladder asks of the attempt that is being made on it."""

    around: str
    ended: bool
    update: Any
    shipped: Any
    checked: Checked | None
    standing: Standing | None
    declined: bool
    reply: Answer | None
    ladder: Ladder | None

    def transition(self) -> RawTransition:
        """Return the record of the task, without attempts."""
        ...

    def end(self, outcome: Outcome | None = None) -> None:
        """Put the attempt among those made."""
        ...


class Ladder:
    """What stays with a task: its attempts so far, its place on the policy, and what is next."""

    __slots__ = (
        "__weakref__",
        "acted",
        "away",
        "began",
        "escalation",
        "failed",
        "history",
        "next",
        "node",
        "place",
        "raw",
        "rejected",
        "repeated",
        "run",
        "slot",
        "tag",
        "transports",
        "turn",
        "waits",
        "ways",
    )

    def __init__(self, turn: Attempting) -> None:
        """Begin with a first attempt: one that has failed, or one that LangGraph times."""
        self.node = turn.node
        self.run = turn.run
        self.turn = turn
        self.raw = turn.transition()
        self.began = turn.began
        self.place = Place()
        self.next: Rung | None = None
        self.tag = ""
        self.acted = False
        self.failed: Exception | None = None
        self.slot: Any = None
        self.history: list[tuple[str, ...]] = []
        self.rejected: Any = None
        self.repeated = False
        self.transports: dict[int, int] = {}
        self.waits: dict[int, int] = {}
        self.escalation = Escalation()
        self.ways: dict[int, tuple[str, ...] | str] = {}
        self.away: tuple[str, ...] = ()

    def close(self, error: BaseException | None) -> None:
        """End the transition with its run, where no further attempt has been made."""
        if not self.turn.ended:
            self.turn.end("cancelled")
        last = self.raw.attempts[-1]
        if isinstance(error, NodeTimeoutError) and error.node == self.node.name:
            _say(last, error)
        match last.outcome:
            case "cancelled" | "handed_up" | "interrupted":
                self.emit(last.outcome)
            case _:
                self.emit("failed")

    def begin(self) -> None:
        """Forget the last failure: the attempt that it led to begins, or none will."""
        self.failed = None
        if _FAILED.get() is self:
            _FAILED.set(None)

    def ends(self, status: TransitionStatus) -> TransitionStatus:
        """Return how the transition ends whose last attempt stands; `status` for the node's own."""
        if isinstance(self.next, Degrade) and self.node.mark is not None:
            self.raw.writes = dict([*self.raw.writes.items(), self.node.mark])
        return _ENDS.get(type(self.next), status)

    def emit(self, status: TransitionStatus) -> None:
        """Record the transition with all its attempts, once."""
        self.begin()
        run = self.run
        if run is not None and run.open.pop(id(self), None) is not None:
            self.turn.ladder = None  # no cycle is left behind that only the collector could undo
            self.raw.status = status
            self.raw.seconds = time.perf_counter() - self.began
            run.emit(self.raw)

    def timed_out(self, error: NodeTimeoutError) -> None:
        """Turn the attempt that LangGraph cancelled into a failed one, and decide what is next."""
        if not self.turn.ended:
            self.turn.end("cancelled")
        leave(self.turn, error)
        last = self.raw.attempts[-1]
        _say(last, error)
        self.climb(error, "error", tuple(last.reasons))

    def climb(self, error: Exception, cause: Cause, reasons: tuple[str, ...]) -> None:
        """Choose the next attempt after a failure, or give up: mark the error and record."""
        node = self.node
        if self.escalation.question is not None:
            self._after_question(error, reasons)
            return
        self.history.append(reasons)
        self.rejected = self.turn.update
        self.acted |= self.turn.acted
        if cause == "error" and isinstance(error, ConfigurationError):
            # A rung would hide that a graph inside cannot work: that nobody can be asked, say.
            self.give_up(error, cause)
            return
        given_up = cause == "error" and isinstance(error, HandoffError)
        down = isinstance(error, CircuitOpen) or (node.circuit and node.circuit.state == "open")
        spent = self.acted or given_up or bool(down) or self._is_spent(error)
        self.repeated = repeated_by_client(error, self.turn.raw.calls)
        spent = spent or self.repeated
        if cause == "error" and not spent:
            position = self._transport(error)
            if position is not None:
                self._keep(error, f"{TRANSPORT}:{position}", self.transports[position])
                return
            spent = any(node.retries_on(policy, error) for policy in node.transports)
        if node.policy:
            broke = self._is_broke()
            jump = jump_of(self.turn.raw.judgements)
            closed = self._closed(cause, error)
            bodiless = self.acted or broke
            failure = Failure(cause, reasons, jump, spent, bodiless=bodiless, closed=closed)
            decision = decide(node.policy, self.place, failure)
            if decision.rung is None and broke and not isinstance(error, BudgetExceeded):
                # The rung that cannot be afforded is tried, and says what was spent where.
                failure = replace(failure, bodiless=self.acted)
                decision = decide(node.policy, self.place, failure)
            if decision.rung is not None:
                self._step_to(decision, cause, reasons)
                waits = cause == "error" and isinstance(decision.rung, Retry) and not broke
                if waits:
                    made = self.waits[decision.position] = self.waits.get(decision.position, 0) + 1
                    self._keep(error, f"wait:{decision.position}", made)
                else:
                    self._keep(error, NOW)
                return
        self.tag = ""
        self.give_up(error, cause)

    def _is_broke(self) -> bool:
        """Whether the run can afford no further attempt."""
        account = None if self.run is None else self.run.account
        return account is not None and bool(account.over())

    def _closed(self, cause: Cause, error: Exception) -> frozenset[int]:
        """Return the positions of the rungs that would leave the node, and cannot."""
        policy, standing = self.node.policy, self.turn.standing
        if policy is None or standing is None:
            return frozenset()
        bad = error.violations if isinstance(error, ContractViolation) else ()
        violated = [each.key for each in bad] if cause == "input" else []
        self.ways = standing.ways(policy, violated, acted=self.acted)
        return frozenset(at for at, way in self.ways.items() if isinstance(way, str))

    def _stand(self, decision: Decision) -> None:
        self.place = Place(decision.position, decision.used)
        self.next = decision.rung
        way = self.ways.get(decision.position, ())
        self.away = () if isinstance(way, str) else way

    def _step_to(self, decision: Decision, cause: Cause, reasons: tuple[str, ...]) -> None:
        self._stand(decision)
        rung = decision.rung
        if isinstance(rung, Escalate):
            turn = self.turn
            self.escalation.restored = False
            self.escalation.question = open_question(
                rung,
                self.node,
                turn.checked,
                turn.shipped,
                cause,
                reasons,
                repeatable=not (self.acted or self.node.external or self._is_broke()),
            )

    def _after_question(self, error: Exception, reasons: tuple[str, ...]) -> None:
        """Choose the next attempt after a person's answer that ships nothing, or cannot ship."""
        node, turn, question = self.node, self.turn, self.escalation.question
        assert question is not None
        assert node.policy is not None
        reply = turn.reply
        if not turn.declined and reply is None:
            self.give_up(error, "error")  # asking itself has failed
        elif not turn.declined:
            ask_again(self.escalation, reasons)
            self._keep(error, NOW)
        elif reply is not None and reply.decision == "retry":
            self.history.append((reply.feedback,))
            self.place, self.next = again(self.place)
            close_question(turn.namespace, self)
            self._keep(error, NOW)
        else:
            self.history.append(reasons)
            otherwise = question.rung.otherwise if reply is None else None
            bodiless, closed = self.acted or self._is_broke(), self._closed(question.cause, error)
            failure = Failure(question.cause, reasons, otherwise, bodiless=bodiless, closed=closed)
            decision = decide(node.policy, self.place, failure)
            if decision.rung is None:
                self.give_up(error, "gate")
                return
            self._stand(decision)
            close_question(turn.namespace, self)
            if isinstance(decision.rung, Escalate):
                self.escalation.question = question.passed_on(decision.rung, reasons)
            self._keep(error, NOW)

    def _keep(self, error: Exception, tag: str, made: int = 0) -> None:
        """Leave word for LangGraph's retry loop of which policy is to run the next attempt.

        `made` counts the failures of this kind so far: it tells how long to wait.
        """
        self.tag = f"{tag}:{min(made, LONGEST) - 1}" if made else tag
        self.failed = error
        _FAILED.set(self)
        _mark(error, _LADDER, self)
        if self.slot is not None:
            self.slot.coordgate = self

    def _is_spent(self, error: Exception) -> bool:
        """Whether a node inside this one has already made all the repeats there are of an error.

        The same object may be raised again in another run or task, where nothing is spent.
        """
        run, inside = getattr(error, _SPENT, ("", ""))
        return (
            self.run is not None
            and run == self.run.id
            and inside.startswith(f"{self.turn.namespace}|")
        )

    def _transport(self, error: Exception) -> int | None:
        """Return which of the node's LangGraph policies repeats this error; each counts apart."""
        for position, policy in enumerate(self.node.transports):
            if self.node.retries_on(policy, error):
                self.transports[position] = made = self.transports.get(position, 0) + 1
                return position if made < policy.max_attempts else None
        return None

    def give_up(self, error: Exception, cause: Cause) -> None:
        """End the transition: say on the error what was tried and what would help."""
        node = self.node
        made = len(self.escalation.earlier) + len(self.raw.attempts)
        if (node.policy or made > 1 or node.external) and self.run is not None:
            _mark(error, _SPENT, (self.run.id, self.turn.namespace))
        shut = [way for way in self.ways.values() if isinstance(way, str)]
        remedy = remedy_for(node, cause, self.turn.raw.judgements, shut, repeated=self.repeated)
        if isinstance(error, HandoffError) and error.node == node.name:
            error.attempts, error.remedy = made, error.remedy or remedy
        elif node.policy and not isinstance(error, _SAYS_ALL):
            error.add_note(
                f"coordgate: node {node.name!r} raised this after {made} attempt(s). {remedy}"
            )
        self.emit("failed")

    @property
    def called(self) -> str:
        """What the record calls the next attempt."""
        if self.tag.startswith(TRANSPORT) or self.next is None:
            return TRANSPORT
        if isinstance(self.next, Fallback):
            return f"fallback:{self.next.name}"
        if isinstance(self.next, Escalate):
            return f"escalate:{self.next.to}"
        if isinstance(self.next, Reroute | SendBack):
            return f"{rung_name(self.next)}:{'+'.join(self.away)}"
        return rung_name(self.next)


def next_tag(error: BaseException, node: NodePlan) -> str:
    """Return which of a node's merged retry policies is to run the next attempt; empty for none."""
    # The same exception object may be raised by several tasks at once: this context's ladder first.
    for ladder in (_FAILED.get(), getattr(error, _LADDER, None)):
        if isinstance(ladder, Ladder) and ladder.node is node and ladder.failed is error:
            return ladder.tag
    return ""


def _mark(error: BaseException, name: str, value: Any) -> None:
    with contextlib.suppress(AttributeError):  # an exception class may have slots
        setattr(error, name, value)


def _say(attempt: RawAttempt, error: BaseException) -> None:
    """Write on an attempt that it raised."""
    attempt.outcome = "raised"
    attempt.error = f"{type(error).__name__}: {error}"
    attempt.reasons = (attempt.error,)
