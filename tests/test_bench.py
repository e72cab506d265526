"""The benchmark: that it measures what it says, on counts too small to say how long it takes."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[1] / "bench" / "run.py"

VARIANTS = {
    "bare",
    "guarded",
    "guarded, nothing declared",
    "guarded, no tracer",
    "gates by hand",
}


class Ran:
    """What one call of the harness printed and wrote."""

    def __init__(self, subject: str, into: Path, rounds: int = 2) -> None:
        """Measure one subject, as little as can be."""
        command = [sys.executable, str(PROGRAM), "--quick", "--rounds", str(rounds)]
        done = subprocess.run(  # noqa: S603 - the project's own program
            [*command, "--only", subject, "--json", str(into)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        self.code = done.returncode
        self.file = into
        self.printed = done.stdout
        self.figures: dict[str, Any] = json.loads(into.read_text())
        self.subject: dict[str, Any] = self.figures[subject]


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Give the measured graphs."""
    return Ran("graphs", tmp_path_factory.mktemp("bench") / "graphs.json")


def combinations(ran: Ran) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the measured combinations of sync and async with a checkpointer."""
    for way in ("sync", "async"):
        for saver in ("none", "memory", "sqlite"):
            yield way, ran.subject[f"{way}, {saver}"]


def test_every_variant_is_measured_on_every_saver(graphs: Ran) -> None:
    """Each combination has all variants, with quartiles around their medians, in both rounds."""
    for way, found in combinations(graphs):
        more = {"gates by hand, async routers"} if way == "async" else set[str]()
        assert set(found["variants"]) == VARIANTS | more
        for name, figures in found["variants"].items():
            assert figures["rounds"] == 2
            for what in ("wall", "typical", "settled", "cpu"):
                time, ratio = figures[f"{what}_us"], figures[f"{what}_ratio"]
                assert 0 < time["q1"] <= time["median"] <= time["q3"]
                assert 0 < ratio["q1"] <= ratio["median"] <= ratio["q3"]
                assert name != "bare" or ratio["median"] == 1


def test_all_variants_do_the_same(graphs: Ran) -> None:
    """Guarded, or with gates by hand, the graph answers what the bare one answers."""
    for _, found in combinations(graphs):
        right = found["answers"]["bare"]
        assert right["answer"].endswith("(2 sources)")
        for answer in found["answers"].values():
            assert {key: answer[key] for key in right} == right


def test_the_bars_are_stated(tmp_path: Path) -> None:
    """Each bar is printed as met or missed as its ratio says, and the exit code follows."""
    ran = Ran("turns", tmp_path / "turns.json")
    bars = ran.subject["bars"]
    assert [(each["bar"], each["limit"]) for each in bars] == [("sync", 1.08), ("async", 1.06)]
    for each in bars:
        taken = ran.subject[each["bar"]]
        medians = {name: figures["wall_us"]["median"] for name, figures in taken.items()}
        assert each["value"] == medians["guarded"] / medians["bare"]
        assert each["met"] == (each["value"] <= each["limit"])
        word = "met" if each["met"] else "missed"
        assert f"bar {each['limit']} {each['bar']}: {word} ({each['value']:.3f})" in ran.printed
    assert ran.code == (0 if all(each["met"] for each in bars) else 1)


def test_the_machine_is_told_without_its_name(graphs: Ran) -> None:
    """The figures come with processor, Python and versions."""
    machine = graphs.figures["machine"]
    assert {"processor", "Python", "packages", "load"} <= set(machine)
    assert "langgraph 1." in machine["packages"]
    assert all(f"{name}: {value}" in graphs.printed for name, value in machine.items())


def test_the_tables_go_into_the_page(graphs: Ran, tmp_path: Path) -> None:
    """Measured figures replace what stands between their marks on the page, and nothing else."""
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- graphs -->\nold\n<!-- end -->\nafter\n<!-- parts -->\nkept\n<!-- end -->\n"
        "<!-- machine -->\n<!-- end -->\n"
    )
    write = [
        sys.executable,
        str(PROGRAM.with_name("page.py")),
        str(graphs.file),
        "--page",
        str(page),
    ]
    subprocess.run(write, check=True)  # noqa: S603 - the project's own program
    text = page.read_text()
    assert text.startswith("before\n<!-- graphs -->\n**sync, checkpointer: none**")
    assert "old" not in text
    assert "<!-- parts -->\nkept\n<!-- end -->" in text
    for _, found in combinations(graphs):
        for name, figures in found["variants"].items():
            ratio = figures["wall_ratio"]
            cell = f"{ratio['median']:.3f} [{ratio['q1']:.3f}, {ratio['q3']:.3f}]"
            assert f"| {name} | {figures['wall_us']['median']:.0f} | {cell} |" in text


def test_the_peers_call_the_same_node(tmp_path: Path) -> None:
    """Every way to call the node gives the same draft, and says what it adds to which call."""
    ran = Ran("peers", tmp_path / "peers.json")
    assert len(set(ran.subject["answers"].values())) == 1
    over = {name: each.get("over") for name, each in ran.subject["variants"].items()}
    assert over["coordgate"] == "bare one-node graph"
    assert over["tenacity"] == over["stamina"] == over["pydantic alone"] == "the function itself"
    assert over["LangChain with_retry"] == "RunnableLambda"


def test_the_parts_add_up_in_order(tmp_path: Path) -> None:
    """The parts of the cost are measured one more at a time, sync and async."""
    ran = Ran("parts", tmp_path / "parts.json")
    assert list(ran.subject["sync"]) == list(ran.subject["async"])
    assert next(iter(ran.subject["sync"])) == "bare"
    assert len(ran.subject["sync"]) == 7
    assert ran.subject["tracer_thread_us"] > 0


def test_importing_coordgate_loads_no_sdk(tmp_path: Path) -> None:
    """The import is timed against LangGraph's, and no model SDK is among the modules it adds."""
    ran = Ran("imports", tmp_path / "imports.json", rounds=1)
    added = {name.partition(".")[0] for name in ran.subject["modules"]}
    assert "coordgate" in added
    assert not added & {"langchain_openai", "openai", "langchain", "rich", "bm25s", "numpy"}
    wall = ran.subject["wall_ms"]
    assert wall["import coordgate, after it"]["median"] < wall["import langgraph.graph"]["median"]


