"""Conflicts: what in a source speaks against a claim that uses the same words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from coordgate.gates.attributions import bounds_differ, figures_swapped, names_swapped
from coordgate.gates.causes import Cause
from coordgate.gates.claims import Claim, Clause, is_noun, is_passive
from coordgate.gates.words import is_past, opposites, word_set

_UNIVERSAL: Final = word_set(
    """
    all every everyone everybody everything always any entire entirely whole completely fully
    """
)
_PARTIAL: Final = word_set(
    """
    some most mostly many several few certain majority minority often usually sometimes partly
    typically generally rarely occasionally half
    """
)
_WEAKER_THAN_MOST: Final = word_set("some many several few certain sometimes occasionally")
_EXCLUSIVE: Final = word_set("only just solely sole exclusively except unless alone")
_DUTY: Final = word_set(
    """
    must shall required requires require obliged mandatory obligatory
    """
)
_HAVE_TO: Final = frozenset((word, "to") for word in ("have", "has", "need", "needs", "had"))
_MAYBE: Final = word_set(
    """
    may might could possibly perhaps probably likely potentially appears appear seems seem
    """
)
_LEAVE: Final = word_set("may can could might")
_ADVICE: Final = word_set(
    """
    should recommended recommends recommend advised advises ought
    """
)
_REPORTED: Final = word_set(
    """
    plan planned plans expect expects expected intend intends intended propose proposes
    proposed aim aims hope hopes hoped forecast forecasts consider considers considering claim
    claims claimed allege alleges alleged allegedly believe believes believed suspect suspects
    suspected rumoured reportedly suggest suggests suggested attempt attempted tries tried
    seek seeks sought predicts predicted estimated projected scheduled ask asks asked request
    requests requested want wants wanted demand demands demanded
    """
)
_MODAL: Final = word_set(
    """
    will would can could may might must shall should ought need needs
    """
)
_DOUBTS: Final = _MAYBE | _ADVICE | _REPORTED
_PRONOUNS: Final = word_set("it he she they")
_PRESENT_PASSIVE: Final = word_set("is are be being")


def conflict(said: Claim, told: Sequence[Claim]) -> str | None:
    """Return what in the source sentences `told` contradicts the claim; None if nothing is seen."""
    return (
        bounds_differ(said, told)
        or figures_swapped(said, told)
        or names_swapped(said, told)
        or _cause_turned(said, told)
        or _clauses_differ(said, told)
        or _quantifier_raised(said, told)
        or _condition_dropped(said, told)
    )


def _clauses_differ(said: Claim, told: Sequence[Claim]) -> str | None:
    """Compare each clause with the clauses of the source that are most like it."""
    theirs = [(source, clause) for source in told for clause in _parts(source)]
    for mine in said.clauses:
        nearest = _nearest(mine, theirs)
        reasons = [_clause_differs(said, mine, source, other) for source, other in nearest]
        if reasons and all(reasons):
            return reasons[0]
    return None


def _parts(source: Claim) -> list[Clause]:
    """Return the clauses of a sentence, and then each two that adjoin, as one."""
    clauses = source.clauses
    return [*clauses, *(first.joined(second) for first, second in pairwise(clauses))]


def _nearest(mine: Clause, theirs: Sequence[tuple[Claim, Clause]]) -> list[tuple[Claim, Clause]]:
    """Return the source clauses that share most content words with `mine`."""
    wanted = frozenset(mine.stems)
    # A word whose opposite is at hand says nothing of which clause is meant.
    wanted -= {word for _, clause in theirs for word, _ in _flips(mine, clause)}
    shared = [
        len(wanted.intersection(clause.stems)) + 4 * _shared_figures(mine, clause)
        for _, clause in theirs
    ]
    most = max(shared, default=0)
    nearest = [pair for pair, count in zip(theirs, shared, strict=True) if count == most]
    # Two clauses as one are nearer only if each of them holds something.
    single = [pair for pair in nearest if not pair[1].is_joined]
    return (single or nearest) if most else []


def _shared_figures(mine: Clause, other: Clause) -> int:
    return sum(any(a.said_by(b) for b in other.figures) for a in mine.figures)


def _clause_differs(said: Claim, mine: Clause, source: Claim, other: Clause) -> str | None:
    flips = _flips(mine, other)
    turned = mine.negative ^ other.negative ^ (len(flips) % 2 == 1)
    swapped = not other.is_joined and _roles_swapped(said, mine, source, other)
    if "than" in mine.words and "than" in other.words and swapped and flips:
        # "A is larger than B" and "B is smaller than A" say the same.
        turned = swapped = False
    if turned:
        if flips:
            word, against = flips[0]
            return f"the source says {other.marks[against]!r}, not {mine.marks[word]!r}"
        return "the source says it without a negation" if mine.negative else "the source negates it"
    if swapped:
        return "the source has it the other way round"
    if mine.ruled_out and other.ruled_out and mine.ruled_out != other.ruled_out:
        return "the source rules out another"
    return _modality_changed(said, mine, source, other)


def _flips(mine: Clause, other: Clause) -> list[tuple[str, str]]:
    """Return the words of mine whose opposite the other clause has in their place."""
    return [
        (word, against)
        for word in mine.marks
        if word not in other.marks
        for against in sorted(opposites(word).intersection(other.marks))
        if against not in mine.marks
    ]


def _roles_swapped(said: Claim, mine: Clause, source: Claim, other: Clause) -> bool:
    """Return whether what stands before and after a shared verb has changed places."""
    my_places, their_places = _places(said, mine), _places(source, other)
    passives = "than" not in mine.words
    for root, at in my_places.items():
        there = their_places.get(root)
        if there is None or at < 0 or there < 0:
            continue
        if root != "than" and (is_noun(said, at) or is_noun(source, there)):
            continue
        left, right = _around(said, mine, at)
        their_left, their_right = _around(source, other, there)
        pronoun = bool(_PRONOUNS.intersection(source.words[other.start : there]))
        crossed = bool((left & their_right) - their_left - right) and (
            bool((right & their_left) - their_right - left)
            or (pronoun and not (right - left) & their_right)
        )
        straight = bool((left & their_left) - their_right) and bool(
            (right & their_right) - their_left
        )
        other_voice = passives and is_passive(said, at) != is_passive(source, there)
        if straight and other_voice and not crossed:
            passive_words, verb = (
                (said.words, at) if is_passive(said, at) else (source.words, there)
            )
            if "by" in passive_words[verb : verb + 3]:
                return True
        if crossed and not other_voice:
            return True
    return False


def _places(said: Claim, clause: Clause) -> dict[str, int]:
    """Return the token index of each content stem in the clause, -1 if it stands twice."""
    found: dict[str, int] = {}
    for at, root in said.content:
        if clause.start <= at < clause.end:
            found[root] = -1 if root in found else at
    if "than" in clause.words:
        found["than"] = said.words.index("than", clause.start)
    return found


def _around(said: Claim, clause: Clause, at: int) -> tuple[frozenset[str], frozenset[str]]:
    left = frozenset(root for i, root in said.content if clause.start <= i < at)
    right = frozenset(root for i, root in said.content if at < i < clause.end)
    return left, right


def _modality_changed(said: Claim, mine: Clause, source: Claim, other: Clause) -> str | None:
    """Return how far a possibility, plan, report or duty has become something else."""
    words = frozenset(said.words)
    hedged = _MAYBE | _REPORTED | _ADVICE | _LEAVE
    duty = bool(words & _DUTY) or any(pair in _HAVE_TO for pair in pairwise(said.words))
    if other.words & _DUTY and not duty and not other.negative and mine.words & _LEAVE:
        return "the source says that it must be, not that it may"
    if duty and not frozenset(source.words) & _DUTY:
        weaker = sorted(_doubts(source, other) - _REPORTED)
        if weaker and not other.negative:
            return f"the source says {weaker[0]!r}, not that it must be"
    doubts = _doubts(source, other)
    if doubts and not other.negative and not words & (hedged | {"will", "would"}):
        return f"the source says {sorted(doubts)[0]!r}, not that it is so"
    if "will" in other.words and not words & (_MODAL | _REPORTED) and _told_as_past(said, other):
        return "the source says that it will be, not that it was"
    return None


def _doubts(source: Claim, clause: Clause) -> set[str]:
    """Return the words of the clause that leave open whether it is so; `may not` forbids."""
    dates = {at for figure in clause.figures for at in range(figure.start, figure.end)}
    return {
        source.words[at]
        for at in range(clause.start, clause.end)
        if source.words[at] in _DOUBTS
        and at not in dates
        and source.words[at + 1 : at + 2] != ("not",)
    }


def _told_as_past(said: Claim, other: Clause) -> bool:
    theirs = frozenset(other.stems)
    return any(
        root in theirs
        and is_past(said.words[at])
        and not _PRESENT_PASSIVE.intersection(said.words[max(0, at - 2) : at])
        for at, root in said.content
    )


def _quantifier_raised(said: Claim, told: Sequence[Claim]) -> str | None:
    """Return the quantifier that says more than the source does."""
    theirs = frozenset(word for source in told for word in source.words)
    mine = frozenset(said.words)
    partial = any(
        said.words[at] in _UNIVERSAL and at > 0 and said.words[at - 1] == "not"
        for at in range(len(said.words))
    )
    raised = sorted(mine & _UNIVERSAL)
    if raised and not partial and not theirs & _UNIVERSAL:
        return f"the source does not say {raised[0]!r}"
    if _says_only(said) and not theirs & _EXCLUSIVE:
        return "the source does not say 'only'"
    clauses = [clause for source in told for _, clause in _nearest_of(said, source)]
    dropped = frozenset(word for clause in clauses for word in clause.words & _PARTIAL)
    if not dropped or partial:
        return None
    if not mine & _PARTIAL and not said.quantities:
        return f"the source says it of {sorted(dropped)[0]!r} only"
    if mine & {"most", "mostly", "majority"} and dropped <= _WEAKER_THAN_MOST:
        return f"the source says {sorted(dropped)[0]!r}, not 'most'"
    return None


def _says_only(said: Claim) -> bool:
    """Return whether `only` sets others apart; before a figure it is but a comment."""
    figures = {amount.start for amount in said.quantities}
    return any(word == "only" and at + 1 not in figures for at, word in enumerate(said.words))


def _nearest_of(said: Claim, source: Claim) -> list[tuple[Claim, Clause]]:
    theirs = [(source, clause) for clause in source.clauses]
    return [
        pair
        for mine in said.clauses
        for pair in _nearest(mine, theirs)
        if 2 * len(frozenset(mine.stems).intersection(pair[1].stems)) >= len(frozenset(mine.stems))
    ]


def _condition_dropped(said: Claim, told: Sequence[Claim]) -> str | None:
    """Return that the claim lacks a condition or an exception that the source makes."""
    if {"if", "unless", "when", "except"}.intersection(said.words):
        return None
    for source in told:
        cause = source.cause
        lacks = cause and cause.conditional and not said.stems & (cause.first - cause.then)
        if cause and lacks and len(said.stems & cause.then) >= 2:
            return "the source says it under a condition"
        if "except" in source.words:
            at = source.words.index("except")
            before = {root for i, root in source.content if i < at}
            beyond = {root for i, root in source.content if i > at}
            if len(said.stems & before) >= 2 and not said.stems & (beyond - before):
                return "the source makes an exception"
    return None


def _cause_turned(said: Claim, told: Sequence[Claim]) -> str | None:
    """Return that cause and effect, or before and after, have changed places."""
    mine = said.cause
    if mine is None:
        return None
    for source in told:
        theirs = source.cause
        if theirs is None:
            continue
        straight = len(mine.first & theirs.first) + len(mine.then & theirs.then)
        crossed = len(mine.first & theirs.then) + len(mine.then & theirs.first)
        if crossed > straight and _both(mine, theirs):
            return "the source has cause and effect the other way round"
    return None


def _both(mine: Cause, theirs: Cause) -> bool:
    return bool(mine.first & theirs.then) and bool(mine.then & theirs.first)
