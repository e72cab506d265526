"""Writes: a node's channel write, made ready once for the plain updates that most nodes return."""

from __future__ import annotations

from coordgate import _langgraph as lg


class PlainWrite:
    """What a ChannelWrite does with a plain dict, made ready once: its mappers and its constants.

    LangGraph builds the list of a write's entries anew for each hand-over; nothing of it depends
    on the value, so this keeps it. `ready` is False for a write of another kind.
    """

    __slots__ = ("constants", "mappers", "ready")

    def __init__(self, write: lg.ChannelWrite) -> None:
        """Sort the entries of `write`."""
        entries = write.writes
        tuples = [e for e in entries if isinstance(e, lg.ChannelWriteTupleEntry)]
        constants = [e for e in entries if isinstance(e, lg.ChannelWriteEntry)]
        self.mappers = [entry.mapper for entry in tuples]
        self.constants = [(entry.channel, entry.value) for entry in constants]
        self.ready = (
            len(tuples) + len(constants) == len(entries)
            and all(entry.value is lg.PASSTHROUGH for entry in tuples)
            and not any(
                e.value is lg.PASSTHROUGH or e.mapper or e.skip_none or e.channel == lg.TASKS  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] - LangGraph leaves it open
                for e in constants
            )
            and [*entries[: len(tuples)]] == tuples
        )
