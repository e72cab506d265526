"""Words: stop words, light stemming, and small tables of synonyms and antonyms, for English."""

from __future__ import annotations

from functools import lru_cache
from typing import Final


def word_set(text: str) -> frozenset[str]:
    """Return the words of a table, parted by white space."""
    return frozenset(text.split())


STOP_WORDS: Final = word_set(
    """
    a an the and or but nor so yet if then than that this these those there here it its itself
    he him his she her hers they them their theirs we us our ours you your yours i me my mine
    who whom whose which what when where why how is are was were be been being am do does did
    done doing have has had having of in on at by for from to into onto with within as per via
    about above across after against along among around before behind below beneath beside
    besides between beyond despite down during inside near off out outside over past since
    through throughout toward towards under until till up upon while whilst because although
    though whereas unless whether however therefore thus hence also too very just even still
    already again ever once now both either neither other others another such same own each
    every all any some most many much several few less more least only not no never none
    cannot can could may might must shall should will would ought need without except like
    approximately roughly nearly almost exactly precisely well rather instead namely get gets
    got getting become becomes became upto yes ok something anything someone anyone one's due
    """
)

_IRREGULAR: Final[dict[str, str]] = {
    past: base
    for past, _, base in (
        pair.partition(":")
        for pair in word_set(
            """
            analyses:analysis ate:eat became:become began:begin begun:begin best:good better:good
            blew:blow bore:bear borne:bear bought:buy broke:break broken:break brought:bring
            built:build bus:bus came:come caught:catch cheaper:cheap cheapest:cheap
            children:child chose:choose chosen:choose costlier:expensive crises:crisis
            criteria:criterion data:data dealt:deal died:die dies:die does:do drank:drink
            drawn:draw drew:draw driven:drive drove:drive dug:dig dying:die eaten:eat fallen:fall
            feet:foot fell:fall felt:feel flew:fly flown:fly forgot:forget forgotten:forget
            fought:fight found:find froze:freeze frozen:freeze gas:gas gave:give given:give
            goes:go gone:go grew:grow grown:grow halves:half has:have held:hold hid:hide
            hidden:hide hung:hang is:be kept:keep knew:know known:know laid:lay lay:lie
            leaves:leaf led:lead left:leave lens:lens lent:lend less:less lives:life lost:lose
            lying:lie made:make meant:mean men:man met:meet mice:mouse news:news
            overtook:overtake paid:pay people:person ran:run ridden:ride risen:rise rode:ride
            rose:rise said:say sang:sing sank:sink sat:sit saw:see seen:see sent:send
            series:series shelves:shelf shot:shoot showed:show shown:show shrank:shrink
            shrunk:shrink shut:shut slept:sleep sold:sell sought:seek species:species spent:spend
            spoke:speak spoken:speak stole:steal stolen:steal stood:stand struck:strike swam:swim
            taken:take taught:teach teeth:tooth this:this thought:think threw:throw thrown:throw
            tied:tie told:tell took:take understood:understand undertook:undertake was:be went:go
            withdrawn:withdraw withdrew:withdraw wives:wife women:woman won:win wore:wear
            worn:wear worse:bad worst:bad written:write wrote:write
            """
        )
    )
}

PAST_FORMS: Final = frozenset(
    word for word, base in _IRREGULAR.items() if word != base and not word.endswith("s")
) - word_set(
    """
    children people men women feet teeth mice better worse lying dying gone
    """
)

# Each line is one meaning, and its first word stands for all. Only what is close to exchangeable.
_SYNONYMS: Final = """
buy purchase acquire
begin start commence
end finish conclude cease discontinue terminate
stop halt
show display indicate
help assist aid
need require
receive obtain
allow permit
forbid prohibit ban
use utilise utilize
build construct
make produce manufacture
send dispatch
choose select
rise increase grow climb
fall decrease decline drop shrink
reduce cut lower
customer client buyer purchaser
firm company business corporation
employee worker
fast quick rapid
fix repair mend
error mistake
own possess
keep retain store
remove delete erase
change modify alter
check verify
give provide supply
happen occur
contain include comprise
discover find detect
live reside
quit leave
connect link
answer reply respond
ask request
demand insist
big large huge
small little tiny
entire whole
main principal chief
important significant
yearly annual annually
monthly month
daily day
weekly week
hourly hour
approve authorise authorize
lawyer attorney
doctor physician
illness disease sickness
medicine medication
car automobile
plane aircraft airplane
film movie
fee charge
switch turn
difficult hard
announce declare
protect guard shield
gather collect
join unite
hire recruit employ
attempt try
supervise oversee
exceed surpass
arrive reach
"""

