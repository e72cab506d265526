"""Flow: where control may go instead of along a node's edges, and what nodes leave word of.

A node that is left by `Reroute` or `SendBack` writes one thing: which node starts next. What that
node is told, how often it has happened, and who wrote which key, must be known in the next step,
which another process may run. It is kept in a channel of its own, checkpointed with the state and
seen by no node. Graphs without these rungs have no such channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langgraph.channels.base import BaseChannel
from langgraph.graph import END, START

from coordgate import _langgraph as lg
from coordgate.contract import nearest
from coordgate.errors import ConfigurationError
from coordgate.node import NodeGuard
from coordgate.policy import Feedback, Policy, Reroute, Rung, SendBack
from coordgate.record import Mode
from coordgate.statekey import StateKey

WORD = "__coordgate__"
"""The channel in which nodes leave word for later steps."""

_ANEW = "anew"
"""Stands before the keys that the graph's input has written."""

_SENT = "send:"
"""Stands before the name of a writer that was started by Send; a colon is in no node's name."""


class Word(BaseChannel[Any, Any, Any]):
    """What nodes have left word of: a dict of plain values, so that any saver can keep it.

    `told`: what is said to whom. `left`: how often in a row a rung was taken. `wrote`: which nodes
    wrote a key last. `handed`: which nodes handed over to a node that has not finished since.
    `ran`: which nodes with external effects have run.
    """

    __slots__ = ("kept",)

    def __init__(self, kept: Mapping[str, Any] | None = None) -> None:
        """Begin with what a checkpoint holds."""
        super().__init__(dict)
        self.kept: Mapping[str, Any] = kept or {}

    @property
    def ValueType(self) -> Any:
        """What is kept."""
        return dict

    @property
    def UpdateType(self) -> Any:
        """What a node says."""
        return dict

    def from_checkpoint(self, checkpoint: Any) -> Word:
        """Return the channel as a checkpoint holds it."""
        made = Word(checkpoint if isinstance(checkpoint, dict) else None)  # pyright: ignore[reportUnknownArgumentType] - a dict as this class made it
        made.key = self.key
        return made

    def get(self) -> Mapping[str, Any]:
        """Return what is kept."""
        return self.kept

    def update(self, values: Sequence[Any]) -> bool:
        """Take what the nodes of one step say, all at once."""
        if values:
            self.kept = _after(self.kept, values)
        return bool(values)


def _after(kept: Mapping[str, Any], said: Sequence[Any]) -> dict[str, Any]:
    """Return what is kept after one step. What is taken back goes first, in whichever order."""
    if not all(isinstance(each, Mapping) for each in said):
        # The graph's start: all begins anew, and these keys are given.
        kept = {"wrote": {key: [START] for each in said for key in each[1:]}}
        said = ()
    parts: dict[str, dict[str, Any]] = {
        part: dict(kept.get(part, {})) for part in ("told", "left", "wrote", "handed", "ran")
    }
    written: dict[str, list[str]] = {}
    for each in said:
        for part, names in each.get("done", {}).items():
            for name in names:
                parts[part].pop(name, None)
    for each in said:
        for part in ("told", "left", "ran"):
            parts[part] |= each.get(part, {})
        for key, node in each.get("wrote", {}).items():
            written[key] = _with(written.get(key, []), node)
        for node, producer in each.get("handed", {}).items():
            parts["handed"][node] = _with(parts["handed"].get(node, []), producer)
    parts["wrote"] |= written
    return {part: values for part, values in parts.items() if values}


def _with(names: Sequence[str], name: str) -> list[str]:
    return [*names, name] if name not in names else [*names]


