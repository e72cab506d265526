"""Every error that coordgate raises.

::

    CoordgateError (a RuntimeError)
    ├── ConfigurationError      what was declared cannot work; raised when the guard is built
    ├── HandoffError            a node's hand-over failed while the graph ran
    │   ├── ContractViolation   a value breaks the type or key that was agreed
    │   ├── GateRejected        the values are well formed, but a gate did not pass
    │   └── InvariantViolated   the state would no longer be what it must always be
    ├── BudgetExceeded          a node was not run, since the run's budget is spent
    ├── CircuitOpen             a node was not run, since what it depends on keeps failing
    ├── ToolRefused             a gated tool was not called, or its answer was held back
    ├── UngatedError            a gated node, or what needs one, ran where nobody has guarded
    ├── StoreError              a trace file cannot be read or written
    └── UnsupportedLangGraph    the installed LangGraph is not one that coordgate works on

LangGraph's default retry policy refuses every RuntimeError, so no outer layer repeats what a
coordgate policy has given up on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["input", "output", "route"]

Origin = Literal["nodes", "input", "before"]
"""Who broke an invariant: nodes of the step, the graph's input, or whoever wrote before it."""


class CoordgateError(RuntimeError):
    """The base of every error that coordgate raises."""


class ConfigurationError(CoordgateError):
    """Say what was declared, where, why it cannot work, and the cure."""


class ToolRefused(CoordgateError):
    """A gated tool that code called, not a model, was not called or its answer not given."""

    def __init__(self, tool: str, what: str, reasons: Sequence[str]) -> None:
        """Carry the tool, what became of the call, and why."""
        super().__init__(tool, what, tuple(reasons))
        self.tool = tool
        self.what = what
        self.reasons = tuple(reasons)

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f"tool {self.tool!r} {self.what}: {'; '.join(self.reasons)}"


class UngatedError(CoordgateError):
    """What needs a guarded node ran without one: an `@gated` function, or `idempotency_key`."""


class StoreError(CoordgateError):
    """A trace store cannot be opened, read or written."""


class UnsupportedLangGraph(CoordgateError):
    """The installed LangGraph lacks a name that coordgate's engine stands on."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One value that breaks the contract."""

    key: str
    """The state key, with the path inside its value: `draft`, `messages.0.role`."""
    rule: str
    """What was agreed and not kept, in words."""
    value: str
    """The offending value, shortened and redacted."""

    def __str__(self) -> str:
        """Return one line: key, rule and value."""
        shown = f" (got {self.value})" if self.value else ""
        return f"{self.key}: {self.rule}{shown}"


class HandoffError(CoordgateError):
    """A node's hand-over failed. Names the node, the reasons, the attempts made, and the remedy."""

    def __init__(
        self,
        node: str,
        reasons: Sequence[str],
        *,
        attempts: int = 1,
        remedy: str = "",
    ) -> None:
        """Carry what failed; the message is made from these fields when it is read."""
        super().__init__(node, tuple(reasons))
        self.node = node
        self.reasons = tuple(reasons)
        self.attempts = attempts
        self.remedy = remedy

    def _headline(self) -> str:
        return f"node {self.node!r} failed its hand-over"

    def __str__(self) -> str:
        """Return headline, attempts, one line per reason, and the remedy."""
        tried = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        lines = [f"{self._headline()}{tried}:", *(f"  - {reason}" for reason in self.reasons)]
        if self.remedy:
            lines.append(f"Remedy: {self.remedy}")
        return "\n".join(lines)


class ContractViolation(HandoffError):
    """What the node handed over, or was handed, breaks its contract."""

    def __init__(
        self,
        node: str,
        violations: Sequence[Violation],
        *,
        direction: Direction = "output",
        producers: Sequence[str] = (),
        attempts: int = 1,
        remedy: str = "",
    ) -> None:
        """Carry the violations; `producers` are the nodes that handed over a bad input."""
        super().__init__(node, [str(v) for v in violations], attempts=attempts, remedy=remedy)
        self.violations = tuple(violations)
        self.direction: Direction = direction
        self.producers = tuple(producers)

    def _headline(self) -> str:
        if self.direction == "input":
            by = " and ".join(repr(p) for p in self.producers) or "the graph's input"
            return f"node {self.node!r} was handed a bad input by {by}"
        return f"node {self.node!r} broke its contract"


