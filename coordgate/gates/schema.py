"""Schemas: values checked against a JSON schema, with what is wrong said in words.

Not imported by `coordgate.gates`, since it needs the package jsonschema, which the extra `mcp` has.
"""

# The package may be missing, and is not typed:
# pyright: reportPossiblyUnboundVariable=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from coordgate.errors import ConfigurationError
from coordgate.gates.tool import cut, first, kind_of

try:
    import jsonschema  # type: ignore[import-untyped]
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
    from jsonschema.validators import validator_for  # type: ignore[import-untyped]
    from referencing import Registry
    from referencing.exceptions import Unresolvable
except ImportError:  # pragma: no cover - an extra
    jsonschema = None


def json_faults(
    schema: Mapping[str, Any], *, where: str, closed: bool
) -> Callable[[Any], list[str]]:
    """Return a check of values against a JSON schema, which says what is wrong in words.

    With `closed`, names that the schema does not know are wrong, unless it allows them expressly.
    References are resolved within the schema alone: nothing is fetched. What is said names places
    and rules, and repeats no value, since values may be written by strangers.

    Raises:
        ConfigurationError: it is no valid schema, or the package jsonschema is missing.
    """
    if jsonschema is None:
        raise ConfigurationError(
            f"{where} has a JSON schema, and checking it needs the package jsonschema: "
            "pip install 'coordgate[mcp]'"
        )
    own: dict[str, Any] = dict(schema)
    extensible = "additionalProperties" in own or "patternProperties" in own
    if closed and not extensible and not ({"$ref", "allOf", "anyOf", "oneOf"} & own.keys()):
        own["additionalProperties"] = False
    kind: Any = validator_for(own, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(own)
    except SchemaError as error:
        raise ConfigurationError(
            f"{where} has a schema that is none: {cut(str(error), 200)}"
        ) from error
    validator = kind(own, registry=Registry())

    def faults(value: Any) -> list[str]:
        try:
            found = sorted(validator.iter_errors(value), key=lambda each: list(map(str, each.path)))
        except (Unresolvable, RecursionError, re.error) as error:
            return [f"the schema cannot be applied ({type(error).__name__})"]
        return first([_said(each) for each in found])

    return faults


def _said(error: Any) -> str:
    place = ".".join(map(str, error.absolute_path))
    rule: Any = error.validator_value
    match error.validator:
        case "required":
            missing = [name for name in rule if name not in error.instance]
            return "; ".join(f"{f'{place}.' if place else ''}{name} is missing" for name in missing)
        case "additionalProperties":
            known = error.schema.get("properties", {})
            extra = sorted(str(name) for name in error.instance if name not in known)
            names = ", ".join(cut(name, 40) for name in extra)
            there = f"; there are {', '.join(sorted(known))}" if known else ""
            return f"{names} is not known{f' in {place}' if place else ''}{there}"
        case "type":
            kinds = " or ".join([rule] if isinstance(rule, str) else rule)
            return f"{place or 'the value'} must be of type {kinds}, not {kind_of(error.instance)}"
        case "enum" | "const":
            return f"{place or 'the value'} must be one of {cut(str(rule), 200)}"
        case _:
            return f"{place or 'the value'} breaks {error.validator}: {cut(str(rule), 80)}"
