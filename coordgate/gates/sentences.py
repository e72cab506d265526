"""Sentences: plain text or Markdown cut into what a reader takes for sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from coordgate.gates.words import word_set

MOST_WORDS = 80
"""A run of more words than this without an end is cut, so that no step grows with its length."""

# Every pattern here is possessive or bounded, so that none of them can backtrack far.
_END = re.compile(r"[.!?…]++[\"'”\u2019»)*_]*+|[。\uff01\uff1f]++")
_CITATION = re.compile(r"(?:[ \t]?\[[^\[\]\n]{1,80}\](?!\())+")
_ITEM = re.compile(r"[ \t]*+(?:>[ \t]?)*+(?:[-*+•\u2013][ \t]+|\(?(?:\d{1,3}|[a-z])[.)][ \t]+)")
_HEADING = re.compile(r"[ \t]*+#{1,6}[ \t]+")
_RULE = re.compile(r"[ \t|:=\-_*`~]*+$")
_LINK = re.compile(r"!?\[([^\[\]\n]{0,200})\]\([^()\s]{0,500}\)")
_MARKER = re.compile(r"\[\^?(?:[^\s\[\]]{1,80}|\d{1,4}(?:[,;\u2013-] ?\d{1,4}){1,20})\]")
_LAST_WORD = re.compile(r"[^\s(\[\"'“\u2018]*$")
_FIRST_WORD = re.compile(r"[\s\"'“\u2018(\[*_]*([^\W\d_]*)")

# After these a full stop ends nothing; after the second set it does if a common word follows.
_NEVER_LAST = word_set(
    """
    dr mr mrs ms prof st sr rev hon gen col capt lt sgt no nos fig figs eq sec art vol pp ca
    cf vs e.g i.e eg ie approx resp al dept est min max tel
    """
)
_SELDOM_LAST = word_set(
    """
    inc ltd co corp plc gmbh bros jr etc a.m p.m am pm u.s u.k e.u u.n jan feb mar apr jun jul
    aug sep sept oct nov dec mon tue wed thu fri sat sun
    """
)
_OPENERS = word_set(
    """
    the a an it its he she they we you i this that these those there in on at by for from with
    as if when while after before since but and or however all no not each every most some
    many both one two his her their our your to of
    """
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, list item, table row or heading."""

    text: str
    """The sentence as it stands, with its citations."""
    paragraph: int
    """The number of the paragraph or list item that it stands in, from 0."""
    heading: bool = False
    """Whether it is a Markdown heading."""
    leads_in: bool = False
    """Whether it ends with a colon and a list follows."""


def split(text: str) -> list[Sentence]:
    """Return the sentences of `text`, in order.

    Copes with abbreviations, initials, decimals, Markdown lists, tables, headings and emphasis. A
    citation that stands after the full stop belongs to the sentence before it.
    """
    sentences: list[Sentence] = []
    for number, block in enumerate(_blocks(text)):
        sentences.extend(
            Sentence(piece, number, block.heading, block.leads_in and piece.endswith(":"))
            for piece in _pieces(block.text)
        )
    return sentences


def without_citations(text: str) -> str:
    """Return `text` without citation markers, and with links and markup reduced to their words."""
    if "[" in text:
        text = _MARKER.sub("", _LINK.sub(r"\1", text))
    return text.replace("*", "").replace("`", "").replace("|", ", ")


@dataclass(frozen=True, slots=True)
class _Block:
    text: str
    heading: bool = False
    leads_in: bool = False


def _blocks(text: str) -> Iterator[_Block]:
    """Yield paragraphs, with each list item, table row and heading a block of its own."""
    held: list[str] = []
    for line in text.splitlines():
        heading, item = _HEADING.match(line), _ITEM.match(line)
        row = line.lstrip().startswith("|")
        if heading or item or row or _RULE.match(line):
            if held:
                yield _Block(" ".join(held), leads_in=item is not None)
            held = []
        if heading:
            yield _Block(line[heading.end() :].strip(" \t#"), heading=True)
        elif item:
            held = [line[item.end() :].strip()]
        elif row and not _RULE.match(line):
            yield _Block(line.strip(" \t|"))
        elif not row and line.strip() and not _RULE.match(line):
            held.append(line.strip())
    if held:
        yield _Block(" ".join(held))


def _pieces(block: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(block):
        if end.start() < start or not _ends(block, end):
            continue
        stop = end.end()
        citation = _CITATION.match(block, stop)
        if citation:
            stop = citation.end()
        yield from _short(block[start:stop])
        start = stop
    yield from _short(block[start:])


def _short(piece: str) -> Iterator[str]:
    words = piece.split()
    if len(words) <= MOST_WORDS:
        if words:
            yield piece.strip()
        return
    for start in range(0, len(words), MOST_WORDS):
        yield " ".join(words[start : start + MOST_WORDS])


def _ends(block: str, end: re.Match[str]) -> bool:
    stop = end.end()
    if stop >= len(block) or end.group()[0] in "。\uff01\uff1f":
        return True
    if not (block[stop].isspace() or block[stop] == "["):
        return False
    following = _FIRST_WORD.match(block, stop)
    first = following.group(1) if following else ""
    if end.group()[0] != ".":
        return True
    if first and first[0].islower():
        return False
    before = _LAST_WORD.search(block, max(0, end.start() - 24), end.start())
    last = before.group().lower() if before else ""
    if last in _NEVER_LAST or (len(last) == 1 and last.isalpha() and last != "i"):
        # "Dr. Ito", "J. Ito", "No. 5"; but "no." ends a sentence unless a number follows.
        return last == "no" and not block[stop:].lstrip()[:1].isdigit()
    return last not in _SELDOM_LAST or first.lower() in _OPENERS
