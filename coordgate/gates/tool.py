"""Tools: what a model may call, with which arguments, and what of a result it may be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, RungName, Verdict, as_verdict, gate, raised
from coordgate.gates.values import Unreadable, checked_key, is_mapping, is_sequence, read

Faults = Callable[[Mapping[str, Any]], list[str]]
"""Takes the arguments of a call, and returns what is wrong with them, in words."""

_LISTED = 6


def model_faults(model: type[BaseModel]) -> Faults:
    """Return a check of arguments against a pydantic model; names it does not know are wrong."""
    known = set(model.model_fields) | {
        field.alias for field in model.model_fields.values() if field.alias
    }
    open_to_more = model.model_config.get("extra") == "allow"

    def faults(arguments: Mapping[str, Any]) -> list[str]:
        extra = [] if open_to_more else sorted(str(name) for name in set(arguments) - known)
        there = f"; there are {', '.join(sorted(known))}" if known else ""
        said = [f"{', '.join(cut(n, 40) for n in extra)} is not known{there}"] if extra else []
        try:
            model.model_validate(dict(arguments))
        except ValidationError as error:
            said += validation_faults(error)
        return first(said)

    return faults


def validation_faults(error: ValidationError) -> list[str]:
    """Return what pydantic says is wrong, without the values."""
    return [
        f"{'.'.join(map(str, each['loc'])) or 'the arguments'}: {each['msg']}"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def dangers(metadata: Mapping[str, Any] | None, *, from_server: bool) -> list[str]:
    """Return why a tool's annotations make it one that may do harm; empty if they do not.

    The hints are those of the Model Context Protocol. One that says nothing of itself is taken to
    be destructive there, as the protocol says, if it comes `from_server`.
    """
    hints = metadata or {}
    found: list[str] = []
    destructive = hints.get("destructiveHint")
    if destructive is True and hints.get("readOnlyHint") is not True:
        found.append("it may destroy or overwrite")
    elif from_server and destructive is None and hints.get("readOnlyHint") is not True:
        found.append("it does not say that it only reads")
    if hints.get("openWorldHint") is True:
        found.append("it reaches beyond the server")
    return found


def objection(texts: Iterable[str], screen: Sequence[Gate]) -> str:
    """Return why a result may not be shown to the model; empty if it may.

    The gates are asked about the texts as about retrieved documents.
    """
    held = [text for text in texts if text]
    for each in screen if held else ():
        try:
            verdict = as_verdict(each(held))
        except Exception as error:  # noqa: BLE001 - a gate that raises has not passed
            verdict = raised(error)
        if not verdict.passed:
            return f"{each.name}: {verdict.reason}"
    return ""


def valid_calls(
    tools: Mapping[str, Faults],
    *,
    key: str = "messages",
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if the last message's tool calls name known tools, with arguments that fit them.

    It stands on the node that asks the model, so that a retry corrects the call before it is made.
    `tools` maps each name to its check: `coordgate.tools.checks(tools)` gives it.

    Raises:
        ConfigurationError: it is given the tools themselves.
    """
    checked_key(key, "valid_calls")
    if not is_mapping(tools) or not all(map(callable, tools.values())):
        raise ConfigurationError(
            "valid_calls: give the check of each tool by its name: valid_calls(checks(tools)), "
            "with checks of coordgate.tools"
        )
    known = dict(tools)

    def ask(output: Any) -> Verdict:
        try:
            messages = read(output, key)
        except Unreadable as error:
            return error.verdict()
        listed: Sequence[Any] = messages if is_sequence(messages) else [messages]
        if not listed:
            return Unreadable(f"{key} is empty").verdict()
        last = listed[-1]
        reasons = [
            f"the call of {cut(str(_of(call, 'name')), 60)} is not valid JSON"
            for call in _of(last, "invalid_tool_calls") or ()
        ]
        for call in _of(last, "tool_calls") or ():
            name, arguments = _of(call, "name"), _of(call, "args")
            faults = known.get(name)
            if faults is None:
                there = ", ".join(sorted(known))
                reasons.append(f"there is no tool {cut(str(name), 60)!r}; there are {there}")
            else:
                reasons += [f"{name}: {said}" for said in faults(arguments)]
        return Verdict.reject("; ".join(first(reasons))) if reasons else Verdict.accept()

    return gate(name=f"valid_calls({', '.join(sorted(known))})", otherwise=otherwise)(ask)


def _of(value: Any, name: str) -> Any:
    return value.get(name) if is_mapping(value) else getattr(value, name, None)


def kind_of(value: object) -> str:
    """Return what JSON calls the type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    names |= {list: "array", dict: "object"}
    return names.get(cast("Any", type(value)), type(value).__name__)


def first(said: list[str]) -> list[str]:
    """Return the first few of what is wrong, and how many more there are."""
    more = [f"and {len(said) - _LISTED} more"] if len(said) > _LISTED else []
    return said[:_LISTED] + more


def cut(text: str, limit: int) -> str:
    """Return a text, shortened."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
