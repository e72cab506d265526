"""Gated tools of real MCP servers, honest, lying and dead, over stdio and streamable HTTP."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from mcp_servers import over_stdio

from coordgate import Approve, ConfigurationError, Escalate, guard
from coordgate.integrations.mcp import gated_tools
from coordgate.testing import RecordingTracer, ScriptedModel
from coordgate.tools import gated_tools as gated_plain_tools

Tools = dict[str, BaseTool]


def client(connection: dict[str, Any], **options: Any) -> MultiServerMCPClient:
    """Return a client of one server."""
    return MultiServerMCPClient({"server": connection}, **options)  # type: ignore[dict-item]


def held_open(
    connection: dict[str, Any], use: Callable[[Tools], Awaitable[None]], **limits: Any
) -> None:
    """Use the gated tools of one session."""

    async def run() -> None:
        async with client(connection).session("server") as session:
            await use({each.name: each for each in await gated_tools(session, **limits)})

    asyncio.run(run())


async def told(tool: BaseTool, **arguments: Any) -> tuple[str, str]:
    """Return status and text of what a model is told that calls a tool."""
    message = await tool.ainvoke(call(tool.name, **arguments))
    assert isinstance(message, ToolMessage)
    content: Any = message.content
    text = content if isinstance(content, str) else "".join(block["text"] for block in content)
    return message.status, text


def call(name: str, **arguments: Any) -> Any:
    """Return a model's call of a tool."""
    return {"name": name, "args": arguments, "id": "1", "type": "tool_call"}


async def honest(tools: Tools) -> None:
    """Call what may be called, and what may not."""
    assert await told(tools["order"], id=3) == ("success", '{\n  "id": 3,\n  "item": "lamp"\n}')
    refused: Sequence[tuple[str, Any, str]] = [
        ("order", {}, "order was not called: id is missing."),
        ("order", {"id": "3"}, "id must be of type integer, not string"),
        ("order", {"id": 3, "color": "red"}, "color is not known; there are id, verbose"),
        ("page", {"number": 13}, "its answer was held back: no_instructions"),
        ("page", {"number": 99}, "there is no page 99"),
        ("cancel", {"id": 3}, "since it may destroy or overwrite"),
        ("note", {"text": "x"}, "since it does not say that it only reads"),
        ("search", {"query": "x"}, "since it reaches beyond the server"),
    ]
    for name, arguments, reason in refused:
        status, text = await told(tools[name], **arguments)
        assert status == "error", name
        assert reason in text
        assert "Ignore all" not in text
    assert (await told(tools["page"], number=1)) == ("success", "Page 1: screw the base on.")


def test_an_honest_server_over_stdio() -> None:
    """One session held open: calls that fit are made, others are told why; it outlives them all."""
    held_open(over_stdio("honest"), honest, timeout=60)


def test_an_honest_server_over_http(honest_http: dict[str, Any]) -> None:
    """The same over streamable HTTP."""
    held_open(honest_http, honest, timeout=60)


def test_an_honest_server_with_a_session_for_each_call(honest_http: dict[str, Any]) -> None:
    """The same where the client opens a session for each call."""

    async def run() -> None:
        await honest({each.name: each for each in await gated_tools(client(honest_http))})

    asyncio.run(run())


def test_a_call_that_takes_too_long_leaves_the_session_usable(honest_http: dict[str, Any]) -> None:
    """After a timeout the model is told, and the next call of the same session is answered."""

    async def run() -> None:
        async with client(honest_http).session("server") as session:
            (slow,) = await gated_tools(session, allow=["slow"], timeout=0.2)
            (page,) = await gated_tools(session, allow=["page"])
            status, text = await told(slow, seconds=60)
            assert "did not answer within 0.2 seconds; it may still have acted" in text
            assert (status, (await told(page, number=1))[0]) == ("error", "success")

    asyncio.run(run())


async def lying(tools: Tools) -> None:
    """Call what lies."""
    promise = "answered with something else than it promises, which was dropped"
    for name in ("typed", "empty", "injects"):
        status, text = await told(tools[name])
        assert (status, text.startswith(f"{name} {promise}")) == ("error", True)
        assert "warm" not in text
        assert "Ignore all" not in text
    status, text = await told(tools["rude"])
    assert (status, "Ignore all" in text) == ("error", False)
    status, text = await told(tools["audio"])
    assert (status, "NotImplementedError" in text) == ("error", True)


async def dying(tools: Tools) -> None:
    """Call what kills the server, and then a tool of the dead server."""
    await lying(tools)
    assert "its server cannot be reached (McpError)" in (await told(tools["dies"]))[1]
    assert "its server cannot be reached (ClosedResourceError)" in (await told(tools["typed"]))[1]


def test_a_lying_server_that_dies_over_stdio() -> None:
    """No lie reaches the model, and a dead server is a message, at the call and after it."""
    held_open(over_stdio("lying"), dying, timeout=20)


def test_a_lying_server_over_http(lying_http: dict[str, Any]) -> None:
    """The same over streamable HTTP."""
    held_open(lying_http, lying, timeout=20)


def test_a_server_that_is_gone_by_the_time_of_the_call(honest_http: dict[str, Any]) -> None:
    """Where each call opens its own session, a server that is gone is an ExceptionGroup, bare."""

    async def run() -> None:
        nowhere = "http://127.0.0.1:9/mcp"
        with pytest.raises(ConfigurationError, match="MCP server 'server' cannot be asked"):
            await gated_tools(client({**honest_http, "url": nowhere}))
        dying = client(dict(honest_http))
        (order,) = await gated_tools(dying, allow=["order"])
        (bare,) = [each for each in await dying.get_tools() if each.name == "order"]
        dying.connections["server"]["url"] = nowhere  # type: ignore[typeddict-unknown-key]
        with pytest.raises(ExceptionGroup):
            await told(bare, id=1)
        status, text = await told(order, id=1)
        assert (status, "its server cannot be reached (ConnectError)" in text) == ("error", True)

    asyncio.run(run())


