"""Invariants: what must hold of a graph's state after each step, judged before it is kept."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START
from pydantic import BaseModel

from coordgate import _langgraph as lg
from coordgate.asking import ask
from coordgate.errors import ConfigurationError, InvariantViolated, Origin
from coordgate.gate import Gate, Judgement, as_gate, raised
from coordgate.statekey import ROOT
from coordgate.steps import Pairs, Reading, Step, Written, is_by_hand

_WHERE = "guard(invariants=...)"
_TOGETHER = (
    "what the nodes of one step write is judged together, and no policy is asked: order the nodes "
    "with an edge, or gate what each hands over"
)


def as_invariants(given: Iterable[Any]) -> tuple[Gate, ...]:
    """Return gates of what was given as invariants: gates, or functions of the state.

    Raises:
        ConfigurationError: one of them is no gate, or one that waits.
    """
    if isinstance(given, Gate | str) or not isinstance(given, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
        raise ConfigurationError(f"{_WHERE}: give a list of gates, or of functions of the state")
    gates = tuple(as_gate(each, where=_WHERE) for each in given)
    for each in gates:
        if each.slow or each.is_async:
            raise ConfigurationError(
                f"{_WHERE}: {each.name!r} waits, and an invariant is judged between the steps; "
                "make it a plain function, or a gate of the nodes that it is about"
            )
    return gates


@dataclass(frozen=True, slots=True)
class Finding:
    """What the invariants say of the state that a step would leave."""

    judgements: Sequence[Judgement]
    """The verdict of each that could be asked."""
    error: InvariantViolated | None = None
    """What is wrong, and who did it; None if all hold."""


class Invariants:
    """The invariants of one graph, as a node of it meets them."""

    def __init__(
        self,
        gates: Sequence[Gate],
        schema: Any,
        keys: Sequence[str],
        write: lg.ChannelWrite,
    ) -> None:
        """Take the gates, the state's schema and keys, and the node's own first write."""
        self._gates = gates
        self._schema = schema
        self._keys = tuple(keys)
        first = write.writes[0]
        assert isinstance(first, lg.ChannelWriteTupleEntry)
        self._updates: Callable[[Any], Pairs | None] = first.mapper

    def after(
        self, config: RunnableConfig, node: str, output: Any, *, stops: bool
    ) -> Finding | None:
        """Judge the state as a task's output leaves it; None while others of its step may write.

        With `stops` unset nothing is to be stopped: what no task can see is not looked at.
        """
        update = self._updates(output) or ()
        step = Step.of(config)
        if step is None and not is_by_hand(config):
            return None  # LangGraph draws the graph
        if step is None:
            return self._judged(Reading.of(config), [Written(node, (), update)])
        if stops:
            step.at_join(self._stop)
        written = step.hand(config, node, update)
        return None if written is None else self._judged(Reading.of(config), written)

    def withdraw(self, config: RunnableConfig) -> None:
        """Forget what an attempt handed over that has failed after all."""
        step = Step.of(config)
        if step is not None:
            step.withdraw(config)

    def _stop(self, reading: Reading, written: Sequence[Written]) -> None:
        """Raise what is wrong with a step that no task of it has judged."""
        refuse(self._judged(reading, written))

    def _judged(self, reading: Reading, written: Sequence[Written]) -> Finding | None:
        try:
            after = reading.values(self._keys, [pair for each in written for pair in each.pairs])
        except Exception:  # noqa: BLE001 - LangGraph meets the same error when it writes
            return None
        judgements: list[Judgement] = []
        failed: list[tuple[Judgement, _Blame]] = []
        for gate in self._gates:
            asked = self._ask(gate, after)
            if asked is None:
                continue
            judgement, read = asked
            judgement = judgement._replace(gate=f"invariant {judgement.gate}")
            judgements.append(judgement)
            if not judgement.verdict.passed:
                failed.append((judgement, self._blame(gate, reading, written, read)))
        return Finding(judgements, _error(failed, len(written)) if failed else None)

    def _ask(self, gate: Gate, values: dict[str, Any]) -> tuple[Judgement, set[str]] | None:
        """Ask one invariant, and return what it read; None where a key of it is not there yet."""
        state: Any = _Seen(values)
        if self._keys == (ROOT,):
            if ROOT not in values:
                return None
            state = values[ROOT]
        elif not _is_dict(self._schema):
            if not _required(self._schema) <= values.keys():
                return None
            try:
                state = self._schema(**values)
            except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
                return Judgement(gate.name, raised(error)), set()
        judgement = ask(gate, state, state)
        read: set[str] = state.read if isinstance(state, _Seen) else set()
        if judgement.verdict.broken and (read - values.keys()).intersection(self._keys):
            return None
        return judgement, read

    def _holds(self, gate: Gate, reading: Reading, pairs: Pairs) -> bool:
        asked = self._ask(gate, reading.values(self._keys, pairs))
        return asked is None or asked[0].verdict.passed

    def _holds_without(
        self, number: int, gate: Gate, reading: Reading, written: Sequence[Written]
    ) -> bool:
        others = (*written[:number], *written[number + 1 :])
        return self._holds(gate, reading, [pair for each in others for pair in each.pairs])

    def _blame(
        self, gate: Gate, reading: Reading, written: Sequence[Written], read: set[str]
    ) -> _Blame:
        """Return the nodes whose writes broke an invariant, and the keys that they wrote."""
        fresh = reading.pad.step <= 0 and [each.node for each in written] == [START]
        if not fresh and not self._holds(gate, reading, ()):
            return _Blame((), ())
        wrote = {
            number: {key for key, _ in each.pairs if key in self._keys}
            for number, each in enumerate(written)
        }
        writers = [number for number, keys in wrote.items() if keys or fresh]
        concerned = [number for number in writers if wrote[number] & read] or writers
        alone = [n for n in writers if not self._holds(gate, reading, written[n].pairs)]
        guilty = alone or [n for n in concerned if self._holds_without(n, gate, reading, written)]
        guilty = guilty or concerned
        keys = {key for number in guilty for key in wrote[number]}
        nodes = dict.fromkeys(written[number].node for number in guilty)
        return _Blame(tuple(nodes), tuple(sorted(keys & read or keys)))


@dataclass(frozen=True, slots=True)
class _Blame:
    nodes: tuple[str, ...]
    keys: tuple[str, ...]


class _Seen(dict[str, Any]):
    """A state that notes which of its keys are read."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.read.add(str(key))
        return super().__contains__(key)


