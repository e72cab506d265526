"""Schemas: a declared type made ready to parse a hand-over, and errors turned into violations."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
from collections.abc import Callable, Mapping
from typing import (
    Annotated,
    Any,
    NotRequired,
    Required,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typing_extensions
from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import SchemaError

from coordgate.errors import ConfigurationError, Violation
from coordgate.redaction import shorten

UNBUILDABLE = (
    PydanticUserError,
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
    SchemaError,
    NameError,
    TypeError,
    RecursionError,
)
"""What pydantic raises for an annotation that it cannot check."""

_WRAPPERS = {Required, NotRequired, typing_extensions.Required, typing_extensions.NotRequired}
_ARBITRARY = ConfigDict(arbitrary_types_allowed=True)


class Schema:
    """A declared type, ready to parse what a node hands over or is handed.

    `fields` names the keys that the type describes; it is None for a type that describes a whole
    value (`int`, `list[str]`), as in graphs without keys.
    """

    __slots__ = ("_optional", "declared", "fields", "name", "parse", "takes_more", "types")

    def __init__(self, declared: Any, *, where: str) -> None:
        """Build the validator of `declared`: a model, TypedDict, dataclass, Annotated or key map.

        Raises:
            ConfigurationError: pydantic cannot check the type.
        """
        self.declared = declared
        if _is_map(declared):
            self.types: dict[str, Any] = {str(k): _optional(v)[0] for k, v in declared.items()}
            self._optional = frozenset(str(k) for k, v in declared.items() if _optional(v)[1])
            built: Any = _typed_dict(declared)
            self.name = "{" + ", ".join(f"{k}: {type_name(v)}" for k, v in self.types.items()) + "}"
        else:
            built, self.types, self._optional = declared, _fields_of(declared), frozenset[str]()
            self.name = type_name(declared)
        self.fields = frozenset(self.types) if self.types or isinstance(declared, Mapping) else None
        try:
            validator = adapter(built).validator
        except UNBUILDABLE as error:
            raise ConfigurationError(
                f"{where}: pydantic cannot check {self.name}: {_first_line(error)}; "
                "declare a pydantic model, a TypedDict, a dataclass, an Annotated type, "
                "or a dict of state keys to such types"
            ) from error
        self.parse: Callable[[Any], Any] = validator.validate_python
        kind = bare(declared)
        self.takes_more = (
            isinstance(kind, type)
            and issubclass(kind, BaseModel)
            and kind.model_config.get("extra", "ignore") == "ignore"
        )

    def parse_attributes(self, value: Any) -> Any:
        """Parse the fields of a mapping or of any object that has them; ignore the others."""
        if self.fields is None or (self.takes_more and type(value) is dict):
            return self.parse(value)
        if isinstance(value, Mapping):
            return self.parse({k: value[k] for k in self.fields if k in value})
        return self.parse({k: getattr(value, k) for k in self.fields if hasattr(value, k)})


def adapter(annotation: Any) -> TypeAdapter[Any]:
    """Return a TypeAdapter that also takes arbitrary classes and old TypedDicts."""
    modern = _modern(annotation)
    try:
        return TypeAdapter(modern, config=_ARBITRARY)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(modern)


def violations_of(error: Exception, *, prefix: str = "", expected: str = "") -> list[Violation]:
    """Turn what a validator raised into violations, one for each value that it names."""
    if not isinstance(error, ValidationError):
        rule = f"the contract's own validator raised {type(error).__name__}: {error}"
        return [Violation(prefix or "(update)", rule, "")]
    found: list[Violation] = []
    for item in error.errors(include_url=False, include_context=False):
        path = ".".join(str(part) for part in (*((prefix,) if prefix else ()), *item["loc"]))
        missing = item["type"] == "missing"
        rule = "is required, and missing" if missing else _lower(item["msg"])
        if expected and not missing and len(item["loc"]) == 0:
            rule = f"must be {expected}: {rule}"
        found.append(Violation(path or "(update)", rule, "" if missing else shorten(item["input"])))
    return found


def type_name(annotation: Any) -> str:
    """Return how a type is written, without module names."""
    annotation = bare(annotation)
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("typing_extensions.", "")


def bare(annotation: Any) -> Any:
    """Return the type without Annotated, Required and NotRequired around it."""
    while (origin := get_origin(annotation)) is Annotated or origin in _WRAPPERS:
        annotation = get_args(annotation)[0]
    return annotation


def strip_required(annotation: Any) -> Any:
    """Return the annotation without Required and NotRequired, keeping Annotated's metadata."""
    if get_origin(annotation) in _WRAPPERS:
        return strip_required(get_args(annotation)[0])
    if get_origin(annotation) is Annotated:
        first, *metadata = get_args(annotation)
        if get_origin(first) in _WRAPPERS:
            return Annotated[(strip_required(first), *metadata)]
    return annotation


