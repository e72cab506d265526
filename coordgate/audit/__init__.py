"""The audit: how reliable is each handoff, how reliable is the whole, which gate comes next.

`audit` needs the extra `coordgate[audit]`, which is scipy; `reliability`, for a design on paper,
does not, so the rest is loaded when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from coordgate.audit.reliability import GateModel, Reliability, Step, reliability, series

if TYPE_CHECKING:
    from coordgate.audit.auditing import audit
    from coordgate.audit.intervals import Interval, Rate
    from coordgate.audit.report import AuditReport

__all__ = [
    "AuditReport",
    "GateModel",
    "Interval",
    "Rate",
    "Reliability",
    "Step",
    "audit",
    "reliability",
    "series",
]

_LATER = {
    "AuditReport": "coordgate.audit.report",
    "Interval": "coordgate.audit.intervals",
    "Rate": "coordgate.audit.intervals",
    "audit": "coordgate.audit.auditing",
}


def __getattr__(name: str) -> object:
    """Load what needs the extra."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
