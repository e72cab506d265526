"""The audit: how reliable is each handoff, how reliable is the whole, which gate comes next."""

from coordgate.audit.reliability import GateModel, Reliability, Step, reliability, series

__all__ = ["GateModel", "Reliability", "Step", "reliability", "series"]
