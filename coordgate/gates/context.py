"""Context: gates on what a retrieval hands over, before anything is written from it."""

from __future__ import annotations

import math
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, RungName, Verdict, gate
from coordgate.gates.instructions import instructions_in
from coordgate.gates.retrieved import Retrieved, documents, listed, number_of
from coordgate.gates.values import Unreadable, checked_key, is_collection, is_empty, read

_AHEAD = timedelta(days=1)
_SHINGLE = 3

Runs: TypeAlias = frozenset[tuple[str, ...]]
_NO_RUNS: Runs = frozenset()

Judge: TypeAlias = Callable[[list[Retrieved], Any], Verdict]


def enough(key: str | None = None, *, at_least: int = 1, otherwise: RungName | None = None) -> Gate:
    """Pass if at least so many documents with text were retrieved; their number is the score.

    `key` names where the documents are in the output; without it the output itself is the list.

    Raises:
        ConfigurationError: `at_least` is not a whole number from 1.
    """
    if type(at_least) is not int or at_least < 1:
        raise ConfigurationError(f"enough: at_least={at_least!r} is not a whole number from 1")

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        count = sum(not is_empty(document.text) for document in found)
        if count < at_least:
            held = "nothing was retrieved" if not found else f"{_documents(count)} with text"
            return Verdict.reject(f"{held}, at least {at_least} required", count)
        return Verdict.accept(count)

    return _context_gate(judge, "enough", key, (at_least,), otherwise)


