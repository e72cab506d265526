"""What every page is made with: the site it belongs to, its templates, and how values look."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from coordgate.errors import StoreError
from coordgate.loading import OpenGraph
from coordgate.record import Run
from coordgate.show import duration, moment, printable
from coordgate.stores import Store

STATIC: Final = Path(__file__).with_name("static")
"""What pages load: our own script and styles, and the vendored ones."""

MOST_SHOWN: Final = 4_000
"""How many characters of one value a page shows."""

Kind = str
"""How something went, as the page colours it: `good`, `warn`, `bad`, `live` or `plain`."""

_KINDS: Final[dict[str, tuple[Kind, str]]] = {
    "accepted": ("good", "✓"),
    "completed": ("good", "✓"),
    "observed": ("warn", "◐"),
    "degraded": ("warn", "◐"),
    "rerouted": ("warn", "↷"),
    "sent_back": ("warn", "↶"),
    "interrupted": ("warn", "‖"),
    "cancelled": ("warn", "⊘"),
    "running": ("live", "▸"),
    "handed_up": ("live", "↑"),
    "rejected": ("bad", "✗"),
    "violated": ("bad", "✗"),
    "raised": ("bad", "!"),
    "failed": ("bad", "✗"),
    "lost": ("bad", "?"),
}


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation."""

    path: str
    """Where it leads."""
    label: str
    """What it says."""


class Page(Protocol):
    """A module of pages."""

    routes: list[Route]
    """What it answers to."""
    links: list[Link]
    """What the navigation leads to; empty for pages that others lead to."""


@dataclass(frozen=True, slots=True)
class Site:
    """What a viewer shows."""

    store: Store
    """The records; pages only read."""
    name: str
    """What the store is called, at the top of each page."""
    graph: OpenGraph | None
    """The graph that answers go to; None if none was given."""
    links: tuple[Link, ...]
    """The navigation."""
    csrf: str = field(repr=False)
    """What each form must hold in a hidden field named `csrf`."""
    patience: float = 0.03
    """How many seconds a page searches before it shows what it has."""


def site_of(request: Request) -> Site:
    """Return the site that a request is for."""
    return cast(Site, request.app.state.site)


def page(
    request: Request, template: str, /, *, status: int = 200, **values: object
) -> HTMLResponse:
    """Return a page made of a template; templates see `site`, `request`, `url`, ... too."""
    text = (
        _templates()
        .get_template(template)
        .render(
            request=request,
            site=site_of(request),
            url=partial(url, request),
            run_url=partial(run_url, request),
            asset=partial(asset, request),
            **values,
        )
    )
    return HTMLResponse(text, status, headers={"Vary": "HX-Request"})


def is_part(request: Request) -> bool:
    """Return whether htmx asks for a part of a page, and not for the whole."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers


def url(request: Request, path: str, /, **query: object) -> str:
    """Return the address of a page of this viewer, with what is not None or empty in its query."""
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    rest = f"?{urlencode(given, errors='backslashreplace')}" if given else ""
    return f"{quote(request.scope.get('root_path', ''))}{path}{rest}"


def run_url(request: Request, id: str, /, **query: object) -> str:
    """Return the address of the page of one run, whatever its id holds."""
    return url(request, "/run", id=id, **query)


def asset(request: Request, name: str) -> str:
    """Return the address of a static file, which changes whenever the file does."""
    return url(request, f"/static/{name}", v=_digest(name))


def run_asked(request: Request, id: str) -> Run:
    """Return a run by its id, or a unique beginning of it.

    Raises:
        HTTPException: there is none (404).
    """
    try:
        return site_of(request).store.run(id)
    except StoreError as error:
        raise HTTPException(404, str(error)) from error


def attachment(name: str, text: str) -> Response:
    """Return a value as a file to keep: as it was recorded, and never shown by the browser."""
    return Response(
        text.encode("utf-8", "backslashreplace"),
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        },
    )


def cut(text: str | None, most: int = MOST_SHOWN) -> str:
    """Return as much of a value as a page shows."""
    text = "" if text is None else text
    return text if len(text) <= most else text[:most] + "…"


def short(id: str) -> str:
    """Return an id short enough for a table: its beginning and its end, which tell it apart."""
    return id if len(id) <= 18 else f"{id[:8]}…{id[-6:]}"


def kind(status: str) -> Kind:
    """Return how a status or an outcome is coloured."""
    return _KINDS.get(status, ("plain", ""))[0]


def sign(status: str) -> str:
    """Return the sign that stands before a status, so that its colour is not needed."""
    return _KINDS.get(status, ("", "·"))[1]


def number(value: float | None) -> str:
    """Return a count with its thousands parted; a dash for None."""
    return "-" if value is None else f"{value:,}"


def dollars(value: float | None) -> str:
    """Return a cost in US dollars; a dash for None."""
    return "-" if value is None else f"${value:.4g}" if value < 100 else f"${value:,.0f}"


def _safe(value: Any) -> Any:
    """Return what an expression in a template gives, so that text cannot steer the page."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("coordgate.viewer"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_safe,
    )
    filters: dict[str, Callable[..., Any]] = {
        "cut": cut,
        "short": short,
        "kind": kind,
        "sign": sign,
        "moment": moment,
        "duration": duration,
        "number": number,
        "dollars": dollars,
    }
    environment.filters.update(filters)
    return environment


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
