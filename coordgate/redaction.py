"""Redaction: secrets taken out of text, and values shortened, before anything is shown or written.

Two things give a secret away: the name that it stands under (`api_key`, `password`), and its
shape (`sk-...`, a JWT, a private key). One linear scan says whether a text holds anything
suspicious; nearly none does, and only those that do are taken apart.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic_core import SchemaError, SchemaValidator, core_schema

from coordgate.errors import ConfigurationError

REDACTED = "[redacted]"
"""What stands in the place of a secret."""

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_NAMES = (
    r"(?:api|access|secret|private|signing|encryption|account)[_. -]?key|authorization"
    r"|password|passwd|passphrase|pwd|secret|token|credentials?|cookies?"
)
"""What a value must not stand under: a name that ends so, in whatever case."""

_HARMLESS = frozenset(
    {
        *("max", "min", "num", "total", "next", "previous", "page", "continuation", "stop"),
        *("start", "end", "first", "last", "eos", "bos", "pad", "unk", "sep", "cls", "mask"),
        *("per", "by", "each", "new", "special", "word", "sub"),
    }
)
"""Before `token` these words say that it is a piece of text, or a place in a list."""

_SOFT = ("secret", "token", "credential", "credentials", "cookie", "cookies", "authorization")
"""Words of plain English: in prose, `secret: patience` is not one."""

_SHAPES = (
    r"\bsk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic and those who follow them
    r"\b[srp]k_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",  # GitHub
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bglpat-[A-Za-z0-9_-]{16,}",  # GitLab
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # AWS
    r"\bAIza[A-Za-z0-9_-]{30,}",  # Google
    r"\bxox[a-z]-[A-Za-z0-9-]{10,}",  # Slack
    r"\bhf_[A-Za-z0-9]{20,}",  # Hugging Face
    r"\blsv2_[a-z]{2}_[A-Za-z0-9_]{20,}",  # LangSmith
    r"\bnpm_[A-Za-z0-9]{30,}",
    r"\bpypi-[A-Za-z0-9_-]{30,}",
    r"\beyJ[A-Za-z0-9_-]{8,500}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",  # JWT
)
_PEM = r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"
_SCHEME = r"\b(?:[Bb]earer|BEARER|[Bb]asic|BASIC) +[A-Za-z0-9._~+/=-]{8,}"
_URL = r"://[^\s/?#:@\"'\\]*:[^\s/?#\"'\\]+@"

_SHAPE = re.compile("|".join((*_SHAPES, _PEM + r"(?s:.*?)(?:-----END [A-Z ]{0,30}KEY-----|\Z)")))
_SCHEME_PARTS = re.compile(r"\b((?i:bearer|basic) +)[A-Za-z0-9._~+/=-]{8,}")
_URL_PARTS = re.compile(r"(://[^\s/?#:@\"'\\]*:)[^\s/?#\"'\\]+@")
_BEFORE = re.compile(r"([A-Za-z]+)[_. -]?\Z")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_PLAIN_WORD = re.compile(r"[A-Za-z.]*\Z")
_OWN_NAME = re.compile(r"[A-Za-z0-9]+(?:[_. -][A-Za-z0-9]+)*\Z")


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes secrets out of text: `Redactor(names=["iban"], patterns=[r"ORDER-[0-9]{6}"])`.

    What is built in always applies; `names` and `patterns` come on top. Valid JSON stays valid.
    """

    names: tuple[str, ...] = ()
    """More names whose values are secret: a JSON key, or what stands before `=` or `:`."""
    patterns: tuple[str, ...] = ()
    """More regular expressions; what they match in a string is secret."""
    _scan: Callable[[str], bool] = field(init=False, repr=False, compare=False)
    _named: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _secret_name: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _own: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile; refuse what cannot be.

        Raises:
            ConfigurationError: a name is not words of letters and digits, or a pattern is no
                regular expression.
        """
        for name in self.names:
            if not _OWN_NAME.match(name):
                raise ConfigurationError(
                    f"Redactor: {name!r} is not a name; use letters, digits and single _ . - "
                    "between them, and `patterns` for anything else"
                )
        try:
            own = tuple(re.compile(pattern) for pattern in self.patterns)
        except re.error as error:
            raise ConfigurationError(
                f"Redactor: the pattern {error.pattern!r} is not a regular expression: {error}"
            ) from error
        names = "|".join((_NAMES, *(re.sub("[_. -]", "[_. -]?", name) for name in self.names)))
        set_ = object.__setattr__
        set_(self, "names", tuple(self.names))
        set_(self, "patterns", tuple(self.patterns))
        set_(self, "_own", own)
        set_(self, "_scan", _suspicion(names))
        set_(self, "_secret_name", re.compile(rf"(?i:{names})\Z"))
        set_(
            self,
            "_named",
            re.compile(
                rf"(?P<name>(?i:{names}))(?P<sep>\\*[\"']?\s{{0,5}}(?::=|=>|[:=])\s{{0,5}})"
                r"(?:(?P<open>\\+[\"'])(?s:.*?)(?P<close>\\+[\"']|\Z)"
                r'|"(?P<double>(?:[^"\\]|\\(?s:.))*)"?'
                r"|'(?P<single>(?:[^'\\]|\\(?s:.))*)'?"
                r"|(?P<bare>[^\s\"'\\&;,]+))"
            ),
        )

    def __call__(self, text: str) -> str:
        """Return `text`, which may be JSON or not, without what looks like a secret."""
        if not self._own and not self._scan(text):
            return text
        if text[:1] not in _JSON_STARTS:
            return self._words(text)
        try:
            value: Json = json.loads(text, parse_int=_integer, parse_float=_number)
            clean = self._value(value)
        except ValueError:
            return self._words(text)
        except RecursionError:
            return f'"{REDACTED[:-1]}: nested too deeply to be looked through]"'
        return text if clean == value else _dump(clean)

    def _words(self, text: str) -> str:
        text = _SHAPE.sub(REDACTED, text)
        text = _URL_PARTS.sub(rf"\1{REDACTED}@", text)
        text = _SCHEME_PARTS.sub(rf"\1{REDACTED}", text)
        text = self._named.sub(_without_value, text)
        for pattern in self._own:
            text = pattern.sub(REDACTED, text)
        return text

    def _value(self, value: Json) -> Json:
        match value:
            case str():
                if value[:1] in _JSON_STARTS or self._own or self._scan(value):
                    return self(value)
                return value
            case list():
                return [self._value(item) for item in value]
            case dict():
                return {
                    self._words(key): self._blank(item)
                    if self._is_secret(key)
                    else self._value(item)
                    for key, item in value.items()
                }
            case _:
                return value

    def _blank(self, value: Json) -> Json:
        """Return what stands under a secret name with every string and number redacted."""
        match value:
            case bool() | None | "":
                return value
            case list():
                return [self._blank(item) for item in value]
            case dict():
                return {self._words(key): self._blank(item) for key, item in value.items()}
            case _:
                return REDACTED

    def _is_secret(self, name: str) -> bool:
        found = self._secret_name.search(name)
        if found is None:
            return False
        words = _WORDS.findall(name)
        return not (
            found[0].lower() == "token" and len(words) > 1 and words[-2].lower() in _HARMLESS
        )


def shorten(value: Any, limit: int = 80) -> str:
    """Return a one-line, redacted picture of `value` of at most `limit` characters."""
    try:
        text = redact(repr(value))
    except Exception:  # noqa: BLE001 - a repr runs code of its own, and may raise anything
        text = f"<{type(value).__name__} whose repr raises>"
    if len(text) > limit:
        text = text[: limit - 1] + "\u2026"
    return " ".join(text.splitlines())


_JSON_STARTS = frozenset('{["')


def _suspicion(names: str) -> Callable[[str], bool]:
    """Return what tells in one linear pass whether a text may hold a secret.

    pydantic's string validator brings Rust's regex engine, which looks for all alternatives at
    once and cannot backtrack. For a state of 300 characters it takes under a microsecond, and
    Python's `re` with the same pattern 200.
    """
    named = rf"(?i:{names})\\*[\"']?\s{{0,5}}[:=]"
    pattern = "|".join((*_SHAPES, _PEM, _SCHEME, _URL, named))
    # With Unicode's word boundaries one letter beyond ASCII makes that engine 200 times slower.
    pattern = pattern.replace(r"\b", r"(?-u:\b)")
    # The bound keeps Python's engine from backtracking; here it only makes the machine larger.
    pattern = pattern.replace("{8,500}", "{8,}")
    schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
    try:
        return SchemaValidator(schema).isinstance_python
    except SchemaError as error:  # pragma: no cover - names are checked before
        raise ConfigurationError(f"Redactor: {names!r} cannot be looked for: {error}") from error


def _without_value(match: re.Match[str]) -> str:
    """Return a `name: value` of free text without its value, unless that is no secret."""
    name, bare = match["name"], match["bare"]
    if name.lower() == "token":
        before = _BEFORE.search(match.string, max(0, match.start() - 16), match.start())
        if before is not None and before[1].lower() in _HARMLESS:
            return match[0]
    head = name + match["sep"]
    if bare is not None:
        prose = name.lower() in _SOFT and ":" in match["sep"] and _PLAIN_WORD.match(bare)
        if prose or bare.lower() in _NO_VALUES or bare.startswith(REDACTED[:-1]):
            return match[0]
        return head + REDACTED
    if match["open"] is not None:
        return f"{head}{match['open']}{REDACTED}{match['close']}"
    quote = '"' if match["double"] is not None else "'"
    if not match["double"] and not match["single"]:
        return match[0]
    return f"{head}{quote}{REDACTED}{quote}"


_NO_VALUES = frozenset({"none", "null", "true", "false", "bearer", "basic"})


def _integer(digits: str) -> int | str:
    # Python refuses longer ones, and JSON does not.
    return int(digits) if len(digits) < 4000 else f"[an integer of {len(digits)} digits]"


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _dump(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates: only their escapes can be written
        return json.dumps(value, separators=(",", ":"))
    return text


_redactor = Redactor()


def redact(text: str) -> str:
    """Return `text`, JSON or not, without what looks like a secret."""
    return _redactor(text)
