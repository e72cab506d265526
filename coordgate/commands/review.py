"""`coordgate review`: what waits for a person, and a person's answer to it."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from coordgate.answers import Approve, Edit, Reject, RetryWith
from coordgate.errors import ConfigurationError
from coordgate.loading import OpenGraph, open_graph
from coordgate.review import (
    SHOWN,
    Answered,
    Waiting,
    answer,
    chosen,
    name_of,
    recorded_in,
    threads_in,
    threads_of,
    waiting_in,
)
from coordgate.show import moment, printable
from coordgate.stores import open_store

_NOTHING = "nothing waits for a person"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = (
        "List what waits for a person, show one question, and answer it: the run then goes on in "
        "this process. From a store alone it lists and shows."
    )
    parser.add_argument(
        "target", metavar="TARGET", help="a guarded graph (FILE.py:NAME), or a store it records to"
    )
    parser.add_argument("which", metavar="WHICH", nargs="?", help="a thread, or a question's id")
    parser.add_argument("--app", metavar="FILE.py:NAME", help="the graph, if TARGET is a store")
    answers = parser.add_mutually_exclusive_group()
    answers.add_argument("--approve", action="store_true", help="ship what is shown")
    answers.add_argument(
        "--edit", metavar="FILE", help="ship the update in this JSON file instead; - is stdin"
    )
    answers.add_argument("--reject", metavar="REASON", help="ship nothing of it")
    answers.add_argument("--retry", metavar="FEEDBACK", help="run the node again, told this")
    parser.add_argument(
        "--override", action="store_true", help="with --edit: past the gates, not the contract"
    )
    parser.add_argument("--by", metavar="NAME", default="", help="who answers, for the record")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """List, show or answer; return 1 if an answer was refused, or the run failed after it."""
    target: str = arguments.target
    given = _given(arguments)
    if _is_graph(target):
        if arguments.app:
            raise ConfigurationError("--app is for a store; the graph is given already")
        with open_graph(target) as opened:
            waiting: list[Waiting] = []
            if arguments.which is not None:  # a thread that is named spares a look at all of them
                waiting = list(waiting_in(opened, [arguments.which]))
            waiting = waiting or list(waiting_in(opened, threads_of(opened)))
            return _review(arguments, given, opened, waiting)
    store = open_store(target)
    try:
        recorded = list(recorded_in(store)) if arguments.app is None else []
        threads = threads_in(store) if arguments.app is not None else []
    finally:
        store.close()
    if arguments.app is None:
        if given is not None:
            raise ConfigurationError(
                f"{target} holds the record, and not the graph that would go on: give it with "
                "--app FILE.py:NAME"
            )
        return _review(arguments, None, None, recorded)
    with open_graph(arguments.app) as opened:
        return _review(arguments, given, opened, list(waiting_in(opened, threads)))


def _is_graph(target: str) -> bool:
    place, colon, _ = target.rpartition(":")
    return bool(colon) and bool(place) and "://" not in target and not Path(target).exists()


def _given(arguments: argparse.Namespace) -> Mapping[str, Any] | None:
    """Return the answer that was given by flags."""
    by: str = arguments.by
    if arguments.override and arguments.edit is None:
        raise ConfigurationError("--override goes with --edit; an approval is past the gates as is")
    if arguments.approve:
        return Approve(by=by)
    if arguments.edit is not None:
        return Edit(_update(arguments.edit), override=arguments.override, by=by)
    if arguments.reject is not None:
        return Reject(arguments.reject, by=by)
    if arguments.retry is not None:
        return RetryWith(arguments.retry, by=by)
    return None


def _update(file: str) -> Any:
    try:
        return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"--edit {file}: cannot be read as JSON: {error}; give the whole update, such as "
            '{"draft": "..."}'
        ) from error


def _review(
    arguments: argparse.Namespace,
    given: Mapping[str, Any] | None,
    opened: OpenGraph | None,
    waiting: Sequence[Waiting],
) -> int:
    found = chosen(waiting, arguments.which)
    if arguments.which is not None and not found:
        some = ", ".join(dict.fromkeys(each.thread for each in waiting)) or "none"
        raise ConfigurationError(
            f"nothing waits for a person under {arguments.which!r}; the threads that wait: {some}"
        )
    if given is not None:
        return _answer(arguments, given, opened, found)
    one = found[0] if len(found) == 1 else None
    if arguments.json:
        _put_json({"target": arguments.target, "waiting": [_document(each) for each in found]})
    elif not found:
        _put(_NOTHING)
    elif one is None or (arguments.which is None and not _asks()):
        _put_list(found)
        _put(_hint(arguments, found[0], found))
    else:
        _put_one(one)
        if opened is not None and _asks():
            return _converse(arguments, opened, one)
        _put(_hint(arguments, one, waiting))
    return 0


def _answer(
    arguments: argparse.Namespace,
    given: Mapping[str, Any],
    opened: OpenGraph | None,
    found: Sequence[Waiting],
) -> int:
    assert opened is not None
    if len(found) != 1:
        which = ", ".join(f"{each.thread} {each.id[:SHOWN]}" for each in found)
        raise ConfigurationError(
            f"{len(found)} questions wait; name one by its thread or id: {which}"
            if found
            else f"{_NOTHING}, so there is nothing to answer"
        )
    came = answer(opened, found[0], given)
    next_ones = [] if came.result != "interrupted" else list(waiting_in(opened, [found[0].thread]))
    if arguments.json:
        _put_json(
            {
                "target": arguments.target,
                "answered": {"thread": found[0].thread, "id": found[0].id, **given},
                "result": came.result,
                "reasons": list(came.reasons),
                "values": came.values,
                "waiting": [_document(each) for each in next_ones],
            }
        )
    else:
        _put_outcome(came, next_ones)
    return _code(came)


def _code(came: Answered) -> int:
    return int(came.result == "refused" or (came.result == "failed" and not came.rejected))


def _converse(arguments: argparse.Namespace, opened: OpenGraph, asked: Waiting) -> int:
    """Take answers as they are typed, until one is taken or there are no more."""
    while True:
        given = _typed(asked, arguments.by)
        if given is None:
            _put("left as it is")
            return 0
        came = answer(opened, asked, given)
        still = list(waiting_in(opened, [asked.thread]))
        _put_outcome(came, [] if came.result == "refused" else still)
        if came.result != "refused":
            return _code(came)
        (asked,) = [each for each in still if each.task == asked.task]


def _typed(asked: Waiting, by: str) -> Mapping[str, Any] | None:
    names = ", ".join(asked.answers)
    while True:
        word = _line(f"answer ({names}; Enter leaves it): ")
        match word:
            case None | "":
                return None
            case "approve":
                return Approve(by=by)
            case "reject":
                return Reject(_line("reason: ") or "", by=by)
            case "retry":
                return RetryWith(_line("what should it do otherwise? ") or "", by=by)
            case "edit" | "override":
                update = _typed_update()
                if update is not None:
                    return Edit(update, override=word == "override", by=by)
            case _:
                _put(f"{word!r} is no answer here; an edit past the gates is `override`")


def _typed_update() -> Any:
    """Return an update typed as JSON, over as many lines as it takes; None if it is none."""
    text = _line("the whole update, as JSON: ") or ""
    while text:
        try:
            return json.loads(text)
        except ValueError as error:
            more = _line("... ")
            if not more:
                _put(f"this is no JSON: {error}")
                return None
            text = f"{text}\n{more}"
    return None


def _line(prompt: str) -> str | None:
    try:
        return input(prompt).strip()
    except EOFError:
        _put("")
        return None


def _asks() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _put(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _put_json(document: Any) -> None:
    plain = to_jsonable_python(document, fallback=repr, inf_nan_mode="strings")
    _put(json.dumps(plain, indent=2, ensure_ascii=True))


def _put_list(found: Sequence[Waiting]) -> None:
    rows = [("THREAD", "NODE", "TO", "SINCE (UTC)", "DEADLINE (UTC)", "ID")]
    rows += [
        (
            printable(each.thread),
            printable(each.node),
            printable(each.to),
            moment(each.since),
            _deadline(each),
            each.id[:SHOWN],
        )
        for each in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for place, row in enumerate(rows):
        _put("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
        if place:
            for reason in found[place - 1].reasons[-1:]:
                _put(f"    {printable(' '.join(reason.split()))}")


def _deadline(asked: Waiting) -> str:
    return "-" if asked.until is None else moment(asked.until)


def _put_one(asked: Waiting) -> None:
    _put(f"thread {printable(asked.thread)}  node {printable(asked.node)}")
    _put(f"asks {printable(asked.to)}, since {moment(asked.since)} UTC")
    if asked.until is not None:
        _put(f"until {moment(asked.until)} UTC; then the policy goes on when the run is touched")
    if asked.candidate is None:
        _put("nothing was handed over")
    else:
        _put("would ship:")
        plain = to_jsonable_python(asked.candidate, fallback=repr, inf_nan_mode="strings")
        for line in json.dumps(plain, indent=2, ensure_ascii=False).splitlines():
            _put(f"  {printable(line)}")
    if asked.goto:
        _put(f"and go to {printable(', '.join(asked.goto))}")
    _put("attempts:")
    for each in asked.attempts:
        _put(f"  {each['number']} {printable(each['rung'])}: {each['outcome']}")
        for reason in each["reasons"]:
            _put(f"      {printable(reason)}")
    for reason in asked.refused:
        _put(f"the last answer was refused: {printable(reason)}")
    _put(f"may be answered with: {', '.join(asked.answers)}")


def _put_outcome(came: Answered, waiting: Sequence[Waiting]) -> None:
    match came.result:
        case "refused":
            _put("refused; the question is still open:")
        case "failed":
            _put("taken; the run has failed:")
        case "interrupted":
            _put("taken; the run waits again:")
        case "completed":
            _put("taken; the run is complete")
    for reason in came.reasons:
        for line in printable(reason).splitlines():
            _put(f"  {line}")
    if waiting:
        _put_list(waiting)
    elif came.result == "interrupted":
        _put("  a node asks a question of its own; answer it with Command(resume=...)")


def _hint(arguments: argparse.Namespace, asked: Waiting, waiting: Sequence[Waiting]) -> str:
    app = arguments.app or (None if _is_graph(arguments.target) else "FILE.py:NAME")
    named = name_of(asked, waiting)
    parts = ["coordgate review", shlex.quote(arguments.target), shlex.quote(named)]
    parts += ["--app", app] if app is not None else []
    ways = "--approve | --edit FILE | --reject REASON | --retry FEEDBACK"
    return printable(f"answer with: {' '.join(parts)} [{ways}] [--by NAME]")


def _document(asked: Waiting) -> dict[str, Any]:
    found = asdict(asked)
    del found["task"]
    return found
