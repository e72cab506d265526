"""Text: gates that judge prose against its sources: citations and groundedness."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, RungName, Verdict, gate
from coordgate.gates.grounding import says_something, source, unsupported
from coordgate.gates.rules import compiled_pattern
from coordgate.gates.sentences import Sentence, split, without_citations
from coordgate.gates.values import (
    Passage,
    Unreadable,
    checked_key,
    fields,
    passages,
    read_state_first,
    read_text,
    text_of,
)

CITATION = r"\[\^?([^\[\]\n]{1,80})\](?!\()"
"""What `cites` takes for a citation: `[1]`, `[1, 3]`, `[2-4]`, `[^1]`, `[name]`; not a link."""

_NAMED = 10
_SHOWN = 200
_RANGE = re.compile(r"(\d{1,4})\s?[-\u2013]\s?(\d{1,4})")
_LONGEST_RANGE = 50


def cites(
    key: str,
    *,
    sources: str,
    pattern: str | re.Pattern[str] = CITATION,
    per: Literal["sentence", "paragraph"] = "sentence",
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if each sentence under `key` cites a source, and each source that it cites exists.

    `sources` is a key of the state, or else of the output: a list of documents, dicts, messages,
    texts or ids, or a dict by id. A source is cited by its id (`id` or `source` in a document's
    metadata, or of its own) in any case, or by its place from 1, unless the ids are numbers
    themselves. Headings, and the line that ends with a colon before a list, need no citation.
    In a pattern of yours, the first group, or else the whole match, is the id. The score is the
    share of sentences, or paragraphs, that cite something.

    Raises:
        ConfigurationError: the pattern is invalid, or `per` unknown.
    """
    checked_key(key, "cites")
    checked_key(sources, "cites: sources")
    if per not in {"sentence", "paragraph"}:
        raise ConfigurationError(
            f'cites({key!r}): per={per!r} is unknown; use "sentence" or "paragraph"'
        )
    compiled = compiled_pattern(pattern, f"cites({key!r})")
    listed = compiled.pattern == CITATION

    def ask(output: Any, state: Any) -> Verdict:
        try:
            text = read_text(output, key)
            known = _sources(read_state_first(output, state, sources), sources)
        except Unreadable as error:
            return error.verdict()
        marks: dict[str, None] = {}
        bare: list[str] = []
        pieces = _pieces(text, per)
        counted = 0
        for piece, exempt in pieces:
            here = [_marker(match) for match in compiled.finditer(piece)]
            for mark in here:
                marks.update(dict.fromkeys(known.unknown(mark, listed=listed)))
            if exempt or not any(letter.isalnum() for letter in compiled.sub(" ", piece)):
                continue
            counted += 1
            if not here:
                bare.append(piece)
        if not counted:
            return Unreadable(f"{key} has no {per} to check").verdict()
        reasons = [f"no source is cited in {_quote(piece)}" for piece in bare[:_NAMED]]
        reasons += [f"[{_cut(mark, 80)}] is none of the sources" for mark in list(marks)[:_NAMED]]
        reasons += _more(len(bare[_NAMED:]) + len(list(marks)[_NAMED:]))
        score = 1 - len(bare) / counted
        if reasons:
            return Verdict.reject(f"{key}: {'; '.join(reasons)}; the sources are {known}", score)
        return Verdict.accept(score)

    made = gate(name=f"cites({key}, {sources})", otherwise=otherwise)(ask)
    parameters = (key, sources, compiled.pattern, compiled.flags, per, otherwise)
    return replace(made, fingerprint=f"cites{parameters!r}", reads=(key,), context=(sources,))


