"""Gated tools: LangChain tools whose every call and result passes rules, for agents of any kind.

A gated tool is the same tool: its name, schema and description are what the model is shown. What is
refused comes back as a tool message that says why, so that the model can act on it.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from langchain_core.tools import BaseTool
from langgraph.errors import GraphBubbleUp
from pydantic import BaseModel

from coordgate.contract import nearest
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, as_gate
from coordgate.gates.context import no_instructions
from coordgate.gates.schema import json_faults
from coordgate.gates.tool import Faults, dangers, model_faults
from coordgate.policy import Escalate
from coordgate.toolcall import Call, Failed, Late, Rules


class _GatedTool:
    """What a gated tool's class adds to the tool's own."""

    rules: ClassVar[Rules]
    bare_class: ClassVar[type[BaseTool]]

    def run(self, tool_input: Any, *args: Any, tool_call_id: str | None = None, **kw: Any) -> Any:
        """Run the tool within its rules."""
        tool = cast("BaseTool", self)
        if getattr(tool, "func", True) is None:
            raise ConfigurationError(
                f"tool {tool.name!r} is async: run the graph with ainvoke or astream"
            )
        bare: Any = functools.partial(self.bare_class.run, tool)
        flow = Call(tool, self.rules, tool_call_id).flow(tool_input)
        answer: Any = None
        while True:
            try:
                given = flow.send(answer)
            except StopIteration as done:
                return done.value
            call = functools.partial(bare, given, *args, tool_call_id=tool_call_id, **kw)
            try:
                answer = _within(self.rules.timeout, call)
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the model is told
                answer = Failed(error)

    async def arun(
        self, tool_input: Any, *args: Any, tool_call_id: str | None = None, **kw: Any
    ) -> Any:
        """Run the tool within its rules."""
        tool = cast("BaseTool", self)
        bare: Any = functools.partial(self.bare_class.arun, tool)
        flow = Call(tool, self.rules, tool_call_id).flow(tool_input)
        answer: Any = None
        while True:
            try:
                given = flow.send(answer)
            except StopIteration as done:
                return done.value
            limit = asyncio.timeout(self.rules.timeout)
            try:
                async with limit:
                    answer = await bare(given, *args, tool_call_id=tool_call_id, **kw)
            except GraphBubbleUp:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the model is told
                answer = Failed(Late() if limit.expired() else error)


def gated_tools(
    tools: Iterable[BaseTool],
    *,
    allow: Collection[str] | None = None,
    dangerous: Collection[str] = (),
    safe: Collection[str] = (),
    ask: Escalate | None = None,
    timeout: float | None = None,
    screen: Sequence[Gate] | None = None,
) -> list[BaseTool]:
    """Return the same tools, each held to rules: bind them, or give them to an agent or a ToolNode.

    Before a call its arguments are checked against the tool's schema: missing, of another type, or
    unknown to it. A tool that is `dangerous`, or says so by its metadata (`destructiveHint`,
    `openWorldHint`), is called only if `ask` allows it each time, through LangGraph's `interrupt`;
    without `ask` it is refused. `safe` names tools that need not be allowed whatever they say.
    After a call its text is screened like retrieved text: by `no_instructions()` unless `screen`
    gives other gates. What is refused, fails, or takes longer than `timeout` seconds becomes a tool
    message with the reason; a call without an id raises `ToolRefused`.

    With `allow`, only the tools named in it are returned.

    Raises:
        ConfigurationError: a name is no tool's, two tools share one, or a schema cannot be used.
    """
    limits = Limits(allow, dangerous, safe, ask, timeout, screen)
    return gate_each(tools, limits)


@dataclass(frozen=True, slots=True)
class Limits:
    """What `gated_tools` is told."""

    allow: Collection[str] | None
    """The tools that may be used; None is all."""
    dangerous: Collection[str]
    """Those that must be allowed each time, whatever they say of themselves."""
    safe: Collection[str]
    """Those that need not be, whatever they say."""
    ask: Escalate | None
    """Who allows them."""
    timeout: float | None
    """Seconds that a call may take."""
    screen: Sequence[Gate] | None
    """What judges the text of results; None is the default."""

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates on the text of results."""
        if self.screen is None:
            return (no_instructions(),)
        return tuple(as_gate(each, where="gated_tools: screen") for each in self.screen)

    def check(self, names: Collection[str]) -> None:
        """Refuse what means nothing for tools of these names.

        Raises:
            ConfigurationError: a name is no tool's, or a limit cannot work.
        """
        for given in (self.allow or (), self.dangerous, self.safe):
            if isinstance(given, str):
                raise ConfigurationError(f"gated_tools: give a list of names, not {given!r}")
            for name in given:
                if name not in names:
                    raise ConfigurationError(
                        f"gated_tools: there is no tool {name!r}{nearest(name, names)}"
                    )
        both = sorted(set(self.dangerous) & set(self.safe))
        if both:
            raise ConfigurationError(f"gated_tools: {both[0]!r} is both dangerous and safe")
        if self.ask is not None and (not isinstance(self.ask, Escalate) or self.ask.within):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(
                f"gated_tools: ask={self.ask!r}: give an Escalate without `within`, such as "
                "Escalate('treasurer')"
            )
        if self.timeout is not None and (
            not isinstance(self.timeout, int | float) or self.timeout <= 0  # pyright: ignore[reportUnnecessaryIsInstance] - as above
        ):
            raise ConfigurationError(f"gated_tools: timeout={self.timeout!r} is no number above 0")
        for each in self.gates:
            if each.slow or each.is_async:
                raise ConfigurationError(
                    f"gated_tools: screen is asked on every result; {each.name!r} waits, so put it "
                    "on the node instead"
                )


