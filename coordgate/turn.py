"""One turn: a node's body, a fallback or a stated answer, run once, and what comes of it.

Here is the loop that everything else serves. A task of a guarded node is a ladder of turns. Each
turn is run by `engine`, its hand-over judged here, and where it fails the policy decides the next
one; LangGraph's own retry loop then runs it, with its waits, timeouts and interrupts as they are.

    state -> node -> update -> contract -> gates -> verdict -> policy -> decision -> state
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from langgraph.types import Command

from coordgate._langgraph import writes
from coordgate.answers import Answer
from coordgate.capture import Passed, RawAttempt, RawTransition
from coordgate.entry import leave
from coordgate.errors import (
    ContractViolation,
    GateRejected,
    HandoffError,
    InvariantViolated,
    Violation,
)
from coordgate.escalation import config_for, require_checkpointer, restore
from coordgate.flow import Standing
from coordgate.handover import HandingOver
from coordgate.ladder import TRANSPORT, Ladder
from coordgate.node import RUNNING, NodeGuard
from coordgate.observers import Seen
from coordgate.plan import NodePlan
from coordgate.policy import Cause, Feedback
from coordgate.record import Outcome, TransitionStatus
from coordgate.run import PUSHED, RUN
from coordgate.shield import own_all
from coordgate.snapshots import snapshot, snapshots

_NO_CONFIG: RunnableConfig = {"metadata": {}}


class Turn(HandingOver):
    """One attempt at a task. Made when the attempt begins, dropped when it ends."""

    # Class attributes are what most turns never change: a turn is made on every node's run.
    ended = False
    unreceived = True
    acted = False
    enters = False
    counted = False
    era: int | None = None
    reply: Answer | None = None
    tap: Any = None
    counting: Any = None
    standing: Standing | None = None
    seen: Seen | None = None
    namespace = ""
    around = ""
    reads: Any = None
    started = 0.0

    def __init__(
        self, node: NodePlan, state: Any, config: RunnableConfig, ladder: Ladder | None
    ) -> None:
        """Begin an attempt; with a ladder, the next one on it."""
        self.node = node
        self.state = state
        self.config = config
        self.ladder = ladder
        self.above = RUNNING.get()
        run = self.run = RUN.get()
        if ladder is None:
            if node.flow is not None:
                self.standing = Standing(node.flow, node.name, config)
            if run is not None:
                meta = config["metadata"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
                self.namespace = namespace = meta["langgraph_checkpoint_ns"]
                self.around = around = namespace.rpartition("|")[0]
                triggers = meta["langgraph_triggers"]
                if len(triggers) == 1 and not around and triggers != PUSHED:
                    found = run.handed.pop(triggers[0], ())  # the same, in one call less
                    self.producers = found if len(found) < 2 else tuple(dict.fromkeys(found))
                else:
                    self.producers = run.producers(around, node.name, triggers)
                if run.tracer is not None:
                    self.started = time.time()
                    if node.shields:
                        self.given, self.reads = snapshots(state)
                        if node.nested:
                            self.given = own_all(self.given, node.nested)
                    else:
                        self.given, self.reads = state, snapshot(state)
                    self.began = time.perf_counter()
                    return
        else:
            ladder.begin()
            before = ladder.turn
            self.namespace, self.around = before.namespace, before.around
            self.standing = before.standing
            self.seen = before.seen
            self._step_onto(ladder)
        # A rejected attempt must leave nothing behind: it may change only what it is given.
        self.given = snapshot(state) if node.shields else state
        if node.shields and node.nested:
            self.given = own_all(self.given, node.nested)
        self.began = time.perf_counter()

    def _step_onto(self, ladder: Ladder) -> None:
        self.rung = ladder.next
        ladder.turn = self
        made = len(ladder.raw.attempts) + len(ladder.escalation.earlier)
        self.made = RawAttempt(made + 1, ladder.called)
        self.unreceived = made == 0

    def take_up(self) -> None:
        """Go on where a person was asked about this task, if one was.

        Raises:
            ConfigurationError: one may have to be asked, and there is no checkpointer to wait with.
        """
        ladder = self.ladder
        if ladder is None:
            require_checkpointer(self.node, self.config)
            ladder = Ladder(self)
            if restore(ladder, self.config, self.namespace):
                self.ladder = ladder
                self._open(ladder)
                self._step_onto(ladder)
        self.config = config_for(ladder, self.config)

    # What @gated asks of the running node

    @property
    def declared(self) -> NodeGuard | None:
        """What the node's function was decorated with."""
        return self.node.declared

    @property
    def task(self) -> str:
        """LangGraph's id of the task."""
        return self.namespace.rpartition(":")[2]

    def feedback(self) -> Feedback | None:
        """Return what this attempt is told; on a first one, what the node around it is told."""
        ladder = self.ladder
        told = None if self.standing is None else self.standing.feedback()
        if ladder is None or not ladder.history:
            return told or (None if self.above is None else self.above.feedback())
        *before, last = ladder.history
        if told is not None:
            before = [*told.history, told.reasons, *before]
        repeats = [each for each in (*ladder.raw.attempts, self.raw) if each.rung == TRANSPORT]
        return Feedback(last, ladder.rejected, self.raw.number, tuple(before), repeats=len(repeats))

    # How the attempt ends

    def commit(self, config: RunnableConfig) -> None:  # noqa: C901 - as few calls as can be
        """End an attempt whose writes stand; note where control goes, and record the transition.

        Raises:
            ContractViolation: control would go to a node that does not exist.
        """
        run, node = self.run, self.node
        if run is None:
            return
        if self.plain and node.routes is not None:
            goto, me = node.goto, node.me
            if self.around:
                run.hand_over_along(self.around, me, node.routes)
            else:  # the same, in one call less
                for channel in node.routes:
                    if run.handed.setdefault(channel, me) is not me:
                        run.hand_over_along("", me, (channel,))
        else:
            goto = run.hand_over(self.around, node.me, writes(config))
            self._check_route(goto)
        if self.standing is not None:
            self.standing.end(config, goto, self.rung)
        if self.tap is not None:
            self.tap.accept()
            self.tap = None
        self.ended = True
        ladder = self.ladder
        if run.tracer is None:
            if ladder is not None:
                ladder.emit("accepted")
                self.config = _NO_CONFIG
            return
        seconds = time.perf_counter() - self.began
        if self.plain and ladder is None and self.made is None:
            passed = (
                run.id,
                next(run.count),
                run.thread,
                self.namespace,
                self.config["metadata"].get("langgraph_step", 0),  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
                node.name,
                self.started,
                seconds,
                self.producers,
                goto,
                self.reads,
                self.output,
                self.recorded,
                self.asked,
            )
            run.tracer.record(Passed(passed))
            return
        attempt = self._finished()
        raw = self.transition() if ladder is None else ladder.raw
        attempt.seconds = raw.seconds = seconds
        raw.attempts.append(attempt)
        raw.goto = goto
        raw.writes = self.recorded
        status: TransitionStatus = "accepted"
        if self.quietly and not node.enforces:
            status = "observed"
        if ladder is None:
            raw.status = status
            raw.number = next(run.count)
            run.tracer.record(raw)
        else:
            ladder.emit(ladder.ends(status))
            self.config = _NO_CONFIG

    def _check_route(self, goto: Sequence[str]) -> None:
        node = self.node
        violations = node.misled(goto, self.shipped)
        if violations:
            self.misrouted(violations)
            if node.enforces:
                raise ContractViolation(node.name, violations, direction="route")

    def misrouted(self, violations: Sequence[Violation]) -> None:
        """Note that control would go where it must not."""
        said = [str(each) for each in violations]
        self._fail("violated", [each for each in said if each not in self.raw.reasons])

    def fail(self, error: BaseException) -> Ladder | None:
        """End an attempt that raised; decide what comes next, and return the ladder to keep."""
        raw, node = self.raw, self.node
        if self.enters:
            leave(self, error)
        if node.invariants is not None:
            node.invariants.withdraw(self.config)
        if isinstance(error, GraphBubbleUp):
            return self._bubbled(error)
        if not isinstance(error, Exception):
            raw.outcome = "cancelled"
            return self._climb(error)
        if isinstance(error, HandoffError) and self.quietly:
            judged = isinstance(error, GateRejected | InvariantViolated)
            cause: Cause = "gate" if judged else "contract"
        elif isinstance(error, ContractViolation) and raw.outcome == "violated":
            cause = "input"
        else:
            cause = "error"
            raw.outcome = "raised"
            raw.error = f"{type(error).__name__}: {error}"
            raw.reasons = (raw.error,)
        ladder = self._climb(error)
        if cause == "gate" and isinstance(error, InvariantViolated) and error.joint:
            ladder.tag = ""
            ladder.give_up(error, cause)
        elif node.enforces:
            ladder.climb(error, cause, tuple(raw.reasons))
        elif not node.transports:
            ladder.emit("failed")
        return ladder

    def _bubbled(self, error: GraphBubbleUp) -> Ladder | None:
        raw = self.raw
        if isinstance(error, ParentCommand):
            raw.outcome = "handed_up"
            ladder = self._climb(error)
            if error.args[0].graph != Command.PARENT:  # pyright: ignore[reportUnknownMemberType] - a Command of any node
                return ladder  # LangGraph may give the Command to this task's writers
            ladder.emit("handed_up")
            return None
        raw.outcome = "interrupted"
        if self.run is not None:
            self.run.interrupted |= isinstance(error, GraphInterrupt) and "|" not in self.namespace
        self._climb(error).emit("interrupted")
        return None

    def on_ladder(self) -> Ladder:
        """Return the ladder of this attempt's task, made now if this is the first on it."""
        ladder = self.ladder
        if ladder is None:
            ladder = self.ladder = Ladder(self)
            self._open(ladder)
        return ladder

    def _open(self, ladder: Ladder) -> None:
        if self.run is not None:
            self.run.open[id(ladder)] = ladder

    def end(self, outcome: Outcome | None = None) -> None:
        """Put this attempt among those made."""
        self.ended = True
        if outcome is not None:
            self.raw.outcome = outcome
        self.on_ladder().raw.attempts.append(self._finished())

    def _climb(self, error: BaseException) -> Ladder:
        ladder = self.on_ladder()
        self.end()
        tap, self.tap = self.tap, None
        # What stays on the task must not hold the task's config, which holds the task.
        self.config = _NO_CONFIG
        if tap is None:
            return ladder
        if isinstance(error, GraphBubbleUp):
            tap.accept()
        else:
            reasons = list(self.raw.reasons)
            told = {"event": "rejected", "node": self.node.name, "attempt": self.raw.number}
            tap.reject({**told, "reasons": reasons})
        return ladder

    def transition(self) -> RawTransition:
        """Return the record of the task, without attempts."""
        run = self.run
        return RawTransition(
            "" if run is None else run.id,
            None if run is None else run.thread,
            self.namespace,
            self.config["metadata"].get("langgraph_step", 0),  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
            self.node.name,
            self.started,
            self.producers,
            self.reads,
        )

    def _finished(self) -> RawAttempt:
        """Return the record of this attempt, with what it handed over."""
        raw = self.raw
        raw.seconds = time.perf_counter() - self.began
        if self.plain:
            raw.output, raw.judgements = self.output, self.asked
        return raw
