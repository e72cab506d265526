"""The hand-over of one attempt: what a node is given and what it returns, checked and judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from typing import Any, TypeAlias

from langchain_core.runnables import RunnableConfig

from coordgate.asking import Question, ask_all, judge
from coordgate.capture import RawAttempt
from coordgate.contract import Checked, InputCheck
from coordgate.errors import ContractViolation, Direction, GateRejected
from coordgate.gate import Judgement
from coordgate.invariants import Invariants
from coordgate.observers import Noted
from coordgate.plan import NodePlan, check
from coordgate.policy import Degrade, Rung
from coordgate.run import RunContext
from coordgate.snapshots import CHANGEABLE, snapshot
from coordgate.statekey import ROOT
from coordgate.update import is_handed_up, read, ship

Handover: TypeAlias = Generator[Question, Sequence[Judgement], Any]
"""Yields a question for slow gates at most once, and returns the output that ships."""


_noting = threading.Lock()


class HandingOver:
    """What an attempt is handed and hands over; `Turn` says when it begins and how it ends."""

    node: NodePlan
    state: Any
    config: RunnableConfig
    run: RunContext | None

    # Class attributes are what most attempts never change: one is made on every node's run.
    made: RawAttempt | None = None
    """The record of this attempt, where there is more to say than that it passed at once."""
    rung: Rung | None = None
    producers: Sequence[str] = ()
    update: Any = None
    shipped: Any = None
    checked: Checked | None = None
    gated = True
    asked: Sequence[Judgement] = ()
    declined = False
    quietly = False
    plain = False
    output: Any = None
    recorded: Any = None

    @property
    def raw(self) -> RawAttempt:
        """Return the record of this attempt."""
        made = self.made
        if made is None:
            made = self.made = RawAttempt(1, "first")
        return made

    @property
    def gate(self) -> str | None:
        """The name of the quick gate that is being asked."""
        asked, quick = self.asked, self.node.quick
        being_asked = isinstance(asked, list) and len(asked) < len(quick)
        return quick[len(asked)].name if being_asked else None

    def receive(self, intake: InputCheck) -> None:
        """Check what the node is handed.

        Raises:
            ContractViolation: it is not what the node accepts.
        """
        node, state = self.node, self.state
        violations = intake(state)
        if violations:
            self.raw.outcome = "violated"
            self.raw.reasons = tuple(map(str, violations))
            self.quietly = not node.enforces
            if node.enforces:
                raise ContractViolation(
                    node.name, violations, direction="input", producers=self.producers
                )

    def hand_over(self, output: Any) -> Handover:
        """Check and judge an output; return what ships of it.

        Raises:
            ContractViolation: it breaks the contract.
            GateRejected: a gate has not passed.
            InvariantViolated: the state would break an invariant.
        """
        node, raw = self.node, self.raw
        self.shipped = output
        self.checked = checked = check(node, output)
        self.update = checked.update
        self.recorded = raw.output = self._recorded(checked.update)
        if checked.violations:
            self._fail("violated", [str(v) for v in checked.violations])
            if node.enforces:
                raise ContractViolation(
                    node.name, checked.violations, direction=_direction(checked)
                )
        gated = node.gates and self.gated and not isinstance(self.rung, Degrade)
        if gated and not is_handed_up(output):
            judgements = self.asked
            if not judgements:
                asked: list[Judgement] = []
                self.asked = asked
                every, given = not node.enforces, checked.output
                judgements = yield from judge(
                    node.quick, node.slow, given, self.state, asked, all_of_them=every
                )
            raw.judgements = judgements
            failed = [j for j in judgements if not j.verdict.passed]
            if failed:
                self._fail("rejected", [f"{j.gate}: {j.verdict.reason}" for j in failed])
                if node.enforces:
                    raise GateRejected(node.name, failed[0].gate, raw.reasons)
        shipped = self._shipped(output, checked)
        if node.invariants is not None:
            self._keep(node.invariants, shipped)
        return shipped

    def _shipped(self, output: Any, checked: Checked) -> Any:
        node = self.node
        if not node.enforces or checked.values is None:
            return output
        shipped = ship(output, iter(checked.values), node.keys)
        pairs = dict(read(shipped, node.keys, frozenset()))
        self.update = pairs.get(ROOT, pairs)
        self.recorded = self._recorded(self.update)
        return shipped

    def _keep(self, invariants: Invariants, shipped: Any) -> None:
        """Judge the state that the step would leave."""
        node, raw = self.node, self.raw
        if node.mark is not None and isinstance(self.rung, Degrade):
            shipped = dict([*shipped.items(), node.mark])
        finding = invariants.after(self.config, node.name, shipped, stops=node.enforces)
        if finding is None:
            return
        raw.judgements = [*raw.judgements, *finding.judgements]
        if finding.error is not None:
            self._fail("rejected", finding.error.reasons)
            if node.enforces:
                raise finding.error

    def hand_over_now(self, output: dict[str, Any]) -> Any:
        """Do what `hand_over` does, for a plain dict and quick gates that pass; None if not so."""
        node = self.node
        found = node.check.at_once(output)
        if found is None or (node.slow and self.gated):
            return None
        judged, values = found
        if judged is output and node.quick:
            judged = output.copy()  # a gate judges what ships, and must not change it
        if node.quick and self.gated and (self.rung is None or not isinstance(self.rung, Degrade)):
            state = self.state
            asked: list[Judgement] = []
            self.asked = asked
            if not ask_all(node.quick, judged, state, asked):
                return None
        self.plain = True
        shipped = {**output, **values} if values and node.enforces else output
        self.update = shipped
        if self.run is not None and self.run.tracer is not None:
            for item in output.values():
                if type(item) in CHANGEABLE:
                    taken = snapshot(output)
                    break
            else:  # most hand over plain values: no call for those
                taken = output.copy()
            self.output = self.recorded = taken
            if shipped is not output:
                self.recorded = snapshot(shipped)
        return shipped

    def _recorded(self, update: Any) -> Any:
        """Return what the record keeps of an update that later nodes may still change in place."""
        recorded = self.run is not None and self.run.tracer is not None
        return snapshot(update) if recorded else update

    def note(self, judgement: Judgement, about: Any = None) -> None:
        """Keep a judgement that is made while the node runs; tools may run in several threads."""
        if self.run is not None and self.run.tracer is not None:
            with _noting:
                raw = self.raw
                raw.noted = (*raw.noted, judgement)
                if raw.seen is not None:
                    raw.seen.noted.append(Noted(time.time(), about))

    def decline(self, reason: str) -> None:
        """Put down why nothing ships of this attempt: the person asked says so."""
        self.declined = True
        self._fail("rejected", [reason])

    def _fail(self, outcome: Any, reasons: Sequence[str]) -> None:
        raw = self.raw
        raw.outcome = outcome if raw.outcome == "accepted" else raw.outcome
        raw.reasons = (*raw.reasons, *reasons)
        self.quietly = True


def _direction(checked: Checked) -> Direction:
    return "route" if all(v.key == "goto" for v in checked.violations) else "output"
