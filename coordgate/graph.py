"""`guard`: every node of a graph wrapped in its contract, gates and policy."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, TypeVar, cast, get_type_hints

from langgraph.graph import END, START
from langgraph.types import Command

from coordgate import _langgraph as lg
from coordgate.budget import Budget
from coordgate.channels import command_ends, input_keys, state_keys, static_targets
from coordgate.contract import Contract, HandoverCheck, InputCheck
from coordgate.copies import guarded_node
from coordgate.declarations import (
    check_engines,
    check_external,
    check_gate_keys,
    check_stated,
    invariants_of,
    no_such_node,
)
from coordgate.drawing import graph_bundle, graph_html, graph_text
from coordgate.engine import GuardedSeq, GuardedWrite
from coordgate.errors import ConfigurationError
from coordgate.flow import Flow, flow_of, taken_away
from coordgate.gate import Gate
from coordgate.guarded import GraphGuard, GuardedGraph
from coordgate.invariants import Invariants, as_invariants, with_input_judged
from coordgate.node import NodeGuard, declared_on
from coordgate.plan import NodePlan
from coordgate.policy import Degrade, Escalate
from coordgate.prices import Price, Prices, as_prices
from coordgate.reach import calls_graph
from coordgate.record import Mode
from coordgate.retries import merged_retries
from coordgate.schema import bare, has_fields
from coordgate.settings import load
from coordgate.shield import nested_keys
from coordgate.statekey import StateKey
from coordgate.tracer import Sink, Tracer

Graph = TypeVar("Graph")

_log = logging.getLogger("coordgate")
_OPEN = NodeGuard()
_INNER = "|"


def guard(
    target: Graph,
    nodes: Mapping[str, NodeGuard] | str | PathLike[str] | None = None,
    *,
    mode: Mode = "enforce",
    tracer: Tracer | Sink | str | PathLike[str] | None = None,
    invariants: Sequence[Gate | Callable[..., Any]] = (),
    prices: Prices | Mapping[str, Price | Mapping[str, float]] | str | PathLike[str] | None = None,
    budget: Budget | None = None,
) -> Graph:
    """Return the same kind of graph with every node guarded; the one given stays as it is.

    Takes a `StateGraph`, a compiled one, or an `@entrypoint`. Nodes keep what `@gated` declared;
    `nodes` adds or overrides by name (`"sub|inner"` for a node inside a subgraph), or names a TOML
    file. A node without a declaration is checked against the state's own annotations.

    `mode="observe"` changes nothing that a caller can see, and records what would have failed.
    `tracer` is a Tracer, or a path or sink for one. `invariants` are functions of the state, or
    gates, that must pass after every step of this graph, before anything of the step is kept.
    `prices` is a table of what models cost, or a TOML file of it; a model that it does not name
    costs an unknown amount. `budget` is what a run may spend, subgraphs and resumes included.
    Guarding twice is guarding once: what is given the second time is laid over the first.

    Raises:
        ConfigurationError: the target is no graph, a name is no node, or a declaration cannot work.
    """
    if mode not in {"enforce", "observe"}:
        raise ConfigurationError(f"guard(mode={mode!r}): use 'enforce' or 'observe'")
    from_file = load(nodes) if isinstance(nodes, str | PathLike) else None
    declared, must_hold = from_file or (_by_name(nodes), [])
    for name, each in declared.items():
        if not isinstance(each, NodeGuard):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(f"guard(nodes={{{name!r}: {each!r}}}): give a NodeGuard")
    if tracer is not None and not isinstance(tracer, Tracer):
        if isinstance(tracer, type) or not isinstance(tracer, str | PathLike | Sink):  # pyright: ignore[reportUnnecessaryIsInstance] - for callers without a type checker
            raise ConfigurationError(
                f"guard(tracer={tracer!r}): give a path such as 'traces.db', a Tracer, or a sink"
            )
        tracer = Tracer(tracer)
    if not isinstance(budget, Budget | None):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
        raise ConfigurationError(f"guard(budget={budget!r}): use Budget(attempts=..., usd=...)")
    settings = GraphGuard(
        declared,
        mode=mode,
        tracer=tracer,
        invariants=(*as_invariants(must_hold), *as_invariants(invariants)),
        prices=as_prices(prices),
        budget=budget,
    )
    if isinstance(target, lg.StateGraph):
        return cast("Graph", _guarded_builder(target, settings))
    if isinstance(target, lg.Pregel):
        return cast("Graph", _guarded_graph(target, settings))
    raise ConfigurationError(
        f"guard({type(target).__name__}): give a StateGraph, a compiled graph or an @entrypoint"
        + (
            "; a graph behind a server is guarded where it runs"
            if "Remote" in type(target).__name__
            else ""
        )
    )


def _by_name(nodes: object) -> dict[str, NodeGuard]:
    if nodes is None:
        return {}
    if not isinstance(nodes, Mapping) or not all(isinstance(name, str) for name in nodes):  # pyright: ignore[reportUnknownVariableType] - any mapping
        raise ConfigurationError(
            f"guard(nodes={nodes!r}): give a dict of node names to NodeGuards, or a TOML file"
        )
    return dict(nodes)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - the guards are checked next


def reguarded(target: Any, change: Callable[[Any], Any]) -> Any:
    """Return a graph with `change` made underneath its guard, if it has one: to the bare graph."""
    kind: type[Any] = type(target)  # pyright: ignore[reportUnknownVariableType] - the type of Any
    if issubclass(kind, _GuardedBuilder):
        return _guarded_builder(change(lg.copy_builder(target, kind.bare_class)), target.coordgate)
    if issubclass(kind, GuardedGraph):
        return _guarded_graph(change(_bare(target)), target.coordgate)
    return change(target)


def _bare(app: Any) -> Any:
    nodes = {name: getattr(node.node, "original", node) for name, node in app.nodes.items()}
    return lg.copy_graph(app, app.bare_class, nodes, taken_away(app.channels, nodes))


class _GuardedBuilder:
    """What a guarded StateGraph's class adds: compiling it guards every node there is by then."""

    coordgate: GraphGuard
    bare_class: type[Any]

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """Compile as LangGraph does, and guard the result."""
        return _guarded_graph(super().compile(*args, **kwargs), self.coordgate)  # type: ignore[misc]


