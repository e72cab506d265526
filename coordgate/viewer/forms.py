"""Forms: an answer as it is typed into the page, and what is wrong with it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup, escape
from pydantic_core import to_jsonable_python
from starlette.datastructures import FormData

from coordgate.answers import Approve, Edit, Reject, RetryWith
from coordgate.review import Waiting

MOST_EDITED: Final = 100_000
"""How many characters a candidate may have to be edited in the page."""

_ODD: Final = re.compile(r"[^\x20-\x7e\n]")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Typed:
    """An answer as it was typed."""

    decision: str = ""
    """`approve`, `edit`, `reject` or `retry`; empty if none was chosen."""
    update: str = ""
    """The update of an edit, as JSON text."""
    override: bool = False
    """Whether the edit is to ship past the gates."""
    reason: str = ""
    """Why it is rejected."""
    feedback: str = ""
    """What the node should do otherwise."""
    by: str = ""
    """Who answers."""
    wrong: Mapping[str, str] = field(default_factory=dict[str, str])
    """By field, why it cannot be sent like this."""

    def text(self, name: str) -> Markup:
        """Return what was typed into a field, exactly, to stand in a textarea."""
        # Browsers drop the first line break in one.
        return Markup("\n") + escape(getattr(self, name))


def begun(asked: Waiting) -> Typed:
    """Return the form as it is first shown: with the candidate, ready to be edited."""
    text = json_text({} if asked.candidate is None else asked.candidate)
    return Typed(update=text if len(text) <= MOST_EDITED else "")


def given_in(typed: Typed) -> Mapping[str, Any]:
    """Return the answer that was typed; one that `checked` finds nothing wrong with."""
    match typed.decision:
        case "approve":
            return Approve(by=typed.by)
        case "edit":
            return Edit(json.loads(typed.update), override=typed.override, by=typed.by)
        case "reject":
            return Reject(typed.reason, by=typed.by)
        case _:
            return RetryWith(typed.feedback, by=typed.by)


def read_form(form: FormData, allowed: Mapping[str, Any]) -> Typed:
    """Return what was sent, with what is wrong with it."""

    def text(name: str) -> str:
        return str(form.get(name, "")).replace("\r\n", "\n")

    typed = Typed(
        decision=text("decision"),
        update=text("update"),
        override=bool(form.get("override")),
        reason=text("reason").strip(),
        feedback=text("feedback").strip(),
        by=text("by").strip(),
    )
    wrong: dict[str, str] = {}
    if not typed.decision:
        wrong["decision"] = "choose what to do with it"
    elif typed.decision not in allowed:
        wrong["decision"] = f"{typed.decision} is not possible here"
    elif typed.decision == "edit":
        try:
            json.loads(typed.update)
        except (ValueError, RecursionError) as error:
            wrong["update"] = f"this is no JSON: {error}"
    elif typed.decision == "reject" and not typed.reason:
        wrong["reason"] = "say why"
    elif typed.decision == "retry" and not typed.feedback:
        wrong["feedback"] = "say what it should do otherwise"
    return Typed(
        typed.decision,
        typed.update,
        typed.override,
        typed.reason,
        typed.feedback,
        typed.by,
        wrong,
    )


def json_text(value: object) -> str:
    """Return a value as JSON text in which nothing is unseen: odd characters are escapes."""
    plain = to_jsonable_python(value, fallback=repr, inf_nan_mode="strings", bytes_mode="base64")
    return _ODD.sub(_seen, json.dumps(plain, indent=2, ensure_ascii=False))


def _seen(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) in _UNSEEN:
        return json.dumps(character)[1:-1]
    return character