class GateRejected(HandoffError):
    """A gate did not pass what the node handed over."""

    def __init__(
        self,
        node: str,
        gate: str,
        reasons: Sequence[str],
        *,
        attempts: int = 1,
        remedy: str = "",
    ) -> None:
        """Carry the first gate that did not pass, and the reasons of all that did not."""
        super().__init__(node, reasons, attempts=attempts, remedy=remedy)
        self.gate = gate

    def _headline(self) -> str:
        return f"node {self.node!r} was rejected by gate {self.gate!r}"


class InvariantViolated(HandoffError):
    """The state after a step would break an invariant; nothing of the step was kept."""

    def __init__(
        self,
        invariant: str,
        reasons: Sequence[str],
        *,
        nodes: Sequence[str],
        keys: Sequence[str],
        origin: Origin = "nodes",
        joint: bool = False,
        attempts: int = 1,
        remedy: str = "",
    ) -> None:
        """Carry the first invariant that fails, the nodes whose writes broke it, and their keys.

        `joint` says that the step had more than one task, so that no policy was asked.
        """
        node = " and ".join(nodes)
        super().__init__(node, reasons, attempts=attempts, remedy=remedy)
        self.invariant = invariant
        self.nodes = tuple(nodes)
        self.keys = tuple(keys)
        self.origin: Origin = origin
        self.joint = joint

    def _headline(self) -> str:
        broken = f"invariant {self.invariant!r}"
        if self.keys:
            broken += f", by writing {' and '.join(self.keys)}"
        match self.origin:
            case "input":
                return f"the graph's input breaks {broken}"
            case "before":
                return f"the state broke {broken} before this step"
            case "nodes":
                names = " and ".join(map(repr, self.nodes))
                who = f"node {names}" if len(self.nodes) == 1 else f"nodes {names} together"
                return f"{who} broke {broken}"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run, or a node in it, has spent."""

    attempts: int = 0
    """How often a body was run."""
    tokens: int = 0
    """Tokens sent and received, as far as they are known."""
    usd: float = 0.0
    """US dollars, as far as prices are known."""
    seconds: float = 0.0
    """How long it took: a run from its start to now, a node all its attempts together."""

    def __str__(self) -> str:
        """Return it in words."""
        plural = "" if self.attempts == 1 else "s"
        return (
            f"{self.attempts} attempt{plural}, {self.tokens} tokens, {self.usd:.4f} USD, "
            f"{self.seconds:.1f} s"
        )


class BudgetExceeded(CoordgateError):
    """A node was not run, since the run's budget is spent. Says what was spent where."""

    def __init__(
        self, node: str, over: Sequence[str], spent: Spent, nodes: Mapping[str, Spent]
    ) -> None:
        """Carry the limits that are reached, the sum, and what each node has spent."""
        super().__init__(node, tuple(over), spent, dict(nodes))
        self.node = node
        self.over = tuple(over)
        self.spent = spent
        self.nodes = dict(nodes)

    def __str__(self) -> str:
        """Return the limits that are reached, one line per node, and the remedy."""
        lines = [
            f"node {self.node!r} was not run, since the run's budget is spent: "
            f"{', '.join(self.over)}",
            *(f"  - {name}: {each}" for name, each in self.nodes.items()),
            f"  in all: {self.spent}",
            "Remedy: raise the budget and invoke again with None to go on, or end the node's "
            "policy with a rung that spends nothing, such as Degrade({...}) or Escalate('role')",
        ]
        return "\n".join(lines)


class CircuitOpen(CoordgateError):
    """A node was not run, since what it depends on has kept failing."""

    def __init__(self, node: str, circuit: str, failures: int, seconds: float, last: str) -> None:
        """Carry the circuit, how it came to open, and in how many seconds it is tried again."""
        super().__init__(node, circuit, failures, seconds, last)
        self.node = node
        self.circuit = circuit
        self.failures = failures
        self.seconds = seconds
        self.last = last

    def __str__(self) -> str:
        """Return what is open, why, and when it is tried again."""
        return (
            f"node {self.node!r} was not run: circuit open: {self.circuit!r} has failed "
            f"{self.failures} times in a row, at last with {self.last}; it is tried again in "
            f"{self.seconds:.1f} s. Remedy: add a rung above Retry that does not need it, such as "
            "Fallback(...) or Degrade({...})"
        )
