"""Declarations: what is declared on a node, held against the graph that the node stands in."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.retry import RunnableRetry
from pydantic import BaseModel

from coordgate import _langgraph as lg
from coordgate.channels import input_keys
from coordgate.contract import Contract, HandoverCheck, nearest
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate
from coordgate.invariants import Invariants
from coordgate.node import NodeGuard, retry_engine
from coordgate.policy import Degrade, Fallback, Retry
from coordgate.reach import calls_graph
from coordgate.schema import bare, fields_of, type_name
from coordgate.statekey import ROOT, StateKey, mark_of

_SEPARATORS = re.compile(r"[|:/.]")


def check_gate_keys(
    app: Any, name: str, spec: NodeGuard, contract: Contract, keys: Collection[str]
) -> None:
    """Refuse a ready-made gate on what can never be there: a key, or a subgraph's own answers.

    A node that may be sent to is handed whatever was sent, so of it only the output's keys are
    known; a node that calls a graph may hand up keys of that graph.

    Raises:
        ConfigurationError: a gate reads a key that is not in the output, or not in the state, or
            judges the calls of a subgraph.
    """
    node, where = app.nodes[name], f"node {name!r}"
    if lg.subgraph_of(node) is not None:
        _check_answers(where, name, spec)
    if calls_graph(node):
        return
    handed_over, said = _handed_over(contract, keys)
    if handed_over is None:
        return
    handed = _handed(app, node, name)
    for each in _all_gates(spec.gates):
        for path in each.reads:
            _check_path(where, each, path, handed_over, said)
        for path in each.context if handed is not None else ():
            _check_path(where, each, path, {*handed_over, *(handed or ())}, "in the state")


def _check_answers(where: str, name: str, spec: NodeGuard) -> None:
    for each in spec.gates:
        if isinstance(each, Gate) and each.sees_answers:
            raise ConfigurationError(
                f"{where}: gate {each.name!r} judges the calls that a node makes itself, and a "
                "subgraph makes none: those belong to the nodes inside it; declare it there, "
                f"nodes={{'{name}|...': ...}}, or judge the messages that it hands over, "
                "finished(key='messages')"
            )


def _all_gates(gates: Iterable[Any]) -> Iterator[Gate]:
    for each in gates:
        if isinstance(each, Gate):
            yield each
            yield from _all_gates(each.parts)


def _check_path(where: str, gate: Gate, path: str, known: Collection[str], said: str) -> None:
    name = path.split(".")[0]
    if path in known or name in known:
        return
    shown = [each for each in known if not each.startswith("_")]
    raise ConfigurationError(
        f"{where}: gate {gate.name!r} reads {name!r}, which is not {said}{nearest(name, shown)}"
    )


def _handed_over(contract: Contract, keys: Collection[str]) -> tuple[Collection[str] | None, str]:
    """Return the names that a gate finds in the output, None for any; and where they are from."""
    declared = contract.returns
    if declared is None:
        return (None if ROOT in keys else keys), "a key of the state"
    fields = fields_of(declared)
    kind = bare(declared)
    if not fields or _answers_any(kind):
        return None, ""
    names = fields if isinstance(declared, Mapping) else {*fields, *dir(kind)}
    return names, f"in returns={type_name(declared)}"


def _answers_any(kind: Any) -> bool:
    """Whether objects of a class may have more names than the class tells of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        own = kind.__dict__.get("__getattr__")
        return own is not None or kind.model_config.get("extra") == "allow"
    return getattr(kind, "__getattr__", None) is not None  # pyright: ignore[reportUnknownArgumentType] - isinstance leaves it open


def _handed(app: Any, node: Any, name: str) -> Collection[str] | None:
    """Return the names that a node finds in what it is handed; None where it may be anything."""
    builder = getattr(app, "builder", None)
    if builder is None or not input_keys(node):
        return None
    if not any(end == name for _, end in (*builder.edges, *builder.waiting_edges)):
        return None  # it may be sent to
    schema = builder.nodes[name].input_schema
    return {*input_keys(node), *(() if issubclass(schema, dict) else dir(schema))}


def invariants_of(app: Any, gates: Sequence[Gate]) -> Callable[[Any], Invariants] | None:
    """Return what makes the invariants of a graph as one of its nodes meets them; None of none.

    Raises:
        ConfigurationError: the graph has no state, or an invariant reads a key that it has not.
    """
    if not gates:
        return None
    builder = getattr(app, "builder", None)
    where = "guard(invariants=...)"
    if builder is None:
        raise ConfigurationError(
            f"{where}: an @entrypoint has no state that its steps share; declare gates on it"
        )
    schema = builder.state_schema
    keys = tuple(builder.schemas[schema])
    if keys != (ROOT,):
        names = {*keys, *(() if issubclass(schema, dict) else dir(schema))}
        for each in _all_gates(gates):
            for path in (*each.reads, *each.context):
                _check_path(where, each, path, names, "a key of the state")
    return lambda node: Invariants(gates, schema, keys, node.flat_writers[0])