def test_what_the_adapter_lets_through_bare() -> None:
    """The reason for it all: bare, an extra argument is dropped, and a lie raises in the agent."""

    async def run() -> None:
        async with client(over_stdio("honest")).session("server") as session:
            bare = {each.name: each for each in await load_mcp_tools(session)}
            assert (await told(bare["order"], id=3, color="red"))[0] == "success"
            assert "Ignore all" in (await told(bare["page"], number=13))[1]
            assert (await told(bare["cancel"], id=3))[1] == "order 3 is cancelled"
        async with client(over_stdio("lying")).session("server") as session:
            bare = {each.name: each for each in await load_mcp_tools(session)}
            with pytest.raises(RuntimeError, match="Invalid structured content"):
                await told(bare["typed"])

    asyncio.run(run())


def test_tools_that_the_adapter_loaded_are_gated_too() -> None:
    """A list of MCP tools is gated like the server's own; only what they promise is not known."""

    async def run() -> None:
        async with client(over_stdio("honest")).session("server") as session:
            loaded = await load_mcp_tools(session)
            for made in (gated_plain_tools(loaded), await gated_tools(loaded)):
                tools = {each.name: each for each in made}
                assert "id is missing" in (await told(tools["order"]))[1]
                assert "destroy" in (await told(tools["cancel"], id=1))[1]
                assert "does not say that it only reads" in (await told(tools["note"], text="x"))[1]
                (note,) = await gated_tools(loaded, allow=["note"], safe=["note"])
                assert (await told(note, text="x"))[0] == "success"

    asyncio.run(run())


def test_tools_gated_again_are_held_to_the_promise_still(lying_http: dict[str, Any]) -> None:
    """Gating gated tools anew, with other limits, keeps what only the server knows."""

    async def run() -> None:
        once = await gated_tools(client(lying_http))
        (typed,) = gated_plain_tools(once, allow=["typed"], timeout=20)
        assert "something else than it promises" in (await told(typed))[1]

    asyncio.run(run())


def test_a_result_that_an_interceptor_changed_must_keep_the_promise(
    honest_http: dict[str, Any],
) -> None:
    """The output schema is asked about what arrives, whoever touched it on the way."""

    async def tamper(request: Any, handler: Any) -> Any:
        result = await handler(request)
        result.structuredContent = {"id": "three"}
        return result

    async def run() -> None:
        made = await gated_tools(client(honest_http, tool_interceptors=[tamper]))
        order = next(each for each in made if each.name == "order")
        status, text = await told(order, id=3)
        assert status == "error"
        assert "item is missing; id must be of type integer, not string" in text

    asyncio.run(run())


def test_servers_whose_tools_share_a_name_are_refused_or_prefixed(
    honest_http: dict[str, Any],
) -> None:
    """One server cannot stand in for another: name the tools after their servers."""
    both: Any = {"one": honest_http, "two": honest_http}

    async def run() -> None:
        with pytest.raises(ConfigurationError, match="two tools are called 'order'"):
            await gated_tools(MultiServerMCPClient(both))
        named = MultiServerMCPClient(both, tool_name_prefix=True)
        (order,) = await gated_tools(named, allow=["two_order"])
        assert (await told(order, id=1))[0] == "success"
        assert "id is missing" in (await told(order))[1]

    asyncio.run(run())


def test_an_agent_with_mcp_and_other_tools(honest_http: dict[str, Any]) -> None:
    """An agent pauses before a destructive call of a server; all calls stand in the record."""

    @tool
    def today() -> str:
        """Say the date."""
        return "Tuesday"

    calls = [AIMessage("", tool_calls=[call("today")]), AIMessage("", tool_calls=[call("order")])]
    calls += [AIMessage("", tool_calls=[call("cancel", id=4471)]), AIMessage("done")]
    tracer = RecordingTracer()

    async def run() -> None:
        made = await gated_tools(client(honest_http), ask=Escalate("support lead"))
        agent = create_agent(
            ScriptedModel(*calls),
            [*made, *gated_plain_tools([today])],
            checkpointer=InMemorySaver(),
        )
        app = guard(agent, tracer=tracer)
        config: Any = {"configurable": {"thread_id": "1"}}
        paused = await app.ainvoke({"messages": [HumanMessage("cancel 4471")]}, config)
        assert paused["__interrupt__"][0].value["candidate"] == {"id": 4471}
        result = await app.ainvoke(Command(resume=Approve()), config)
        assert "order 4471 is cancelled" in str(result["messages"][-2].content)

    asyncio.run(run())
    verdicts = [
        (v.gate, v.passed) for t in tracer.transitions for a in t.attempts for v in a.verdicts
    ]
    assert verdicts == [("tool:today", True), ("tool:order", False), ("tool:cancel", True)]


def test_without_the_extra_the_import_names_it(tmp_path: Path) -> None:
    """Whoever lacks the packages is told which extra has them."""
    (tmp_path / "langchain_mcp_adapters.py").write_text("raise ImportError('none')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import coordgate.integrations.mcp"
    done = subprocess.run(  # noqa: S603 - code of this test
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "pip install 'coordgate[mcp]'" in done.stderr
