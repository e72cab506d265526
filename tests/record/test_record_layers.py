"""Who may import what: the record and its readers know nothing of LangGraph."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import coordgate.stores

PACKAGE = Path(coordgate.stores.__file__).parent.parent
READERS = ("stores", "show", "tracer", "capture", "record", "values", "redaction", "process")
SDKS = {"langgraph", "langchain_core", "langchain_openai", "langchain", "langsmith", "openai"}


def imports(file: Path) -> set[str]:
    """Return the modules that a file imports, at whatever depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def reach(name: str) -> set[str]:
    """Return every module that a module of ours imports, through others of ours too."""
    seen: set[str] = set()
    todo = [f"coordgate.{name}"]
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        if module.startswith("coordgate."):
            path = PACKAGE.joinpath(*module.split(".")[1:])
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            todo += imports(file)
            if path.is_dir():
                todo += [
                    f"{module}.{each.stem}" for each in path.glob("*.py") if each.stem[0] != "_"
                ]
    return seen


@pytest.mark.parametrize("name", READERS)
def test_readers_never_reach_langgraph(name: str) -> None:
    """No chain of imports leads from the record or a reader to LangGraph or a model's SDK."""
    found = reach(name)
    assert f"coordgate.{name}" in found
    assert {module.partition(".")[0] for module in found} & SDKS == set()


def test_nothing_recorded_is_pickled_or_run() -> None:
    """No module of the record can pickle, or run what it reads."""
    for name in READERS:
        path = PACKAGE / name
        for file in path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
            assert not imports(file) & {"pickle", "marshal", "shelve", "dill"}
            calls = {
                node.func.id
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not calls & {"eval", "exec", "compile", "__import__"}
