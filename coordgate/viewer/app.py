"""The viewer as an ASGI application: its pages, its static files, and who may ask."""

from __future__ import annotations

import os
import secrets
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from coordgate.errors import CoordgateError
from coordgate.loading import OpenGraph
from coordgate.stores import Store, open_store
from coordgate.viewer import compare, inbox, live, reliability, run, runs
from coordgate.viewer.counting import Counting
from coordgate.viewer.desk import Desk
from coordgate.viewer.pages import STATIC, Page, Site, is_part, page
from coordgate.viewer.security import Security

PAGES: Final[tuple[Page, ...]] = (runs, run, compare, live, reliability, inbox)
"""The modules of pages, in the order of the navigation."""


def viewer(
    store: str | os.PathLike[str] | Store,
    *,
    app: OpenGraph | None = None,
    token: str | None = None,
) -> Starlette:
    """Return the viewer of a store, as an ASGI application.

    Args:
        store: A trace file, its URL, or a store that is open.
        app: The graph whose questions can be answered, as `open_graph` gives it.
        token: What each reader must have; without one, only loopback names are answered to.

    Raises:
        StoreError: the store cannot be opened.
    """
    opened = store if isinstance(store, Store) else open_store(store)
    name = str(getattr(opened, "path", repr(opened))) if isinstance(store, Store) else str(store)
    csrf = secrets.token_urlsafe(24)
    made = Starlette(
        routes=[
            *(route for each in PAGES for route in each.routes),
            Mount("/static", _Static(directory=STATIC), name="static"),
        ],
        middleware=[Middleware(Security, token=token, csrf=csrf)],
        exception_handlers={HTTPException: _not_found, CoordgateError: _failed},
    )
    links = tuple(link for each in PAGES for link in each.links)
    made.state.site = Site(opened, name, app, links, csrf)
    made.state.counting = Counting(opened)
    made.state.desk = None if app is None else Desk(app)
    return made


class _Static(StaticFiles):
    """Static files, whose address changes whenever they do, so that they are kept for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if b"v=" in scope["query_string"]:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response


def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = "there is no such page" if error.detail == "Not Found" else error.detail
    return _error(request, error.status_code, said)


def _failed(request: Request, error: Exception) -> Response:
    return _error(request, 500, str(error))


def _error(request: Request, status: int, message: str) -> Response:
    template = "error_part.html" if is_part(request) else "error.html"
    return page(request, template, status=status, message=message, code=status)
