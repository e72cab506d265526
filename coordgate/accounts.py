"""Accounts: what a thread's run has spent, kept beside its checkpoints, for whoever goes on.

LangGraph's checkpoints hold the graph's state, and a budget is none of it. So the account stands in
the same saver, for the same thread, in a namespace of its own: one row, written when an attempt
begins and when it ends, and emptied when the run has come to its end.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointMetadata, empty_checkpoint

from coordgate.budget import Account, Budget

NAMESPACE = "coordgate"
"""The checkpoint namespace of the row; behind it comes that of the graph, if it is nested."""

_ID = "00000000-0000-6000-8000-000000000000"
"""The checkpoint id of the row: always the same, so that it is written over."""

_log = logging.getLogger("coordgate")


class KeptAccount(Account):
    """An account that outlives its process, if there is a saver."""

    def __init__(
        self,
        budget: Budget,
        run: str,
        saver: BaseCheckpointSaver[Any] | None,
        thread: str | None,
        namespace: str,
        *,
        awaited: bool,
    ) -> None:
        """Keep it in a saver, for a thread and the namespace of a graph; None keeps nothing.

        The saver is called as the run is: with `awaited`, in its event loop.
        """
        super().__init__(budget)
        self._saver = None if thread is None else saver
        where = f"{NAMESPACE}|{namespace}" if namespace else NAMESPACE
        own = {"thread_id": thread, "checkpoint_ns": where}
        self._row: RunnableConfig = {"configurable": own}
        self._saving = threading.Lock()
        self._asaving = asyncio.Lock()
        self._awaited = awaited
        self._warned = False
        self.run = run
        """The id of the run that opened it; those within share it."""

    def load(self) -> None:
        """Go on with what an earlier part of the run has spent."""
        if self._saver is not None:
            self._take(self._saver.get_tuple(self._row))

    async def aload(self) -> None:
        """Go on with what an earlier part of the run has spent."""
        if self._saver is not None:
            self._take(await self._saver.aget_tuple(self._row))

    def save(self) -> None:
        """Keep what has been spent so far; within an awaited run, leave it to the next `asave`."""
        if self._saver is not None and not self._awaited:
            with self._saving:
                self._saver.put(self._row, *self._written(), {})

    async def asave(self) -> None:
        """Keep what has been spent so far."""
        if not self._awaited:
            self.save()
        elif self._saver is not None:
            async with self._asaving:
                await self._saver.aput(self._row, *self._written(), {})

    def keep(self) -> None:
        """Save what has been spent by what has ended; where that fails, only warn."""
        try:
            self.save()
        except Exception:  # noqa: BLE001 - any saver's
            _log.warning("what a run has spent could not be saved", exc_info=True)

    async def akeep(self) -> None:
        """Do what `keep` does, in the event loop."""
        try:
            await self.asave()
        except Exception:  # noqa: BLE001 - any saver's
            _log.warning("what a run has spent could not be saved", exc_info=True)

    def close(self, *, over: bool) -> None:
        """Keep what the run has spent when it pauses or fails; forget it when it is `over`."""
        if over:
            self.clear()
        self.keep()

    async def aclose(self, *, over: bool) -> None:
        """Do what `close` does, in the event loop."""
        if over:
            self.clear()
        await self.akeep()

    def note_unpriced(self, model: str) -> None:
        """Warn, once in a run, that a budget of dollars does not bind a model without a price."""
        if self.budget.usd is not None and not self._warned:
            self._warned = True
            _log.warning(
                "the run has a budget of %g USD, and what %r costs is not known: name it in "
                "guard(prices=...), or give a budget of tokens",
                self.budget.usd,
                model,
            )

    def _take(self, found: Any) -> None:
        kept: Any = found.metadata.get(NAMESPACE) if found is not None else None
        if kept:
            self.go_on(kept)

    def _written(self) -> tuple[Any, CheckpointMetadata]:
        told: dict[str, Any] = {"source": "update", "step": -1, "parents": {}}
        told[NAMESPACE] = self.kept()
        return {**empty_checkpoint(), "id": _ID}, cast("CheckpointMetadata", told)
