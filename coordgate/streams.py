"""Streams: what an attempt sends before its verdict, watched or held back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.messages import RemoveMessage
from langchain_core.runnables import RunnableConfig

from coordgate import _langgraph as lg


class StreamTap:
    """What one attempt sends to the caller's streams: watched, or held back until the verdict."""

    __slots__ = ("_config", "_handlers", "_held", "_hold", "_sent", "config")

    def __init__(self, config: RunnableConfig, *, hold: bool) -> None:
        """Put the tap between the attempt and the streams; `config` is what the attempt gets."""
        self._config = config
        self._hold = hold
        self._held: list[tuple[Callable[[Any], Any], Any]] = []
        self._sent: list[tuple[Any, Any, Any]] = []
        self._handlers: list[lg.StreamMessagesHandler] = []
        self.config: RunnableConfig = {**config, "callbacks": self._tapped(config.get("callbacks"))}
        if hold:
            self.config["configurable"] = {**config["configurable"], **self._held_streams()}  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it

    def accept(self) -> None:
        """Let out what was held back."""
        for send, item in self._held:
            send(item)
        self._release()

    def reject(self, payload: Mapping[str, Any]) -> None:
        """Drop what was held back, or take back what was sent; tell why under `custom`."""
        for handler in self._handlers:
            for _, message, _ in self._sent:
                handler.seen.discard(message.id)
        if self._hold:
            self._release()
            return
        taken: set[str] = set()
        for namespace, message, metadata in self._sent:
            if message.id not in taken:
                taken.add(message.id)
                note = {**metadata, "coordgate": dict(payload)}
                self._handlers[0].stream(
                    (namespace, "messages", (RemoveMessage(id=message.id), note))
                )
        runtime = self._config["configurable"].get(lg.CONFIG_KEY_RUNTIME)  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
        if runtime is not None:
            # LangGraph's writer reads the namespace from the config of the context that it is in.
            with lg.set_config_context(self._config) as context:
                announced = {"coordgate": {**payload, "message_ids": sorted(taken)}}
                context.run(runtime.stream_writer, announced)
        self._release()

    def _release(self) -> None:
        """Let go of the config, which holds the handlers that hold this tap."""
        self._held.clear()
        self._handlers.clear()
        self._config = self.config = {}

    def _tapped(self, callbacks: Any) -> Any:
        if not isinstance(callbacks, BaseCallbackManager):
            return callbacks
        swapped: dict[int, lg.StreamMessagesHandler] = {}
        for handler in callbacks.handlers:
            if isinstance(handler, lg.StreamMessagesHandler):
                self._handlers.append(handler)
                tapped = swapped[id(handler)] = copy.copy(handler)
                tapped.stream = partial(self._pass, handler.stream)
        if not swapped:
            return callbacks
        manager = callbacks.copy()
        for name in ("handlers", "inheritable_handlers"):
            setattr(manager, name, [swapped.get(id(h), h) for h in getattr(callbacks, name)])
        return manager

    def _pass(self, send: Callable[[Any], Any], chunk: Any) -> None:
        message = chunk[2][0] if isinstance(chunk[2], tuple) else None
        if getattr(message, "id", None) is not None:
            self._sent.append((chunk[0], message, chunk[2][1]))
        if self._hold:
            self._held.append((send, chunk))
        else:
            send(chunk)

    def _held_streams(self) -> dict[str, Any]:
        configurable = self._config["configurable"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
        held: dict[str, Any] = {}
        runtime = configurable.get(lg.CONFIG_KEY_RUNTIME)
        if runtime is not None:
            write: Any = runtime.stream_writer

            def hold(item: Any) -> None:
                self._held.append((partial(copy_context().run, write), item))

            held[lg.CONFIG_KEY_RUNTIME] = runtime.override(stream_writer=hold)
        stream = configurable.get(lg.CONFIG_KEY_STREAM)
        if stream is not None:
            held[lg.CONFIG_KEY_STREAM] = lg.StreamProtocol(
                lambda chunk: self._held.append((stream, chunk)), stream.modes
            )
        return held
