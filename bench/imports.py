"""Subject 3: what `import coordgate` adds to `import langgraph.graph`, in fresh processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from measure import Figures, bar, say, shown, spread, table

LIMIT = 50.0
"""The bar, in milliseconds."""

BASE, OURS, AFTER = "import langgraph.graph", "import coordgate", "import coordgate, after it"
"""What is timed; the last in a process that has imported langgraph.graph already."""

_TIMED = """
import json, sys, time
{before}
wall, cpu = time.perf_counter(), time.process_time()
{timed}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
sys.stdout.write(json.dumps([wall * 1000, cpu * 1000]))
"""

_ADDED = """
import sys
import langgraph.graph
there = set(sys.modules)
import coordgate
sys.stdout.write("\\n".join(sorted(set(sys.modules) - there)))
"""

_COLLECTED = "import gc; gc.collect()"
"""What the earlier import owes the collector is paid before the clock starts: whose import a full
collection falls into is chance, and changes with the packages that are installed."""

_BOTH = f"import langgraph.graph; {_COLLECTED}; import coordgate"


def run(home: Path, *, rounds: int) -> Figures:
    """Time the imports by turns, each in a process of its own; name the modules that cost most."""
    programs = {
        BASE: _TIMED.format(before="", timed=BASE),
        OURS: _TIMED.format(before="", timed=OURS),
        AFTER: _TIMED.format(before=f"{BASE}; {_COLLECTED}", timed="import coordgate"),
    }
    cache = home / "bytecode"
    _output(programs[OURS], cache)  # compiles everything, as an installer does
    taken: dict[str, list[list[float]]] = {name: [] for name in programs}
    order = random.Random(1)  # noqa: S311 - an order, not a secret
    for _ in range(rounds):
        for name in order.sample(list(programs), len(programs)):
            taken[name].append(json.loads(_output(programs[name], cache)))
    wall, cpu = ({n: spread([each[at] for each in taken[n]]) for n in taken} for at in (0, 1))
    say(f"\nimport time ({rounds} fresh processes each, by turns; ms)")
    table(("", "wall", "CPU"), [(name, shown(wall[name]), shown(cpu[name])) for name in taken])
    added = _output(_ADDED, cache).split()
    slowest = _slowest(set(added), cache, min(rounds, 5))
    say(f"{len(added)} modules more; the slowest, without what they import in turn:")
    table(("", "ms"), [(name, f"{ms:.1f}") for name, ms in slowest])
    return {
        "wall_ms": {name: each.figures() for name, each in wall.items()},
        "cpu_ms": {name: each.figures() for name, each in cpu.items()},
        "modules": added,
        "slowest_ms": dict(slowest),
        "bars": [bar("ms of import", LIMIT, wall[AFTER].median, 1)],
    }


def _slowest(added: set[str], cache: Path, times: int, most: int = 12) -> list[tuple[str, float]]:
    """Return the added modules that take longest by themselves, in ms: the mean of some runs."""
    total: Counter[str] = Counter()
    for _ in range(times):
        for line in _ran(("-X", "importtime", "-c", _BOTH), cache).stderr.splitlines():
            parts = line.removeprefix("import time:").split("|")
            name = parts[-1].strip()
            if len(parts) == 3 and name in added:
                total[name] += int(parts[0])
    return [(name, micros / times / 1000) for name, micros in total.most_common(most)]


def _output(program: str, cache: Path) -> str:
    return _ran(("-c", program), cache).stdout


def _ran(arguments: Sequence[str], cache: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with a bytecode cache of its own, so that nothing is compiled anew."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(cache)
    return subprocess.run(  # noqa: S603 - this interpreter, and programs written here
        [sys.executable, *arguments], capture_output=True, text=True, check=True, env=environment
    )
