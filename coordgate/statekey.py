"""State keys: what a graph's state says of each key, and the check of a value against it."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import UnionType
from typing import (
    IO,
    Any,
    BinaryIO,
    Literal,
    TextIO,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, ValidationError

from coordgate.errors import Violation
from coordgate.redaction import shorten
from coordgate.schema import (
    UNBUILDABLE,
    Unfit,
    adapter,
    as_typing_takes_it,
    bare,
    field_validator,
    strip_required,
    type_name,
    violations_of,
)

ROOT = "__root__"
"""The key under which a graph without keys holds its one value."""

_VALUE = "(value)"
"""What an error calls that one value."""


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


@dataclass(frozen=True, slots=True)
class Replaced:
    """A value that goes past its key's reducer and replaces what is there: an opened Overwrite."""

    value: Any


class KeyCheck:
    """The check of a value against the annotation of its own state key; it changes nothing."""

    __slots__ = ("_replace", "_validate", "annotation", "expected", "key", "unchecked")

    def __init__(self, key: StateKey) -> None:
        """Build the check; `unchecked` says what it cannot see, None if nothing."""
        self.key = key.name
        self.expected = type_name(key.annotation)
        self.annotation: Any = strip_required(key.annotation)
        self.unchecked: str | None = None
        self._validate: Callable[[Any], object] | None = None
        self._replace: Callable[[Any], object] | None = None
        try:
            if key.kind == "reducer":
                self._replace = _strict_check(self.annotation)
            self._validate = self._build(key)
        except UNBUILDABLE as error:
            self.unchecked = f"pydantic cannot check {self.expected} ({type(error).__name__})"

    def _build(self, key: StateKey) -> Callable[[Any], object] | None:
        if key.kind == "managed":
            return None
        if key.kind == "messages":
            return check_messages
        annotation = key.annotation
        if key.kind == "reducer":
            annotation, self.unchecked = _taken_by(key.reducer, annotation)
            self.expected = type_name(annotation)
            self.annotation = strip_required(annotation)
        elif key.model is not None and key.name in key.model.model_fields:
            check, self.unchecked = field_validator(key.model, key.name)
            return check
        return _strict_check(self.annotation)

    @property
    def checks(self) -> bool:
        """Whether there is anything to check."""
        return self._validate is not None or self._replace is not None

    def __call__(self, value: Any) -> list[Violation]:
        """Return the violations; an empty list if the value may be written."""
        validate = self._validate
        if isinstance(value, Replaced):
            value = value.value
            validate = self._replace or validate
        if validate is None:
            return []
        try:
            validate(value)
        except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
            name = _VALUE if self.key == ROOT else self.key
            prefix = "" if _names_key(error, self.key) else name
            return violations_of(error, prefix=prefix, expected=self.expected)
        return []


def mark_of(key: StateKey, node: str) -> Any:
    """Return what a node writes to a key to say that something holds of it: True, or its name.

    None if the key takes neither: it is no bool, nor a list that a reducer gathers names in.
    """
    annotation = bare(key.annotation)
    union = get_origin(annotation) in {Union, UnionType}
    kinds = [bare(each) for each in (get_args(annotation) if union else (annotation,))]
    mark: Any = None
    if key.kind in {"value", "reducer"} and (bool in kinds or Any in kinds):
        mark = True
    elif key.kind == "reducer" and any(list in {each, get_origin(each)} for each in kinds):
        mark = [node]
    return None if KeyCheck(key)(mark) else mark


def _names_key(error: Exception, key: str) -> bool:
    """Whether pydantic's locations start with the key already, as a model's field errors do."""
    return isinstance(error, ValidationError) and all(
        item["loc"][:1] == (key,) for item in error.errors(include_url=False)
    )


def _strict_check(annotation: Any) -> Callable[[Any], object] | None:
    """Return a check without coercion; None where any value will do or none can be told."""
    kind = bare(annotation)
    if kind in _ANYTHING:
        return None
    return functools.partial(_strictly, annotation, adapter(annotation).validator.validate_python)


def _strictly(annotation: Any, validate: Callable[..., object], value: Any) -> None:
    """Check without coercion, but take what Python's type checkers take and pydantic does not."""
    try:
        validate(value, strict=True)
    except ValidationError as error:
        if all(_is_subtype(e["type"], e["input"]) for e in error.errors(include_url=False)):
            return
        with contextlib.suppress(ValidationError):
            adapter(as_typing_takes_it(annotation)).validator.validate_python(value, strict=True)
            return
        raise


def _is_subtype(failure: str, value: object) -> bool:
    """Return whether a value that pydantic's strict mode refuses is of the type all the same."""
    if failure in {"int_type", "float_type"}:
        return isinstance(value, bool)
    if failure in {"date_type", "date_from_datetime_inexact", "date_from_datetime_parsing"}:
        return isinstance(value, date)
    return failure == "finite_number" and isinstance(value, Decimal)


def _taken_by(reducer: Any, annotation: Any) -> tuple[Any, str | None]:
    """Return the type of update that a reducer takes, and what keeps it from being known."""
    if getattr(reducer, "__module__", None) in {"_operator", "operator"}:
        kind = bare(annotation)
        if reducer.__name__ in _SAME_TYPE and (get_origin(kind) or kind) in _ADDED:
            return annotation, None
        return Any, f"operator.{reducer.__name__} may take other types than {type_name(annotation)}"
    function: Any = reducer.func if isinstance(reducer, functools.partial) else reducer  # pyright: ignore[reportUnknownMemberType] - any function
    if not inspect.isroutine(function):
        function = type(function).__call__
    try:
        parameters = list(inspect.signature(reducer).parameters.values())  # pyright: ignore[reportUnknownArgumentType] - any function
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError):
        return Any, f"the reducer {_label(reducer)} has no readable annotations"
    second = parameters[1] if len(parameters) > 1 else None
    if second is None or second.name not in hints:
        return Any, f"the reducer {_label(reducer)} does not annotate its second parameter"
    taken = hints[second.name]
    return (taken | None if second.default is None and taken is not Any else taken), None


_ANYTHING = frozenset({Any, object, inspect.Parameter.empty, IO, TextIO, BinaryIO})
_SAME_TYPE = frozenset({"add", "concat", "or_", "and_"})
_ADDED = frozenset({str, bytes, list, tuple, int, float, complex, dict, set, frozenset})


def _label(function: Any) -> str:
    return repr(getattr(function, "__name__", type(function).__name__))


def check_messages(value: Any) -> None:
    """Check what `add_messages` takes: a message, or a list of them, in any of their notations."""
    several = isinstance(value, list) or (isinstance(value, tuple) and not _is_message(value))
    for position, item in enumerate(value if several else [value]):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - isinstance leaves it open
        if not _is_message(item):
            raise Unfit(
                f"item {position} is not a message: {shorten(item)}; use a message object, "
                "a (role, text) pair, a string, or a dict with role and content"
            )


def _is_message(item: Any) -> bool:
    if isinstance(item, str):
        return True
    if isinstance(item, tuple | list):
        return len(item) == 2 and isinstance(item[0], str)  # pyright: ignore[reportUnknownArgumentType] - isinstance leaves it open
    if isinstance(item, Mapping):
        return "content" in item or "role" in item or "type" in item
    return hasattr(item, "content") and hasattr(item, "type")
