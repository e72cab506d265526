"""Claims: what one sentence says, as far as its words show: clauses, polarity, bounds, causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from coordgate.gates.causes import Cause, cause_in
from coordgate.gates.quantities import Quantity, quantities, tokens
from coordgate.gates.words import STOP_WORDS, is_past, stem, word_set

Direction = Literal[-1, 0, 1]

_HARD: Final = frozenset(";:—()")
_SOFT: Final = word_set(
    """
    but although though while whilst whereas however because unless except which who whose if
    when since yet until so
    """
)
_MOST_CLAUSES: Final = 12
_NEGATORS: Final = word_set(
    """
    not no never none nobody nothing nowhere neither without cannot unable hardly scarcely
    lack lacks lacked lacking
    """
)
_BE: Final = word_set("is are was were be been being")
_DETERMINERS: Final = word_set(
    """
    the a an its their his her our your this that these those each
    """
)
_MORE: Final = word_set(
    """
    more greater longer older higher larger later warmer hotter better bigger
    """
)
_LESS: Final = word_set(
    """
    less fewer lower younger shorter smaller earlier colder cooler
    """
)
_OVER: Final = word_set(
    """
    over above exceeding exceed exceeds exceeded beyond surpass surpassed
    """
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a sentence that has a polarity of its own."""

    stems: tuple[str, ...]
    """The stems of its content words, in order."""
    words: frozenset[str]
    """All its words, in lower case."""
    marks: dict[str, str]
    """All its words by their stems: what antonyms are looked up by."""
    figures: tuple[Quantity, ...]
    """The quantities that stand in it."""
    negative: bool
    """Whether it has an odd number of negations."""
    ruled_out: frozenset[str]
    """The stems of what is set aside: `, not the city,`."""
    start: int
    """The index of its first token."""
    end: int
    """The index after its last token."""
    is_joined: bool = False
    """Whether it was made of two clauses."""

    def joined(self, other: Clause) -> Clause:
        """Return this clause and the one after it as one."""
        return Clause(
            stems=self.stems + other.stems,
            words=self.words | other.words,
            marks=self.marks | other.marks,
            figures=self.figures + other.figures,
            negative=self.negative ^ other.negative,
            ruled_out=self.ruled_out | other.ruled_out,
            start=self.start,
            end=other.end,
            is_joined=True,
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """Whether a quantity is a lower or an upper bound."""

    direction: Direction = 0
    """1 for a lower bound, -1 for an upper one, 0 for a plain figure."""
    strict: bool = False
    """Whether the figure itself is outside."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one sentence says."""

    written: tuple[str, ...]
    """Its tokens as they are written."""
    words: tuple[str, ...]
    """Its tokens in lower case."""
    content: tuple[tuple[int, str], ...]
    """Index and stem of each content word: no stop words, no numbers and units."""
    stems: frozenset[str]
    """The stems of the content words."""
    names: frozenset[str]
    """The stems of capitalised words that do not open the sentence."""
    quantities: tuple[Quantity, ...]
    """Its numbers, amounts, dates and times."""
    bounds: tuple[Bound, ...]
    """One for each quantity."""
    clauses: tuple[Clause, ...]
    """Its clauses, in order."""
    cause: Cause | None
    """The first cause, condition or order in time that it states."""


def claim(text: str) -> Claim:
    """Return what the sentence `text` says."""
    written = tokens(text)
    words = [token.lower().replace("\u2019", "'") for token in written]
    amounts = quantities(written, words)
    taken = {at for amount in amounts for at in range(amount.start, amount.end)}
    bounds, spent = _bounds(words, amounts)
    content = tuple(
        (at, stem(word))
        for at, word in enumerate(words)
        if at not in taken and at not in spent and _is_content(words, at)
    )
    names = frozenset(root for at, root in content if _is_name(written, at))
    return Claim(
        written=tuple(written),
        words=tuple(words),
        content=content,
        stems=frozenset(root for _, root in content),
        names=names,
        quantities=tuple(amounts),
        bounds=bounds,
        clauses=tuple(_clauses(words, content, amounts, spent)),
        cause=cause_in(words, content, taken),
    )


def _is_content(words: Sequence[str], at: int) -> bool:
    word = words[at]
    if not word[0].isalpha() or word in STOP_WORDS or word.endswith("n't"):
        return False
    return not (word == "longer" and at > 0 and words[at - 1] == "no")


def _is_name(written: Sequence[str], at: int) -> bool:
    word = written[at]
    if not word[0].isupper():
        return False
    return at > 0 or (len(word) > 1 and word.isupper()) or any(c.isdigit() for c in word)


def _bounds(
    words: Sequence[str], amounts: Sequence[Quantity]
) -> tuple[tuple[Bound, ...], frozenset[int]]:
    """Return each quantity's bound, and the tokens that say it, negations among them."""
    found: list[Bound] = []
    spent: set[int] = set()
    for amount in amounts:
        direction, strict, first = _bound_before(words, amount)
        if not direction:
            direction = _bound_after(words, amount.end)
        if direction and first >= 0:
            spent.update(range(first, amount.start))
            for at in range(max(0, first - 2), first):
                if words[at] in {"not", "no", "never", "cannot"} or words[at].endswith("n't"):
                    direction = 1 if direction < 0 else -1
                    strict = not strict
                    spent.add(at)
        if amount.start and words[amount.start - 1] == "year":
            spent.add(amount.start - 1)
        found.append(Bound(direction, strict))
    return tuple(found), frozenset(spent)


def _bound_before(words: Sequence[str], amount: Quantity) -> tuple[Direction, bool, int]:  # noqa: C901 - one branch a phrase
    at = amount.start
    while at > 0 and words[at - 1] in {"a", "an", "the", "about", "of"}:
        at -= 1
    last = words[at - 1] if at > 0 else ""
    before = words[at - 2] if at > 1 else ""
    if last == "than" and before in _MORE:
        return 1, True, at - 2
    if last == "than" and before in _LESS:
        return -1, True, at - 2
    if before == "at" and last in {"least", "most"}:
        return (1 if last == "least" else -1), False, at - 2
    if before == "up" and last == "to":
        return -1, False, at - 2
    if last in _OVER:
        return 1, True, at - 1
    if last in {"under", "below"}:
        return -1, True, at - 1
    if last in {"within", "maximum"}:
        return -1, False, at - 1
    if last == "minimum":
        return 1, False, at - 1
    if amount.dimension == "date" or (amount.dimension == "" and 1000 <= amount.bare <= 2100):
        if last in {"after", "before"}:
            return (1 if last == "after" else -1), True, at - 1
        if last in {"since", "until", "by"}:
            return (1 if last == "since" else -1), False, at - 1
    return 0, False, -1


def _bound_after(words: Sequence[str], end: int) -> Direction:
    following = tuple(words[end : end + 2])
    if following[:1] == ("minimum",) or (
        following[:1] == ("or",) and following[1:] and following[1] in _MORE
    ):
        return 1
    if following[:1] == ("maximum",) or (
        following[:1] == ("or",) and following[1:] and following[1] in _LESS
    ):
        return -1
    return 0


def _clauses(
    words: Sequence[str],
    content: Sequence[tuple[int, str]],
    amounts: Sequence[Quantity],
    spent: frozenset[int],
) -> Iterator[Clause]:
    cuts = _cuts(words, [at for at, _ in content])
    for start, end in pairwise(cuts):
        inside = range(start, end)
        negations = [at for at in inside if at not in spent and _negates(words, at)]
        yield Clause(
            stems=tuple(root for at, root in content if start <= at < end),
            words=frozenset(words[start:end]),
            marks={stem(words[at]): words[at] for at in inside if _is_mark(words, at)},
            figures=tuple(a for a in amounts if start <= a.start < end),
            negative=len(negations) % 2 == 1,
            ruled_out=_ruled_out(words, content, negations, end),
            start=start,
            end=end,
        )


def _cuts(words: Sequence[str], content: Sequence[int]) -> list[int]:
    """Return where clauses start, and the end; a comma or a word cuts off at least two words."""
    places = [at for at, word in enumerate(words) if word in _HARD or word in _SOFT or word == ","]
    cuts = [0]
    count, total, seen = 0, len(content), 0
    for place in places:
        while seen < total and content[seen] < place:
            seen += 1
        least = 1 if words[place] in _HARD else 2
        if seen - count >= least and total - seen >= least and len(cuts) < _MOST_CLAUSES:
            cuts.append(place)
            count = seen
    return [*cuts, len(words)]


def _is_mark(words: Sequence[str], at: int) -> bool:
    if words[at] in {"on", "off"}:
        return at > 0 and stem(words[at - 1]) == "switch"
    return words[at][0].isalpha()


def _negates(words: Sequence[str], at: int) -> bool:
    word = words[at]
    following = words[at + 1] if at + 1 < len(words) else ""
    if word in {"fail", "fails", "failed", "refuse", "refuses", "refused"}:
        return following == "to"
    if word in {"stop", "stops", "stopped", "ceased", "ceases", "quit"}:
        return following.endswith("ing")
    if word == "free":
        return following in {"of", "from"}
    if word == "nor":
        return "neither" not in words[:at]
    if word in {"not", "no"}:
        if word == "not" and following in {
            "only",
            "all",
            "every",
            "each",
            "always",
            "everyone",
            "least",
        }:
            return False
        if word == "no" and (following == "doubt" or following[:1].isdecimal()):
            return False
        return not (at > 1 and words[at - 1] == "or" and words[at - 2] == "whether")
    return word in _NEGATORS or word.endswith("n't")


def _ruled_out(
    words: Sequence[str], content: Sequence[tuple[int, str]], negations: Sequence[int], end: int
) -> frozenset[str]:
    """Return the stems after `, not` or `and not`: up to two words, before the next sign."""
    found: set[str] = set()
    for at in negations:
        if words[at] != "not" or at == 0 or words[at - 1] not in {",", "and", "but"}:
            continue
        stop = next((i for i in range(at + 1, end) if not words[i][0].isalnum()), end)
        found.update([root for index, root in content if at < index < stop][:2])
    return frozenset(found)


def is_passive(said: Claim, at: int) -> bool:
    """Return whether the verb at token `at` is in the passive voice: `was bought`, `bought by`."""
    words = said.words
    if not is_past(words[at]):
        return False
    agent = words[at + 1 : at + 2] == ("by",)
    by_figure = any(amount.start == at + 2 for amount in said.quantities)
    return bool(_BE.intersection(words[max(0, at - 3) : at])) or (agent and not by_figure)


def is_noun(said: Claim, at: int) -> bool:
    """Return whether a determiner stands before token `at`, or it is a name."""
    return (at > 0 and said.words[at - 1] in _DETERMINERS) or said.written[at][0].isupper()