def grounded_in(
    context_key: str,
    *,
    key: str | None = None,
    at_least: float = 1.0,
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if the context supports the sentences of the text under `key`; no model is asked.

    The context is a key of the state, or else of the output: a text, a message, a document, or a
    list or dict of them. Without `key`, the text is the only one that the output has. A sentence
    counts as supported if one to three adjacent sentences of one source hold most of its content
    words and all its figures and names, and contradict none of it as far as words show; what that
    finds and misses stands in the documentation. Headings without a figure are not counted. The
    score is the share of supported sentences, which must be `at_least` that given.

    Raises:
        ConfigurationError: `at_least` is not above 0 and at most 1.
    """
    checked_key(context_key, "grounded_in")
    if key is not None:
        checked_key(key, "grounded_in: key")
    if type(at_least) not in {int, float} or not 0 < at_least <= 1:
        raise ConfigurationError(
            f"grounded_in({context_key!r}): at_least={at_least!r} is not a share; "
            "give a number above 0 and at most 1"
        )

    def ask(output: Any, state: Any) -> Verdict:
        try:
            where, text = text_to_check(output, key, context_key, "grounded_in")
            texts = context_texts(read_state_first(output, state, context_key), context_key)
        except Unreadable as error:
            return error.verdict()
        given = source(texts)
        claims = [sentence for sentence in split(text) if is_claim(sentence)]
        if not claims:
            return Unreadable(f"{where} has no sentence to check").verdict()
        found = [(sentence.text, unsupported(sentence.text, given)) for sentence in claims]
        against = [(said, why) for said, why in found if why is not None]
        score = 1 - len(against) / len(claims)
        if score >= at_least:
            return Verdict.accept(score)
        named = [f"{_quote(said)} ({why})" for said, why in against[:_NAMED]]
        return Verdict.reject(
            f"{len(against)} of {len(claims)} sentences of {where} are not supported by "
            f"{context_key}: {'; '.join([*named, *_more(len(against) - _NAMED)])}",
            score,
        )

    name = f"grounded_in({context_key})" if key is None else f"grounded_in({context_key}, {key})"
    made = gate(name=name, otherwise=otherwise)(ask)
    return replace(
        made,
        fingerprint=f"grounded_in{(context_key, key, at_least, otherwise)!r}",
        reads=() if key is None else (key,),
        context=(context_key,),
    )


@dataclass(frozen=True, slots=True)
class _Sources:
    ids: frozenset[str]
    names: tuple[str, ...]
    count: int

    def unknown(self, mark: str, *, listed: bool) -> Iterator[str]:
        """Yield what in a marker refers to no source; with `listed` it may be a list of ids."""
        if self._has(mark):
            return
        for part in re.split(r"[,;]", mark) if listed else [mark]:
            span = _RANGE.fullmatch(part.strip()) if listed else None
            if self._has(part):
                continue
            if span is None or int(span[2]) - int(span[1]) not in range(_LONGEST_RANGE):
                yield part.strip()
                continue
            for number in range(int(span[1]), int(span[2]) + 1):
                if not self._has(str(number)):
                    yield str(number)

    def _has(self, mark: str) -> bool:
        return mark.strip().casefold() in self.ids

    def __str__(self) -> str:
        """Return the ids that a node may cite, the first few of them."""
        shown = ", ".join(f"[{_cut(name, 40)}]" for name in self.names[:8])
        return f"{shown} and {len(self.names) - 8} more" if self.names[8:] else shown


def _sources(value: Any, key: str) -> _Sources:
    found = passages(value)
    if not found:
        raise Unreadable(f"{key} holds no source")
    ids = [name for passage in found for name in passage.ids if len(name) <= 200]
    if not any(name.strip().isdecimal() for name in ids):
        numbers = [str(number) for number in range(1, len(found) + 1)]
        names = [
            passage.ids[0] if _short_id(passage) else n
            for passage, n in zip(found, numbers, strict=True)
        ]
        ids += numbers
    else:
        names = ids
    return _Sources(
        frozenset(name.strip().casefold() for name in ids), tuple(dict.fromkeys(names)), len(found)
    )


def _short_id(passage: Passage) -> bool:
    return bool(passage.ids) and len(passage.ids[0]) <= 80


def _marker(match: re.Match[str]) -> str:
    return (match.group(1) if match.re.groups else match.group()) or ""


def _pieces(text: str, per: str) -> list[tuple[str, bool]]:
    """Return the sentences, or paragraphs, of the text, each with whether it needs no citation."""
    sentences = split(text)
    if per == "sentence":
        return [(sentence.text, _needs_none(sentence)) for sentence in sentences]
    joined: dict[int, list[Sentence]] = {}
    for sentence in sentences:
        joined.setdefault(sentence.paragraph, []).append(sentence)
    return [
        (" ".join(sentence.text for sentence in held), all(map(_needs_none, held)))
        for held in joined.values()
    ]


def _needs_none(sentence: Sentence) -> bool:
    return sentence.heading or sentence.leads_in


def text_to_check(output: Any, key: str | None, context_key: str, gate: str) -> tuple[str, str]:
    """Return the key and the text that a gate checks against the context.

    Raises:
        Unreadable: there is none, or several and no key.
    """
    if key is not None:
        return key, read_text(output, key)
    if isinstance(output, str):
        return "the output", output
    held = {
        name: value for name, value in fields(output).items() if name != context_key.split(".")[0]
    }
    texts = {name: value for name, value in held.items() if isinstance(value, str)}
    if not texts:
        texts = {name: text for name, value in held.items() if (text := text_of(value)) is not None}
    if len(texts) != 1:
        which = f"which of {', '.join(sorted(texts))}" if texts else "which text"
        raise Unreadable(f"{gate}({context_key!r}) cannot tell {which} to check; say it with key=")
    return next(iter(texts.items()))


def context_texts(value: Any, key: str) -> tuple[str, ...]:
    """Return the texts that stand under a key.

    Raises:
        Unreadable: there is none.
    """
    texts = tuple(passage.text for passage in passages(value) if passage.text.strip())
    if not texts:
        raise Unreadable(f"{key} is empty: there is nothing to be grounded in")
    return texts


def is_claim(sentence: Sentence) -> bool:
    """Return whether a sentence says something that a source could support."""
    if sentence.heading and not any(letter.isdecimal() for letter in sentence.text):
        return False
    return says_something(without_citations(sentence.text))


def _quote(text: str) -> str:
    return f'"{_cut(text, _SHOWN)}"'


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _more(count: int) -> list[str]:
    return [f"and {count} more"] if count > 0 else []
