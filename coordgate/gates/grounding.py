"""Grounding: whether a source says what a sentence says, judged by words, figures and order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from coordgate.gates.claims import Claim, claim
from coordgate.gates.conflicts import conflict
from coordgate.gates.sentences import split, without_citations
from coordgate.gates.words import STOP_WORDS, stem, word_set

COVERAGE: Final = 0.7
"""The share of a sentence's content words that must stand in the window that supports it."""

_WORD = re.compile(r"\d(?:[\d.,:/\u2013-]*\d)?|[^\W\d_][^\W_]*(?:['\u2019][^\W\d_]+)*")
_PARTS = re.compile(r"[,;] (?:and|but|while|whereas) |; ")
_PRONOUNS: Final = word_set("it its he his she her they their them this these")
_POSTINGS = 64
_RAREST = 24
_CANDIDATES = 6
_WINDOWS = 12
_SPANS: Final = ((0, 1), (-1, 1), (0, 2), (-1, 2), (0, 3), (-2, 1))


@dataclass(frozen=True, slots=True)
class Source:
    """The context that answers are checked against, cut into sentences and indexed by word."""

    sentences: tuple[str, ...]
    """Its sentences, without citations."""
    texts: tuple[int, ...]
    """For each sentence, the number of the text that it stands in."""
    stems: tuple[frozenset[str], ...]
    """For each sentence, the stems of its content words, and its numbers."""
    verbatim: frozenset[str]
    """The words of each sentence, joined, to find a quotation at once."""
    index: dict[str, list[int]]
    """For each stem, the sentences that have it."""
    claims: dict[int, Claim] = field(default_factory=dict[int, Claim])
    """What sentences say, kept once it was needed."""

    def claim(self, at: int) -> Claim:
        """Return what sentence `at` says."""
        said = self.claims.get(at)
        if said is None:
            said = self.claims[at] = claim(self.sentences[at])
        return said


@lru_cache(maxsize=16)
def source(texts: tuple[str, ...]) -> Source:
    """Return the texts as a source; the last few are kept, since retries ask for the same."""
    sentences: list[str] = []
    numbers: list[int] = []
    for number, text in enumerate(texts):
        found = [without_citations(sentence.text) for sentence in split(text)]
        sentences += found
        numbers += [number] * len(found)
    stems: list[frozenset[str]] = []
    index: dict[str, list[int]] = {}
    verbatim: set[str] = set()
    for at, sentence in enumerate(sentences):
        words = _WORD.findall(sentence.lower())
        verbatim.add(" ".join(words))
        roots = frozenset([stem(word) for word in words if word not in STOP_WORDS])
        stems.append(roots)
        for root in roots:
            index.setdefault(root, []).append(at)
    return Source(tuple(sentences), tuple(numbers), tuple(stems), frozenset(verbatim), index)


def says_something(sentence: str) -> bool:
    """Return whether the sentence has a content word or a number."""
    return any(word not in STOP_WORDS for word in _WORD.findall(sentence.lower()))


def unsupported(sentence: str, given: Source) -> str | None:
    """Return why `given` does not support the sentence; None if it does.

    The sentence is compared with windows of one to three adjacent source sentences. A window
    supports it if it has enough of its content words, all its names and figures, and contradicts
    it in nothing that `conflict` knows.
    """
    plain = without_citations(sentence)
    why, contradicted = _refuted(plain, given)
    if why is None or contradicted:
        return why
    parts = [part for part in _PARTS.split(plain) if part.strip()]
    alone = len(parts) > 1 and all(_stands_alone(part) for part in parts)
    if alone and all(_refuted(part, given)[0] is None for part in parts):
        return None
    return why


def _stands_alone(part: str) -> bool:
    """Return whether a part of a sentence says enough by itself, and of what."""
    words = _WORD.findall(part.lower())
    return words[:1] != [] and words[0] not in _PRONOUNS and len(claim(part).content) > 2


