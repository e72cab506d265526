"""The project's own rules: the facade, the order of imports, sizes, docstrings, the lock, links."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import coordgate

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "coordgate").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

PUBLIC = [
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

LOADED_IN_FUNCTIONS = {
    "coordgate/commands/demo.py": "the demo loads LangGraph and an extra, its --help does not",
    "coordgate/tracer.py": "a path given to Tracer is opened where stores are opened",
}

PRIVATE_LANGGRAPH = re.compile(r"langgraph(\.\w+)*\._\w+|_should_retry_on")


def name_of(path: Path) -> str:
    """Return a path as seen from the project's folder."""
    return path.relative_to(ROOT).as_posix()


def run_python(code: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(  # noqa: S603 - code of this file
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout


def functions_in(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return every function in a file, nested ones and methods too."""
    for each in ast.walk(ast.parse(path.read_text())):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each


# The facade


def test_the_public_names_are_these() -> None:
    """The facade exports exactly the public names, sorted."""
    assert coordgate.__all__ == PUBLIC == sorted(PUBLIC)
    assert all(hasattr(coordgate, name) for name in PUBLIC)


def test_importing_coordgate_loads_no_gates() -> None:
    """`import coordgate` leaves the ready-made gates until one is asked for: they take longest."""
    code = """
import sys
import coordgate
assert not [name for name in sys.modules if name.startswith("coordgate.gates")]
assert callable(coordgate.router)
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own


def test_importing_coordgate_loads_nothing_beyond_langgraph() -> None:
    """`import coordgate` loads no package that `import langgraph.graph` has not loaded: no SDK."""
    code = """
import json, sys
import langgraph.graph
before = set(sys.modules)
import coordgate
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(added - set(sys.stdlib_module_names))))
"""
    assert set(json.loads(run_python(code))) <= {"coordgate", "langgraph", "langchain_core"}


def test_importing_coordgate_does_not_load_the_edges() -> None:
    """`import coordgate` loads neither the command line nor the demo nor the test kit."""
    code = "import coordgate, sys; print(*sys.modules, sep='\\n')"
    edges = {
        "coordgate.cli",
        "coordgate.commands",
        "coordgate.demo",
        "coordgate.show",
        "coordgate.testing",
    }
    assert not edges & set(run_python(code).split())


# Modules


def test_no_module_is_over_400_lines() -> None:
    """A module that grows past 400 lines is two nouns, and is split."""
    sizes = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > 400} == {}


def test_imports_keep_their_order() -> None:
    """Imports go the way that .importlinter says."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(  # noqa: S603 - a tool of ours
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[done.stdout.find("Broken contracts") :]


def test_imports_stand_at_the_top() -> None:
    """Only the demo's command, and Tracer for a path, import inside a function."""
    found = {
        name_of(path)
        for path in MODULES
        for function in functions_in(path)
        for each in ast.walk(function)
        if isinstance(each, ast.Import | ast.ImportFrom)
    }
    assert found == LOADED_IN_FUNCTIONS.keys()


def test_private_names_of_langgraph_stand_in_one_file() -> None:
    """A LangGraph release that moves its private names breaks one file only."""
    found: set[str] = set()
    for path in MODULES:
        text = path.read_text()
        if PRIVATE_LANGGRAPH.search(text):
            found.add(name_of(path))
        for each in ast.walk(ast.parse(text)):
            if isinstance(each, ast.ImportFrom) and (each.module or "").startswith("langgraph"):
                parts = [*(each.module or "").split("."), *(alias.name for alias in each.names)]
                if any(part.startswith("_") for part in parts):
                    found.add(name_of(path))
    assert found == {"coordgate/_langgraph.py"}


def test_every_module_says_what_lives_there() -> None:
    """Each module begins with a docstring whose first line stands by itself."""
    heads = {name_of(path): ast.get_docstring(ast.parse(path.read_text())) for path in MODULES}
    bad = {name for name, head in heads.items() if not head or "\n" in head.split("\n\n")[0]}
    assert bad == set()


# Tests


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_every_test_says_its_behaviour(path: Path) -> None:
    """Each test has a docstring of one line."""
    silent = [
        each.name
        for each in functions_in(path)
        if each.name.startswith("test_") and "\n" in (ast.get_docstring(each) or "\n")
    ]
    assert silent == []


def test_tests_patch_nothing() -> None:
    """Tests use real parts: no mocks, and no patching but of the environment."""
    patching = re.compile(r"unittest\.mock|import mock|monkeypatch\.setattr|mocker\b")
    here = Path(__file__)
    assert [name_of(p) for p in TESTS if p != here and patching.search(p.read_text())] == []


# The lock


def locked(name: str) -> dict[str, set[str]]:
    """Return the releases in a requirements file, by package."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        pinned = re.match(r"([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", line)
        if pinned:
            found.setdefault(pinned[1], set()).add(pinned[2])
    return found


def lock() -> list[dict[str, object]]:
    """Return the packages of uv.lock."""
    return tomllib.loads((ROOT / "uv.lock").read_text())["package"]


@pytest.mark.parametrize("name", ["requirements-dev.txt", "requirements-docs.txt"])
def test_the_requirement_files_say_what_the_lock_says(name: str) -> None:
    """What pip installs are the releases that uv.lock names; `make lock` writes all three."""
    releases: dict[str, set[str]] = {}
    for each in lock():
        releases.setdefault(str(each["name"]), set()).add(str(each.get("version")))
    pinned = locked(name)
    assert pinned
    assert {n: v for n, v in pinned.items() if not v <= releases.get(n, set())} == {}


def test_the_lock_is_of_this_pyproject() -> None:
    """uv.lock was made from the dependencies that pyproject.toml declares; else `make lock`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    own = next(each for each in lock() if each["name"] == "coordgate")
    metadata = own["metadata"]
    assert isinstance(metadata, dict)

    def declared(requirements: list[str]) -> set[tuple[str, frozenset[str]]]:
        split = (re.fullmatch(r"([\w-]+)(?:\[\w+\])?([^;]*)", each) for each in requirements)
        return {(m[1], frozenset(filter(None, m[2].strip().split(",")))) for m in split if m}

    def recorded(entries: list[dict[str, str]]) -> set[tuple[str, frozenset[str]]]:
        return {
            (e["name"], frozenset(filter(None, e.get("specifier", "").split(",")))) for e in entries
        }

    wanted = project["project"]["dependencies"] + [
        each for extra in project["project"]["optional-dependencies"].values() for each in extra
    ]
    assert recorded(metadata["requires-dist"]) == declared(wanted)
    groups = {name: declared(each) for name, each in project["dependency-groups"].items()}
    assert {n: recorded(each) for n, each in metadata["requires-dev"].items()} == groups


@pytest.mark.parametrize("name", ["uv.lock", "requirements-dev.txt", "requirements-docs.txt"])
def test_the_lock_names_no_host(name: str) -> None:
    """Releases are told by name and hash; where they come from is each machine's own business."""
    assert "://" not in (ROOT / name).read_text()


# Documents


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Each relative link of a page leads to a file, and to a heading in it if it names one."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, heading = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (heading and heading not in headings_of(path)):
            broken.append(target)
    assert broken == []


def headings_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", each.lower().strip())) for each in titles}


def test_the_site_lists_every_page() -> None:
    """Each page under docs/ stands in the site's navigation."""
    site = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    listed: set[str] = set()

    def collect(entries: list[object]) -> None:
        for entry in entries:
            for each in entry.values() if isinstance(entry, dict) else [entry]:
                if isinstance(each, list):
                    collect(each)
                else:
                    listed.add(str(each))

    collect(site["nav"])
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in PAGES if "docs" in path.parts}
    assert listed == pages
