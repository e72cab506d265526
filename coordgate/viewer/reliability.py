"""The reliability page: what an audit says of the store, as a graph, a trend and tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordgate.stores import SqliteStore, Store
from coordgate.viewer.counting import Count, Counting, Part
from coordgate.viewer.pages import Link, is_part, page, site_of, url

_PATIENCE: Final = 0.4
"""How many seconds an answer waits for an audit, before it tells that it is being made."""

_MOST_GRAPHS: Final = 200


def _reliability(request: Request) -> Response:
    """Return the audit of the runs that the query asks for; to htmx what stands below the form."""
    asked = request.query_params
    part = _part(asked)
    counting: Counting = request.app.state.counting
    count = counting.ask(part, again=bool(asked.get("again")))
    is_done = count.done.wait(_PATIENCE)  # asked once: it may be done a moment later
    given = {name: asked.get(name, "") for name in ("graph", "from", "to")}
    values: dict[str, Any] = {
        "count": count,
        "is_done": is_done,
        "shown": _shown(count) if is_done else None,
        "given": given,
        "here": url(request, "/reliability", **given),
        "again": url(request, "/reliability", **given, again=1),
    }
    if is_part(request):
        return page(request, "reliability_part.html", **values)
    values["graphs"] = _graphs(site_of(request).store)
    return page(request, "reliability.html", **values)


def _shown(count: Count) -> Any:
    """Return what the page shows of an audit that is done; None if there is no report."""
    if count.report is None:
        return None
    # Like the audit it needs scipy, which is there if there is a report.
    return import_module("coordgate.viewer.drawn").shown(count.report)


def _part(asked: Mapping[str, str]) -> Part:
    return Part(asked.get("graph") or None, _time(asked, "from"), _time(asked, "to"))


def _time(asked: Mapping[str, str], name: str) -> float | None:
    """Return a time of the query, which is UTC, in seconds since the epoch."""
    given = asked.get(name, "")
    if not given:
        return None
    try:
        at = datetime.fromisoformat(given)
        return (at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise HTTPException(
            400, f"{name}={given!r} is no time; write it as 2026-01-31T13:00 (UTC)"
        ) from error


def _graphs(store: Store) -> list[str]:
    """Return the names of the graphs that were recorded."""
    if isinstance(store, SqliteStore):
        found = store.query(
            "SELECT DISTINCT graph FROM runs ORDER BY graph LIMIT ?", [_MOST_GRAPHS]
        )
        return [name for (name,) in found]
    return sorted({run.graph for run in store.runs()})[:_MOST_GRAPHS]


routes = [Route("/reliability", _reliability)]
links = [Link("/reliability", "Reliability")]