def has_fields(declared: Any) -> bool:
    """Return whether a type describes keys: a model, a TypedDict, a dataclass, or a map of keys."""
    return isinstance(declared, Mapping) or bool(_fields_of(declared))


def field_validator(model: type[BaseModel], key: str) -> tuple[Callable[[Any], object], str | None]:
    """Return a check of one model field, and what it leaves unchecked, if anything.

    The model's own field validators run, unless they look at other fields: those, and the
    validators of the whole model, need a whole state, which an update is not.
    """
    decorators = model.__pydantic_decorators__
    own = [d for d in decorators.field_validators.values() if _touches(d.info.fields, key)]
    whole = bool(decorators.model_validators) or bool(decorators.root_validators)
    looks_around = any(_wants_info(d.func) for d in own)
    if not whole and not looks_around and not model.model_config.get("frozen"):
        validator = model.__pydantic_validator__
        blank = model.model_construct
        return lambda value: validator.validate_assignment(blank(), key, value), None
    field = model.model_fields[key]
    parts = (field.annotation, *field.metadata)
    validate = adapter(Annotated[parts] if field.metadata else field.annotation).validate_python
    skipped = "validators of the whole model" if whole else "a field validator that reads others"
    if not whole and not looks_around:
        return validate, None
    return validate, f"{model.__name__} has {skipped}: they run only where the state is read"


def _touches(fields: tuple[str, ...], key: str) -> bool:
    return key in fields or "*" in fields


def _wants_info(function: Any) -> bool:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and code.co_argcount - (1 if hasattr(function, "__self__") else 0) >= 2


def _is_map(declared: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(declared, Mapping)


def _fields_of(declared: Any) -> dict[str, Any]:
    kind = bare(declared)
    if typing_extensions.is_typeddict(kind):
        return _hints(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return {f.name: hints.get(f.name, Any) for f in dataclasses.fields(kind)}
    return {}


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        return dict(getattr(kind, "__annotations__", {}))


def _optional(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in {NotRequired, typing_extensions.NotRequired}:
        return get_args(annotation)[0], True
    return strip_required(annotation), False


def _typed_dict(declared: Mapping[str, Any]) -> Any:
    make: Any = typing_extensions.TypedDict
    return make("Update", {str(k): _modern(v) for k, v in declared.items()})


@functools.lru_cache(maxsize=256)
def _modern_typed_dict(kind: Any) -> Any:
    """Return a TypedDict that pydantic takes on Pythons before 3.12."""
    required = kind.__required_keys__
    hints = {
        key: _modern(hint)
        if get_origin(hint) in _WRAPPERS or key in required
        else NotRequired[_modern(hint)]
        for key, hint in get_type_hints(kind, include_extras=True).items()
    }
    make: Any = typing_extensions.TypedDict
    modern: Any = make(kind.__name__, hints)
    modern.__module__ = kind.__module__
    return modern


def _modern(annotation: Any) -> Any:
    """Replace `typing.TypedDict`s, which pydantic refuses before Python 3.12, all the way down."""
    if sys.version_info >= (3, 12):
        return annotation
    if typing_extensions.is_typeddict(annotation) and type(annotation).__module__ == "typing":
        return _modern_typed_dict(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None or not args or origin is typing_extensions.Literal:
        return annotation
    modern = tuple(_modern(each) for each in args)
    if all(new is old for new, old in zip(modern, args, strict=True)):
        return annotation
    if origin is Annotated:
        return Annotated[(modern[0], *annotation.__metadata__)]
    if origin is Union or origin is types.UnionType:
        return functools.reduce(lambda one, other: one | other, modern)
    return annotation.copy_with(modern) if hasattr(annotation, "copy_with") else origin[modern]


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