def test_memory_is_sampled_along_the_way(tmp_path: Path) -> None:
    """Every run is traced with all its nodes, and one in ten makes one attempt more."""
    ran = Ran("memory", tmp_path / "memory.json").subject
    assert ran["transitions"] == 6 * ran["runs"]
    assert ran["attempts"] == 6 * ran["runs"] + ran["runs"] // 10
    assert ran["lost"] == 0
    assert [each["runs"] for each in ran["samples"]][-1] == ran["runs"]
    assert all(each["rss_kib"] > 10_000 for each in ran["samples"])
    assert len(ran["slopes_kib_per_1000_runs"]) == 4


def test_the_audit_is_measured_against_plain_scans(tmp_path: Path) -> None:
    """The same store is scanned both ways and audited by turns; a bar on each is printed last."""
    ran = Ran("audit", tmp_path / "audit.json")
    figures = ran.subject
    assert 5_000 < figures["transitions"] <= 6_010
    fetched, summed, audited = (each["wall"] for each in figures["seconds"].values())
    assert min(summed, fetched, audited) > 0
    assert [each["value"] for each in figures["bars"]] == [audited / fetched, audited / summed]
    assert figures["most_memory_mib"]["all"] > 10
    *_, first, second, _, _ = ran.printed.splitlines()
    assert first.startswith("bar 3 audit, to a scan whose rows are fetched: ")
    assert second.startswith("bar 3 audit, to the same scan inside SQLite: ")


def test_every_page_of_the_viewer_is_asked_for(tmp_path: Path) -> None:
    """Each kind of page is asked for in each round; the bar is put to the slowest of all."""
    ran = Ran("view", tmp_path / "view.json")
    kinds = ran.subject["seconds"]
    assert {"newest runs", "text: absent", "verdict: rejected"} <= set(kinds)
    assert min(each["pages"] for each in kinds.values()) >= ran.subject["rounds"] == 2
    (bar,) = ran.subject["bars"]
    assert bar["value"] == max(each["most"] for each in kinds.values()) * 1000
    assert "\nbar 100 ms of the slowest page: " in ran.printed