_ANTONYMS: Final = """
rise fall
rise reduce
raise reduce
raise lower
gain lose
profit loss
win lose
allow forbid
accept reject
accept refuse
accept decline
approve deny
approve reject
grant deny
include exclude
cover exclude
contain lack
enable disable
start stop
stop continue
begin end
open close
closed open
buy sell
import export
inbound outbound
internal external
public private
mandatory optional
compulsory optional
required optional
require waive
safe dangerous
hot cold
warm cold
hotter colder
warmer colder
early late
earlier later
first last
oldest newest
oldest youngest
older younger
old new
left right
north south
northern southern
east west
eastern western
upper lower
succeed fail
success failure
pass fail
entitle deny
free paid
positive negative
strong weak
stronger weaker
strengthen weaken
fast slow
faster slower
long short
longer shorter
wide narrow
heavy light
heavier lighter
high low
higher lower
highest lowest
large small
larger smaller
largest smallest
bigger smaller
biggest smallest
more less
more fewer
maximum minimum
expensive cheap
costlier cheaper
improve worsen
good bad
deposit withdraw
debit credit
upload download
attach detach
appear vanish
support oppose
favour oppose
agree refuse
confirm deny
true false
possible impossible
legal illegal
present absent
alive dead
survive die
full empty
deep shallow
thick thin
wet dry
sweet sour
remember forget
encourage discourage
advance delay
expand contract
gradual sudden
permanent temporary
voluntary compulsory
above below
above under
over under
inside outside
on off
up down
day night
summer winter
peace war
ally enemy
guilty innocent
rich poor
simple complex
save waste
keep remove
lock unlock
arrive depart
"""


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return what stands for `word` (in lower case), its inflections, and its close synonyms."""
    root = _root(word)
    return _CANONICAL.get(root, root)


def is_past(word: str) -> bool:
    """Return whether `word` looks like the past form of a verb."""
    return word in PAST_FORMS or (
        len(word) > 4 and word.endswith("ed") and not word.endswith("eed")
    )


@lru_cache(maxsize=65_536)
def opposites(root: str) -> frozenset[str]:
    """Return the stems that mean the opposite: antonyms, and `root` with or without `un-`."""
    found = set(_OPPOSITES.get(root, ()))
    for prefix in ("un", "in", "im", "ir", "il", "non", "dis"):
        if len(root) > 3:
            found.add(prefix + root)
        if root.startswith(prefix) and len(root) - len(prefix) > 3:
            found.add(root[len(prefix) :])
    return frozenset(found)


def _root(word: str) -> str:
    word = word.replace("\u2019", "'")
    if word.endswith(("'s", "s'")):
        word = word[:-2] if word.endswith("'s") else word[:-1]
    word = _IRREGULAR.get(word, word)
    if len(word) <= 3 or not word.isascii():
        return word
    return _suffixless(_singular(word))


def _singular(word: str) -> str:
    if not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + ("y" if len(word) > 4 else "ie")
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def _suffixless(word: str) -> str:  # noqa: C901 - a list of suffixes, one branch each
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    if word.endswith(("isation", "ization")):
        return word[:-7] + "iz"
    if word.endswith("ation") and len(word) > 7:
        return word[:-5]
    if word.endswith("ction") and len(word) > 6:
        return word[:-4] if word.endswith("uction") else word[:-3]
    if word.endswith("ion") and len(word) > 7:
        word = word[:-3]
    elif word.endswith(("ment", "ness")) and len(word) > 7:
        word = word[:-4]
    elif word.endswith("ing") and _has_vowel(word[:-3]) and len(word) > 5:
        word = _undoubled(word[:-3])
    elif word.endswith("ied") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("ed") and _has_vowel(word[:-2]) and len(word) > 4:
        word = _undoubled(word[:-2])
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    if word.endswith("at") and len(word) > 5:
        word = word[:-2]
    elif word.endswith("is") and len(word) > 5:
        word = word[:-2] + "iz"
    elif word.endswith("our") and len(word) > 4:
        word = word[:-3] + "or"
    elif word.endswith("tr"):
        word = word[:-2] + "ter"
    elif word.endswith("ll") and len(word) > 4:
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


def _has_vowel(text: str) -> bool:
    return any(letter in "aeiouy" for letter in text)


def _undoubled(text: str) -> str:
    double = len(text) > 3 and text[-1] == text[-2] and text[-1] not in "lsz"
    return text[:-1] if double else text


_CANONICAL: Final = {
    _root(word): _root(line.split()[0]) for line in _SYNONYMS.split("\n") for word in line.split()
}


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _ANTONYMS.split("\n"):
        if line:
            first, second = map(stem, line.split())
            found.setdefault(first, set()).add(second)
            found.setdefault(second, set()).add(first)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITES: Final = _opposites()
