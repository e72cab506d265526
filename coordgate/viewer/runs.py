"""The list of runs: what there is, newest first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordgate.viewer.pages import Link, page, site_of


def _list(request: Request) -> Response:
    return page(request, "runs.html", runs=list(site_of(request).store.runs(limit=50)))


routes = [Route("/", _list)]
links = [Link("/", "Runs")]
