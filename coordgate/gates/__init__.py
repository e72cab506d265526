"""Ready-made gates: rules on one value, and text judged against its sources."""

from __future__ import annotations

from coordgate.gates.rules import check, matches, max_length, not_empty, threshold
from coordgate.gates.text import cites, grounded_in

__all__ = [
    "check",
    "cites",
    "grounded_in",
    "matches",
    "max_length",
    "not_empty",
    "threshold",
]
