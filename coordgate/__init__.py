"""Agent graphs on LangGraph with handoff contracts, validation gates, policies and a record."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from coordgate.answers import Approve, Edit, Reject, RetryWith
from coordgate.budget import Budget
from coordgate.circuit import Circuit
from coordgate.contract import Contract
from coordgate.drawing import draw
from coordgate.effects import idempotency_key
from coordgate.errors import (
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ContractViolation,
    CoordgateError,
    GateRejected,
    HandoffError,
    InvariantViolated,
    StoreError,
    ToolRefused,
    UngatedError,
    UnsupportedLangGraph,
    Violation,
)
from coordgate.gate import Gate, Verdict, gate
from coordgate.graph import guard
from coordgate.node import NodeGuard, feedback, gated
from coordgate.policy import (
    Degrade,
    Escalate,
    Fallback,
    Feedback,
    Policy,
    Reroute,
    Retry,
    SendBack,
)
from coordgate.prices import Prices
from coordgate.stores import open_store
from coordgate.tracer import Tracer

if TYPE_CHECKING:
    from coordgate.routers import router

__all__ = [
    "Approve",
    "Budget",
    "BudgetExceeded",
    "Circuit",
    "CircuitOpen",
    "ConfigurationError",
    "Contract",
    "ContractViolation",
    "CoordgateError",
    "Degrade",
    "Edit",
    "Escalate",
    "Fallback",
    "Feedback",
    "Gate",
    "GateRejected",
    "HandoffError",
    "InvariantViolated",
    "NodeGuard",
    "Policy",
    "Prices",
    "Reject",
    "Reroute",
    "Retry",
    "RetryWith",
    "SendBack",
    "StoreError",
    "ToolRefused",
    "Tracer",
    "UngatedError",
    "UnsupportedLangGraph",
    "Verdict",
    "Violation",
    "draw",
    "feedback",
    "gate",
    "gated",
    "guard",
    "idempotency_key",
    "open_store",
    "router",
]


def __getattr__(name: str) -> Any:
    """Load `router` when it is asked for: it brings all ready-made gates along."""
    if name == "router":
        return import_module("coordgate.routers").router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
