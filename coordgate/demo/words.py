"""Words and sentences: what the search and the offline stand-in compare texts by."""

from __future__ import annotations

import re

_STOPWORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be been but by can could did do does for from had has have how i "
        "if in into is it its me my no not of on or our please say says shall should so some such "
        "tell than that the their them then there these they this to us was we were what when "
        "where which who whom whose why will with would you your",
    )
)


def content_words(text: str) -> list[str]:
    """Return the words of `text` that carry meaning, in lower case and without their endings."""
    return [_stem(word) for word in re.findall(r"\w+", text.lower()) if word not in _STOPWORDS]


def bare(text: str) -> str:
    """Return `text` as words in lower case, without citations and punctuation."""
    return " ".join(re.findall(r"\w+", re.sub(r"\[\d+\]", "", text).lower()))


def sentences(text: str) -> list[str]:
    """Cut `text` into sentences; a line break ends one too, and a citation stays with its own."""
    cut = re.compile(r"(?<=[.!?])((?:\s*\[\d+\])*)\s+(?=[\"'(\[]?[A-Z0-9])")
    return [
        sentence.strip()
        for line in text.splitlines()
        for sentence in cut.sub(r"\1\n", line).split("\n")
        if sentence.strip()
    ]


def pieces(text: str, length: int) -> list[str]:
    """Cut `text` between sentences into pieces of about `length` characters at most."""
    found = [""]
    for sentence in sentences(text):
        for start in range(0, len(sentence), length):
            part = sentence[start : start + length]
            if found[-1] and len(found[-1]) + len(part) >= length:
                found.append("")
            found[-1] = f"{found[-1]} {part}".strip()
    return found


def _stem(word: str) -> str:
    """Return `word` without an English plural, -ed or -ing, so that `gates` finds `gate`."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e") if len(word) > 3 else word
