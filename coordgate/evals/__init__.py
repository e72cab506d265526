"""Evals: a graph run on cases whose right answers are known, as often as wanted, and scored.

`coordgate eval` stands on it. Every run lands in a store like any other, and what the scorer says
of it beside the store as a label.
"""

from coordgate.evals.cases import Case
from coordgate.evals.scorer import Score

__all__ = ["Case", "Score"]
