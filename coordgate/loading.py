"""Loading: what stands in a user's own file or module, named as `FILE.py:NAME` or `MODULE:NAME`."""

# What is loaded may be anything, and LangGraph's graphs are generic in what is not known here:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from coordgate.contract import nearest
from coordgate.errors import ConfigurationError

Result = TypeVar("Result")


def load(target: str) -> Any:
    """Return what `FILE.py:NAME` or `MODULE:NAME` names; a dotted NAME goes through attributes.

    The file's folder, or the working directory for a module, comes onto the import path and stays
    there, as if Python ran it.

    Raises:
        ConfigurationError: it is not written so, there is no such thing, or importing it failed.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise ConfigurationError(
            f"{target!r} names nothing that can be loaded: write FILE.py:NAME or MODULE:NAME, "
            "such as app.py:graph"
        )
    module = _module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{target}: there is no {part!r}{_instead(part, found)}")
        found = getattr(found, part)
    return found


def _instead(name: str, owner: Any) -> str:
    if not isinstance(owner, ModuleType):
        return f" on {type(owner).__name__}"
    own = {
        each
        for each, value in vars(owner).items()
        if not each.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", owner.__name__) == owner.__name__
    }
    graphs = {each for each, value in vars(owner).items() if isinstance(value, Pregel)}
    return nearest(name, own | graphs)


def _module(place: str) -> ModuleType:
    path = Path(place)
    if path.suffix == ".py" or path.exists():
        return _from_file(path)
    _onto_path(Path.cwd())
    with _saying(f"{place}: importing it"):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{place}.".startswith(f"{error.name}."):
                raise
    raise ConfigurationError(
        f"{place}: there is no such module here; give the path of a file that ends in .py, or a "
        "module that Python finds from this directory"
    )


def _from_file(path: Path) -> ModuleType:
    if not path.is_file() or path.suffix != ".py":
        what = "is no Python file" if path.exists() else "there is no such file"
        raise ConfigurationError(f"{path}: {what}; give the path of a file that ends in .py")
    path = path.resolve()
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    _onto_path(path.parent)
    with _saying(f"{path}: importing it"):
        # Under its own name, so that what a checkpoint says of its types is found again.
        name = name if known is None and name.isidentifier() else f"coordgate_loaded_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def _onto_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@contextlib.contextmanager
def _saying(what: str) -> Generator[None, None, None]:
    """Say what has failed in the user's code, and where."""
    try:
        yield
    except (Exception, SystemExit) as error:
        *_, last = traceback.walk_tb(error.__traceback__)
        raise ConfigurationError(
            f"{what} failed in {last[0].f_code.co_filename}, line {last[1]}: "
            f"{type(error).__name__}: {error}"
        ) from error


@dataclass(slots=True)
class OpenGraph:
    """A graph of the user's that is ready to be called, from sync code whichever kind it is."""

    target: str
    """What names it."""
    graph: Any
    """The compiled graph."""
    is_async: bool
    """Whether it can only be awaited: its nodes, or the factory that made it, are async."""
    _runner: asyncio.Runner

    def wait(self, awaitable: Coroutine[Any, Any, Result]) -> Result:
        """Return what an awaitable gives; all of a graph's run in the same event loop."""
        return self._runner.run(awaitable)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the graph, such as `invoke` or `get_state`, or its async twin."""
        if self.is_async:
            return self.wait(getattr(self.graph, f"a{method}")(*args, **kwargs))
        return getattr(self.graph, method)(*args, **kwargs)


@contextlib.contextmanager
def open_graph(target: str) -> Generator[OpenGraph, None, None]:
    """Load a graph and keep what it needs open, to be used in a `with` statement.

    `target` names a compiled graph, a builder, or a function without parameters that gives one;
    the function may be async, or a context manager that closes its checkpointer afterwards.

    Raises:
        ConfigurationError: it cannot be loaded, or is no graph.
    """
    loaded = load(target)
    factory: Any = None
    if callable(loaded) and not isinstance(loaded, Pregel | StateGraph):
        factory = loaded
        _check_callable(target, factory)
    with contextlib.ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())
        is_async = False
        with _saying(f"{target}: making the graph"):
            found: Any = loaded if factory is None else factory()
            if inspect.iscoroutine(found):
                found, is_async = runner.run(found), True
            if isinstance(found, AbstractAsyncContextManager):
                manager: Any = found
                found, is_async = runner.run(_entered(manager)), True
                stack.push(lambda *failed: runner.run(_left(manager, failed)))
            elif isinstance(found, AbstractContextManager):
                found = stack.enter_context(found)
            if isinstance(found, StateGraph):
                found = found.compile()
        if not isinstance(found, Pregel):
            raise ConfigurationError(
                f"{target} is {_described(found)}, not a graph: name a compiled LangGraph graph, "
                "or a function without parameters that returns one"
            )
        yield OpenGraph(target, found, is_async or _awaits(found), runner)


def _check_callable(target: str, factory: Callable[..., Any]) -> None:
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise ConfigurationError(
            f"{target}: a function that makes the graph must be one that needs no arguments; here "
            f"one is {error}; name another, such as one that calls this"
        ) from error
    except ValueError:
        pass  # a builtin does not say


async def _entered(manager: AbstractAsyncContextManager[Any]) -> Any:
    return await manager.__aenter__()


async def _left(manager: AbstractAsyncContextManager[Any], failed: tuple[Any, ...]) -> bool | None:
    return await manager.__aexit__(*failed)


def _awaits(graph: Any) -> bool:
    """Return whether any node of a graph, or of one inside it, is a coroutine function alone."""
    for node in graph.nodes.values():
        bound = node.bound
        if isinstance(bound, Pregel):
            if _awaits(bound):
                return True
        elif getattr(bound, "func", True) is None:
            return True
    return False


def _described(found: object) -> str:
    kind = type(found).__name__
    return f"{'an' if kind[:1] in 'AEIOUaeiou' else 'a'} {kind}"