def _refuted(plain: str, given: Source) -> tuple[str | None, bool]:
    """Return why no window supports it, if none does, and whether one contradicts it."""
    if " ".join(_WORD.findall(plain.lower())) in given.verbatim:
        return None, False
    said = claim(plain)
    best = "nothing like it is in the source"
    spoken_against = 0
    for rank, (window, covered) in enumerate(_windows(said, given)):
        shared = len(covered & said.stems)
        if shared < spoken_against:
            continue
        why = _missing(said, window, covered, given)
        if why is None:
            why = conflict(said, [given.claim(at) for at in window])
            if why is None:
                return None, False
            # A window that shares less cannot outweigh one that contradicts.
            spoken_against = max(spoken_against, shared)
            best = why
        elif rank == 0:
            best = why
    return best, spoken_against > 0


def _windows(said: Claim, given: Source) -> list[tuple[range, frozenset[str]]]:
    """Return the windows that cover most of the claim, best first, with the stems they hold."""
    wanted = set(said.stems)
    wanted.update(stem(word) for amount in said.quantities for word in amount.words)
    scores: dict[int, float] = {}
    held = sorted((given.index[root] for root in wanted if root in given.index), key=len)
    for postings in held[:_RAREST]:
        weight = 1 / (1 + len(postings)) ** 0.25
        for at in postings[:_POSTINGS]:
            scores[at] = scores.get(at, 0.0) + weight
    top = sorted(scores, key=lambda at: (-scores[at], at))[:_CANDIDATES]
    found: dict[tuple[int, int], tuple[float, frozenset[str]]] = {}
    for at in top:
        for before, after in _SPANS:
            start, end = at + before, at + after
            if start < 0 or end > len(given.sentences) or (start, end) in found:
                continue
            if given.texts[start] != given.texts[end - 1]:
                continue
            stems = given.stems[start].union(*given.stems[start + 1 : end])
            found[start, end] = (len(wanted & stems) - 0.01 * (end - start), stems)
    ranked = sorted(found, key=lambda span: (-found[span][0], span))[:_WINDOWS]
    return [(range(*span), found[span][1]) for span in ranked]


def _missing(said: Claim, window: range, held: frozenset[str], given: Source) -> str | None:
    """Return which names, figures or words of the claim the window lacks."""
    claims = [given.claim(at) for at in window]
    amounts = [amount for told in claims for amount in told.quantities]
    at_hand = {(amount.dimension, amount.value, amount.date) for amount in amounts}
    for amount in said.quantities:
        if (amount.dimension, amount.value, amount.date) in at_hand:
            continue
        if not any(amount.said_by(other) for other in amounts) and not _is_one(
            amount.words, claims
        ):
            return f"the source does not say {_quoted(said.written[amount.start : amount.end])}"
    absent = said.names - held
    absent -= _named_before(absent, window, claims, given)
    if absent:
        at = [index for index, root in said.content if root in absent]
        return f"the source does not name {_quoted(said.written[i] for i in at)} here"
    missing = said.stems - held - _named_before(said.stems - held, window, claims, given)
    # What a sentence opens with is most often what it speaks of: nothing may stand in its place.
    opening = [root for _, root in said.content[:1]]
    if missing.issuperset(opening) and opening:
        return f"the source has nothing on {said.words[said.content[0][0]]!r} here"
    # A word that the source has elsewhere hints at a mixture of two sentences, and counts twice.
    elsewhere = sum(root in given.index for root in missing)
    if len(missing) + elsewhere > (1 - COVERAGE) * (len(said.stems) + elsewhere):
        at = [index for index, root in said.content if root in missing]
        return f"the source has nothing on {_quoted(said.words[i] for i in at)}"
    return None


def _is_one(words: Sequence[str], claims: Iterable[Claim]) -> bool:
    alike = {"a", "an", "each", "every", "single", "1", "one"}
    return "one" in words and any(alike.intersection(told.words) for told in claims)


def _named_before(
    names: frozenset[str], window: range, claims: Iterable[Claim], given: Source
) -> frozenset[str]:
    """Return the names that an earlier sentence gives and the window speaks of as `it`."""
    if not names or not any(_PRONOUNS.intersection(told.words[:2]) for told in claims):
        return frozenset()
    start = window[0]
    for at in range(start - 1, max(-1, start - 4), -1):
        if given.texts[at] == given.texts[start]:
            subject = {root for _, root in given.claim(at).content[:3]}
            if names & subject:
                return names & subject
    return frozenset()


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(_unique(words)) if not isinstance(words, tuple) else repr(" ".join(words))


def _unique(words: Iterable[str]) -> Iterator[str]:
    return (repr(word) for word in dict.fromkeys(words))
