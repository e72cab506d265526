"""Callers: how a test runs a graph on a saver, the same way sync and async."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
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
    runner: asyncio.Runner | None = None
    """Where everything is awaited, if the saver belongs to an event loop."""
    prefix: str = ""
    """What the names of threads begin with, if others use the same database."""

    def thread(self, name: str) -> RunnableConfig:
        """Return the config of a thread."""
        return {"configurable": {"thread_id": f"{self.prefix}{name}"}}

    def node(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a node function as it is, or as a coroutine function."""
        if not self.asynchronous:
            return function

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return coroutine

    def wait(self, awaitable: Coroutine[Any, Any, Any]) -> Any:
        """Return what an awaitable gives."""
        return asyncio.run(awaitable) if self.runner is None else self.runner.run(awaitable)

    def state(self, app: Any, thread: str = "1") -> Any:
        """Return the state of a thread."""
        if self.asynchronous:
            return self.wait(app.aget_state(self.thread(thread)))
        return app.get_state(self.thread(thread))

    def history(self, app: Any, thread: str = "1") -> list[Any]:
        """Return the states that a thread has been in, the latest first."""

        async def collected() -> list[Any]:
            return [each async for each in app.aget_state_history(self.thread(thread))]

        if self.asynchronous:
            found: list[Any] = self.wait(collected())
            return found
        return list(app.get_state_history(self.thread(thread)))

    def invoke(self, app: Any, given: Any, thread: str = "1") -> Any:
        """Run a graph to its end."""
        return self.invoke_at(app, given, self.thread(thread))

    def invoke_at(self, app: Any, given: Any, config: RunnableConfig) -> Any:
        """Run a graph to its end from the checkpoint that a config names."""
        if self.asynchronous:
            return self.wait(app.ainvoke(given, config))
        return app.invoke(given, config)

    def stream(self, app: Any, given: Any, modes: Sequence[str], thread: str = "1") -> list[Any]:
        """Run a graph to its end; return what it streamed, as (mode, chunk) pairs."""
        config = self.thread(thread)

        async def collected() -> list[Any]:
            return [chunk async for chunk in app.astream(given, config, stream_mode=list(modes))]

        if self.asynchronous:
            return self.wait(collected())
        return list(app.stream(given, config, stream_mode=list(modes)))
