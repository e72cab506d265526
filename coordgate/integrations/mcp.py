"""MCP: tools of Model Context Protocol servers, gated as those of `coordgate.tools` are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool

from coordgate.errors import ConfigurationError
from coordgate.gate import Gate
from coordgate.policy import Escalate
from coordgate.toolcall import leaves
from coordgate.tools import Limits, gate_each

try:
    from langchain_mcp_adapters.client import MultiServerMCPClient
    from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
    from mcp import ClientSession
    from mcp.types import PaginatedRequestParams, Tool
except ImportError as error:  # pragma: no cover - an extra
    raise ImportError(
        "coordgate.integrations.mcp needs the packages mcp and langchain-mcp-adapters: "
        "pip install 'coordgate[mcp]'"
    ) from error

Source: TypeAlias = "MultiServerMCPClient | ClientSession | Iterable[BaseTool]"

_PAGES = 100


async def gated_tools(
    source: Source,
    *,
    allow: Collection[str] | None = None,
    dangerous: Collection[str] = (),
    safe: Collection[str] = (),
    ask: Escalate | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - of each call, not of this one
    screen: Sequence[Gate] | None = None,
) -> list[BaseTool]:
    """Return the gated tools of MCP servers, or of one session that is held open.

    As `coordgate.tools.gated_tools`, and more: a structured result is checked against the
    `outputSchema` of its tool; one without annotations is taken to be destructive, as there too.
    Give a `MultiServerMCPClient` (each call opens a session of its own), a `ClientSession` that you
    hold open (faster), or LangChain tools.

    Raises:
        ConfigurationError: as `coordgate.tools.gated_tools`, or a server cannot be asked.
    """
    limits = Limits(allow, dangerous, safe, ask, timeout, screen)
    if isinstance(source, ClientSession):
        listed = await _listed(source)
        tools = [convert_mcp_tool_to_langchain_tool(source, each) for each in listed]
        return gate_each(tools, limits, promised=_promised(tools, listed))
    if not isinstance(source, MultiServerMCPClient):
        return gate_each(source, limits)
    made: list[BaseTool] = []
    promised: dict[str, dict[str, Any]] = {}
    for server, connection in source.connections.items():
        async with _connected(source, server) as session:
            listed = await _listed(session)
        tools = [
            convert_mcp_tool_to_langchain_tool(
                None,
                each,
                connection=connection,
                callbacks=source.callbacks,
                tool_interceptors=source.tool_interceptors,
                server_name=server,
                tool_name_prefix=source.tool_name_prefix,
                handle_tool_errors=source.handle_tool_errors,
            )
            for each in listed
        ]
        promised |= _promised(tools, listed)
        made += tools
    return gate_each(made, limits, promised=promised)


@asynccontextmanager
async def _connected(client: MultiServerMCPClient, server: str) -> AsyncGenerator[ClientSession]:
    try:
        async with client.session(server) as session:
            yield session
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"MCP server {server!r} cannot be asked for its tools ({_cause(error)}); see that it "
            "runs, and that its command or url is right"
        ) from error


async def _listed(session: ClientSession) -> list[Tool]:
    listed: list[Tool] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        listed += page.tools
        cursor = page.nextCursor
        if not cursor:
            return listed
    raise ConfigurationError(f"an MCP server lists its tools on more than {_PAGES} pages")


def _promised(tools: Sequence[BaseTool], listed: Sequence[Tool]) -> dict[str, dict[str, Any]]:
    return {
        tool.name: each.outputSchema
        for tool, each in zip(tools, listed, strict=True)
        if each.outputSchema
    }


def _cause(error: BaseException) -> str:
    first = leaves(error)[0]
    return f"{type(first).__name__}: {first}"
