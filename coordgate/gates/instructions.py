"""Instructions: rules that find text which speaks to a model, in what should speak to people.

Rules on words and characters: they find what is blunt or common. What they find and miss is
measured on a labelled set, and printed in the documentation.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator

_GIVEN = r"(?:instructions?|directions?|guidelines?|guidance|rules|prompts?|orders|commands?)"
_MODEL = (
    r"(?:a\.?i\.?|llms?|(?:large )?language models?|chat ?bots?|assistants?"
    r"|ai (?:agents?|assistants?|models?|systems?))"
)
_BEFORE = (
    r"(?:previous|prior|above|earlier|preceding|former|foregoing|initial|original|existing|current)"
)
_DROP = r"(?:ignore|disregard|forget|override|bypass|neglect|discard|drop|skip|overrule)"

_CLAUSE = r"[^.!?\n]"

_RULES: tuple[tuple[str, str], ...] = (
    # Tells the reader to drop what it was told before.
    ("override", rf"\b{_DROP}\b{_CLAUSE}{{0,40}}\b{_BEFORE}\b{_CLAUSE}{{0,20}}\b{_GIVEN}\b"),
    ("override", rf"\b{_DROP}\b{_CLAUSE}{{0,20}}\b(?:your|system)\b{_CLAUSE}{{0,20}}\b{_GIVEN}\b"),
    ("override", rf"\b{_GIVEN}\b{_CLAUSE}{{0,50}}\b(?:must|should|can|are to) be {_DROP}d?\b"),
    (
        "override",
        r"\b(?:ignore|disregard|forget) (?:all |everything |anything )?(?:of )?the above\b",
    ),
    ("override", rf"\bforget (?:everything|all|anything)\b{_CLAUSE}{{0,20}}\b(?:told|said|learn)"),
    (
        "override",
        rf"\bdo not (?:follow|obey)\b{_CLAUSE}{{0,30}}\b(?:system|your)\b{_CLAUSE}{{0,12}}prompt",
    ),
    ("override", rf"\bbypass\b{_CLAUSE}{{0,20}}\b(?:safety|security|content)\b"),
    (
        "override",
        r"\bignorier\w{0,4}\b.{0,30}\b(?:vorherige|bisherige|obige)n? (?:anweisung|befehl|regel)",
    ),
    ("override", r"\bignore[zr]\b.{0,30}\b(?:instructions|consignes)\b.{0,12}\bpr[eé]c[eé]dent"),
    # Gives the reader another role.
    (
        "new role",
        rf"\byou are (?:now|no longer)\b{_CLAUSE}{{0,30}}\b(?:assistant|bot|model|agent|dan|ai)\b",
    ),
    (
        "new role",
        rf"\bfrom (?:now|this point|here) on\w{{0,4}},? you\b{_CLAUSE}{{0,12}}"
        r"\b(?:act|respond|answer|reply|are|behave)",
    ),
    (
        "new role",
        r"(?:^|[.:\n])\s{0,4}(?:your )?new (?:instructions?|task|role|objective|goal)(?: is|:)",
    ),
    ("new role", r"\bpretend (?:to be|that you|you are)\b"),
    (
        "new role",
        r"\b(?:enter|enable|activate|switch to|go into) "
        r"(?:developer|debug|admin|god|jailbreak) mode\b",
    ),
    # Marks that part the turns of a conversation.
    ("chat markup", r"<\|[a-z_]{2,30}\|>|\[/?INST\]|<</?SYS>>"),
    ("chat markup", r"^#{1,4} ?(?:system|instructions?|assistant)\b ?:"),
    (
        "chat markup",
        r"</?(?:system|assistant|context|documents?|instructions?|user_?input|prompt)>",
    ),
    ("chat markup", r"^human:[\s\S]{0,400}?^assistant:"),
    # Asks for something to be kept from the user, or for what only the model knows.
    (
        "secrecy",
        r"\b(?:without (?:mentioning|telling|disclosing)"
        r"|(?:do not|don't|never) (?:mention|reveal|tell|disclose))\b"
        rf"{_CLAUSE}{{0,30}}\b(?:this (?:note|instruction|message|prompt)|the user that"
        r"|where it came)",
    ),
    (
        "secrecy",
        rf"\b(?:reveal|print|show|output|repeat|display|leak)\b{_CLAUSE}{{0,30}}"
        r"\b(?:your|the) (?:system|initial|original|hidden|full) "
        r"(?:prompt|instructions?|message|conversation)\b",
    ),
    # Carries data out.
    (
        "exfiltration",
        r"!\[[^\[\]]{0,200}\]\(https?://[^)\s=]{1,300}[?&][^)\s=]{1,60}=\s{0,4}[\[{<]",
    ),
    (
        "exfiltration",
        rf"\b(?:send|forward|append|encode|post|upload|mail|leak)\b{_CLAUSE}{{0,40}}"
        r"\b(?:conversation|chat|last message|retrieved|context|history|api key|password)\b"
        r"[^!?\n]{0,40}(?:https?://|\S@\S|\burl\b)",
    ),
    # Has a tool called.
    (
        "tool call",
        rf"\b(?:call|invoke|use|run|execute)\b{_CLAUSE}{{0,12}}"
        rf"\b[a-z]{{1,30}}_\w{{1,30}} (?:tool|function)\b{_CLAUSE}{{0,12}}\b(?:with|to)\b",
    ),
    (
        "tool call",
        rf"\b(?:agent|assistant|ai|model)\b[ :,]{{1,3}}{_CLAUSE}{{0,20}}"
        rf"\b(?:call|invoke|run|execute)\b{_CLAUSE}{{0,20}}(?:\w\(|`|command|:)",
    ),
    # Addresses a model.
    ("addressed to a model", rf"\bif you(?:'re| are) an? {_MODEL}\b"),
    (
        "addressed to a model",
        r"\b(?:note|message|attention|instructions?|notice|warning)\b,? "
        rf"(?:to |for )?(?:the |all |any )?{_MODEL}\b",
    ),
    (
        "addressed to a model",
        rf"\b{_MODEL}\b{_CLAUSE}{{0,50}}"
        r"\b(?:must|should|has to|have to|shall|are required to|needs? to)\b (?:now )?"
        r"(?:state|say|answer|add|include|rank|report|reply|respond|recommend|mention|write"
        r"|output|call)",
    ),
    (
        "addressed to a model",
        r"(?:^|[.!?>\n-])\s{0,4}(?:ai|assistant|llm|ai agent|agent|model|chatbot)"
        r"\s{0,2}[:,] (?!i\b)\w",
    ),
)
_COMPILED = tuple((kind, re.compile(rule, re.IGNORECASE | re.MULTILINE)) for kind, rule in _RULES)

_TAGS = re.compile("[\U000e0020-\U000e007e]{3,}")
_BIDI = re.compile("[\u202d\u202e]")
_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"
_ZERO_WIDTH = re.compile(f"[{_UNSEEN}\u00ad]")
_SPLIT_WORDS = re.compile(f"(?:[A-Za-z][{_UNSEEN}]){{3,}}")
_HIDDEN_STYLE = re.compile(
    r"<\w[^<>]{0,300}?style\s{0,3}=\s{0,3}[\"'][^\"'<>]{0,300}?"
    r"(?:display\s?:\s?none|visibility\s?:\s?hidden|font-size\s?:\s?0|opacity\s?:\s?0(?![.\d])"
    r"|(?<![\w-])color\s?:\s?(?:#fff(?:fff)?|white|transparent)(?!\w))[^<>]{0,300}>\s{0,9}\w",
    re.IGNORECASE,
)
_ENCODED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_SPACED = re.compile(r"\b(?:[A-Za-z] ){4,}[A-Za-z]\b")
_DIGITS = str.maketrans("013457", "oleast")
_LETTERS = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u03b1\u03bf\u03b9", "aeopcyxisaoi"
)
"""Cyrillic and Greek letters that look like Latin ones."""
_LONGEST = 200_000


def instructions_in(text: str) -> Iterator[str]:
    """Yield the kinds of instruction to a model that the text seems to hold.

    Of a text of more than 200,000 characters only the first so many are looked at, and the rest
    is named as such.
    """
    if len(text) > _LONGEST:
        yield "more text than is looked at"
        text = text[:_LONGEST]
    if _TAGS.search(text) or _BIDI.search(text) or _SPLIT_WORDS.search(text):
        yield "invisible characters"
    if _HIDDEN_STYLE.search(text):
        yield "hidden html"
    plainly = list(dict.fromkeys(_by_words(_plain(text))))
    yield from plainly
    for read in () if plainly else _read_otherwise(text):
        if any(_by_words(read)):
            yield "encoded"
            return


def _by_words(text: str) -> Iterator[str]:
    for kind, rule in _COMPILED:
        if rule.search(text):
            yield kind


def _plain(text: str) -> str:
    """Return the text as it reads: without what cannot be seen, and in one form of each letter."""
    return _ZERO_WIDTH.sub("", unicodedata.normalize("NFKC", text))


def _read_otherwise(text: str) -> Iterator[str]:
    """Yield what the text says to who reads it otherwise: decoded, unspaced, in other letters."""
    for found in _ENCODED.findall(text):
        try:
            decoded = base64.b64decode(found, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
        yield _plain(decoded)
    plain = _plain(text)
    if _SPACED.search(plain):
        words = re.split(r" {2,}|\n", plain)
        yield " ".join(re.sub(r"(?<=\b\w) (?=\w\b)", "", word) for word in words)
    if not plain.isascii():
        yield plain.translate(_LETTERS)
    if any(digit in plain for digit in "013457"):
        yield plain.translate(_DIGITS)