def _guarded_builder(builder: Any, settings: GraphGuard) -> Any:
    kind: type[Any] = type(builder)  # pyright: ignore[reportUnknownVariableType] - the type of Any
    if issubclass(kind, _GuardedBuilder):
        settings = _laid_over(settings, builder.coordgate)
        kind = kind.bare_class
    made = type(kind.__name__, (_GuardedBuilder, kind), _class_body(kind, settings))
    return lg.copy_builder(builder, made)


def _guarded_graph(app: Any, settings: GraphGuard) -> Any:
    kind: type[Any] = type(app)  # pyright: ignore[reportUnknownVariableType] - the type of Any
    nodes: dict[str, Any] = dict(app.nodes)
    if issubclass(kind, GuardedGraph):
        settings = _laid_over(settings, app.coordgate)
        app = _bare(app)
        kind, nodes = kind.bare_class, dict(app.nodes)
    own, inner = _by_depth(settings.nodes)
    gateable = dict(lg.runnable_nodes(app))
    for name in {*own, *inner}:
        if name not in gateable:
            raise no_such_node(app, name, settings.within)
    keys = state_keys(app)
    unchecked: list[str] = []
    specs = {
        name: (own.get(name) or _OPEN).over(declared_on(lg.function_of(node)))
        for name, node in gateable.items()
    }
    flow = flow_of(app, specs, keys, settings.mode)
    must_hold = invariants_of(app, settings.invariants)
    if must_hold is not None and settings.mode == "enforce":
        nodes[START] = with_input_judged(nodes[START], must_hold(nodes[START]))
    for name, node in gateable.items():
        part = settings.inside(name, inner.get(name, {}))
        nodes[name] = _guarded_node(
            app, name, node, own.get(name), part, keys, unchecked, flow, must_hold
        )
    guarded = GraphGuard(
        settings.nodes,
        mode=settings.mode,
        tracer=settings.tracer,
        invariants=settings.invariants,
        prices=settings.prices,
        budget=settings.budget,
        unchecked=sorted(set(unchecked)),
    )
    if guarded.unchecked and settings.mode == "enforce":
        _log.info(
            "graph %r: no contract can check %s", app.get_name(), "; ".join(guarded.unchecked)
        )
    made = type(kind.__name__, (GuardedGraph, kind), _class_body(kind, guarded))
    channels = app.channels if flow is None else flow.added(app.channels, nodes)
    return lg.copy_graph(app, made, nodes, channels)


