"""Schemas: a declared type made ready to parse a hand-over, and errors turned into violations."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import sys
import types
import weakref
from collections import UserList, deque
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import (
    IO,
    Annotated,
    Any,
    BinaryIO,
    NotRequired,
    Required,
    TextIO,
    TypeGuard,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typing_extensions
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
)
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import SchemaError, SchemaValidator, core_schema

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


class Unfit(TypeError):
    """What a check of coordgate's own says of a value that does not pass it."""


class Schema:
    """A declared type, ready to parse what a node hands over or is handed.

    `fields` names the keys that the type describes; it is None for a type that describes a whole
    value (`int`, `list[str]`), as in graphs without keys.
    """

    __slots__ = ("fields", "name", "parse", "takes_more", "types")

    def __init__(self, declared: Any, *, where: str) -> None:
        """Build the validator of `declared`: a model, TypedDict, dataclass, Annotated or key map.

        Raises:
            ConfigurationError: pydantic cannot check the type.
        """
        self.types = fields_of(declared)
        self.name = type_name(declared)
        built: Any = _typed_dict(declared) if _is_map(declared) else declared
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
        if _has_aliases(kind):  # state keys are the fields' names
            self.parse = functools.partial(validator.validate_python, by_alias=True, by_name=True)
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
    if isinstance(error, Unfit):
        return [Violation(prefix or "(update)", str(error), "")]
    if not isinstance(error, ValidationError):
        rule = f"the contract's own validator raised {type(error).__name__}: {error}"
        return [Violation(prefix or "(update)", rule, "")]
    found: list[Violation] = []
    for item in error.errors(include_url=False, include_context=False):
        path = ".".join(str(part) for part in (*((prefix,) if prefix else ()), *item["loc"]))
        missing = item["type"] == "missing"
        rule = "is required, and missing" if missing else _rule(item["msg"])
        if expected and not missing and len(item["loc"]) == 0:
            rule = f"must be {expected}: {rule}"
        found.append(Violation(path or "(update)", rule, "" if missing else shorten(item["input"])))
    return found


def type_name(annotation: Any) -> str:
    """Return how a type, or a map of keys to types, is written, without module names."""
    if _is_map(annotation):
        return "{" + ", ".join(f"{k}: {type_name(v)}" for k, v in annotation.items()) + "}"
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
    return _is_map(declared) or bool(fields_of(declared))


def field_validator(
    model: type[BaseModel], key: str
) -> tuple[Callable[[Any], object] | None, str | None]:
    """Return a check of one model field, and what it leaves unchecked, if anything.

    The check is the part of the model's own schema that is for the field, with its validators.
    Validators that look at other fields, and those of the whole model, need a whole state, which
    an update is not.
    """
    whole, fields, definitions = _model_fields(model.__pydantic_core_schema__)
    if fields is None or key not in fields:
        return None, f"{model.__name__} validates itself in a way of its own"
    schema = fields[key]["schema"]
    if _wants_info(schema):
        return None, f"{model.__name__}.{key} has a validator that looks at other fields"
    if definitions:
        schema = core_schema.definitions_schema(schema, definitions)
    config: Any = model.model_config
    strict = core_schema.CoreConfig(
        strict=bool(config.get("strict")),
        str_strip_whitespace=bool(config.get("str_strip_whitespace")),
        str_to_lower=bool(config.get("str_to_lower")),
        str_to_upper=bool(config.get("str_to_upper")),
    )
    validate = SchemaValidator(schema, strict).validate_python
    if whole or model.__pydantic_decorators__.root_validators:
        return validate, (
            f"{model.__name__} has validators of the whole model: they run only where the state "
            "is read"
        )
    return validate, None


def _model_fields(schema: Any) -> tuple[bool, dict[str, Any] | None, list[Any]]:
    """Return whether a model has validators around its fields, the fields, and definitions."""
    definitions: list[Any] = []
    whole = False
    while schema["type"] != "model-fields":
        if schema["type"] == "definitions":
            definitions += schema["definitions"]
        elif schema["type"].startswith("function-"):
            whole = True
        elif schema["type"] == "definition-ref":
            named = [each for each in definitions if each.get("ref") == schema["schema_ref"]]
            if not named:
                return whole, None, definitions
            schema = named[0]
            continue
        elif schema["type"] != "model":
            return whole, None, definitions
        schema = schema.get("schema")
        if schema is None:
            return whole, None, definitions
    return whole, schema["fields"], definitions


