"""Models: chat models that are told why an answer was rejected, and ladders of them.

Both work with any vendor behind LangChain's BaseChatModel, and in any node: what the running
attempt is told is found by itself, as `coordgate.feedback()` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic_core import to_json

from coordgate.asking import GATE
from coordgate.errors import ConfigurationError
from coordgate.gates.values import fields, is_sequence
from coordgate.node import feedback
from coordgate.policy import Feedback
from coordgate.running import RUNNING

Model = TypeVar("Model", bound=BaseChatModel)

_ID = "coordgate-feedback"
"""How the messages that are added can be told: an id is not sent."""

_LONGEST = 20_000
"""Where a rejected answer is cut, in characters."""


def with_feedback(model: Model) -> Model:
    """Return a copy of a chat model that is told, on a retry, why the last answer was rejected.

    The rejected answer and the reasons are added to the messages of each call, before callbacks,
    tracing and cache see them. All else is the model's own: its type, its attributes, `bind_tools`,
    `with_structured_output`, streaming. On a first attempt, outside a guarded node and in a slow
    gate, such as a judge, nothing is added.

    Raises:
        ConfigurationError: it is not a chat model.
    """
    if isinstance(model, ModelLadder):
        return type(model)(*map(with_feedback, model.rungs))
    if not isinstance(model, BaseChatModel):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
        raise ConfigurationError(
            f"with_feedback({type(model).__name__}): give the chat model itself, and bind tools "
            "or a schema to what this returns: with_feedback(model).bind_tools(...)"
        )
    if isinstance(model, _Told):
        return model
    told = model.model_copy()
    object.__setattr__(told, "__class__", _told_class(type(model)))
    return told


class _Told:
    """What a model's class is given so that it adds what the attempt is told."""

    def _convert_input(self, model_input: Any) -> PromptValue:
        model: Any = super()
        prompt: PromptValue = model._convert_input(model_input)
        messages = prompt.to_messages()
        told = telling(messages, _told_now())
        return prompt if told is messages else ChatPromptValue(messages=told)

    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> Any:
        model: Any = super()
        told = _told_now()
        return model.generate([telling(each, told) for each in messages], *args, **kwargs)

    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> Any:
        model: Any = super()
        told = _told_now()
        return await model.agenerate([telling(each, told) for each in messages], *args, **kwargs)


def _told_now() -> Feedback | None:
    """Return what the attempt is told; None in a gate, which judges it and is told nothing."""
    running = RUNNING.get()
    judged = GATE.get() is not None or (running is not None and running.gate is not None)
    return None if judged else feedback()


@cache
def _told_class(kind: type[BaseChatModel]) -> type[BaseChatModel]:
    make: Any = type(kind)
    body = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    made: type[BaseChatModel] = make(kind.__name__, (_Told, kind), body)
    return made


def telling(messages: list[BaseMessage], told: Feedback | None) -> list[BaseMessage]:
    """Return the messages with the rejected answer and the reasons against it at their end.

    The answer stands as the model's own where one may follow; else it is quoted.
    """
    if told is None or any(str(each.id or "").startswith(_ID) for each in messages):
        return messages
    answer = rejected_text(told.rejected)
    said = f"That answer was not accepted, for these reasons:\n{told}\nAnswer again, without that."
    if answer is None:
        said = f"The last attempt failed, for these reasons:\n{told}"
    elif messages and isinstance(messages[-1], HumanMessage | ToolMessage):
        return [*messages, AIMessage(answer, id=f"{_ID}-0"), HumanMessage(said, id=f"{_ID}-1")]
    else:
        said = f"The last answer was:\n<answer>\n{answer}\n</answer>\n{said}"
    return [*messages, HumanMessage(said, id=f"{_ID}-1")]