def _guarded_node(
    app: Any,
    name: str,
    node: Any,
    given: NodeGuard | None,
    part: GraphGuard,
    keys: Sequence[StateKey],
    unchecked: list[str],
    flow: Flow | None,
    must_hold: Callable[[Any], Invariants] | None,
) -> Any:
    function = lg.function_of(node)
    declared = declared_on(function)
    spec = (given or _OPEN).over(declared)
    where = f"node {name!r}"
    contract = spec.contract or Contract()
    lenient = calls_graph(node)
    check = None
    if spec.contract is None and (spec.declares or declared is not None or given is not None):
        contract = _annotated(app, function) or contract
        try:
            check = HandoverCheck(contract, keys, where=where, lenient=lenient)
        except ConfigurationError as error:  # nobody declared it, so it is named and not used
            unchecked.append(str(error))
            contract = Contract()
    if check is None:
        check = HandoverCheck(contract, keys, where=where, lenient=lenient)
    unchecked += check.unchecked
    check_gate_keys(app, name, spec, contract, {key.name for key in keys})
    intake = None
    if contract.accepts is not None:
        intake = InputCheck(contract.accepts, input_keys(node), where=where)
    transports = lg.retry_policies(app, node) if part.mode == "enforce" else ()
    subgraph = _guarded_subgraph(where, node, part)
    external = spec.effects == "external" or _has_external(subgraph)
    if part.mode == "enforce":
        _check_waiting(app, where, spec)
        if external:
            check_external(where, spec, transports)
            if flow is not None:
                flow.external.add(name)
        check_engines(where, name, spec, node)
    mark = None
    for rung in spec.policy.rungs if spec.policy else ():
        if isinstance(rung, Degrade):
            mark = check_stated(name, rung, check, keys)
    plan = NodePlan(
        name,
        spec,
        declared=declared,
        mode=part.mode,
        keys=frozenset(key.name for key in keys),
        reduced=frozenset(key.name for key in keys if key.kind in {"reducer", "messages"}),
        check=check,
        intake=intake,
        known=_known(app),
        ends=command_ends(function),
        edges=static_targets(app, name),
        transports=transports if part.mode == "enforce" else lg.retry_policies(app, node),
        retries_on=lg.retries_on,
        external=external,
        flow=flow,
        encloses=subgraph is not None,
        invariants=None if must_hold is None else must_hold(node),
        mark=mark,
        nested=nested_keys(keys),
    )
    write = GuardedWrite(node.flat_writers[0], plan)
    seq = GuardedSeq(node.node, plan, write, node, subgraph)
    retry = merged_retries(plan) or None if part.mode == "enforce" else None
    prefix = _fingerprint(contract, spec, keys) if part.mode == "enforce" else None
    # By hand nothing is checked in observe mode, and a graph guarded before checks for itself.
    kept = part.mode == "observe" or (
        isinstance(lg.subgraph_of(node), GuardedGraph) and not part.nodes
    )
    return guarded_node(node, seq, write, retry, prefix, None if kept else subgraph)


