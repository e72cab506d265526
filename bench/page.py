"""The tables of docs/benchmarks.md: `python bench/page.py FILE`, with what `run.py --json` wrote.

What stands between `<!-- NAME -->` and `<!-- end -->` is replaced.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
"""The page."""

MIB = 1024
"""KiB in a MiB."""


def main(argv: Sequence[str] | None = None) -> None:
    """Write the tables of the subjects that the file has into the page."""
    parser = argparse.ArgumentParser(description="Write measured figures into the page.")
    parser.add_argument("file", type=Path, help="what run.py --json wrote")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page")
    asked = parser.parse_args(argv)
    found = json.loads(asked.file.read_text(encoding="utf-8"))
    text = asked.page.read_text(encoding="utf-8")
    for name, made in MAKERS.items():
        if name in found:
            text = _replaced(text, name, made(found))
    asked.page.write_text(text, encoding="utf-8")


def _replaced(text: str, name: str, table: str) -> str:
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the page has no <!-- {name} --> ... <!-- end -->: add the two lines")
    return pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(figure: dict[str, float], digits: int) -> str:
    return f"{figure['median']:.{digits}f} [{figure['q1']:.{digits}f}, {figure['q3']:.{digits}f}]"


def _machine(found: dict[str, Any]) -> str:
    machine = {**found["machine"], "load at the end": found["load at the end"]}
    return _table(("", ""), list(machine.items()))


def _graphs(found: dict[str, Any]) -> str:
    parts: list[str] = []
    for way in ("sync", "async"):
        for saver in ("none", "memory", "sqlite"):
            combination = found["graphs"][f"{way}, {saver}"]
            variants = combination["variants"]
            rounds = variants["bare"]["rounds"]
            title = f"**{way}, checkpointer: {saver}**"
            calls = combination["calls_per_window"]
            parts.append(f"{title} ({rounds} rounds of {calls} runs; µs per node)\n")
            head = (
                "",
                "wall",
                "ratio to bare",
                "median run",
                "until written",
                "CPU",
                "ratio of CPU",
            )
            parts.append(_table(head, [_variant(n, f) for n, f in variants.items()]) + "\n")
    return "\n".join(parts)


def _turns(found: dict[str, Any]) -> str:
    sync, in_async = found["turns"]["sync"], found["turns"]["async"]
    rows = [(name, *_turn(sync.get(name)), *_turn(in_async[name])) for name in in_async]
    head = ("", "sync, µs per node", "ratio of medians", "async, µs per node", "ratio of medians")
    rounds = sync["bare"]["rounds"]
    bars = [_bar(each) for each in found["turns"]["bars"]]
    return "\n".join([f"{rounds} rounds\n", _table(head, rows), "", *bars])


def _turn(figures: dict[str, Any] | None) -> Sequence[str]:
    if figures is None:
        return "", ""
    return _spread(figures["wall_us"], 0), f"{figures['ratio']:.3f}"


def _variant(name: str, figures: dict[str, Any]) -> Sequence[str]:
    return (
        name,
        f"{figures['wall_us']['median']:.0f}",
        _spread(figures["wall_ratio"], 3),
        _spread(figures["typical_ratio"], 3),
        f"{figures['settled_ratio']['median']:.3f}",
        f"{figures['cpu_us']['median']:.0f}",
        _spread(figures["cpu_ratio"], 3),
    )


def _bar(each: dict[str, Any]) -> str:
    met = "met" if each["met"] else "**missed**"
    return f"- bar {each['limit']:g} {each['bar']}: {met} ({each['value']:.3f})"


def _parts(found: dict[str, Any]) -> str:
    sync, in_async = found["parts"]["sync"], found["parts"]["async"]
    rows = [_part(name, sync[name], in_async[name]) for name in sync]
    head = ("", "sync, µs per node", "added", "ratio", "async, µs per node", "added", "ratio")
    behind = found["parts"]["tracer_thread_us"]
    last = f"The tracer's own thread takes {behind:.1f} µs of CPU per node beside it."
    return f"{_table(head, rows)}\n\n{last}"


def _part(name: str, *ways: dict[str, Any]) -> Sequence[str]:
    cells: list[str] = []
    for figures in ways:
        cells.append(f"{figures['typical_us']['median']:.1f}")
        cells.append(f"{figures['added_us']['median']:+.1f}" if "added_us" in figures else "")
        ratio = figures.get("typical_ratio")
        cells.append(f"{ratio['median']:.3f}" if ratio else "")
    return (name, *cells)


def _peers(found: dict[str, Any]) -> str:
    rows = [
        (
            name,
            f"{figures['wall_us']['median']:.2f}",
            _spread(figures["added_us"], 2) if "added_us" in figures else "",
            _spread(figures["added_cpu_us"], 2) if "added_cpu_us" in figures else "",
            figures.get("over", ""),
        )
        for name, figures in found["peers"]["variants"].items()
    ]
    return _table(("", "µs per call", "added", "added CPU", "to"), rows)


def _imports(found: dict[str, Any]) -> str:
    figures = found["imports"]
    rows = [
        (name, _spread(wall, 1), _spread(figures["cpu_ms"][name], 1))
        for name, wall in figures["wall_ms"].items()
    ]
    slowest = ", ".join(f"`{name}` {ms:.1f}" for name, ms in figures["slowest_ms"].items())
    return (
        f"{_table(('', 'wall, ms', 'CPU, ms'), rows)}\n\n{_bar(figures['bars'][0])}\n\n"
        f"{len(figures['modules'])} modules more; by themselves take longest, in ms: {slowest}."
    )


def _memory(found: dict[str, Any]) -> str:
    figures = found["memory"]
    samples = figures["samples"]
    shown = [samples[0], *samples[len(samples) // 10 - 1 :: max(1, len(samples) // 10)]]
    rows = [(f"{each['runs']:,}", f"{each['rss_kib'] / MIB:.1f}") for each in shown]
    slopes = ", ".join(f"{slope:+.1f}" for slope in figures["slopes_kib_per_1000_runs"])
    return (
        f"{_table(('runs', 'RSS, MiB'), rows)}\n\n"
        f"Slope of each quarter, KiB per 1,000 runs: {slopes}. "
        f"{figures['transitions']:,} transitions with {figures['attempts']:,} attempts were "
        f"written, {figures['lost']} lost; the file has {figures['file_mib']:.0f} MiB."
    )


def _audit(found: dict[str, Any]) -> str:
    figures = found["audit"]
    rows = [
        (name, f"{each['wall']:.2f}", f"{each['cpu']:.2f}")
        for name, each in figures["seconds"].items()
    ]
    memory = figures["most_memory_mib"]
    bars = [_bar(each) for each in figures["bars"]]
    told = (
        f"{figures['transitions']:,} transitions. Most memory of the audit's process: "
        f"{memory['all']:.0f} MiB, and {memory['a tenth']:.0f} MiB for a tenth of the runs."
    )
    return "\n".join([_table(("", "wall, s", "CPU, s"), rows), "", *bars, "", told])


def _view(found: dict[str, Any]) -> str:
    figures = found["view"]
    rows = [
        (kind, f"{each['pages']:,}", f"{each['median'] * 1000:.1f}", f"{each['most'] * 1000:.1f}")
        for kind, each in figures["seconds"].items()
    ]
    bars = [_bar(each) for each in figures["bars"]]
    told = f"{figures['transitions']:,} transitions, {figures['rounds']} rounds by turns."
    head = ("", "pages", "median, ms", "slowest, ms")
    return "\n".join([_table(head, rows), "", *bars, "", told])


MAKERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "machine": _machine,
    "turns": _turns,
    "graphs": _graphs,
    "parts": _parts,
    "peers": _peers,
    "imports": _imports,
    "memory": _memory,
    "audit": _audit,
    "view": _view,
}
"""What makes each table."""


if __name__ == "__main__":
    main()