def no_such_node(app: Any, name: str, within: str) -> ConfigurationError:
    """Return the error for a name that is no node, with what was probably meant."""
    nodes = dict(lg.runnable_nodes(app))
    meant = f"{within}{name}"
    last = _SEPARATORS.split(name)[-1]
    inside = [
        f"{within}{outer}|{last}"
        for outer, node in nodes.items()
        if (graph := lg.subgraph_of(node)) is not None and last in dict(lg.runnable_nodes(graph))
    ]
    hint = nearest(meant, [f"{within}{each}" for each in nodes])
    if inside:
        hint = f"; did you mean {' or '.join(map(repr, inside))}, a node of the subgraph?"
    return ConfigurationError(f"guard(nodes=...): the graph has no node {meant!r}{hint}")


def check_external(where: str, spec: NodeGuard, transports: Sequence[Any]) -> None:
    """Refuse what would run a body after one whose effect may have happened.

    Raises:
        ConfigurationError: a policy, coordgate's or LangGraph's, says so.
    """
    if transports:
        raise ConfigurationError(
            f"{where}: effects='external' and a LangGraph retry policy contradict each other: it "
            "must not be run again by itself; add it with retry_policy=[], or declare "
            "effects='idempotent'"
        )
    rungs = spec.policy.rungs if spec.policy else ()
    for rung in rungs:
        if isinstance(rung, Retry | Fallback):
            raise ConfigurationError(
                f"{where}: a node inside it has effects='external', and {type(rung).__name__} "
                "could do over what that one has done; put the policy on the other nodes inside "
                "it, or declare effects='idempotent'"
            )


def check_engines(where: str, name: str, spec: NodeGuard, node: Any) -> None:
    """Refuse what would run a node's body more often than its policy says.

    Raises:
        ConfigurationError: it is repeated by something else, or keeps what an attempt wrote.
    """
    if spec.policy is None or not spec.policy.of(Retry):
        return
    subgraph = lg.subgraph_of(node)
    if subgraph is not None and subgraph.checkpointer is True:  # pyright: ignore[reportUnknownMemberType] - any saver
        raise ConfigurationError(
            f"{where}: Retry cannot repeat a subgraph that keeps a memory (checkpointer=True): "
            "what a rejected attempt wrote stays in it; gate the nodes inside it, "
            f"such as nodes={{'{name}|node': ...}}, or compile it without checkpointer=True"
        )
    engine = _retry_engine(node.bound)
    if engine is not None:
        raise ConfigurationError(
            f"{where}: two retry engines on one node, {engine} inside and Retry outside, would "
            "multiply their attempts; drop one of them"
        )


def _retry_engine(runnable: Runnable[Any, Any]) -> str | None:
    for step in getattr(runnable, "steps", None) or [runnable]:
        inner: Any = step
        while isinstance(inner, RunnableBindingBase):
            if isinstance(inner, RunnableRetry):
                return "with_retry()"
            inner = inner.bound  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - isinstance leaves it open
        function = getattr(inner, "func", None) or getattr(inner, "afunc", None)
        engine = retry_engine(function)
        if engine is not None:
            return engine
    return None


def check_stated(
    name: str, rung: Degrade, check: HandoverCheck, keys: Sequence[StateKey]
) -> tuple[str, Any] | None:
    """Refuse a stated answer that may not ship; return its mark in the state, if it has one.

    Raises:
        ConfigurationError: it breaks the contract, or the state has no such key for the mark.
    """
    where = f"node {name!r}"
    violations = check(list(rung.update.items())).violations
    if violations:
        reasons = "; ".join(map(str, violations))
        raise ConfigurationError(
            f"{where}: Degrade({dict(rung.update)!r}) breaks the node's contract: {reasons}; "
            "a stated answer must be one that may ship"
        )
    if rung.mark is None:
        return None
    known = {key.name: key for key in keys if key.name != ROOT}
    if rung.mark not in known:
        raise ConfigurationError(
            f"{where}: Degrade(mark={rung.mark!r}): {rung.mark!r} is not a key of the state"
            f"{nearest(rung.mark, known)}"
        )
    key = known[rung.mark]
    value = mark_of(key, name)
    if value is None:
        raise ConfigurationError(
            f"{where}: Degrade(mark={rung.mark!r}): the key is {type_name(key.annotation)}, and a "
            "mark is a bool, or a list of names with a reducer that gathers them, such as "
            "Annotated[list[str], operator.add]"
        )
    return rung.mark, value
