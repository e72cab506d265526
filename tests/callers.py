"""Callers: how a test runs a graph on a saver, the same way sync and async."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver


@dataclass(frozen=True, slots=True)
class Caller:
    """Runs graphs on one saver; sync or async, so that a test holds for both."""

    saver: BaseCheckpointSaver[Any]
    """Compile the graph with it."""
    asynchronous: bool = False
    """Whether graphs are awaited and their nodes are coroutines."""

    def thread(self, name: str) -> RunnableConfig:
        """Return the config of a thread."""
        return {"configurable": {"thread_id": name}}

    def node(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a node function as it is, or as a coroutine function."""
        if not self.asynchronous:
            return function

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return coroutine

    def invoke(self, app: Any, given: Any, thread: str = "1") -> Any:
        """Run a graph to its end."""
        if self.asynchronous:
            return asyncio.run(app.ainvoke(given, self.thread(thread)))
        return app.invoke(given, self.thread(thread))

    def stream(self, app: Any, given: Any, modes: Sequence[str], thread: str = "1") -> list[Any]:
        """Run a graph to its end; return what it streamed, as (mode, chunk) pairs."""
        config = self.thread(thread)

        async def collected() -> list[Any]:
            return [chunk async for chunk in app.astream(given, config, stream_mode=list(modes))]

        if self.asynchronous:
            return asyncio.run(collected())
        return list(app.stream(given, config, stream_mode=list(modes)))
