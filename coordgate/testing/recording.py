"""A tracer that keeps its records in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coordgate.tracer import Attempt, Record, Run, Tracer, Transition


class Recordings:
    """A sink that keeps records in memory, in the order written."""

    def __init__(self) -> None:
        """Begin empty."""
        self.records: list[Record] = []
        """All that was written; a run is written when it starts and again when it ends."""

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch."""
        self.records.extend(records)


class RecordingTracer(Tracer):
    """A tracer whose records can be read at once: `guard(graph, tracer=RecordingTracer())`."""

    def __init__(self, *, redact: bool | Callable[[str], str] = True) -> None:
        """Record into memory."""
        self._recordings = Recordings()
        super().__init__(self._recordings, redact=redact)

    @property
    def runs(self) -> list[Run]:
        """Every run as it stands now, in the order of their start."""
        runs = {record.id: record for record in self._written() if isinstance(record, Run)}
        return list(runs.values())

    @property
    def transitions(self) -> list[Transition]:
        """Every transition, in the order recorded."""
        return [record for record in self._written() if isinstance(record, Transition)]

    def of(self, node: str) -> list[Transition]:
        """Return the transitions of one node."""
        return [transition for transition in self.transitions if transition.node == node]

    def attempts(self, node: str) -> list[Attempt]:
        """Return all attempts of one node, over all its transitions."""
        return [attempt for transition in self.of(node) for attempt in transition.attempts]

    def _written(self) -> list[Record]:
        self.flush()
        return list(self._recordings.records)
