"""The demo behind `coordgate demo`: one question, asked of real documents, guarded or bare."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from langgraph.graph.state import CompiledStateGraph  # pyright: ignore[reportMissingTypeStubs]

from coordgate.demo.agent import GUARDS, Parts, Question, State, build, choose_model, judge_answer
from coordgate.demo.documents import Library, read_folder
from coordgate.demo.screen import Live, Result, Screen, Setting, Source
from coordgate.errors import ConfigurationError, CoordgateError, HandoffError
from coordgate.graph import guard
from coordgate.stores import open_store
from coordgate.tracer import Tracer

NAME = "retrieve-draft-verify"
QUESTION = "When does a retry repeat a node?"

Graph = CompiledStateGraph[State, Parts, Question, State]
OnStep = Callable[[str, list[str]], None]


def main(args: argparse.Namespace) -> int:
    """Run the demo. Reads `docs`, `ask`, `faults`, `seed`, `bare`, `store` and `json` of `args`.

    Returns:
        0 if an answer went out, 1 if the run failed, 2 if it could not begin.
    """
    try:
        setting, parts = _prepare(args)
        store = None if args.bare else open_store(_store(args), mode="write")
    except CoordgateError as error:
        sys.stderr.write(f"coordgate: {' '.join(str(error).split())}\n")
        return 2
    screen = None if args.json else Screen()
    if screen is not None:
        screen.setting(setting)
    if store is None:
        plain = build().compile(name=NAME)  # pyright: ignore[reportUnknownMemberType]
        result = run(plain, setting.question, parts, screen.step if screen else None)
        if screen is None:
            Screen().document(setting, result)
        else:
            screen.result(setting, result)
        return 0 if result.error is None else 1
    live = Live(store, screen)
    with closing(store), Tracer(live, flush_seconds=0.02) as tracer:
        graph = guard(build(), nodes=GUARDS, tracer=tracer)
        app = graph.compile(name=NAME)  # pyright: ignore[reportUnknownMemberType]
        result = run(app, setting.question, parts, None)
    drafts = [each for each in live.transitions if each.node == "draft"]
    result = replace(result, stated=bool(drafts) and drafts[-1].status == "degraded")
    if screen is None:
        Screen().document(setting, result, live, _store(args))
    else:
        screen.result(setting, result)
        screen.caught(live.transitions)
        screen.recorded(_store(args), live.run, tracer.lost)
        screen.hint("The same without the guard:", f"coordgate demo {_flags(args)}--bare")
    return 0 if result.error is None else 1


def run(app: Graph, question: str, parts: Parts, on_step: OnStep | None) -> Result:
    """Run the agent once; whatever it raises becomes part of the result."""
    state: Mapping[str, Any] = {}
    chunk: Any
    try:
        for kind, chunk in app.stream(  # pyright: ignore[reportUnknownMemberType]
            {"question": question}, context=parts, stream_mode=["updates", "values"]
        ):
            if kind == "values":
                state = chunk
            elif on_step is not None:
                for node, update in chunk.items():
                    on_step(node, list(update or ()))
    except Exception as error:  # noqa: BLE001 - to show how a run ends is what the demo is for
        return Result(None, (), None, (), error=_told(error), failed_in=_failed_in(error))
    answer = state.get("answer")
    return Result(
        answer=answer if isinstance(answer, str | None) else repr(answer),
        sources=_sources(state),
        supported=state.get("supported"),
        objections=tuple(judge_answer(state)),
        unverified=_unverified(state),
    )


def own_documents(start: Path) -> Library:
    """Read coordgate's own README and docs: of the checkout around `start`, else of this package.

    Raises:
        ConfigurationError: there is no checkout, as after an installation from a wheel.
    """
    for folder in (start, *start.parents, Path(__file__).parents[2]):
        project = folder / "pyproject.toml"
        if not project.is_file() or not re.search(
            r'^name = "coordgate"$', project.read_text("utf-8"), re.MULTILINE
        ):
            continue
        pages = sorted((folder / "docs").rglob("*.md"))
        return read_folder(folder, only=[folder / "README.md", *pages])
    raise ConfigurationError(
        "coordgate's own documents are not here; name a folder of yours: "
        "coordgate demo --docs DIR --ask '...'"
    )


def _prepare(args: argparse.Namespace) -> tuple[Setting, Parts]:
    """Read the documents and choose the model."""
    question = QUESTION if args.ask is None else args.ask
    faults = args.faults or 0.0
    if not question.strip():
        raise ConfigurationError("--ask is empty; ask something that the documents answer")
    if not 0 <= faults <= 1:
        raise ConfigurationError(f"--faults {faults}: give a share of the calls, from 0 to 1")
    library = read_folder(Path(args.docs)) if args.docs else own_documents(Path.cwd())
    model, label = choose_model(os.environ, faults=faults, seed=args.seed or 0)
    setting = Setting(
        question=question,
        mode="bare" if args.bare else "guarded",
        model=label,
        documents=len(library.files),
        passages=len(library.passages),
        folder=str(library.root),
        skipped=tuple(f"{each.path} ({each.why})" for each in library.skipped),
    )
    return setting, Parts(model, library)


def _store(args: argparse.Namespace) -> str:
    return str(args.store or "traces.db")


def _sources(state: Mapping[str, Any]) -> tuple[Source, ...]:
    """Return the passages that the answer cites in its text, by number."""
    passages = state.get("passages", [])
    answer = state.get("answer")
    cited = {int(n) for n in re.findall(r"\[(\d+)\]", answer if isinstance(answer, str) else "")}
    return tuple(
        Source(number, passage["path"], passage["line"], passage["heading"])
        for number, passage in enumerate(passages, 1)
        if number in cited
    )


def _unverified(state: Mapping[str, Any]) -> str | None:
    """Return why the answer is not verified; None if it is, or was never to be."""
    if state.get("supported") is not False:
        return None
    reason = state.get("reason")
    if state.get("unsupported") or not isinstance(reason, str) or not reason.strip():
        return "the last check did not find every sentence supported"
    return reason.strip().rstrip(".")


def _told(error: Exception) -> str:
    """Return a coordgate error's own text, else the last line of the traceback."""
    if isinstance(error, CoordgateError):
        return str(error)
    return f"{traceback.format_exception_only(error)[0].rstrip()}"


def _failed_in(error: Exception) -> str | None:
    if isinstance(error, HandoffError):
        return error.node
    notes = " ".join(getattr(error, "__notes__", ()))
    found = re.search(r"task with name '([^']+)'", notes)
    return found[1] if found else None


def _flags(args: argparse.Namespace) -> str:
    """Return the flags of this run, to be typed again."""
    flags = {"--docs": args.docs, "--ask": args.ask}
    if args.faults:
        flags |= {"--faults": args.faults, "--seed": args.seed or 0}
    given = {flag: value for flag, value in flags.items() if value is not None}
    return "".join(f"{flag} {shlex.quote(str(value))} " for flag, value in given.items())
