"""Tool calls: what is checked before a gated tool is called, and of what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langgraph.config import get_config
from langgraph.types import Command, Send, interrupt
from pydantic import ValidationError

from coordgate._langgraph import has_checkpointer
from coordgate.answers import Decided, read_answer, schemas
from coordgate.errors import ConfigurationError, ToolRefused
from coordgate.gate import Gate, Judgement, Verdict
from coordgate.gates.shown import texts_in
from coordgate.gates.tool import Faults, objection, validation_faults
from coordgate.gates.values import Unreadable, fields, text_of
from coordgate.node import note
from coordgate.policy import Escalate

CALLED = "tool:"
"""What stands before a tool's name where the record calls a gate after it."""

_ALLOWED: tuple[Decided, ...] = ("approve", "edit", "reject")
_LONGEST_ERROR = 300
_CORRECT = "Correct the arguments and call it again."
_BROKEN_PROMISE = "answered with something else than it promises, which was dropped"
_LOST = frozenset({"ClosedResourceError", "BrokenResourceError", "EndOfStream", "ConnectError"})
_GO_ON = "Go on without it, or say that you could not."


Calling: TypeAlias = Generator[Any, Any, Any]
"""Yields the input to call with at most once, is sent the result, and returns what is shown."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a gated tool is held to."""

    faults: Faults
    """What is wrong with arguments."""
    injected: frozenset[str]
    """Parameters that are not the model's to give."""
    dangers: Sequence[str]
    """Why it must be allowed each time; empty if it need not be."""
    ask: Escalate | None
    """Who allows it; None is nobody."""
    timeout: float | None
    """Seconds that a call may take."""
    screen: Sequence[Gate]
    """What of a result may be shown."""
    structure: Callable[[Any], list[str]] | None
    """What is wrong with a structured result; None where nothing is promised."""


@dataclass(slots=True)
class Failed:
    """What a call raised."""

    error: Exception


class Late(TimeoutError):
    """A call took longer than its rules allow."""