def _error(failed: Sequence[tuple[Judgement, _Blame]], tasks: int) -> InvariantViolated:
    nodes = dict.fromkeys(node for _, blame in failed for node in blame.nodes)
    keys = dict.fromkeys(key for _, blame in failed for key in blame.keys)
    reasons = [
        f"{judgement.gate}: {judgement.verdict.reason}"
        + (f" (by {' and '.join(blame.nodes)})" if tasks > 1 and blame.nodes else "")
        for judgement, blame in failed
    ]
    origin: Origin = "nodes"
    if not nodes:
        origin = "before"
    elif START in nodes:
        origin = "input"
    return InvariantViolated(
        failed[0][0].gate.removeprefix("invariant "),
        reasons,
        nodes=tuple(nodes) if origin == "nodes" else (),
        keys=tuple(keys),
        origin=origin,
        joint=tasks > 1 or origin != "nodes",
        remedy=_remedy(origin, tasks),
    )


def _remedy(origin: Origin, tasks: int) -> str:
    match origin:
        case "before":
            return "mend the state with update_state, or what has brought it there"
        case "input":
            return "mend what the graph is given"
        case "nodes":
            return _TOGETHER if tasks > 1 else ""


def refuse(finding: Finding | None) -> None:
    """Raise what a finding says is wrong.

    Raises:
        InvariantViolated: an invariant would not hold.
    """
    if finding is not None and finding.error is not None:
        raise finding.error


def _is_dict(schema: Any) -> bool:
    return isinstance(schema, type) and issubclass(schema, dict)


def _required(schema: Any) -> set[str]:
    """Return the keys without which a state cannot be made."""
    if issubclass(schema, BaseModel):
        return {name for name, field in schema.model_fields.items() if field.is_required()}
    if dataclasses.is_dataclass(schema):
        return {
            field.name
            for field in dataclasses.fields(schema)
            if field.init
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        }
    return set()


class InputWrite(lg.ChannelWrite):
    """The write that brings in the graph's input: the state that it leaves is judged first."""

    def __init__(self, write: lg.ChannelWrite, invariants: Invariants) -> None:
        """Take the place of `write`."""
        super().__init__(write.writes, tags=write.tags)
        self._invariants = invariants

    def _write(self, input: Any, config: RunnableConfig) -> Any:
        refuse(self._invariants.after(config, START, input, stops=True))
        return super()._write(input, config)

    async def _awrite(self, input: Any, config: RunnableConfig) -> Any:
        refuse(self._invariants.after(config, START, input, stops=True))
        return await super()._awrite(input, config)


def with_input_judged(node: Any, invariants: Invariants) -> Any:
    """Return a copy of the node that brings in the graph's input, which is judged."""
    first, *others = node.flat_writers
    write = InputWrite(first, invariants)
    seq: Any = lg.RunnableSeq(write, *others) if others else write
    seq.original = node
    guarded = copy.copy(node)
    guarded.__dict__.update(flat_writers=[write, *others], node=seq)
    return guarded