def relevant(
    key: str | None = None,
    *,
    similarity: float | None = None,
    distance: float | None = None,
    field: str | None = None,
    documents: int | None = None,
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if the documents' scores are on the right side of a bound, which counts as inside.

    Give `similarity` where more is better: it is the least that passes; `distance` where less is
    better: it is the most. A document's score is the number it is paired with, or the one in its
    metadata under `field`, which is `score` unless it is said. With `documents`, so many of them
    are enough; otherwise it must be all. The verdict's score is that of the document which decides.

    Raises:
        ConfigurationError: not exactly one of `similarity` and `distance` is given.
    """
    bounds = [bound for bound in (similarity, distance) if bound is not None]
    if len(bounds) != 1 or not isinstance(bounds[0], int | float) or not math.isfinite(bounds[0]):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
        raise ConfigurationError(
            "relevant: say which way the scores go: similarity=0.7, the least that passes where "
            "more is better, or distance=0.4, the most that passes where less is better"
        )
    if documents is not None and (type(documents) is not int or documents < 1):
        raise ConfigurationError(f"relevant: documents={documents!r} is not a whole number from 1")
    rising = similarity is not None
    bound = bounds[0]

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        scored = [(number_of(document, field), document) for document in found]
        unknown = [document.name for number, document in scored if number is None]
        if unknown:
            place = "score" if field is None else field
            raise Unreadable(
                f"no score on {listed(unknown)}: pair each document with its score, or put that "
                f"into its metadata under {place!r}"
            )
        ranked = sorted((n for n, _ in scored if n is not None), reverse=rising)
        poor = [
            f"{document.name} has {number:.4g}"
            for number, document in scored
            if number is not None and (number < bound if rising else number > bound)
        ]
        wanted = len(ranked) if documents is None else documents
        deciding = ranked[wanted - 1] if 0 < wanted <= len(ranked) else None
        if len(ranked) - len(poor) >= wanted:
            return Verdict.accept(deciding)
        word = f"similarity of at least {bound:g}" if rising else f"distance of at most {bound:g}"
        held = f": {listed(poor)}" if poor else ""
        return Verdict.reject(
            f"{len(ranked) - len(poor)} of {_documents(len(ranked))} have a {word}, "
            f"{wanted} must{held}",
            deciding,
        )

    parameters = ("similarity" if rising else "distance", bound, field, documents)
    return _context_gate(judge, "relevant", key, parameters, otherwise)


def fresh(
    key: str | None = None,
    *,
    field: str,
    max_age: timedelta,
    clock: Callable[[], float] | None = None,
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if no document is older than `max_age`; the score is the greatest age in days.

    `field` of a document's metadata holds a date: a datetime, a date, an ISO 8601 text, or seconds
    since the epoch. One without a time zone is taken as UTC. A document without a date that can be
    read, or dated more than a day ahead, has not passed. `clock` gives seconds since the epoch;
    None is the system's.

    Raises:
        ConfigurationError: `max_age` is not above zero.
    """
    if not isinstance(max_age, timedelta) or max_age <= timedelta(0):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
        raise ConfigurationError(f"fresh: max_age={max_age!r}: give a timedelta, timedelta(days=7)")
    now_in_seconds = clock or time.time

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        now = datetime.fromtimestamp(now_in_seconds(), UTC)
        oldest = timedelta(0)
        stale: list[str] = []
        undated: list[str] = []
        for document in found:
            dated = _date(document.metadata.get(field))
            if dated is None or dated - now > _AHEAD:
                undated.append(document.name)
                continue
            age = max(now - dated, timedelta(0))
            oldest = max(oldest, age)
            if age > max_age:
                stale.append(f"{document.name} is {_days(age)} old")
        reasons = [f"{listed(stale)}; at most {_days(max_age)} is allowed"] if stale else []
        if undated:
            reasons.append(f"no usable date in {field!r} of {listed(undated)}")
            raise Unreadable("; ".join(reasons))
        days = oldest / timedelta(days=1)
        return Verdict.reject(reasons[0], days) if reasons else Verdict.accept(days)

    return _context_gate(judge, "fresh", key, (field, _days(max_age)), otherwise)


def distinct(
    key: str | None = None, *, near: float = 1.0, otherwise: RungName | None = None
) -> Gate:
    """Pass if no document repeats another; the score is the share of those that repeat none.

    Case, punctuation and white space are not looked at. With `near` below 1, two texts are also
    the same if they share that part of their runs of three words (Jaccard's index; Broder 1997).

    Raises:
        ConfigurationError: `near` is not above 0 and at most 1.
    """
    if not 0 < near <= 1:
        raise ConfigurationError(f"distinct: near={near!r} is not above 0 and at most 1")

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        kept: list[tuple[Retrieved, tuple[str, ...], Runs]] = []
        repeated: list[str] = []
        for document in found:
            words = _words(document.text)
            runs = _shingles(words) if near < 1 else _NO_RUNS
            first = next((d for d, w, r in kept if w == words or _alike(r, runs, near)), None)
            if first is None:
                kept.append((document, words, runs))
            else:
                repeated.append(f"{document.name} repeats {first.name}")
        score = len(kept) / len(found) if found else 1.0
        return Verdict.reject(listed(repeated), score) if repeated else Verdict.accept(score)

    return _context_gate(judge, "distinct", key, (near,), otherwise)


def estimated_tokens(text: str) -> int:
    """Return an estimate of a text's tokens: one for four ASCII characters, one for each other.

    It is a rule of thumb, not a tokenizer: it errs high on most alphabets that are not Latin.
    """
    others = sum(not character.isascii() for character in text)
    return math.ceil((len(text) - others) / 4) + others


def within_tokens(
    key: str | None = None,
    *,
    at_most: int,
    count: Callable[[str], int] = estimated_tokens,
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if the documents' texts have at most so many tokens together; the sum is the score.

    `count` says how many tokens a text has: an estimate, unless a tokenizer's own is given.

    Raises:
        ConfigurationError: `at_most` is not a whole number from 1.
    """
    if type(at_most) is not int or at_most < 1:
        raise ConfigurationError(f"within_tokens: at_most={at_most!r} is not a whole number from 1")
    if not callable(count):
        raise ConfigurationError(f"within_tokens: count={count!r} is no function of a text")
    about = "about " if count is estimated_tokens else ""

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        counted = [count(document.text) for document in found]
        total = sum(counted)
        if total > at_most:
            longest = max(zip(counted, found, strict=True), key=lambda pair: pair[0])
            return Verdict.reject(
                f"{_documents(len(found))} have {about}{total} tokens, at most {at_most} are "
                f"allowed; the longest is {longest[1].name} with {longest[0]}",
                total,
            )
        return Verdict.accept(total)

    return _context_gate(judge, "within_tokens", key, (at_most,), otherwise)


def sourced(
    key: str | None = None,
    *,
    fields: Sequence[str] = ("source",),
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if each document says where it comes from: its metadata has all of `fields`, not empty.

    Raises:
        ConfigurationError: no field is given.
    """
    if isinstance(fields, str) or not fields:
        raise ConfigurationError(f'sourced: fields={fields!r}: give names, fields=("source",)')
    wanted = tuple(fields)

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        bare: list[str] = []
        for document in found:
            lacking = [name for name in wanted if is_empty(document.metadata.get(name))]
            if lacking:
                bare.append(f"{document.name} has no {' and no '.join(lacking)}")
        score = 1 - len(bare) / len(found) if found else 1.0
        return Verdict.reject(listed(bare), score) if bare else Verdict.accept(score)

    return _context_gate(judge, "sourced", key, wanted, otherwise)


def permitted(
    key: str | None = None,
    *,
    who: str | Callable[[], Any],
    readers: str = "readers",
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if the user may read each document: one of `who` stands among its `readers`.

    `who` is a key of the state, or a function without arguments, that gives the user's name, or
    names and groups; it is never read from the output. `readers` names the metadata that holds
    who may read. A document without it may be read by nobody. Reasons name documents by their
    place alone, since the titles of what the user may not read are not theirs to see either.
    """
    if not callable(who):
        checked_key(who, "permitted: who")

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        asked = read(state, who, of="the state") if isinstance(who, str) else who()
        names = _names(asked)
        if not names:
            raise Unreadable("nobody is named as the user")
        refused = [
            f"document {document.place}"
            for document in found
            if names.isdisjoint(_names(document.metadata.get(readers)))
        ]
        if refused:
            return Verdict.reject(f"the user may not read {listed(refused)}")
        return Verdict.accept()

    named = who if isinstance(who, str) else getattr(who, "__name__", "who")
    return _context_gate(judge, "permitted", key, (named, readers), otherwise)


def no_instructions(key: str | None = None, *, otherwise: RungName | None = None) -> Gate:
    """Pass if no document holds what looks like an instruction to a model; the score is the share.

    Text and metadata are looked at by rules, which find the blunt and the common attempts; what
    they find and miss is measured in the documentation. The reason says where and of what kind it
    is, and does not repeat it: reasons are read by models too.
    """

    def judge(found: list[Retrieved], state: Any) -> Verdict:
        reasons: list[str] = []
        for document in found:
            kinds = {kind: None for text in _texts(document) for kind in instructions_in(text)}
            if kinds:
                reasons.append(f"document {document.place}: {', '.join(kinds)}")
        score = 1 - len(reasons) / len(found) if found else 1.0
        if reasons:
            return Verdict.reject(
                f"looks like instructions hidden in the text ({'; '.join(reasons[:5])})", score
            )
        return Verdict.accept(score)

    return _context_gate(judge, "no_instructions", key, (), otherwise)


def _context_gate(
    judge: Judge,
    kind: str,
    key: str | None,
    parameters: Sequence[Any],
    otherwise: RungName | None,
) -> Gate:
    if key is not None:
        checked_key(key, kind)

    def ask(output: Any, state: Any) -> Verdict:
        try:
            verdict = judge(documents(output, key), state)
        except Unreadable as error:
            return error.verdict()
        if verdict.passed or key is None:
            return verdict
        return replace(verdict, reason=f"{key}: {verdict.reason}")

    shown = [str(each) for each in (key, *parameters) if each is not None]
    return gate(name=f"{kind}({', '.join(shown)})", otherwise=otherwise)(ask)


def _texts(document: Retrieved) -> Iterator[str]:
    yield document.text
    for value in document.metadata.values():
        for each in value if is_collection(value) else [value]:
            if isinstance(each, str):
                yield each


def _names(value: Any) -> frozenset[Any]:
    held = value if is_collection(value) else (value,)
    # True is no name, and would be the user 1.
    return frozenset(
        each
        for each in held
        if isinstance(each, str | int) and not isinstance(each, bool) and each != ""
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def _shingles(words: tuple[str, ...]) -> Runs:
    if len(words) < _SHINGLE:
        return frozenset({words}) if words else _NO_RUNS
    return frozenset(zip(*(words[start:] for start in range(_SHINGLE)), strict=False))


def _alike(one: Runs, other: Runs, near: float) -> bool:
    shared, either = len(one & other), len(one | other)
    return bool(either) and shared / either >= near


def _date(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _days(age: timedelta) -> str:
    days = age / timedelta(days=1)
    return f"{days:.0f} days" if days >= 2 else f"{age / timedelta(hours=1):.0f} hours"


def _documents(count: int) -> str:
    return "1 document" if count == 1 else f"{count} documents"