def rejected_text(rejected: Any) -> str | None:
    """Return a rejected hand-over as the text of an answer; None if there was none.

    That is the last message of the model in it, its only text, or else all of it as JSON.
    """
    if rejected is None:
        return None
    values: list[Any] = list(fields(rejected).values()) or [rejected]
    for value in reversed(values):
        held: Sequence[Any] = value if is_sequence(value) else [value]
        for message in reversed(held):
            if isinstance(message, AIMessage):
                return _cut(message.text or _json(message.tool_calls or message.invalid_tool_calls))
    if len(values) == 1 and isinstance(values[0], str):
        return _cut(values[0])
    return _cut(_json(rejected))


def _json(value: Any) -> str:
    return to_json(value, fallback=str, inf_nan_mode="strings").decode()


def _cut(text: str) -> str:
    text = text.strip() or "(nothing)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… (cut)"


class _Chosen(Runnable[Any, Any]):
    """Runnables of which the one that belongs to the running attempt does the work."""

    def __init__(self, rungs: Sequence[Runnable[Any, Any]]) -> None:
        self._rungs = rungs

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return _current(self._rungs).invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return await _current(self._rungs).ainvoke(input, config, **kwargs)

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        return _current(self._rungs).stream(input, config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        async for chunk in _current(self._rungs).astream(input, config, **kwargs):
            yield chunk


Rung = TypeVar("Rung")


def _current(rungs: Sequence[Rung]) -> Rung:
    """Return the rung of the running attempt: one higher for each attempt that was rejected."""
    told = _told_now()
    if told is None or told.attempt == 1:
        return rungs[0]
    return rungs[min(1 + len(told.history) - told.repeats, len(rungs) - 1)]


class ModelLadder(BaseChatModel):
    """Chat models of any vendors: the first one answers, and the next when a gate rejects it.

    `ModelLadder(cheap, strong)`, in a node whose policy has `Retry`: each attempt after a rejected
    one climbs a rung, and the last one stays. It is a chat model itself: tools and schemas are
    bound to each rung. A request that LangGraph repeats stays on its rung.
    """

    rungs: tuple[BaseChatModel, ...]
    """The models, the cheapest first."""

    def __init__(self, *rungs: BaseChatModel, **given: Any) -> None:
        """Take the models, the cheapest first.

        Raises:
            ConfigurationError: there is none, or one is not a chat model.
        """
        rungs = rungs or given.pop("rungs", ())
        for each in rungs:
            if not isinstance(each, BaseChatModel):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
                raise ConfigurationError(
                    f"ModelLadder({type(each).__name__}): give chat models one by one, and bind "
                    "tools or a schema to the ladder"
                )
        if not rungs:
            raise ConfigurationError("ModelLadder(): give chat models, the cheapest first")
        given["rungs"] = rungs
        super().__init__(**given)

    @property
    def current(self) -> BaseChatModel:
        """The model of the running attempt."""
        return _current(self.rungs)

    @property
    def _llm_type(self) -> str:
        return "ladder"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Bind tools to each rung."""
        return _Chosen([each.bind_tools(tools, **kwargs) for each in self.rungs])

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        """Have each rung answer in a schema."""
        return _Chosen([each.with_structured_output(schema, **kwargs) for each in self.rungs])

    # The rung's own public methods do the work, so that callbacks, cache and limits are its own.

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """Ask the model of the running attempt."""
        return self.current.invoke(input, config, **kwargs)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Ask the model of the running attempt."""
        return await self.current.ainvoke(input, config, **kwargs)

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Stream from the model of the running attempt."""
        return self.current.stream(input, config, **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Stream from the model of the running attempt."""
        async for chunk in self.current.astream(input, config, **kwargs):
            yield chunk

    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> Any:
        """Ask the model of the running attempt."""
        return self.current.generate(messages, *args, **kwargs)

    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> Any:
        """Ask the model of the running attempt."""
        return await self.current.agenerate(messages, *args, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        generate: Callable[..., ChatResult] = self.current._generate
        return generate(messages, stop=stop, run_manager=run_manager, **kwargs)
