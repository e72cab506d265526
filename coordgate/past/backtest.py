"""Backtest: a graph's current contracts and gates over what its nodes handed over in the past.

Nothing of the graph is run but its gates. Of each recorded output it is asked what the contract and
each gate say of it today, and what they said then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from coordgate.asking import ask, ask_in_threads
from coordgate.gate import Gate, Judgement, Verdict
from coordgate.labels import Label
from coordgate.past.labelled import Confusion, Labelled
from coordgate.past.nodes import GuardedNode, guarded_nodes
from coordgate.plan import check
from coordgate.policy import Retry
from coordgate.record import Attempt, Run, Transition, path_of
from coordgate.stores import Store

CONTRACT = "(contract)"
"""What a node's contract is called among its gates."""

_JUDGED = frozenset({"accepted", "rejected", "violated"})
_NODE_ITSELF = frozenset({"first", "retry", "transport"})


@dataclass(slots=True)
class GateTurn:
    """What one gate said then and says now, over all outputs that it could be asked about."""

    node: str
    """The node's path."""
    gate: str
    """The gate's name; `(contract)` for the node's contract."""
    asked_then: int = 0
    """How many outputs it was asked about then."""
    rejected_then: int = 0
    """How many of these it rejected."""
    asked_now: int = 0
    """How many it was asked about now; 0 for a gate that the node no longer has."""
    rejected_now: int = 0
    """How many of these it rejects."""
    broken_now: int = 0
    """How many of these because it raised, or returned nonsense."""
    now_rejected: int = 0
    """How many it passed then and rejects now."""
    now_passed: int = 0
    """How many it rejected then and passes now."""
    labelled_then: Confusion = field(default_factory=Confusion)
    """What it said then, beside the labels."""
    labelled_now: Confusion = field(default_factory=Confusion)
    """What it says now, beside the labels."""


@dataclass(frozen=True, slots=True)
class Change:
    """One verdict that is another now."""

    run: str
    """The run's id."""
    transition: int
    """The number of the transition."""
    attempt: int
    """The number of the attempt."""
    node: str
    """The node's path."""
    gate: str
    """The gate; `(contract)` for the node's contract."""
    passes: bool
    """Whether it passes now."""
    was: bool | None
    """Whether it passed then; None for a gate that was not asked then."""
    reason: str
    """Why it does not pass, now or then."""


@dataclass(slots=True)
class Retries:
    """What the changed verdicts would have cost at one node."""

    node: str
    """The node's path."""
    now_rejected: int = 0
    """Outputs that shipped, and would not ship now."""
    now_passed: int = 0
    """Outputs that were rejected, and would ship now."""
    more: float = 0.0
    """Further attempts, as expected: each repeat fails as often as an output is rejected now."""
    fewer: int = 0
    """Attempts that would not have been made: those after an output that would ship now."""
    seconds: float = 0.0
    """What the further attempts would have taken, less what the others took."""
    tokens: float | None = None
    """Their tokens, in and out, likewise; None if unknown."""
    usd: float | None = None
    """Their cost, likewise; None if unknown."""
    retries: int = 0
    """How many repeats the node's policy allows."""


@dataclass(slots=True)
class Backtest:
    """What the current gates say of the past."""

    runs: int = 0
    """How many runs were looked at."""
    outputs: int = 0
    """How many outputs were judged again."""
    gates: list[GateTurn] = field(default_factory=list[GateTurn])
    """Each gate of each node."""
    changes: list[Change] = field(default_factory=list[Change])
    """Every verdict that is another now, in the order of the record."""
    retries: list[Retries] = field(default_factory=list[Retries])
    """What the changes would have cost, node by node."""
    stopped_then: Confusion = field(default_factory=Confusion)
    """Runs with a label: whether a gate rejected something that shipped, then."""
    stopped_now: Confusion = field(default_factory=Confusion)
    """Runs with a label: whether a gate rejects something that shipped, now."""
    not_judged: Counter[str] = field(default_factory=Counter[str])
    """Outputs that could not be judged again, by the reason."""
    not_asked: tuple[str, ...] = ()
    """Gates that were not asked: they wait for a model, or look at its answers."""
    doubts: tuple[str, ...] = ()
    """Values whose type the record leaves open, by node and key."""


def backtest(
    store: Store, app: Any, labels: Iterable[Label] = (), *, slow: bool = False, where: str = "app"
) -> Backtest:
    """Ask a guarded graph's contracts and gates about every recorded output.

    Args:
        store: The record.
        app: The compiled and guarded graph; only its contracts and gates run.
        labels: What is known to be correct.
        slow: Whether gates that wait for a model or a network are asked too.
        where: What the graph is called in errors.

    Raises:
        ConfigurationError: the graph is not guarded.
    """
    test = _Test(guarded_nodes(app, where), Labelled(labels), slow=slow)
    for run in store.runs(newest_first=False):
        test.take(run, store.transitions(run.id))
    return test.result()


