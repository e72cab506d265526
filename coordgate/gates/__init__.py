"""Ready-made gates: rules on one value, text against its sources, what was retrieved, models."""

from __future__ import annotations

from coordgate.gates.context import (
    distinct,
    enough,
    fresh,
    no_instructions,
    permitted,
    relevant,
    sourced,
    within_tokens,
)
from coordgate.gates.finish import finished
from coordgate.gates.judge import grounded, judge
from coordgate.gates.route import by_example, by_model, by_rules
from coordgate.gates.rules import check, matches, max_length, not_empty, threshold
from coordgate.gates.text import cites, grounded_in
from coordgate.gates.tool import valid_calls

__all__ = [
    "by_example",
    "by_model",
    "by_rules",
    "check",
    "cites",
    "distinct",
    "enough",
    "finished",
    "fresh",
    "grounded",
    "grounded_in",
    "judge",
    "matches",
    "max_length",
    "no_instructions",
    "not_empty",
    "permitted",
    "relevant",
    "sourced",
    "threshold",
    "valid_calls",
    "within_tokens",
]
