"""Contracts: what a node must be handed and must hand over, and the check of a hand-over."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError
from typing_extensions import TypedDict

from coordgate.errors import ConfigurationError, Violation
from coordgate.redaction import shorten
from coordgate.schema import (
    UNBUILDABLE,
    Schema,
    adapter,
    bare,
    field_validator,
    strip_required,
    type_name,
    violations_of,
)

ROOT = "__root__"
"""The key under which a graph without keys holds its one value."""


@dataclass(frozen=True, slots=True)
class Contract:
    """What a node accepts and returns: a pydantic model, TypedDict, dataclass or Annotated type.

    Either may also map state keys to types: `Contract(returns={"draft": str})`. What is declared
    is parsed, and of what the node returned, the parsed values ship. `accepts` is checked before
    the node runs; the node still gets its state as LangGraph gives it.
    """

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


KeyKind = Literal["value", "reducer", "messages", "managed"]


@dataclass(frozen=True, slots=True)
class StateKey:
    """What a graph's state says of one key."""

    name: str
    """The key."""
    annotation: Any
    """What may be written to it, as annotated."""
    kind: KeyKind = "value"
    """How a written value gets into the state: replaced, reduced, or as messages."""
    reducer: Callable[[Any, Any], Any] | None = None
    """The function that combines old and new."""
    model: type[BaseModel] | None = None
    """The pydantic state that the key belongs to: it coerces what it reads."""


class KeyCheck:
    """The check of a value against the annotation of its own state key; it changes nothing."""

    __slots__ = ("_validate", "annotation", "expected", "key", "unchecked")

    def __init__(self, key: StateKey) -> None:
        """Build the check; `unchecked` says what it cannot see, None if nothing."""
        self.key = key.name
        self.expected = type_name(key.annotation)
        self.annotation: Any = strip_required(key.annotation)
        self.unchecked: str | None = None
        self._validate: Callable[[Any], object] | None = None
        try:
            self._validate = self._build(key)
        except UNBUILDABLE as error:
            self.unchecked = f"pydantic cannot check {self.expected} ({type(error).__name__})"

    def _build(self, key: StateKey) -> Callable[[Any], object] | None:
        if key.kind == "managed":
            return None
        if key.kind == "messages":
            return _check_messages
        annotation = key.annotation
        if key.kind == "reducer":
            annotation, self.unchecked = _taken_by(key.reducer, annotation)
            self.expected = type_name(annotation)
            self.annotation = strip_required(annotation)
        elif key.model is not None and key.name in key.model.model_fields:
            check, self.unchecked = field_validator(key.model, key.name)
            return check
        if bare(annotation) in {Any, object, inspect.Parameter.empty}:
            return None
        return functools.partial(_strictly, adapter(self.annotation).validator.validate_python)

    @property
    def checks(self) -> bool:
        """Whether there is anything to check."""
        return self._validate is not None

    def __call__(self, value: Any) -> list[Violation]:
        """Return the violations; an empty list if the value may be written."""
        if self._validate is None:
            return []
        try:
            self._validate(value)
        except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
            prefix = "" if _names_key(error, self.key) else self.key
            return violations_of(error, prefix=prefix, expected=self.expected)
        return []


def _names_key(error: Exception, key: str) -> bool:
    """Whether pydantic's locations start with the key already, as a model's field errors do."""
    return isinstance(error, ValidationError) and all(
        item["loc"][:1] == (key,) for item in error.errors(include_url=False)
    )


