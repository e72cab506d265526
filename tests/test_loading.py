"""Loading what stands in a user's own file or module: names, factories, and what goes wrong."""

import os
from pathlib import Path
from typing import Any

import pytest

from coordgate import ConfigurationError
from coordgate.loading import load, open_graph

APP = """
import asyncio
import contextlib

import words
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    draft: str


def write(state: State):
    return {"draft": words.WORD}


async def awaited(state: State):
    return {"draft": "awaited"}


def building(node):
    return StateGraph(State).add_sequence([node]).add_edge(START, node.__name__)


builder = building(write)
graph = builder.compile()
waiting = building(awaited).compile()
events = []


def factory():
    return graph


async def async_factory():
    return builder.compile(checkpointer=InMemorySaver())


@contextlib.contextmanager
def managed():
    yield graph
    events.append("closed")


@contextlib.asynccontextmanager
async def async_managed():
    loop = asyncio.get_running_loop()
    yield waiting
    events.append(asyncio.get_running_loop() is loop)


class Many:
    graph = graph


def needy(size):
    return graph


def failing():
    raise OSError("no such database")


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with an app and a module beside it, as the working directory."""
    name = f"app_{os.urandom(4).hex()}"
    (tmp_path / f"{name}.py").write_text(APP.replace("words", f"{name}_words"))
    (tmp_path / f"{name}_words.py").write_text("WORD = 'beside'")
    (tmp_path / "broken.py").write_text("\n\nimport no_such_module")
    (tmp_path / "ends.py").write_text("raise SystemExit(3)")
    (tmp_path / "json.py").write_text("mine = True")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # so that it is taken off again
    return tmp_path / f"{name}.py"


def test_a_file_and_a_module_are_the_same_thing(folder: Path) -> None:
    """By path or by name, the module is loaded once, with what stands beside it."""
    assert load(f"{folder}:graph") is load(f"{folder.stem}:graph") is load(f"{folder}:Many.graph")
    assert load(f"{folder.name}:number") == 3


def test_a_file_named_like_another_module_is_still_that_file(folder: Path) -> None:
    """A user's json.py is loaded, and Python's own stays what it is."""
    assert load("json.py:mine") is True
    assert load("json:dumps")([]) == "[]"


@pytest.mark.parametrize(
    ("name", "is_async", "draft"),
    [
        ("graph", False, "beside"),
        ("builder", False, "beside"),
        ("factory", False, "beside"),
        ("managed", False, "beside"),
        ("waiting", True, "awaited"),
        ("async_factory", True, "beside"),
        ("async_managed", True, "awaited"),
    ],
)
def test_every_kind_of_graph_can_be_called(
    folder: Path, name: str, is_async: bool, draft: str
) -> None:
    """A graph, a builder, a factory of either kind, a context manager: `call` runs each."""
    with open_graph(f"{folder}:{name}") as opened:
        assert opened.is_async is is_async
        config: Any = {"configurable": {"thread_id": "1"}}
        assert opened.call("invoke", {}, config)["draft"] == draft


def test_what_a_factory_opens_is_closed_in_its_own_loop(folder: Path) -> None:
    """Context managers are left when the graph is, an async one in the loop that it began in."""
    for name in ("managed", "async_managed"):
        with open_graph(f"{folder}:{name}") as opened:
            opened.call("invoke", {})
    assert load(f"{folder}:events") == ["closed", True]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("graph", "write FILE.py:NAME or MODULE:NAME, such as app.py:graph"),
        (":graph", "write FILE.py:NAME"),
        ("none.py:graph", "none.py: there is no such file"),
        (".:graph", r"\.: is no Python file"),
        ("no_such_module:graph", "there is no such module here"),
        ("no_such.module:graph", "there is no such module here"),
        ("broken.py:graph", r"broken.py: importing it failed in .*broken.py, line 3: ModuleNotFo"),
        ("broken:graph", r"broken: importing it failed in .*broken.py, line 3: ModuleNotFo"),
        ("ends.py:graph", "line 1: SystemExit: 3"),
        ("APP:grahp", "there is no 'grahp'; did you mean 'graph'"),
        ("APP:graph.x", "there is no 'x' on CompiledStateGraph"),
        ("APP:number", "is an int, not a graph"),
        ("APP:needy", "needs no arguments; here one is missing a required argument: 'size'"),
        ("APP:failing", "making the graph failed in .*, line .*: OSError: no such database"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_the_cure(folder: Path, target: str, says: str) -> None:
    """Each way to go wrong has an error that names the place."""
    with (
        pytest.raises(ConfigurationError, match=says),
        open_graph(target.replace("APP", folder.name)),
    ):
        pass
