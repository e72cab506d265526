"""Contracts: what a node must be handed and must hand over, and the check of a hand-over."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainValidator
from typing_extensions import TypedDict

from coordgate.errors import ConfigurationError, Violation
from coordgate.forms import form_of
from coordgate.redaction import shorten
from coordgate.schema import (
    UNBUILDABLE,
    Schema,
    adapter,
    bare,
    violations_of,
)
from coordgate.statekey import ROOT, KeyCheck, Replaced, StateKey, check_messages


@dataclass(frozen=True, slots=True)
class Contract:
    """What a node accepts and returns: a pydantic model, TypedDict, dataclass or Annotated type.

    Either may also map state keys to types: `Contract(returns={"draft": str})`. What is declared
    is parsed, and of what the node returned, the parsed values ship. `accepts` is checked before
    the node runs; the node still gets its state as LangGraph gives it.
    """

    _: KW_ONLY
    accepts: Any = None
    """What the node must be handed; None checks nothing."""
    returns: Any = None
    """What the node must hand over; None checks each key against the state's own annotation."""

    def __post_init__(self) -> None:
        """Refuse what is not a type."""
        for name, declared in (("accepts", self.accepts), ("returns", self.returns)):
            if isinstance(declared, str | bytes | int | float | list | set):
                raise ConfigurationError(
                    f"Contract({name}={declared!r}): give a type, or a dict of state keys to types"
                )


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a hand-over found."""

    update: Any
    """The update as returned, by key; in a graph without keys, its one value."""
    output: Any
    """What gates are given: the parsed object where `returns` is declared, else the update."""
    values: Sequence[Any] | None = None
    """The values that ship, one for each pair that was checked; None where all stay as they are."""
    violations: Sequence[Violation] = ()
    """What breaks the contract; empty if nothing does."""


_NOTHING: Mapping[str, Any] = {}
_SCALARS = frozenset({int, float, bool, str})


def _whole_update(
    keys: Sequence[StateKey], checks: Mapping[str, KeyCheck]
) -> Callable[[Any], object] | None:
    """Return one validator of whole updates, for speed; None where a key needs its own check."""
    types: dict[str, Any] = {}
    for key in keys:
        check = checks.get(key.name)
        if key.model is not None and check is not None:
            return None
        if key.kind == "messages":
            types[key.name] = Annotated[Any, PlainValidator(check_messages)]
        else:
            types[key.name] = Any if check is None else check.annotation
    make: Any = TypedDict
    whole = make("Update", types, total=False)
    whole.__pydantic_config__ = ConfigDict(
        strict=True, extra="forbid", arbitrary_types_allowed=True
    )
    try:
        validate: Callable[[Any], object] = adapter(whole).validator.validate_python
    except UNBUILDABLE:
        return None
    return validate


class HandoverCheck:
    """The contract of one node in one graph: declared types and the state's own annotations."""

    __slots__ = (
        "_all",
        "_covered",
        "_keys",
        "_lenient",
        "_rooted",
        "_schema",
        "_stated",
        "_types",
        "unchecked",
    )

    def __init__(
        self,
        contract: Contract,
        keys: Iterable[StateKey],
        *,
        where: str,
        lenient: bool = False,
    ) -> None:
        """Build the checks of every key once.

        `lenient` is for nodes that are graphs themselves: their private keys are dropped by
        LangGraph on purpose.

        Raises:
            ConfigurationError: a declared key is not in the state, or a type cannot be checked.
        """
        keys = list(keys)
        names = {key.name for key in keys}
        self._lenient = lenient
        self._stated = (keys, contract.returns)
        self._schema = (
            Schema(contract.returns, where=f"{where}, returns")
            if contract.returns is not None
            else None
        )
        rooted = self._rooted = names == {ROOT}
        if self._schema is not None and not rooted:
            if self._schema.fields is None:
                raise ConfigurationError(
                    f"{where}: returns={self._schema.name} does not say which state keys "
                    "it is for; give a model, TypedDict or dataclass with the keys as fields, "
                    f"or a dict such as {{{_first(names)!r}: {self._schema.name}}}"
                )
            for name in sorted(self._schema.fields - names):
                raise ConfigurationError(
                    f"{where}: returns={self._schema.name} has {name!r}, which is not a key of the "
                    f"state{_nearest(name, names)}"
                )
        same = self._schema.types if self._schema is not None and not rooted else {}
        checks = {
            key.name: KeyCheck(key)
            for key in keys
            if key.name not in same or bare(same[key.name]) != bare(key.annotation)
        }
        self._types = names
        self._covered = frozenset(same) - checks.keys()
        self._keys = {name: check for name, check in checks.items() if check.checks}
        self.unchecked = tuple(
            f"{name}: {check.unchecked}" for name, check in checks.items() if check.unchecked
        )
        self._all = None if rooted or lenient else _whole_update(keys, self._keys)

    def form(self) -> dict[str, Any]:
        """Return the JSON schema of an update that keeps this contract, as far as one can say."""
        return form_of(*self._stated)

    def at_once(self, update: dict[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
        """Check a plain update quickly: what gates are given and what ships, if nothing is wrong.

        None means that it needs the thorough check, which also says what is wrong.
        """
        if self._rooted:
            return None
        output: Any = update
        shipped: Mapping[str, Any] = _NOTHING
        schema = self._schema
        try:
            if schema is not None:
                output = parsed = schema.parse(update)
                fields: Any = parsed if type(parsed) is dict else parsed.__dict__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - any parsed type
                for key, old in update.items():
                    new = fields.get(key, old)
                    if new is not old and not (type(new) is type(old) in _SCALARS and new == old):
                        shipped = {**shipped, key: new}
            if not self._covered.issuperset(update):
                if self._all is None:
                    return None
                self._all({**update, **shipped} if shipped else update)
        except Exception:  # noqa: BLE001 - the thorough check raises it again, and reports it
            return None
        return output, shipped

    def __call__(self, pairs: Sequence[tuple[str, Any]]) -> Checked:
        """Check an update given as (key, value) pairs; a key may come more than once."""
        violations: list[Violation] = []
        if not self._lenient:
            violations += [
                self._undeclared(key, value) for key, value in pairs if key not in self._types
            ]
        marked = pairs
        pairs = [(k, v.value) if isinstance(v, Replaced) else (k, v) for k, v in marked]
        update = dict(pairs)
        returned: Any = update.get(ROOT) if self._rooted else update
        output: Any = dict(update) if returned is update else returned
        values = [value for _, value in pairs]
        if self._schema is not None:
            try:
                output, shipped = self._parsed(self._schema, update)
                values = [shipped.get(key, value) for key, value in pairs]
                if len(update) < len(pairs):
                    values = self._each(self._schema, pairs, update)
            except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
                violations += violations_of(error)
        for (key, given), value in zip(marked, values, strict=True):
            check = self._keys.get(key)
            if check is not None:
                violations += check(Replaced(value) if isinstance(given, Replaced) else value)
        same = all(new is old for new, (_, old) in zip(values, pairs, strict=True))
        return Checked(returned, output, None if same else values, violations)

    def _parsed(self, schema: Schema, update: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        if self._rooted:
            value = schema.parse(update.get(ROOT))
            return value, {ROOT: value} if value is not update.get(ROOT) else _NOTHING
        parsed: dict[str, Any] | BaseModel = schema.parse(update)  # or a dataclass, much the same
        fields: Mapping[str, Any] | None = (
            parsed if isinstance(parsed, dict) else getattr(parsed, "__dict__", None)
        )
        if fields is None:  # a dataclass with slots
            fields = {key: getattr(parsed, key) for key in schema.fields or ()}
        shipped: dict[str, Any] = {}
        for key, old in update.items():
            new = fields.get(key, old)
            if new is not old and not (type(new) is type(old) in _SCALARS and new == old):
                shipped[key] = new
        return parsed, shipped

    def _each(
        self, schema: Schema, pairs: Sequence[tuple[str, Any]], update: Mapping[str, Any]
    ) -> list[Any]:
        """Parse the values of a key that comes more than once, which the last one would hide."""
        return [
            self._parsed(schema, {**update, key: value})[1].get(key, value) for key, value in pairs
        ]

    def _undeclared(self, key: str, value: Any) -> Violation:
        rule = f"is not a key of the state, and LangGraph would drop it{_nearest(key, self._types)}"
        return Violation(str(key), rule, shorten(value))


class InputCheck:
    """The check of what a node is handed against what it accepts."""

    __slots__ = ("_schema", "quick")

    def __init__(self, accepts: Any, keys: Iterable[str], *, where: str) -> None:
        """Build the check.

        Raises:
            ConfigurationError: a declared key is not among those the node is handed.
        """
        self._schema = Schema(accepts, where=f"{where}, accepts")
        self.quick = self._schema.parse if self._schema.takes_more else None
        names = set(keys)
        if names and names != {ROOT} and self._schema.fields is not None:
            for name in sorted(self._schema.fields - names):
                raise ConfigurationError(
                    f"{where}: accepts={self._schema.name} has {name!r}, which the node is not "
                    f"handed{_nearest(name, names)}"
                )

    def __call__(self, state: Any) -> list[Violation]:
        """Return the violations; an empty list if the node may run."""
        try:
            self._schema.parse_attributes(state)
        except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
            return violations_of(error)
        return []


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or the known names where none is near."""
    return _nearest(name, set(known))


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(str(name), sorted(known), n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(sorted(known))}" if 0 < len(known) <= 12 else ""


def _first(names: set[str]) -> str:
    return min(names, default="key")