class Flow:
    """What the nodes of one graph share, where one may be left by another way than its edges."""

    def __init__(self, app: Any, guards: Mapping[str, NodeGuard], keys: frozenset[str]) -> None:
        """Read the edges of a compiled StateGraph."""
        builder = app.builder
        self.keys = keys
        self.nodes = frozenset(builder.nodes)
        self.external: set[str] = set()
        self.traces = any(each.policy and each.policy.of(SendBack) for each in guards.values())
        self.joins = {
            f"join:{'+'.join(starts)}:{end}": tuple(starts) for starts, end in builder.waiting_edges
        }
        self._ways: dict[str, set[str]] = {}
        edges = [
            *builder.edges,
            *((s, end) for starts, end in builder.waiting_edges for s in starts),
        ]
        for start, end in edges:
            self._ways.setdefault(start, set()).add(end)
        self._always = {start: frozenset(ends) for start, ends in self._ways.items()}
        for start, branches in builder.branches.items():
            for branch in branches.values():
                ends = self.nodes if branch.ends is None else branch.ends.values()
                self._ways.setdefault(start, set()).update(ends)
        for name, spec in builder.nodes.items():
            self._ways.setdefault(name, set()).update(spec.ends or ())

    def run_again(self, nodes: Iterable[str], until: str) -> frozenset[str]:
        """Return the nodes that may run when these do, before control is back at one of them."""
        found: set[str] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node not in found and node not in {until, END}:
                found.add(node)
                waiting += self._ways.get(node, ())
        return frozenset(found)

    def surely_run(self, node: str) -> frozenset[str]:
        """Return the nodes that run when this one does, whatever routers and Commands decide."""
        found: set[str] = set()
        waiting = [node]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += self._always.get(each, ())
        return frozenset(found)

    def added(self, channels: Mapping[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
        """Return a graph's channels with the one for word; have its start say that all is anew."""
        start = nodes[START]
        entry = lg.ChannelWriteTupleEntry(mapper=self._given)
        nodes[START] = start.copy({"writers": [Opening((entry,)), *start.writers]})
        return {**channels, WORD: Word()}

    def _given(self, given: Any) -> list[tuple[str, Any]]:
        fields = given if isinstance(given, dict) else getattr(given, "__dict__", {})  # pyright: ignore[reportUnknownVariableType] - the graph's input
        # A tuple, since LangGraph hashes what it writes when it draws the graph.
        return [(WORD, (_ANEW, *sorted(key for key in self.keys if self.traces and key in fields)))]


class Opening(lg.ChannelWrite):
    """The write that a graph with a flow adds to its start."""


def taken_away(channels: Mapping[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    """Return the channels of the graph that was guarded; take from its start what was added."""
    if WORD in channels:
        start = nodes[START]
        own = [each for each in start.writers if not isinstance(each, Opening)]
        nodes[START] = start.copy({"writers": own})
    return {name: each for name, each in channels.items() if name != WORD}


def flow_of(
    app: Any, guards: Mapping[str, NodeGuard], keys: Iterable[StateKey], mode: Mode
) -> Flow | None:
    """Return the flow of a graph in which a node may be left by another way than its edges.

    Raises:
        ConfigurationError: a rung names a node that does not exist, or can never apply.
    """
    found = False
    for name, each in guards.items():
        for rung in each.policy.rungs if each.policy else ():
            if isinstance(rung, Reroute | SendBack):
                _check(app, name, each, rung)
                found = True
    enforced = found and mode == "enforce"
    return Flow(app, guards, frozenset(key.name for key in keys)) if enforced else None


def _check(app: Any, name: str, declared: NodeGuard, rung: Reroute | SendBack) -> None:
    where = f"node {name!r}: {rung!r}"
    builder = getattr(app, "builder", None)
    if builder is None:
        raise ConfigurationError(
            f"{where}: an @entrypoint has no nodes that control could go to; use Fallback(...), or "
            "call the other function in its body"
        )
    known = {each for each, spec in builder.nodes.items() if not spec.is_error_handler}
    if isinstance(rung, Reroute):
        known.add(END)
    if rung.node is not None and rung.node not in known:
        raise ConfigurationError(
            f"{where}: the graph has no node {rung.node!r}{nearest(rung.node, known)}"
        )
    if rung.node == name:
        raise ConfigurationError(f"{where}: a node is run again in its place by Retry(...)")
    contract = declared.contract
    if isinstance(rung, SendBack) and not declared.gates and not (contract and contract.accepts):
        raise ConfigurationError(
            f"{where} is for a bad input, and the node does not say what it accepts; declare "
            "accepts=..., or a gate with otherwise='send_back'"
        )


class Standing:
    """What a task finds left for it when it begins, and what it leaves when it ends."""

    __slots__ = ("_flow", "_kept", "_node", "_sent", "_triggers", "_under")

    def __init__(self, flow: Flow, node: str, config: Mapping[str, Any]) -> None:
        """Read what was left for a node."""
        self._flow = flow
        self._node = node
        self._kept: Mapping[str, Any] = lg.channel(config, WORD) or {}
        self._triggers: Sequence[str] = config["metadata"]["langgraph_triggers"]
        self._sent = "__pregel_push" in self._triggers
        self._under = config["metadata"]["langgraph_checkpoint_ns"].rpartition(":")[2]

    def _to_me(self) -> dict[str, Mapping[str, Any]]:
        if self._sent:
            return {}
        told = self._kept.get("told", {})
        return {key: each for key, each in told.items() if each["to"] == self._node}

    def feedback(self) -> Feedback | None:
        """Return what other nodes tell this one; None if they say nothing."""
        told = list(self._to_me().values())
        if not told:
            return None
        return Feedback(
            tuple(dict.fromkeys(reason for each in told for reason in each["reasons"])),
            None,
            max(each["attempt"] for each in told),
            tuple(tuple(reasons) for each in told for reasons in each["history"]),
            tuple(dict.fromkeys(each["by"] for each in told)),
        )

    def ways(
        self, policy: Policy, violated: Sequence[str], *, acted: bool
    ) -> dict[int, tuple[str, ...] | str]:
        """Return where each rung that leaves the node would lead now, or why it cannot be taken.

        `violated` says what of its input it cannot use, `acted` whether it has had effects that
        must not happen twice.
        """
        known = self._flow.keys
        keys = [each if each in known else each.partition(".")[0] for each in violated]
        found: dict[int, tuple[str, ...] | str] = {}
        for position, rung in enumerate(policy.rungs):
            if isinstance(rung, Reroute | SendBack):
                times = self._times(position)
                if times >= rung.times:
                    found[position] = f"{rung!r} is used up after {times}"
                elif isinstance(rung, Reroute):
                    found[position] = self._target(rung, acted=acted)
                elif acted:
                    found[position] = "it has external effects, and would run again"
                else:
                    found[position] = self._producers(rung, keys)
        return found

    def _times(self, position: int) -> int:
        times: int = self._kept.get("left", {}).get(f"{self._node}:{position}", 0)
        return times

    def _target(self, rung: Reroute, *, acted: bool) -> tuple[str, ...] | str:
        """Return the node that control goes to, or why it cannot."""
        flow = self._flow
        ran = self._kept.get("ran", {}).keys() | ({self._node} if acted else set())
        barred = sorted(flow.surely_run(rung.node) & flow.external & ran)
        return (
            f"{barred[0]!r} has external effects, and would run again" if barred else (rung.node,)
        )

    def _producers(self, rung: SendBack, keys: Sequence[str]) -> tuple[str, ...] | str:
        """Return the nodes that are to run again, or why they cannot."""
        if self._sent:
            return "it was started by Send, and its producer would send all of them again"
        producers = self._writers(keys) if rung.node is None else {rung.node: ""}
        if not producers:
            return "no node has handed over to it, but the graph's input"
        flow = self._flow
        for name, key in producers.items():
            if name == START:
                return f"{key!r} came with the graph's input"
            if name == self._node:
                return f"it wrote {key!r} itself"
            if name not in flow.nodes:
                return f"{name.removeprefix(_SENT)!r} was started by Send, or is gone"
        again = flow.run_again(producers, self._node)
        barred = sorted(again & flow.external & (self._kept.get("ran", {}).keys() | {*producers}))
        if barred:
            return f"{barred[0]!r} has external effects, and would run again"
        return tuple(producers)

    def _writers(self, keys: Sequence[str]) -> dict[str, str]:
        """Return who wrote these keys last, or who handed over where nobody did; with the key."""
        handed = self._kept.get("handed", {}).get(self._node, ())
        wrote = self._kept.get("wrote", {})
        return {name: key for key in keys or ("",) for name in wrote.get(key) or handed}

    def leave(
        self, position: int, nodes: Sequence[str], history: Sequence[tuple[str, ...]], *, back: bool
    ) -> list[tuple[str, Any]]:
        """Return the writes by which control leaves for these nodes, and what they are told."""
        times = self._times(position) + 1
        *before, reasons = history
        told = {
            f"{self._under}:{node}": {
                "to": node,
                "by": self._node,
                "reasons": list(reasons),
                "history": [list(each) for each in before],
                "attempt": times + 1 if back else 1,
            }
            for node in nodes
            if node != END
        }
        started = [(f"branch:to:{node}", None) for node in nodes if node != END]
        return [*started, (WORD, {"told": told, "left": {f"{self._node}:{position}": times}})]

    def end(self, config: Mapping[str, Any], goto: Sequence[str], rung: Rung | None) -> None:
        """Leave word of what this task has done, by which rung and with which targets."""
        left = isinstance(rung, Reroute | SendBack)
        said = dict(self._said(lg.writes(config), goto, left=left))
        writes: list[tuple[str, Any]] = [(WORD, said)] if said else []
        if isinstance(rung, SendBack):
            # What joins its producers with others waits for them all: the others do not run again.
            again = self._flow.run_again(goto, self._node)
            for trigger in self._triggers:
                others = set(self._flow.joins.get(trigger, ())) - again
                writes += [(trigger, other) for other in sorted(others)]
        if writes:
            config["configurable"][lg.CONFIG_KEY_SEND](writes)

    def _said(
        self, writes: Sequence[tuple[str, Any]], goto: Sequence[str], *, left: bool
    ) -> Iterator[tuple[str, Any]]:
        flow, node = self._flow, self._node
        done = {"told": list(self._to_me()), "handed": [], "left": []}
        if not left:
            done["left"] = [k for k in self._kept.get("left", ()) if k.startswith(f"{node}:")]
        if flow.traces:
            if not self._sent and node in self._kept.get("handed", ()):
                done["handed"] = [node]
            name = _SENT + node if self._sent else node
            yield "wrote", {key: name for key, _ in writes if key in flow.keys}
            yield "handed", {each: name for each in goto if each in flow.nodes}
        if node in flow.external:
            yield "ran", {node: True}
        done = {part: names for part, names in done.items() if names}
        if done:
            yield "done", done
