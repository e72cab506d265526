"""Kinds of transitions: what an audit needs to know of one, shared by all that went alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

from coordgate.record import around

START: Final = "__start__"
"""Who hands over the graph's input."""

END: Final = "__end__"
"""Who is handed what the last node gives."""

Path = Literal[
    "first",
    "retried",
    "fell_back",
    "escalated",
    "degraded",
    "rerouted",
    "sent_back",
    "observed",
    "failed",
]
"""How a hand-over came about: by the rung that settled it; `observed` did not pass, and shipped."""

PATHS: Final[tuple[Path, ...]] = get_args(Path)

_NEUTRAL: Final = frozenset({"interrupted", "cancelled", "handed_up"})
_ENDS: Final[dict[str, Path]] = {
    "degraded": "degraded",
    "rerouted": "rerouted",
    "sent_back": "sent_back",
    "observed": "observed",
    "failed": "failed",
}
_BY_RUNG: Final[dict[str, Path]] = {
    "first": "first",
    "retry": "retried",
    "transport": "retried",
    "fallback": "fell_back",
    "escalate": "escalated",
    "degrade": "degraded",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A transition without its values and times."""

    node: str
    """The node, with the subgraphs that it stands in: `sub|draft`."""
    status: str
    """How it ended."""
    producers: tuple[str, ...]
    """Who handed over to it."""
    goto: tuple[str, ...]
    """Where control went."""
    attempts: tuple[tuple[str, str], ...]
    """Rung and outcome of each attempt."""
    refused: bool
    """Whether it was handed a bad input."""

    @property
    def counts(self) -> bool:
        """Whether it says anything of the node: it was neither paused, cancelled nor handed up."""
        return self.status not in _NEUTRAL

    @property
    def accepted(self) -> bool:
        """Whether what it handed over passed, in the end."""
        return self.status == "accepted"

    @property
    def at_once(self) -> bool:
        """Whether the first attempt passed."""
        if not self.attempts:
            return self.accepted
        return self.accepted and self.attempts[0] == ("first", "accepted")

    @property
    def stopped(self) -> bool:
        """Whether it ended its run."""
        return self.status == "failed"

    @property
    def hands_over(self) -> bool:
        """Whether anything shipped, so that control went where the graph says."""
        return self.status not in {"failed", "rerouted", "sent_back"}

    @property
    def raised(self) -> bool:
        """Whether the last attempt raised: in a subgraph's node, what a node inside gave up on."""
        return bool(self.attempts) and self.attempts[-1][1] == "raised"

    @property
    def path(self) -> Path:
        """How the hand-over came about."""
        ended = _ENDS.get(self.status)
        if ended is not None:
            return ended
        if not self.attempts:
            return "first"
        rung = self.attempts[-1][0].partition(":")[0]
        return _BY_RUNG.get(rung, "retried")


def kind_of(
    namespace: str,
    node: str,
    status: str,
    producers: str,
    goto: str,
    attempts: tuple[tuple[str, str], ...],
    refused: bool,
) -> Kind:
    """Return the kind of a transition, from the columns of its row."""
    inside = around(namespace)
    return Kind(
        inside + node,
        status,
        tuple(inside + each for each in _names(producers)) or (inside + START,),
        tuple(inside + each for each in _names(goto)),
        attempts,
        refused,
    )


@lru_cache(maxsize=4096)
def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