def _strictly(validate: Callable[..., object], value: Any) -> None:
    """Check without coercion, but take a bool for an int, as Python's type checkers do."""
    try:
        validate(value, strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["type"] not in {"int_type", "float_type"} or not isinstance(
                item["input"], bool
            ):
                raise


def _taken_by(reducer: Any, annotation: Any) -> tuple[Any, str | None]:
    """Return the type of update that a reducer takes, and what keeps it from being known."""
    if getattr(reducer, "__module__", None) in {"_operator", "operator"}:
        return annotation, None
    try:
        parameters = list(inspect.signature(reducer).parameters.values())
        hints = get_type_hints(reducer)
    except (NameError, TypeError, ValueError):
        return Any, f"the reducer {_label(reducer)} has no readable annotations"
    taken = hints.get(parameters[1].name, inspect.Parameter.empty) if len(parameters) > 1 else None
    if taken in {None, inspect.Parameter.empty}:
        return Any, f"the reducer {_label(reducer)} does not annotate its second parameter"
    return taken, None


def _label(function: Any) -> str:
    return repr(getattr(function, "__name__", type(function).__name__))


_ROLES = frozenset({"human", "user", "ai", "assistant", "system", "developer", "tool", "function"})


def _check_messages(value: Any) -> None:
    """Check what `add_messages` takes: a message, or a list of them, in any of their notations."""
    for position, item in enumerate(value if isinstance(value, list) else [value]):
        if not _is_message(item):
            raise TypeError(
                f"item {position} is not a message: {shorten(item)}; use a message object, "
                "a (role, text) pair, a string, or a dict with role and content"
            )


def _is_message(item: Any) -> bool:
    if isinstance(item, str):
        return True
    if isinstance(item, tuple | list):
        return len(item) == 2 and isinstance(item[0], str)
    if isinstance(item, Mapping):
        return "content" in item or "role" in item or "type" in item
    return hasattr(item, "content") and hasattr(item, "type")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of a hand-over found."""

    update: dict[str, Any]
    """The update as returned, by key."""
    output: Any
    """What gates are given: the parsed object where `returns` is declared, else the update."""
    values: Mapping[str, Any]
    """The values that ship instead of those returned, by key; only where they differ."""
    violations: Sequence[Violation] = field(default=())
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
            types[key.name] = Annotated[Any, PlainValidator(_check_messages)]
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

    __slots__ = ("_all", "_covered", "_keys", "_lenient", "_schema", "_types", "unchecked")

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
        self._schema = (
            Schema(contract.returns, where=f"{where}, returns")
            if contract.returns is not None
            else None
        )
        rooted = names == {ROOT}
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

    def at_once(self, update: dict[str, Any]) -> tuple[Any, Mapping[str, Any]] | None:
        """Check a plain update quickly: what gates are given and what ships, if nothing is wrong.

        None means that it needs the thorough check, which also says what is wrong.
        """
        output: Any = update
        shipped: Mapping[str, Any] = _NOTHING
        try:
            if self._schema is not None:
                output, shipped = self._parsed(self._schema, update)
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
        update = dict(pairs)
        output: Any = update
        shipped: Mapping[str, Any] = _NOTHING
        if self._schema is not None:
            try:
                output, shipped = self._parsed(self._schema, update)
            except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
                violations += violations_of(error)
            if len(update) < len(pairs):
                violations += self._repeated(self._schema, pairs, update)
        keys = self._keys
        for key, value in pairs:
            check = keys.get(key)
            if check is not None:
                violations += check(shipped.get(key, value))
        return Checked(update, output, shipped, violations)

    def _parsed(self, schema: Schema, update: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        if schema.fields is None:
            parsed = schema.parse(update.get(ROOT))
            return parsed, {ROOT: parsed} if parsed is not update.get(ROOT) else _NOTHING
        parsed = schema.parse(update)
        fields = parsed if isinstance(parsed, dict) else parsed.__dict__
        shipped: dict[str, Any] = {}
        for key, old in update.items():
            new = fields.get(key, old)
            if new is not old and not (type(new) is type(old) in _SCALARS and new == old):
                shipped[key] = new
        return parsed, shipped

    def _repeated(
        self, schema: Schema, pairs: Sequence[tuple[str, Any]], update: Mapping[str, Any]
    ) -> list[Violation]:
        """Check the values of a key that comes more than once, which the last one hides."""
        found: list[Violation] = []
        for key, value in pairs:
            if value is not update[key]:
                try:
                    schema.parse({**update, key: value})
                except Exception as error:  # noqa: BLE001 - as above
                    found += violations_of(error)
        return found

    def _undeclared(self, key: str, value: Any) -> Violation:
        rule = f"is not a key of the state, and LangGraph would drop it{_nearest(key, self._types)}"
        return Violation(str(key), rule, shorten(value))


class InputCheck:
    """The check of what a node is handed against what it accepts."""

    __slots__ = ("_schema",)

    def __init__(self, accepts: Any, keys: Iterable[str], *, where: str) -> None:
        """Build the check.

        Raises:
            ConfigurationError: a declared key is not among those the node is handed.
        """
        self._schema = Schema(accepts, where=f"{where}, accepts")
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
