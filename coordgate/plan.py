"""The plan of a node: what was declared on one node of one graph, made ready to run."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Any

from langgraph.types import RetryPolicy

from coordgate.circuit import Circuit, circuit_of
from coordgate.contract import Checked, HandoverCheck, InputCheck, nearest
from coordgate.errors import Violation
from coordgate.flow import Flow
from coordgate.gate import Gate
from coordgate.invariants import Invariants
from coordgate.node import NodeGuard
from coordgate.policy import Escalate, Policy, Retry
from coordgate.record import Mode
from coordgate.redaction import shorten
from coordgate.update import NotAnUpdate, is_handed_up, read, targets


class NodePlan:
    """One node of one guarded graph: what was declared on it, made ready to run."""

    def __init__(
        self,
        name: str,
        guard: NodeGuard,
        *,
        declared: NodeGuard | None,
        mode: Mode,
        keys: frozenset[str],
        reduced: frozenset[str],
        check: HandoverCheck,
        intake: InputCheck | None,
        known: frozenset[str] | None,
        ends: frozenset[str] | None,
        edges: Sequence[str],
        transports: Sequence[RetryPolicy],
        retries_on: Callable[[RetryPolicy, Exception], bool],
        invariants: Invariants | None = None,
        nested: Sequence[str] = (),
        external: bool = False,
        flow: Flow | None = None,
        encloses: bool = False,
        mark: tuple[str, Any] | None = None,
    ) -> None:
        """Take what `graph` has built.

        `known` are the nodes to go to, None for any; `ends` those of them that the node's Commands
        may go to, None for all; `external` says that the node, or one in the graph that it is, has
        effects that must not happen twice; `encloses` that it is a graph; `mark` is the key, and
        its value, that says in the state that the stated answer has shipped.
        """
        self.name = name
        self.me = (name,)
        self.guard = guard
        self.declared = declared
        self.mode: Mode = mode
        self.enforces = mode == "enforce"
        self.keys = keys
        self.reduced = reduced
        self.check = check
        self.intake = intake
        self.quick_intake = None if intake is None else intake.quick
        self.known = known
        self.ends = ends
        self.edges = tuple(edges)
        gates = [each for each in guard.gates if isinstance(each, Gate)]
        self.quick = tuple(g for g in gates if not (g.slow or g.is_async))
        self.slow = tuple(g for g in gates if g.slow or g.is_async)
        self.gates = bool(gates)
        self.external = external
        self.encloses = encloses
        self.acts = guard.effects != "none"
        self.circuit = _circuit(guard.policy) if self.enforces else None
        self.enters = self.acts or self.circuit is not None
        self.routes: tuple[str, ...] | None = None
        """The channels that a plain update writes control to; None if they vary."""
        self.goto: tuple[str, ...] = ()
        """The nodes behind these channels."""
        self.policy = guard.policy
        self.transports = tuple(transports)
        self.retries_on = retries_on
        self.flow = flow
        self.mark = mark
        self.climbs = self.enforces and bool(self.policy)
        self.repeats = self.enforces and bool(self.policy or self.transports)
        self.invariants = invariants
        self.escalates = self.enforces and bool(self.policy and self.policy.of(Escalate))
        self.shields = self.enforces and guard.declares
        self.nested = tuple(nested) if self.climbs else ()
        """The state keys of which an attempt has copies, all the way down."""
        self.holds = self.enforces and guard.stream == "hold"
        self.ladders: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    @functools.cached_property
    def form(self) -> dict[str, Any]:
        """The JSON schema of an update of this node, for whom it is escalated to."""
        return self.check.form()

    def misroutes(self, output: Any) -> list[Violation]:
        """Return what is wrong with where an output's Commands go."""
        named, sent = targets(output)
        goto = [*named, *sent]
        return (
            self._unknown(goto)
            + self._undeclared(goto)
            + _beside(named, self.edges, "a static edge")
        )

    def misled(self, goto: Sequence[str], output: Any) -> list[Violation]:
        """Return what is wrong with where the node's conditional edges went."""
        named, sent = targets(output)
        routed = [target for target in goto if target not in sent]
        return self._unknown(goto) + _beside(named, routed, "a conditional edge")

    def off_the_map(self, labels: Sequence[Any], known: Collection[Any]) -> list[Violation]:
        """Return what is wrong with what a conditional edge returned that its map does not name."""
        names = [str(each) for each in known]
        return [
            Violation(
                "goto",
                f"the conditional edge has no such label{nearest(str(label), names)}",
                repr(label),
            )
            for label in labels
        ]

    def _unknown(self, goto: Sequence[str]) -> list[Violation]:
        known = self.known
        if known is None:
            return []
        return [
            Violation("goto", f"there is no such node{nearest(target, known)}", repr(target))
            for target in goto
            if target not in known
        ]

    def _undeclared(self, goto: Sequence[str]) -> list[Violation]:
        ends, known = self.ends, self.known
        if ends is None or known is None:
            return []
        declared = ", ".join(map(repr, sorted(ends)))
        rule = f"the node's return annotation, Command[Literal[{declared}]], does not go there"
        return [
            Violation("goto", rule, repr(target))
            for target in goto
            if target in known and target not in ends
        ]


def _circuit(policy: Policy | None) -> Circuit | None:
    given: Any = [rung.circuit for rung in policy.of(Retry) if rung.circuit] if policy else []
    return circuit_of(given[0]) if given else None


def _beside(named: Sequence[str], edges: Sequence[str], kind: str) -> list[Violation]:
    """Return the violation of a goto by name beside edges that go elsewhere."""
    others = [edge for edge in edges if edge not in named]
    if not named or not others:
        return []
    rule = (
        f"the node also has {kind} to {' and '.join(map(repr, others))}, and LangGraph would run "
        "both; remove the edge, or return the update without goto"
    )
    return [Violation("goto", rule, " and ".join(map(repr, named)))]


def check(node: NodePlan, output: Any) -> Checked:
    """Check an output against a node's contract and the nodes there are, gates aside."""
    try:
        pairs = read(output, node.keys, node.reduced)
    except NotAnUpdate as error:
        return Checked(
            output,
            output,
            None,
            [Violation("(update)", str(error), shorten(output))],
        )
    if not pairs and is_handed_up(output):
        return Checked({}, {}, None, node.misroutes(output))
    checked = node.check(pairs)
    if type(output) is dict:
        return checked
    misrouted = node.misroutes(output)
    if not misrouted:
        return checked
    return Checked(
        checked.update, checked.output, checked.values, [*checked.violations, *misrouted]
    )
