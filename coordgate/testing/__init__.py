"""The test kit: scripted nodes and models, a tracer that keeps its records in memory, and faults.

Everything here is real: a scripted node is a node, a scripted model is a chat model, and the graph
around them is guarded as in production. Nothing is patched, and no test runner is needed. Faults
that are injected into any graph stand in `coordgate.testing.faults`.
"""

from coordgate.testing.recording import Recordings, RecordingTracer
from coordgate.testing.scripted import (
    NEVER,
    AsyncScriptedNode,
    ScriptedModel,
    ScriptedNode,
    ScriptEnded,
    scripted,
)

__all__ = [
    "NEVER",
    "AsyncScriptedNode",
    "RecordingTracer",
    "Recordings",
    "ScriptEnded",
    "ScriptedModel",
    "ScriptedNode",
    "scripted",
]
