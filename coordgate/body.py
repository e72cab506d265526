"""What the engine runs of a node: its steps as a sequence, the last of them joined to its write."""

from __future__ import annotations

import inspect
from typing import Any, Literal, TypeAlias

from langchain_core.runnables import Runnable, RunnableConfig

from coordgate import _langgraph as lg
from coordgate.calls import COUNTER, COUNTING
from coordgate.onestep import plain_function

Told: TypeAlias = Literal["no", "if told", "always"]
"""Whether a function takes feedback: not at all, if there is any, or None as well."""


def sequence(
    like: lg.RunnableSeq, *steps: Runnable[Any, Any], flat: bool = False
) -> lg.RunnableSeq:
    """Return a sequence that is traced like another one, of other steps."""
    made = object.__new__(lg.RunnableSeq)
    vars(made).update(vars(like))
    made.steps = list(steps) if flat else lg.steps_of(lg.RunnableSeq(*steps))
    return made


class Joined(Runnable[Any, Any]):
    """A node's last step and its write as one, which spares the config that each step is made.

    Only for nodes without conditional edges: their routers are traced under their own step's tag.
    """

    def __init__(self, step: Runnable[Any, Any], write: Any) -> None:
        """Take a step, and the guarded write that follows it."""
        self._step = step
        self._write = write
        self._func = plain_function(step, "func")
        self._afunc = plain_function(step, "afunc")

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the step, and judge and write what it gives."""
        COUNTER.set(COUNTING)  # a sequence of one step runs in a context of its own
        if self._func is not None and not kwargs:
            output = self._func(input)
            if type(output) is not dict and isinstance(output, Runnable):
                output = output.invoke(input, config)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - isinstance leaves it open
            # What the write's own `invoke` does, in one call less.
            shipped = self._write.plainly(output, config)
            return (
                lg.ChannelWrite.invoke(self._write, output, config) if shipped is None else shipped
            )
        return self._write.invoke(self._step.invoke(input, config, **kwargs), config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the step, and judge and write what it gives."""
        COUNTER.set(COUNTING)
        if self._afunc is not None and not kwargs:
            output = await self._afunc(input)
            if type(output) is not dict and isinstance(output, Runnable):
                output = await output.ainvoke(input, config)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - isinstance leaves it open
            shipped = self._write.plainly(output, config)
            if shipped is None:
                return await lg.ChannelWrite.ainvoke(self._write, output, config)
            return shipped
        return await self._write.ainvoke(await self._step.ainvoke(input, config, **kwargs), config)


def takes_feedback(step: Runnable[Any, Any]) -> Told:
    """Return whether a node's function has a parameter `feedback` that is not the user's own."""
    function = getattr(step, "func", None) or getattr(step, "afunc", None)
    bound = getattr(function, "keywords", ())
    try:
        taken = inspect.signature(function).parameters.get("feedback") if function else None
    except (TypeError, ValueError):
        return "no"
    if taken is None or "feedback" in bound:
        return "no"
    return "always" if taken.default is taken.empty else "if told"
