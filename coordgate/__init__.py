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
    from coordgate.recorded import RecordedRun, recorded_run
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
    "RecordedRun",
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
    "recorded_run",
    "router",
]


_LATE = {
    "RecordedRun": "coordgate.recorded",
    "recorded_run": "coordgate.recorded",
    "router": "coordgate.routers",
}


def __getattr__(name: str) -> Any:
    """Load what brings much along, such as all ready-made gates, when it is asked for."""
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