def _wants_info(schema: Any) -> bool:
    """Return whether a validator in a field's schema is given the other fields."""
    if not isinstance(schema, dict):
        return False
    if schema.get("type") in {"model", "dataclass", "definitions"}:  # pyright: ignore[reportUnknownMemberType] - a core schema
        return False
    function: Any = schema.get("function")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - a core schema
    if isinstance(function, dict) and function.get("type") == "with-info":  # pyright: ignore[reportUnknownMemberType] - as above
        return True
    return _wants_info(schema.get("schema"))  # pyright: ignore[reportUnknownMemberType] - as above


def _has_aliases(kind: Any) -> bool:
    fields = getattr(kind, "model_fields", {}) if isinstance(kind, type) else {}
    return any(field.validation_alias or field.alias for field in fields.values())


def _is_map(declared: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(declared, Mapping)


def fields_of(declared: Any) -> dict[str, Any]:
    """Return the keys that a type or a map of keys describes, with their types."""
    if _is_map(declared):
        return {str(key): strip_required(value) for key, value in declared.items()}
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


def _typed_dict(declared: Mapping[str, Any]) -> Any:
    make: Any = typing_extensions.TypedDict
    return make("Update", {str(k): _modern(v) for k, v in declared.items()})


_MODERN: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _modern_typed_dict(kind: Any, making: dict[Any, Any]) -> Any:
    """Return a TypedDict that pydantic takes on Pythons before 3.12.

    `making` holds those that are not ready yet: one may hold itself, or another that holds it.
    """
    known = _MODERN.get(kind) or making.get(kind)
    if known is not None:
        return known
    hints = {
        key: hint
        if get_origin(hint) in _WRAPPERS or key in kind.__required_keys__
        else NotRequired[hint]
        for key, hint in get_type_hints(kind, include_extras=True).items()
    }
    make: Any = typing_extensions.TypedDict
    modern = making[kind] = make(kind.__name__, hints)
    modern.__module__ = kind.__module__
    modern.__annotations__ = {key: _modern(hint, making) for key, hint in hints.items()}
    return modern


def _modern(annotation: Any, making: dict[Any, Any] | None = None) -> Any:
    """Replace `typing.TypedDict`s, which pydantic refuses before Python 3.12, all the way down."""
    if sys.version_info >= (3, 12):
        return annotation
    made: dict[Any, Any] = {} if making is None else making

    def replaced(part: Any) -> Any:
        old = typing_extensions.is_typeddict(part) and type(part).__module__ == "typing"
        return _modern_typed_dict(part, made) if old else part

    modern = _mapped(annotation, replaced)
    if making is None:
        _MODERN.update(made)
    return modern


def as_typing_takes_it(annotation: Any) -> Any:
    """Widen an annotation to what type checkers take for it and pydantic's strict mode does not."""
    return _mapped(annotation, _widened)


def _widened(part: Any) -> Any:
    if part is int or part is float:
        return part | bool
    if part is date:
        return date | datetime
    if part is Decimal:
        return Annotated[Decimal, Field(allow_inf_nan=True)]
    if part in {IO, TextIO, BinaryIO}:
        return Any
    if hasattr(part, "__supertype__"):
        return _mapped(part.__supertype__, _widened)
    origin, args = get_origin(part), get_args(part)
    if origin is collections.abc.Set:
        return set[args] | frozenset[args]  # type: ignore[valid-type]
    if origin is collections.abc.Sequence:
        taken: Any = Annotated[list[args], BeforeValidator(_as_list)]  # type: ignore[valid-type]
        return part | taken
    return part


def _as_list(value: object) -> object:
    """Return the items of a sequence that is none of pydantic's own kinds."""
    return list(value) if isinstance(value, deque | range | UserList) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - of anything


def _mapped(annotation: Any, replaced: Callable[[Any], Any]) -> Any:
    """Return an annotation with its parts replaced, all the way down."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None or not args:
        return replaced(annotation)
    if origin is typing_extensions.Literal:
        return annotation
    if origin is Annotated:
        return Annotated[(_mapped(args[0], replaced), *annotation.__metadata__)]
    parts = tuple(_mapped(each, replaced) for each in args)
    if all(new is old for new, old in zip(parts, args, strict=True)):
        return replaced(annotation)
    if origin is Union or origin is types.UnionType:
        return functools.reduce(lambda one, other: one | other, parts)
    made = annotation.copy_with(parts) if hasattr(annotation, "copy_with") else origin[parts]
    return replaced(made)


def _rule(message: str) -> str:
    """Return pydantic's message in the middle of a line; a validator's own as it was raised."""
    for prefix in ("Value error, ", "Assertion failed, "):
        if message.startswith(prefix):
            return message.removeprefix(prefix)
    return message[:1].lower() + message[1:]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