@dataclass(slots=True)
class Call:
    """One call of a gated tool."""

    tool: BaseTool
    rules: Rules
    id: str | None
    asked: Any = None
    began: float = field(default_factory=time.perf_counter)

    def flow(self, given: Any) -> Calling:
        """Check the arguments, ask who must be asked, have the call made, and check the result."""
        injected = self.rules.injected
        if not isinstance(given, dict):  # a text, for the one argument that there is
            given = dict.fromkeys(list(self.tool.args)[:1], given)
        own = cast("dict[str, Any]", given)
        asked = {name: value for name, value in own.items() if name not in injected}
        self.asked = asked
        faults = self.rules.faults(asked)
        if faults:
            return self._refuse("was not called", faults, _CORRECT)
        if self.rules.dangers:
            refused, asked = self._allowed(asked)
            if refused:
                return self._refuse("was not called", [refused], _GO_ON)
        rest = {name: value for name, value in own.items() if name in injected}
        return (yield from self._made({**asked, **rest}))

    def _made(self, given: Any) -> Calling:
        result = yield given
        if isinstance(result, Failed):
            return self._refuse(*self._said(result.error))
        try:
            texts = [text for part in _parts(result) for text in _shown(part)]
            stopped = objection(texts, self.rules.screen)
        except Unreadable as error:
            stopped = str(error)
        except Exception as error:  # noqa: BLE001 - what cannot be looked at is not shown
            stopped = f"it cannot be looked at: {type(error).__name__}"
        if stopped:
            return self._refuse("answered, and its answer was held back", [stopped], _GO_ON)
        messages = [message for part in _parts(result) for message in _messages(part)]
        failed = [each for each in messages if getattr(each, "status", None) == "error"]
        if not failed and self.rules.structure is not None:
            broken = self._unstructured(messages)
            if broken:
                return self._refuse(_BROKEN_PROMISE, broken, _GO_ON)
        said = (text_of(failed[0]) or "")[:200] if failed else ""
        reason = f"the tool says that it failed: {said}" if said else ""
        self._note(Verdict(not failed, reason))
        return result

    def _unstructured(self, messages: Sequence[Any]) -> list[str]:
        assert self.rules.structure is not None
        artifact: Any = next((getattr(m, "artifact", None) for m in messages), None)
        held = cast("dict[str, Any]", artifact) if isinstance(artifact, dict) else {}
        if "structured_content" not in held:
            return ["there is no structured content"] if self.id is not None else []
        return self.rules.structure(held["structured_content"])

    def _allowed(self, asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return why the call is not allowed, or what it is allowed with."""
        why = " and ".join(self.rules.dangers)
        if self.rules.ask is None:
            return f"it needs to be allowed, since {why}, and nobody is there to allow it", {}
        if not self._can_wait():
            return "it needs to be allowed, and outside of a graph nobody can be asked", {}
        refused: list[str] = []
        while True:
            payload: dict[str, Any] = {
                "node": self.tool.name,
                "tool": self.tool.name,
                "to": self.rules.ask.to,
                "candidate": asked,
                "reasons": [f"{self.tool.name} needs to be allowed, since {why}"],
                "answers": schemas(_ALLOWED, _form(self.tool)),
            }
            if refused:
                payload["refused"] = refused
            answer = read_answer(interrupt(payload), _ALLOWED)
            if isinstance(answer, list):
                refused = answer
            elif answer.decision == "edit":
                refused, edited = self._edited(answer.update)
                if not refused:
                    return "", edited
            elif answer.decision == "reject":
                by = f"{answer.by}: " if answer.by else ""
                return f"{self.rules.ask.to} has not allowed it: {by}{answer.reason}", {}
            else:
                return "", asked

    def _can_wait(self) -> bool:
        """Return whether this is a graph, which can wait for a person.

        Raises:
            ConfigurationError: it is one without a checkpointer.
        """
        try:
            config = get_config()
        except RuntimeError:
            return False
        if "langgraph_node" not in config.get("metadata", {}):
            return False
        if not has_checkpointer(config):
            raise ConfigurationError(
                f"tool {self.tool.name!r} needs to be allowed by a person, and the graph has no "
                "checkpointer to wait with: compile it with one, or pass it to create_agent"
            )
        return True

    def _edited(self, update: Any) -> tuple[list[str], dict[str, Any]]:
        """Return what is wrong with arguments that a person gives, and the arguments."""
        if not isinstance(update, dict):
            return ["update: give the arguments as an object"], {}
        arguments = cast("dict[str, Any]", update)
        return self.rules.faults(arguments), arguments

    def _said(self, error: Exception) -> tuple[str, list[str], str]:
        """Return what became of a call that raised, why, and what the model can do."""
        if isinstance(error, ValidationError) and error.title == _title(self.tool):
            return "was not called", validation_faults(error), _CORRECT
        if isinstance(error, Late):
            waited = f"it did not answer within {self.rules.timeout:g} seconds"
            return "failed", [f"{waited}; it may still have acted"], _GO_ON
        causes = leaves(error)
        if self.rules.structure is not None and _names_schema(error):
            return _BROKEN_PROMISE, ["its structured result breaks its own output schema"], _GO_ON
        if any(map(_is_lost, causes)):
            name = " and ".join(dict.fromkeys(type(each).__name__ for each in causes))
            return "failed", [f"its server cannot be reached ({name})"], _GO_ON
        said = "; ".join(dict.fromkeys(map(_line, causes)))
        stopped = objection([said], self.rules.screen)
        if stopped or len(said) > _LONGEST_ERROR:
            said = " and ".join(dict.fromkeys(type(each).__name__ for each in causes))
        return "failed", [said], "Call it otherwise, or go on without it."

    def _refuse(self, what: str, reasons: Sequence[str], then: str) -> ToolMessage:
        reason = f"{self.tool.name} {what}: {'; '.join(reasons)}"
        self._note(Verdict(False, reason))
        if self.id is None:
            raise ToolRefused(self.tool.name, what, reasons)
        return ToolMessage(
            f"{reason}. {then}", tool_call_id=self.id, name=self.tool.name, status="error"
        )

    def _note(self, verdict: Verdict) -> None:
        seconds = time.perf_counter() - self.began
        note(Judgement(f"{CALLED}{self.tool.name}", verdict, seconds), self.asked)


def _shown(part: Any) -> list[str]:
    """Return the texts in a part of a result: of a Command, all that it brings into the graph."""
    if not isinstance(part, Command):
        return texts_in(part)
    command: Any = part  # pyright: ignore[reportUnknownVariableType] - isinstance leaves it open
    sent = [each.arg for each in _parts(command.goto) if isinstance(each, Send)]
    return texts_in([command.update, *sent])


def _form(tool: BaseTool) -> Mapping[str, Any]:
    """Return the JSON schema of a tool's arguments, as the model is shown it."""
    shown: Any = tool.tool_call_schema
    if hasattr(shown, "model_json_schema"):
        shown = shown.model_json_schema()
    return cast("dict[str, Any]", shown) if hasattr(shown, "keys") else {}


def _parts(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - of anything


def _messages(part: Any) -> list[Any]:
    """Return the messages in a part of a result; of one that is no Command, the part itself."""
    if not isinstance(part, Command):
        return [part]
    command: Any = part  # pyright: ignore[reportUnknownVariableType] - isinstance leaves it open
    return _messages_in(command.update)


def _messages_in(update: Any) -> list[Any]:
    """Return every message in an update, under whatever key and in whatever form it stands."""
    if isinstance(update, dict):
        values = cast("dict[str, Any]", update)
        return [values] if "content" in values else _messages_in(list(values.values()))
    if isinstance(update, list | tuple):
        return [found for each in cast("Sequence[Any]", update) for found in _messages_in(each)]
    if hasattr(update, "content"):
        return [update]
    return _messages_in(list(fields(update).values())) if _is_record(update) else []


def _is_record(value: Any) -> bool:
    return hasattr(value, "__dataclass_fields__") or hasattr(value, "__pydantic_fields__")


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group of groups; of one by itself, that one."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for each in group.exceptions for leaf in leaves(each)]
    return [error]


def _is_lost(error: BaseException) -> bool:
    """Return whether the connection is gone, by the words of those who carry it."""
    return (
        isinstance(error, ConnectionError)
        or type(error).__name__ in _LOST
        or (type(error).__name__ == "McpError" and str(error) == "Connection closed")
    )


def _names_schema(error: Exception) -> bool:
    """Return whether the MCP client has found that a result is not what its schema says."""
    said = str(error)
    return type(error) is RuntimeError and ("output schema" in said or "structured content" in said)


def _line(error: BaseException) -> str:
    said = " ".join(str(error).split())
    if isinstance(error, ToolException):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _title(tool: BaseTool) -> str:
    return str(getattr(tool.args_schema, "__name__", ""))
