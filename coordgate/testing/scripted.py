"""Scripted nodes and models: they give the answers of a script, one after another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, Literal, overload

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import PrivateAttr

from coordgate.errors import ConfigurationError, CoordgateError
from coordgate.policy import Feedback


class ScriptEnded(CoordgateError, AssertionError):
    """A scripted node or model was run more often than its script has answers."""


class _Never:
    """The type of `NEVER`."""

    def __repr__(self) -> str:
        return "NEVER"


NEVER: Final = _Never()
"""In the script of an async node: wait until cancelled, as a model that hangs does."""


class _Script:
    """Answers given out one after another, to any number of threads."""

    def __init__(self, answers: Sequence[Any], owner: str) -> None:
        self._answers = tuple(answers)
        self._owner = owner
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many answers were asked for."""
        return self._taken

    def take(self) -> Any:
        """Return the next answer; raise it if it is an exception."""
        with self._lock:
            position = self._taken
            self._taken += 1
        if position >= len(self._answers):
            raise ScriptEnded(
                f"{self._owner} was run {position + 1} times, but its script has "
                f"{len(self._answers)} answers; script one more, or find out who runs it again"
            )
        answer = self._answers[position]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class ScriptedNode:
    """A node that returns, or raises, what its script says. Make it with `scripted`."""

    def __init__(self, answers: Sequence[Any], *, name: str) -> None:
        """Take the answers in their order."""
        self.__name__ = name
        self._script = _Script(answers, f"scripted node {name!r}")
        self.states: list[Any] = []
        """What it was handed, one entry for each run."""
        self.feedbacks: list[Feedback | None] = []
        """What it was told, one entry for each run; None for a first attempt."""

    @property
    def calls(self) -> int:
        """How often it was run."""
        return self._script.taken

    def __call__(self, state: Any, feedback: Feedback | None = None) -> Any:
        """Give the next answer."""
        answer = self._next(state, feedback)
        if answer is NEVER:
            raise ConfigurationError(
                f"scripted node {self.__name__!r}: only an async node can wait for ever; "
                "use scripted(..., kind='async')"
            )
        return answer

    def _next(self, state: Any, feedback: Feedback | None) -> Any:
        self.states.append(state)
        self.feedbacks.append(feedback)
        answer = self._script.take()
        return answer(state) if callable(answer) else answer


class AsyncScriptedNode(ScriptedNode):
    """A scripted node that is async, and that can hang."""

    async def __call__(self, state: Any, feedback: Feedback | None = None) -> Any:
        """Give the next answer."""
        answer = self._next(state, feedback)
        if answer is NEVER:
            await asyncio.Event().wait()
        return answer


@overload
def scripted(*answers: Any, name: str = ..., kind: Literal["sync"] = ...) -> ScriptedNode: ...
@overload
def scripted(*answers: Any, name: str = ..., kind: Literal["async"]) -> AsyncScriptedNode: ...
def scripted(
    *answers: Any, name: str = "scripted", kind: Literal["sync", "async"] = "sync"
) -> ScriptedNode:
    """Return a node that gives its answers one after another, and counts how often it ran.

    An answer is what a node returns; an exception, which is raised; a function, which is called
    with the state; or `NEVER`. Afterwards `calls`, `states` and `feedbacks` say what happened.
    A run past the last answer raises `ScriptEnded`.
    """
    if kind == "async":
        return AsyncScriptedNode(answers, name=name)
    return ScriptedNode(answers, name=name)


class ScriptedModel(BaseChatModel):
    """A chat model that gives its answers one after another: `ScriptedModel("first", "second")`.

    An answer is a text, a message (with tool calls, if wanted), or an exception, which is raised.
    Streamed, a text comes word by word. Tools can be bound to it; it does as its script says.
    """

    _script: _Script = PrivateAttr()
    _prompts: list[list[BaseMessage]] = PrivateAttr(default_factory=list[list[BaseMessage]])

    def __init__(self, *answers: str | AIMessage | BaseException, **fields: Any) -> None:
        """Take the answers in their order."""
        super().__init__(**fields)
        self._script = _Script(answers, "the scripted model")

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return self._script.taken

    @property
    def prompts(self) -> list[list[BaseMessage]]:
        """The messages that it was asked with, one list for each call."""
        return self._prompts

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Return the same model: what it calls is in its script."""
        return self

    def _answer(self, messages: list[BaseMessage]) -> AIMessage:
        self._prompts.append(list(messages))
        answer = self._script.take()
        if isinstance(answer, AIMessage):
            return answer.model_copy()
        return AIMessage(str(answer), response_metadata={"finish_reason": "stop"})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in _in_chunks(self._answer(messages)):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _in_chunks(self._answer(messages)):
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _in_chunks(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """Yield a message's text word by word, and with the last word all else that it holds."""
    words = message.text.split(" ") if isinstance(message.content, str) else []
    for word in words[:-1]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} ", id=message.id))
    last = AIMessageChunk(
        content=words[-1] if words else message.content,
        id=message.id,
        name=message.name,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        tool_calls=message.tool_calls,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )
    yield ChatGenerationChunk(message=last)
