"""The page of one run: how it went, as a graph and as a list of its transitions."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from coordgate.record import Run, Transition
from coordgate.show import printable
from coordgate.viewer.outcome import MARKS
from coordgate.viewer.outline import numbers_after, one_transition, outline
from coordgate.viewer.overview import choice_url, number_asked, overview_asked
from coordgate.viewer.pages import Link, attachment, is_part, page, run_asked, run_url, site_of
from coordgate.viewer.path import path_of
from coordgate.viewer.transition import Sight, sight_of

_MOST_DRAWN = 2_000
"""The graph is drawn of a run's transitions up to this number."""

_LONGEST_NAME = 200
"""The graph's texts are cut at so many characters."""


def _run(request: Request) -> Response:
    overview = overview_asked(request)
    number = number_asked(request, "number")
    sight = None
    if number is not None:
        found = one_transition(site_of(request).store, overview.run.id, number)
        sight = None if found is None else _sight(request, overview.run, found)
    return page(
        request,
        "run.html",
        overview=overview,
        run=overview.run,
        sight=sight,
        selected=number,
        marks=MARKS,
        here=partial(choice_url, request, overview),
    )


def _graph(request: Request) -> Response:
    run = run_asked(request, request.query_params.get("id", ""))
    site = site_of(request)
    lines = outline(site.store, run.id, most=_MOST_DRAWN)
    app = None if site.graph is None else site.graph.graph
    if getattr(app, "name", run.graph) != run.graph:
        app = None
    path = path_of(lines, app=app, running=run.status == "running")
    drawn = path.as_json()
    drawn["cut"] = len(lines) if len(lines) == _MOST_DRAWN else 0
    return JSONResponse(_printable(drawn))


def _printable(value: Any) -> Any:
    """Return a value whose text holds nothing that steers, and is not long."""
    if isinstance(value, str):
        return printable(value[:_LONGEST_NAME])
    match value:
        case dict():
            return {_printable(key): _printable(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_printable(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _transition(request: Request) -> Response:
    run = run_asked(request, request.query_params.get("id", ""))
    number = number_asked(request, "number")
    if not is_part(request):
        return RedirectResponse(run_url(request, run.id, number=number), 303)
    store = site_of(request).store
    found = None if number is None else one_transition(store, run.id, number)
    if found is None:
        raise HTTPException(404, f"run {run.id} has no transition {number}")
    return page(request, "transition.html", run=run, sight=_sight(request, run, found))


def _sight(request: Request, run: Run, found: Transition) -> Sight:
    later = numbers_after(site_of(request).store, run.id, found.number, 1)
    return sight_of(found, later[0] if later else None)


def _value(request: Request) -> Response:
    run = run_asked(request, request.query_params.get("id", ""))
    number = number_asked(request, "number")
    found = None if number is None else one_transition(site_of(request).store, run.id, number)
    part = request.query_params.get("part", "")
    text = None
    if found is not None and part in ("reads", "writes"):
        text = found.reads if part == "reads" else found.writes
    elif found is not None and part == "output":
        attempt = number_asked(request, "attempt")
        text = next((each.output for each in found.attempts if each.number == attempt), None)
        part = f"output-{attempt}"
    if text is None:
        raise HTTPException(404, "there is no such value")
    return attachment(f"{number}-{part}.json", text)


routes = [
    Route("/run", _run),
    Route("/run/graph", _graph),
    Route("/run/transition", _transition),
    Route("/run/value", _value),
]
links: list[Link] = []