def gate_each(
    tools: Iterable[BaseTool],
    limits: Limits,
    *,
    promised: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[BaseTool]:
    """Return gated tools; `promised` has the output schemas of tools of a server, by name.

    Raises:
        ConfigurationError: as `gated_tools`.
    """
    listed = _listed(tools)
    names = [tool.name for tool in listed]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"gated_tools: two tools are called {name!r}, and a model could not tell them "
                "apart; rename one, or prefix the tools of a server with its name"
            )
    limits.check(names)
    return [
        _gated(tool, _rules(tool, limits, promised))
        for tool in listed
        if limits.allow is None or tool.name in limits.allow
    ]


def checks(tools: Iterable[BaseTool]) -> dict[str, Faults]:
    """Return what is wrong with the arguments of each tool, by name, for `valid_calls`.

    Raises:
        ConfigurationError: they are no tools.
    """
    return {tool.name: _faults(tool) for tool in _listed(tools)}


def _listed(tools: Iterable[BaseTool]) -> list[BaseTool]:
    # A tool by itself is iterable too: over its fields.
    listed = list(tools) if isinstance(tools, Iterable) else None  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
    if listed is None or not all(isinstance(each, BaseTool) for each in listed):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
        raise ConfigurationError(
            f"{str(tools)[:80]}: give a list of LangChain tools; "
            "langchain_core.tools.tool makes one of a function, and the gated_tools of "
            "coordgate.integrations.mcp takes an MCP client or session"
        )
    return listed


def _rules(
    tool: BaseTool, limits: Limits, promised: Mapping[str, Mapping[str, Any]] | None
) -> Rules:
    name = tool.name
    why = dangers(tool.metadata, from_server=promised is not None or _from_server(tool))
    if name in limits.dangerous:
        why = ["it is listed as dangerous"]
    output = (promised or {}).get(name)
    known = tool.rules.structure if isinstance(tool, _GatedTool) else None
    return Rules(
        _faults(tool),
        _injected(tool),
        () if name in limits.safe else tuple(why),
        limits.ask,
        limits.timeout,
        limits.gates,
        json_faults(output, where=f"the result of tool {name!r}", closed=False)
        if output
        else known,
    )


def _from_server(tool: BaseTool) -> bool:
    """Return whether langchain-mcp-adapters made a tool: it is an MCP server's."""
    made_in = getattr(getattr(tool, "coroutine", None), "__module__", None)
    return str(made_in).partition(".")[0] == "langchain_mcp_adapters"


def _faults(tool: BaseTool) -> Faults:
    schema: Any = tool.tool_call_schema
    if isinstance(schema, dict):
        given = cast("dict[str, Any]", schema)
        return json_faults(given, where=f"tool {tool.name!r}", closed=True)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        # What the model is shown lacks validators and aliases; what LangChain parses has them.
        own = tool.args_schema
        if isinstance(own, type) and issubclass(own, BaseModel):
            whole: type[BaseModel] = own
            if whole.model_fields.keys() <= schema.model_fields.keys():
                return model_faults(whole)
        return model_faults(schema)
    return _no_faults  # a model of pydantic 1, which LangChain itself checks


def _no_faults(_: Mapping[str, Any]) -> list[str]:
    return []


def _injected(tool: BaseTool) -> frozenset[str]:
    """Return the parameters of a tool's function that are not in what the model is shown."""
    own: Any = tool
    function = getattr(own, "func", None) or getattr(own, "coroutine", None) or own._run
    shown = set(tool.args)
    schema: Any = tool.tool_call_schema
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        shown = set(schema.model_fields)
    named = inspect.signature(function).parameters.values()
    plain = {
        each.name for each in named if each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL}
    }
    return frozenset(plain - shown)


def _gated(tool: BaseTool, rules: Rules) -> BaseTool:
    """Return a copy of a tool that keeps to rules; of a gated one, to these instead of its own."""
    kind: type[BaseTool] = type(tool)
    if issubclass(kind, _GatedTool):
        kind = kind.bare_class
    body = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__annotations__": {"rules": ClassVar[Rules], "bare_class": ClassVar[type]},
        "rules": rules,
        "bare_class": kind,
    }
    copied = tool.model_copy()
    object.__setattr__(copied, "__class__", type(kind.__name__, (_GatedTool, kind), body))
    return copied


def _within(timeout: float | None, call: Callable[[], Any]) -> Any:
    """Call, here or in a thread that is left behind if it takes too long.

    Raises:
        Late: it took too long.
    """
    if timeout is None:
        return call()
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.append(_Raised(error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    thread.join(timeout)
    if not done:
        raise Late
    if isinstance(done[0], _Raised):
        raise done[0].error
    return done[0]


@dataclass(slots=True)
class _Raised:
    """What a call in a thread raised."""

    error: BaseException
