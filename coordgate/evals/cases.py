"""Cases: what a graph is asked and what would be right, from JSON lines, Python, or LangSmith."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from langsmith import Client
from langsmith.schemas import Example

from coordgate.errors import ConfigurationError
from coordgate.loading import load

_INPUT = ("input", "inputs")
_EXPECTED = ("expected", "outputs", "reference_outputs")
_LANGSMITH = "langsmith:"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to ask a graph."""

    id: str
    """What it is called; unique among the cases."""
    input: Any
    """What the graph is invoked with."""
    expected: Any = None
    """What would be right; None leaves that to the scorer."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Whatever else belongs to it."""


def read_cases(source: str) -> list[Case]:
    """Return the cases that a source holds.

    `cases.jsonl` has an object a line: `input` (or `inputs`), and if wanted `id`, `expected` (or
    `outputs`) and `metadata`. `FILE.py:NAME` names a list, or a function that gives one, of cases,
    of such dicts, or of LangSmith's `Example`. `langsmith:NAME` is a dataset of LangSmith's.

    Raises:
        ConfigurationError: it cannot be read, holds no cases, or something in it is none.
    """
    if source.startswith(_LANGSMITH):
        found = _from_langsmith(source.removeprefix(_LANGSMITH))
    elif Path(source).suffix in {".jsonl", ".ndjson"}:
        found = _from_lines(Path(source))
    else:
        loaded = load(source)
        given: Any = loaded() if callable(loaded) else loaded
        found = ((f"{source}, item {n}", each) for n, each in enumerate(given, start=1))
    cases = [_case(thing, number, where) for number, (where, thing) in enumerate(found, start=1)]
    if not cases:
        raise ConfigurationError(f"{source}: holds no cases")
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise ConfigurationError(
                f"{source}: two cases have the id {case.id!r}; give each its own"
            )
        seen.add(case.id)
    return cases


def _from_lines(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cases cannot be read: {error.strerror}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except ValueError:
                raise ConfigurationError(
                    f"{path}:{number}: no JSON; a line is one case, as an object"
                ) from None


def _from_langsmith(name: str) -> Iterator[tuple[str, Any]]:
    try:
        examples: Iterable[Example] = Client().list_examples(dataset_name=name)  # pyright: ignore[reportUnknownMemberType] - LangSmith leaves a parameter open
        for number, each in enumerate(examples, start=1):
            yield f"{_LANGSMITH}{name}, example {number}", each
    except Exception as error:
        raise ConfigurationError(
            f"{_LANGSMITH}{name}: LangSmith does not give the dataset: {type(error).__name__}: "
            f"{error}"
        ) from error


def _case(thing: Any, number: int, where: str) -> Case:
    if isinstance(thing, Case):
        return thing
    if isinstance(thing, Example):
        return Case(str(thing.id), thing.inputs, thing.outputs, thing.metadata or {})
    given = cast("dict[str, Any]", thing) if isinstance(thing, dict) else {}
    name = next((each for each in _INPUT if each in given), None)
    if name is None:
        raise ConfigurationError(
            f'{where}: no case; write {{"id": "1", "input": {{...}}, "expected": ...}}'
        )
    expected = next((given[each] for each in _EXPECTED if each in given), None)
    return Case(str(given.get("id", number)), given[name], expected, given.get("metadata") or {})
