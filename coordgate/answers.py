"""Answers: what a person may decide about a hand-over, and how an answer is read."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Decided = Literal["approve", "edit", "reject", "retry"]
"""What a person can decide."""


class Approve(dict[str, Any]):
    """Ship what was shown; the gates' objections are overridden, the contract is not.

    Like the other answers it is a dict, `{"decision": "approve", "by": ""}`: send it with
    `Command(resume=...)`, or send the JSON from anywhere.
    """

    def __init__(self, *, by: str = "") -> None:
        """Say who approves."""
        super().__init__(decision="approve", by=by)


class Edit(dict[str, Any]):
    """Ship this update in the candidate's place, through contract and gates."""

    def __init__(self, update: Any, *, override: bool = False, by: str = "") -> None:
        """Give the whole update; with `override` the gates are not asked."""
        super().__init__(decision="edit", update=update, override=override, by=by)


class Reject(dict[str, Any]):
    """Ship nothing of it: the policy goes on with its next rung, or the run fails."""

    def __init__(self, reason: str, *, by: str = "") -> None:
        """Say why."""
        super().__init__(decision="reject", reason=reason, by=by)


class RetryWith(dict[str, Any]):
    """Run the node again, told this."""

    def __init__(self, feedback: str, *, by: str = "") -> None:
        """Say what the node should do otherwise."""
        super().__init__(decision="retry", feedback=feedback, by=by)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    by: str = Field(default="", description="who answers")


class _Approve(_Answer):
    decision: Literal["approve"]


class _Edit(_Answer):
    decision: Literal["edit"]
    update: Any = Field(description="what ships in the candidate's place, whole")
    override: bool = Field(default=False, description="whether to ship past the gates")


class _Reject(_Answer):
    decision: Literal["reject"]
    reason: str = Field(min_length=1)


class _Retry(_Answer):
    decision: Literal["retry"]
    feedback: str = Field(min_length=1, description="what the node is told")


Answer: TypeAlias = _Approve | _Edit | _Reject | _Retry
_MODELS: Mapping[Decided, type[_Answer]] = {
    "approve": _Approve,
    "edit": _Edit,
    "reject": _Reject,
    "retry": _Retry,
}
_READ: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="decision")])


def schemas(allowed: Collection[Decided], form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of each answer that may be given, by its decision.

    `form` is the schema of the update that an edit holds.
    """
    found: dict[str, Any] = {name: _schema(name) for name in _MODELS if name in allowed}
    if "edit" in found:
        edit = found["edit"]
        edit["properties"]["update"] |= {k: v for k, v in form.items() if k != "$defs"}
        if "$defs" in form:
            edit["$defs"] = form["$defs"]
    return found


def _schema(name: Decided) -> Any:
    return json.loads(_schema_text(name))


@functools.cache
def _schema_text(name: Decided) -> str:
    return json.dumps({**_MODELS[name].model_json_schema(), "title": name})


def read_answer(value: object, allowed: Collection[Decided]) -> Answer | list[str]:
    """Return an answer, or the reasons why it is none."""
    try:
        answer = _READ.validate_python(value)
    except ValidationError as error:
        return [_said(each) for each in error.errors(include_url=False, include_input=False)]
    if answer.decision not in allowed:
        return [f"{answer.decision!r} is not possible here; use {_either(allowed)}"]
    return answer


def _said(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"] if part not in _MODELS)
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        return f"decision: use {_either(_MODELS)}"
    if error["type"] in {"model_attributes_type", "model_type", "dict_type"}:
        return 'an answer is an object such as {"decision": "approve"}'
    return f"{where}: {error['msg']}"


def _either(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in _MODELS if name in names)