@dataclass(slots=True)
class _Node:
    """What is gathered of one node."""

    judged: int = 0
    rejected: int = 0
    attempts: int = 0
    seconds: float = 0.0
    tokens: list[int] = field(default_factory=list[int])
    costs: list[float] = field(default_factory=list[float])
    saved: list[Attempt] = field(default_factory=list[Attempt])
    now_rejected: list[int] = field(default_factory=list[int])
    """Of each output that would not ship now, how many repeats were made before it; -1 of one that
    came after all of them, from a fallback."""
    now_passed: int = 0

    def spend(self, attempt: Attempt) -> None:
        """Take what an attempt of the node itself has spent."""
        if attempt.rung in _NODE_ITSELF:
            self.attempts += 1
            self.seconds += attempt.seconds
            if attempt.tokens_in is not None or attempt.tokens_out is not None:
                self.tokens.append((attempt.tokens_in or 0) + (attempt.tokens_out or 0))
            if attempt.cost is not None:
                self.costs.append(attempt.cost)


class _Test:
    def __init__(self, nodes: dict[str, GuardedNode], labels: Labelled, *, slow: bool) -> None:
        self._nodes = nodes
        self._labels = labels
        self._slow = slow
        self._found = Backtest()
        self._gates: dict[tuple[str, str], GateTurn] = {}
        self._of: defaultdict[str, _Node] = defaultdict(_Node)
        self._doubts: dict[str, None] = {}

    def take(self, run: Run, transitions: Iterable[Transition]) -> None:
        """Judge what was handed over in one run."""
        self._found.runs += 1
        then = now = False
        for transition in transitions:
            path = path_of(transition)
            node = self._nodes.get(path)
            if node is None:
                self._found.not_judged[f"the graph has no node {path!r}"] += len(
                    [each for each in transition.attempts if each.output is not None]
                )
                continue
            was, is_now = self._transition(node, transition)
            then |= was
            now |= is_now
        correct = self._labels.run(run.id)
        if correct is not None and run.status == "completed":  # of another nothing went out
            self._found.stopped_then.add(rejected=then, correct=correct)
            self._found.stopped_now.add(rejected=now, correct=correct)

    def _transition(self, node: GuardedNode, transition: Transition) -> tuple[bool, bool]:
        """Return whether what shipped was rejected then, and whether it is now."""
        gathered = self._of[node.path]
        then = now = spared = False
        for position, attempt in enumerate(transition.attempts):
            gathered.spend(attempt)
            if attempt.outcome not in _JUDGED or attempt.output is None:
                continue
            if attempt.rung == "degrade" or attempt.rung.startswith("escalate:"):
                continue  # what was stated, or decided by a person, no gate is asked about
            verdict = self._attempt(node, transition, attempt)
            if verdict is None:
                continue
            accepted = attempt.outcome == "accepted"
            gathered.judged += 1
            gathered.rejected += not verdict
            shipped = position == len(transition.attempts) - 1 and transition.status in {
                "accepted",
                "observed",
            }
            if shipped:
                then, now = not accepted, not verdict
                if accepted and not verdict:
                    made = position if attempt.rung in _NODE_ITSELF else -1
                    gathered.now_rejected.append(made)
            if not accepted and verdict and not spared:
                spared = True
                gathered.now_passed += 1
                gathered.saved += transition.attempts[position + 1 :]
        return then, now

    def _attempt(self, node: GuardedNode, transition: Transition, attempt: Attempt) -> bool | None:
        """Judge an output again; return whether it would ship, None if that cannot be told."""
        assert attempt.output is not None
        broken = _keys_in(attempt.reasons) if attempt.outcome == "violated" else ()
        restored = node.restorer.update(attempt.output, broken=broken)
        state = None if transition.reads is None else node.state(transition.reads)
        asked = [*self._quick(node), *(node.plan.slow if self._slow else ())]
        needs_state = any(gate.takes_state for gate in asked)
        lost = [*restored.lost, *(state.lost if state is not None and needs_state else ())]
        if lost:
            self._found.not_judged[f"{node.path}: {lost[0]}"] += 1
            return None
        for doubt in (*restored.doubts, *(state.doubts if state and needs_state else ())):
            self._doubts[f"{node.path}: {doubt}"] = None
        self._found.outputs += 1
        said = dict(self._asked(node, restored.value, None if state is None else state.value))
        then = {verdict.gate: verdict for verdict in attempt.verdicts}
        correct = self._labels.attempt(transition, attempt)
        violated = attempt.outcome == "violated"
        reasons = "; ".join(attempt.reasons) if violated else ""
        self._compare(node, transition, attempt, CONTRACT, (not violated, reasons), said, correct)
        for name in dict.fromkeys([*then, *said]):
            if name != CONTRACT:
                was = then.get(name)
                told = None if was is None else (was.passed, was.reason)
                self._compare(node, transition, attempt, name, told, said, correct)
        unasked = {gate.name for gate in (*node.plan.quick, *node.plan.slow)} - said.keys()
        kept = all(then[name].passed for name in unasked & then.keys())
        return kept and all(judgement.verdict.passed for judgement in said.values())

    def _asked(self, node: GuardedNode, output: Any, state: Any) -> Iterator[tuple[str, Judgement]]:
        """Yield what the contract, and if it is kept each gate, says of an output."""
        plan = node.plan
        checked = check(plan, output)
        if checked.violations:
            reason = "; ".join(map(str, checked.violations))
            yield CONTRACT, Judgement(CONTRACT, Verdict.reject(reason))
            return
        yield CONTRACT, Judgement(CONTRACT, Verdict.accept())
        for gate in self._quick(node):
            yield gate.name, ask(gate, checked.output, state)
        if self._slow and plan.slow:
            for judgement in ask_in_threads((plan.slow, checked.output, state)):
                yield judgement.gate, judgement

    def _compare(
        self,
        node: GuardedNode,
        transition: Transition,
        attempt: Attempt,
        gate: str,
        was: tuple[bool, str] | None,
        said: dict[str, Judgement],
        correct: bool | None,
    ) -> None:
        turn = self._gates.setdefault((node.path, gate), GateTurn(node.path, gate))
        now = said[gate].verdict if gate in said else None
        if was is not None:
            turn.asked_then += 1
            turn.rejected_then += not was[0]
            if correct is not None:
                turn.labelled_then.add(rejected=not was[0], correct=correct)
        if now is None:
            return
        turn.asked_now += 1
        turn.rejected_now += not now.passed
        turn.broken_now += now.broken
        if correct is not None:
            turn.labelled_now.add(rejected=not now.passed, correct=correct)
        if was is not None and was[0] != now.passed:
            turn.now_rejected += was[0]
            turn.now_passed += now.passed
        if (was is None and not now.passed) or (was is not None and was[0] != now.passed):
            passed, reason = was or (None, "")
            where = (transition.run, transition.number, attempt.number, node.path, gate)
            why = reason if now.passed else now.reason
            self._found.changes.append(Change(*where, now.passed, passed, why))

    def result(self) -> Backtest:
        """Return what was found."""
        found = self._found
        found.gates = list(self._gates.values())
        found.doubts = tuple(self._doubts)
        found.retries = [
            _retries(self._nodes[path], gathered)
            for path, gathered in self._of.items()
            if gathered.now_rejected or gathered.now_passed
        ]
        found.not_asked = tuple(
            f"{node.path}: {gate.name}"
            for node in self._nodes.values()
            for gate in (*node.plan.quick, *node.plan.slow)
            if gate.sees_answers or (gate in node.plan.slow and not self._slow)
        )
        return found

    def _quick(self, node: GuardedNode) -> list[Gate]:
        """Return the gates of a node that are asked at once, and can be."""
        return [gate for gate in node.plan.quick if not gate.sees_answers]


def _retries(node: GuardedNode, gathered: _Node) -> Retries:
    policy = node.plan.policy
    allowed = sum(rung.attempts for rung in (policy.of(Retry) if policy else ()))
    share = gathered.rejected / gathered.judged
    left = [allowed - made if made >= 0 else 0 for made in gathered.now_rejected]
    more = float(sum(share**made for repeats in left for made in range(repeats)))
    saved = gathered.saved
    tokens = [(a.tokens_in or 0) + (a.tokens_out or 0) for a in saved]
    rejected, passed = len(gathered.now_rejected), gathered.now_passed
    made = Retries(node.path, rejected, passed, more, len(saved))
    made.retries = allowed
    made.seconds = more * gathered.seconds / gathered.attempts - sum(a.seconds for a in saved)
    if gathered.tokens:
        made.tokens = more * sum(gathered.tokens) / len(gathered.tokens) - sum(tokens)
    if gathered.costs:
        spent = sum(a.cost or 0.0 for a in saved)
        made.usd = more * sum(gathered.costs) / len(gathered.costs) - spent
    return made


def _keys_in(reasons: Sequence[str]) -> set[str]:
    """Return the state keys that a contract's reasons are about."""
    return {reason.partition(":")[0].partition(".")[0] for reason in reasons}
