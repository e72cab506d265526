"""Following a run: what the page of a run that goes on asks for, again and again."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordgate.viewer.outcome import MARKS
from coordgate.viewer.overview import choice_url, overview_asked, state_of
from coordgate.viewer.pages import Link, page, run_asked, site_of


def _changes(request: Request) -> Response:
    run = run_asked(request, request.query_params.get("id", ""))
    # Two small queries tell whether there is anything new; mostly there is not.
    known = request.query_params.get("state", "")
    last = known.rpartition(".")[2]
    if last.isdecimal() and len(last) < 19:
        now = state_of(site_of(request).store, run, int(last))
        if now == known:
            return Response(status_code=204)
    overview = overview_asked(request)
    return page(
        request,
        "run_changes.html",
        overview=overview,
        marks=MARKS,
        here=partial(choice_url, request, overview),
    )


routes = [Route("/run/changes", _changes)]
links: list[Link] = []
