"""The review inbox: what waits for a person, answered here if the graph was given."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coordgate.record import Run
from coordgate.review import Waiting, name_of, recorded_in, threads_in
from coordgate.stores import SqliteStore, Store
from coordgate.viewer.desk import Desk, Going, Key, key_of, print_of
from coordgate.viewer.forms import MOST_EDITED, Typed, begun, given_in, json_text, read_form
from coordgate.viewer.pages import Link, attachment, is_part, page, site_of, url

_MOST: Final = 200
"""How many questions the list shows, and about how many threads a graph is asked for it."""

_RECORDED: Final = 10.0
"""So many seconds after its end a run is recorded, or never will be."""

_PATIENCE: Final = 0.3
"""How many seconds the answer to an answer waits for the run."""


def _inbox(request: Request) -> Response:
    """Return the list of what waits; to htmx the list alone."""
    desk = _desk(request)
    found, strangers, left = _all_waiting(request)
    text = " ".join(print_of(each) for each in (*found, *strangers))
    state = hashlib.sha256(text.encode()).hexdigest()[:16]
    if is_part(request) and request.query_params.get("seen") == state:
        return Response(status_code=204)  # nothing has changed: what has the focus keeps it
    values: dict[str, Any] = {
        "here": url(request, "/inbox", seen=state),
        "waiting": found[:_MOST],
        "more": max(0, len(found) - _MOST) + left,
        "strangers": strangers,
        "app": None if desk is None else desk.graph.target,
        "to": _to(request),
    }
    return page(request, "inbox_part.html" if is_part(request) else "inbox.html", **values)


def _all_waiting(request: Request) -> tuple[list[Waiting], list[Waiting], int]:
    """Return what waits, what was recorded so that the graph does not know, and what is left.

    A graph is asked about each thread by itself, so about those last begun alone.
    """
    store, desk = site_of(request).store, _desk(request)
    if desk is None:
        return list(recorded_in(store)), [], 0
    threads = threads_in(store)
    looked = set(threads[:_MOST])
    found = desk.waiting(threads[:_MOST])
    known = {each.thread for each in found}
    unknown = [e for e in recorded_in(store) if e.thread in looked and e.thread not in known]
    strangers = [each for each in unknown if desk.never_saw(each.thread)]
    return found, strangers, len(threads) - len(looked)


def _question(request: Request) -> Response:
    """Return one question, with the form to answer it."""
    asked = _asked(request)
    if asked is None:
        return page(request, "inbox_gone.html", status=404, typed=None)
    desk = _desk(request)
    known = None if desk is None else desk.answered(key_of(asked))
    if known is not None:
        return _see(request, known, unused=False)
    return _ask(request, asked, begun(asked))


def _asked(request: Request) -> Waiting | None:
    """Return the question that the query names, from the graph if it is there."""
    thread, id = (request.query_params.get(name, "") for name in ("thread", "id"))
    desk = _desk(request)
    if desk is not None:
        return desk.question(thread, id)
    found = (each for each in recorded_in(site_of(request).store) if each.thread == thread)
    return next((each for each in found if each.id == id), None)


def _candidate(request: Request) -> Response:
    """Return a candidate as a file, whole."""
    asked = _asked(request)
    if asked is None:
        raise HTTPException(404, "this question does not wait any more")
    return attachment("candidate.json", json_text(asked.candidate))


def _ask(
    request: Request, asked: Waiting, typed: Typed, *, status: int = 200, notice: str = ""
) -> Response:
    """Return the page of a question, its form filled with what was typed."""
    desk = _desk(request)
    text = "" if asked.candidate is None else json_text(asked.candidate)
    store = site_of(request).store
    recorded = [each for each in recorded_in(store) if each.thread == asked.thread]
    values: dict[str, Any] = {
        "asked": asked,
        "question": json.dumps([*key_of(asked), asked.task]),
        "typed": typed,
        "notice": notice,
        "candidate": text[:MOST_EDITED],
        "left_out": max(0, len(text) - MOST_EDITED),
        "form": _form_of(asked),
        "app": None if desk is None else desk.graph.target,
        "command": _command(request, asked, recorded),
        "run": next((each.run for each in recorded if each.node == asked.node and each.run), None),
        "is_late": asked.until is not None and time.time() > asked.until,
        "whole": url(request, "/inbox/candidate", thread=asked.thread, id=asked.id),
        "to": _to(request),
    }
    return page(request, "inbox_question.html", status=status, **values)


def _form_of(asked: Waiting) -> str:
    """Return the schema of an update, as the question tells it; empty if it does not."""
    edit: Any = asked.answers.get("edit") or {}
    update: Any = edit.get("properties", {}).get("update")
    return json_text(update) if update else ""


async def _answer(request: Request) -> Response:
    """Take an answer to a question as it was shown."""
    form = await request.form()
    return await run_in_threadpool(_take, request, form)


def _take(request: Request, form: Any) -> Response:
    desk = _desk(request)
    if desk is None:
        raise HTTPException(403, "no graph was given, so nothing can be answered here")
    key, task = _shown(str(form.get("question", "")))
    typed = read_form(form, {"approve": 0, "edit": 0, "reject": 0, "retry": 0})
    known = desk.answered(key)
    if known is not None:  # sent twice, or from a second page
        return _see(request, known, unused=not typed.wrong and given_in(typed) != known.given)
    asked = desk.question(key[0], key[1], task)
    if asked is None:
        return page(request, "inbox_gone.html", status=409, typed=typed)
    if key_of(asked) != key:
        changed = (
            "Your answer was not used: this question is another than the one that you were shown. "
            "It was answered or changed meanwhile. What you typed is still here."
        )
        return _ask(request, asked, replace(typed, wrong={}), status=409, notice=changed)
    typed = read_form(form, asked.answers)
    if typed.wrong:
        return _ask(request, asked, typed, status=422)
    given = given_in(typed)
    going, is_mine = desk.answer(asked, given, typed)
    return _see(request, going, unused=not is_mine and given != going.given)


def _shown(text: str) -> tuple[Key, str]:
    """Return which question was shown, and its task, as the form says."""
    try:
        thread, id, hash, task = json.loads(text)
    except (ValueError, TypeError) as error:
        raise HTTPException(400, "the form does not say which question it answers") from error
    return (str(thread), str(id), str(hash)), str(task)


def _see(request: Request, going: Going, *, unused: bool) -> Response:
    path = f"/inbox/answers/{going.number}"
    return RedirectResponse(url(request, path, unused=1 if unused else None), 303)


def _answered(request: Request) -> Response:
    """Return where a run stands that goes on with an answer, and what came of it."""
    desk = _desk(request)
    going = None if desk is None else desk.numbered(request.path_params["number"])
    if going is None:
        raise HTTPException(404, "there is no such answer; this viewer may have been begun anew")
    is_done = going.done.wait(_PATIENCE)  # asked once: it may be done a moment later
    run = _run_since(site_of(request).store, going)
    if is_done and not is_part(request) and going.came and going.came.result == "refused":
        assert desk is not None
        again = desk.question(going.asked.thread, "", going.asked.task)
        if again is not None and desk.answered(key_of(again)) is None:
            return _ask(request, again, going.sent)
    values: dict[str, Any] = {
        "going": going,
        "is_done": is_done,
        "is_open": not is_done or _is_being_recorded(going, run),
        "run": run,
        "nodes": _nodes_of(site_of(request).store, run),
        "values": _values(going),
        "unused": bool(request.query_params.get("unused")),
        "here": url(request, f"/inbox/answers/{going.number}", done=1 if is_done else None),
        "to": _to(request),
    }
    if is_part(request):
        response = page(request, "inbox_going.html", **values)
        if is_done and not request.query_params.get("done"):
            # The whole page, once: it may be the question again.
            response.headers["HX-Refresh"] = "true"
        return response
    return page(request, "inbox_answer.html", **values)


def _is_being_recorded(going: Going, run: Run | None) -> bool:
    """Return whether the record of a run that has come to its end may still be under way."""
    if run is not None and run.status != "running":
        return False
    return going.came is not None and time.time() - (going.ended or 0.0) < _RECORDED


def _values(going: Going) -> str:
    if going.came is None or going.came.values is None:
        return ""
    return json_text(going.came.values)[:MOST_EDITED]


def _run_since(store: Store, going: Going) -> Run | None:
    """Return the run that goes on with an answer, if it is recorded already."""
    thread = going.asked.thread
    if isinstance(store, SqliteStore):
        found = store.query(
            "SELECT id FROM runs WHERE started >= ? AND thread = ? ORDER BY started LIMIT 1",
            [going.began - 0.001, thread],
        )
        return store.run(found[0][0]) if found else None
    latest: Run | None = None
    for run in store.runs():
        if run.started < going.began - 0.001:
            break
        if run.thread == thread:
            latest = run
    return latest


def _nodes_of(store: Store, run: Run | None) -> Sequence[tuple[str, str]]:
    """Return the nodes of a run so far, with their statuses: the last ones of many."""
    if run is None:
        return []
    return [(each.node, each.status) for each in store.transitions(run.id)][-20:]


def _command(request: Request, asked: Waiting, recorded: list[Waiting]) -> str:
    """Return the command that answers a question in a terminal."""
    site, desk = site_of(request), _desk(request)
    app = "FILE.py:NAME" if desk is None else desk.graph.target
    parts = ["coordgate review", shlex.quote(site.name), shlex.quote(name_of(asked, recorded))]
    parts += ["--app", app]
    ways = {
        "approve": "--approve",
        "edit": "--edit FILE",
        "reject": "--reject REASON",
        "retry": "--retry FEEDBACK",
    }
    allowed = [flag for name, flag in ways.items() if name in asked.answers or not asked.answers]
    return f"{' '.join(parts)} [{' | '.join(allowed)}] --by NAME"


def _to(request: Request) -> Callable[[Waiting], str]:
    """Return what makes the address of a question's page."""

    def to(asked: Waiting) -> str:
        return url(request, "/inbox/question", thread=asked.thread, id=asked.id)

    return to


def _desk(request: Request) -> Desk | None:
    return cast("Desk | None", request.app.state.desk)


routes = [
    Route("/inbox", _inbox),
    Route("/inbox/question", _question),
    Route("/inbox/candidate", _candidate),
    Route("/inbox/answer", _answer, methods=["POST"]),
    Route("/inbox/answers/{number}", _answered),
]
links = [Link("/inbox", "Inbox")]
