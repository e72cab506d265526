"""The list of runs: newest first, filtered, a page at a time."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordgate.viewer.filters import STATUSES, VERDICTS, Filters, Place
from coordgate.viewer.pages import Link, is_part, page, site_of, url
from coordgate.viewer.search import Found, search
from coordgate.viewer.sources import source_of

PAGE = 50
"""How many runs a page shows."""


def _list(request: Request) -> Response:
    """Return a page of the list; to htmx its results alone, or those that a search goes on with."""
    query = request.query_params
    try:
        filters = Filters.asked(query)
        after = Place.told(query["after"]) if query.get("after") else None
        have = max(0, min(PAGE - 1, int(query.get("have", "0"))))
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    site = site_of(request)
    source = source_of(site.store)
    found = search(source, filters, after=after, most=PAGE - have, seconds=site.patience)
    asked = filters.query()
    seen = hashlib.sha256(repr(found.runs).encode("utf-8", "replace")).hexdigest()[:16]
    if query.get("seen") == seen:
        return Response(status_code=204)  # what the page shows, and asks after, is still so
    is_newest = after is None and "have" not in query and (found.full or found.place is None)
    values: dict[str, Any] = {
        "runs": found.runs,
        "filters": filters,
        "asked": asked,
        "searched": None if found.place is None or found.full else found.place.started,
        "older": _address(request, asked, found.place) if found.full else None,
        "on": None
        if found.full or found.place is None
        else _address(request, asked, found.place, have=have + len(found.runs)),
        "first": after is None,
        "part": is_part(request),
        "live": url(request, "/", **asked, seen=seen) if is_newest else None,
        "have": have,
    }
    if is_part(request):
        part = "runs_more.html" if have or "have" in query else "runs_results.html"
        response = page(request, part, **values)
        if "have" not in query and "seen" not in query:
            response.headers["HX-Replace-Url"] = url(request, "/", **asked)
        return response
    return page(
        request,
        "runs.html",
        **values,
        statuses=STATUSES,
        verdicts=VERDICTS,
        nodes=_nodes(found),
        gates=source.gates([run for run, _ in found.runs]),
    )


def _address(
    request: Request, asked: dict[str, str], place: Place | None, **more: object
) -> str | None:
    return None if place is None else url(request, "/", **asked, after=place, **more)


def _nodes(found: Found) -> list[str]:
    """Return the nodes of the runs that are shown, to choose from."""
    return sorted({node for _, tally in found.runs for node in tally.nodes})[:200]


routes = [Route("/", _list)]
links = [Link("/", "Runs")]
