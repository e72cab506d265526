"""Rungs: what runs in a node's place where no body does: a question, a stated answer, a way out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from coordgate import _langgraph as lg
from coordgate.escalation import ask
from coordgate.node import RUNNING
from coordgate.policy import Degrade, SendBack
from coordgate.turn import Turn

AS_GIVEN = lg.ChannelWrite([lg.ChannelWriteTupleEntry(mapper=list)])
"""Writes (channel, value) pairs: what follows `leaving`."""


def asking(_state: Any) -> Any:
    """Ask a person, and return what ships."""
    turn = _running()
    return ask(turn, turn.on_ladder())


def stating(rung: Degrade) -> Callable[[Any], Any]:
    """Return what gives a stated update; it is not cached as the node's own."""

    def stated(_state: Any) -> dict[str, Any]:
        turn = _running()
        lg.keep_from_cache(turn.config)
        if turn.node.mark is not None:
            # Before the update is written: a router is to see it. No contract speaks of it.
            turn.config["configurable"][lg.CONFIG_KEY_SEND]([copy.deepcopy(turn.node.mark)])  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
        return copy.deepcopy(dict(rung.update))

    return stated


def leaving(_state: Any) -> list[tuple[str, Any]]:
    """Return the writes that send control elsewhere; they are not cached as the node's own."""
    turn = _running()
    assert turn.standing is not None
    lg.keep_from_cache(turn.config)
    ladder = turn.on_ladder()
    back = isinstance(ladder.next, SendBack)
    turn.raw.outcome = "sent_back" if back else "rerouted"
    return turn.standing.leave(ladder.place.position, ladder.away, ladder.history, back=back)


def _running() -> Turn:
    turn = RUNNING.get()
    assert isinstance(turn, Turn)
    return turn
