"""The demo's flags, and seeds with known faults."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from coordgate.demo.offline import JUDGING_FAULTS, WRITING_FAULTS, Fault, throw

RATE = 0.3


def flags(docs: Path | str | None, **given: object) -> argparse.Namespace:
    """Return what the command line makes of its flags."""
    defaults: dict[str, object] = {
        "docs": docs,
        "ask": "Where does the heron wait for fish?",
        "faults": 0.0,
        "seed": 0,
        "bare": False,
        "store": "traces.db",
        "json": False,
    }
    return argparse.Namespace(**{**defaults, **given})


def seed_with(faults: Mapping[tuple[str, int], Fault]) -> int:
    """Return a seed whose calls, by schema and number, go wrong like this, and no other of five."""

    def fits(seed: int) -> bool:
        return all(
            throw(RATE, seed, schema, call, kinds)[0] == faults.get((schema, call))
            for schema, kinds in (("Draft", WRITING_FAULTS), ("Opinion", JUDGING_FAULTS))
            for call in range(1, 6)
        )

    return next(seed for seed in range(200_000) if fits(seed))