def _guarded_subgraph(where: str, node: Any, part: GraphGuard) -> Any:
    """Return the guarded copy of the graph that a node is; one guarded before keeps its mode."""
    subgraph = lg.subgraph_of(node)
    if subgraph is None:
        if part.nodes:
            raise ConfigurationError(
                f"guard(nodes=...): {where} is no compiled graph, so it has no node "
                f"{next(iter(part.nodes))!r} inside; guard the graph that it calls"
            )
        return None
    mode = subgraph.coordgate.mode if isinstance(subgraph, GuardedGraph) else part.mode
    return _guarded_graph(
        subgraph, GraphGuard(part.nodes, mode=mode, tracer=part.tracer, within=part.within)
    )


def _known(app: Any) -> frozenset[str] | None:
    if not hasattr(app, "builder"):
        return None
    return frozenset({*app.nodes, END}) - {START}


def _annotated(app: Any, function: Any) -> Contract | None:
    """Return the contract that a node's own annotations state.

    An annotation that is the state itself says nothing of what the node must hand over, since an
    update may be partial.
    """
    builder = getattr(app, "builder", None)
    schemas: set[int] = set(map(id, builder.schemas)) if builder is not None else set()
    try:
        returned = get_type_hints(function, include_extras=True).get("return")
    except (NameError, TypeError, AttributeError):
        return None
    if returned is None or id(bare(returned)) in schemas or not has_fields(returned):
        return None
    if bare(returned) is Command:
        return None
    return Contract(returns=returned)


def _check_waiting(app: Any, where: str, spec: NodeGuard) -> None:
    """Refuse a question to a person in a graph that is told not to keep anything."""
    if app.checkpointer is False and spec.policy is not None and spec.policy.of(Escalate):
        raise ConfigurationError(
            f"{where} may escalate to a person, and its graph is compiled with checkpointer=False, "
            "so it cannot wait; leave checkpointer out to use that of the graph around it"
        )


def _has_external(subgraph: Any) -> bool:
    """Return whether a guarded graph has a node with effects that must not happen twice."""
    nodes = subgraph.nodes.values() if subgraph is not None else ()
    return any(each.node.plan.external for each in nodes if isinstance(each.node, GuardedSeq))


def _by_depth(
    nodes: Mapping[str, NodeGuard],
) -> tuple[dict[str, NodeGuard], dict[str, dict[str, NodeGuard]]]:
    """Split names into a graph's own nodes, and those inside its subgraphs."""
    own: dict[str, NodeGuard] = {}
    inner: dict[str, dict[str, NodeGuard]] = {}
    for name, each in nodes.items():
        outer, deeper, rest = name.partition(_INNER)
        if deeper:
            inner.setdefault(outer, {})[rest] = each
        else:
            own[name] = each
    return own, inner


def _laid_over(new: GraphGuard, old: GraphGuard) -> GraphGuard:
    nodes = {**old.nodes}
    for name, each in new.nodes.items():
        nodes[name] = each.over(nodes.get(name))
    added = [each for each in new.invariants if each not in old.invariants]
    return GraphGuard(
        nodes,
        mode=new.mode,
        tracer=new.tracer or old.tracer,
        invariants=(*old.invariants, *added),
        prices=new.prices or old.prices,
        budget=new.budget or old.budget,
    )


def _class_body(kind: type[Any], settings: GraphGuard) -> dict[str, Any]:
    body = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "coordgate": settings,
        "bare_class": kind,
    }
    if issubclass(kind, lg.StateGraph):  # what it will run is not known before it is compiled
        return body
    return {
        **body,
        "__repr__": graph_text,
        "_repr_html_": graph_html,
        "_repr_mimebundle_": graph_bundle,
    }


def _fingerprint(contract: Contract, spec: NodeGuard, keys: Sequence[StateKey]) -> str:
    """Return what tells this declaration from another, so that a change of it misses the cache."""
    parts = [repr(contract.returns), *(f"{k.name}:{k.annotation!r}" for k in keys)]
    parts += [each.fingerprint for each in spec.gates]  # type: ignore[union-attr]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
