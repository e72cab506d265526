"""Redaction: what is taken out, what is left alone, and that JSON stays JSON."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordgate.errors import ConfigurationError
from coordgate.redaction import REDACTED, Redactor, redact, shorten

SECRET_NAMES = [
    *("api_key", "apikey", "apiKey", "API-KEY", "openai_api_key", "authorization", "password"),
    *("Passwd", "secret", "client_secret", "clientSecret", "token", "access_token", "accessToken"),
    *("private_key", "cookie", "Set-Cookie", "credentials", "aws_secret_access_key", "passphrase"),
]
PLAIN_NAMES = [
    *("max_tokens", "token_count", "tokens_in", "tokens", "total_tokens", "next_token", "maxToken"),
    *("tokenizer", "secretary", "key", "keys", "author", "cookbook", "max_token", "tokens_per_day"),
]
SHAPES = [
    "sk-" + "a1B2" * 8,
    "sk-ant-api03-" + "x_Y-" * 8,
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1_" * 12,
    "AKIA" + "ABCD1234" * 2,
    "xoxb-" + "123456789012-abc",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlMTIz",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\ncut off in the middle",
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([*SHAPES, "password=hunter2", 'a "token": "abc1"', '{"token": "x1"}', "\\"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from([*SECRET_NAMES, *PLAIN_NAMES, *SHAPES]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("name", SECRET_NAMES)
@pytest.mark.parametrize("value", ["hunter2", 12345, 1.5, ["hunter2"], {"a": {"b": "hunter2"}}])
def test_what_stands_under_a_secret_name_goes(name: str, value: object) -> None:
    """Strings and numbers under a secret key go, however deep; the rest of the JSON stays."""
    clean = redact(json.dumps({"a": [{name: value}], "draft": "kept"}))
    assert REDACTED in clean
    assert "hunter2" not in clean
    assert "12345" not in clean
    assert json.loads(clean)["draft"] == "kept"


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_what_stands_under_a_plain_name_stays(name: str) -> None:
    """Counts of tokens and words that look like secret names are left alone."""
    text = json.dumps({name: 17, "x": {name: "value"}})
    assert redact(text) == text


@pytest.mark.parametrize("value", [None, True, False, ""])
def test_no_value_is_no_secret(value: object) -> None:
    """A secret key with nothing under it tells that there was nothing."""
    text = json.dumps({"api_key": value})
    assert redact(text) == text


@pytest.mark.parametrize("secret", SHAPES)
def test_secrets_are_known_by_their_shape(secret: str) -> None:
    """A secret goes wherever it stands: in JSON, in nested JSON text, in a message."""
    inside = json.dumps({"note": f"use {secret}, please"})
    for text in (secret, f"ValueError: bad {secret}", inside, json.dumps({"arguments": inside})):
        clean = redact(text)
        assert secret not in clean
        assert json.dumps(secret)[1:-1] not in clean
        assert REDACTED in clean
    assert json.loads(redact(inside))["note"].startswith(f"use {REDACTED}")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("password=hunter2 rest", "password=[redacted] rest"),
        ("Password: hunter2", "Password: [redacted]"),
        ("{'api_key': 'abc', 'x': 1}", "{'api_key': '[redacted]', 'x': 1}"),
        ('cut {"api_key": "ab\\"c', 'cut {"api_key": "[redacted]"'),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted]"),
        ("postgres://me:p@ss:w@host/db", "postgres://me:[redacted]@host/db"),
        ("see https://host:8080/a@b", "see https://host:8080/a@b"),
        ("the secret: patience", "the secret: patience"),
        ("token: abc123", "token: [redacted]"),
        ("next token: abc123", "next token: abc123"),
        ("token=None", "token=None"),
        ("a task-force-of-risk-averse-people", "a task-force-of-risk-averse-people"),
        ("https://a.b/?access_token=xyz&page=2", "https://a.b/?access_token=[redacted]&page=2"),
    ],
)
def test_free_text(text: str, clean: str) -> None:
    """In messages, values after a secret name go, and prose stays."""
    assert redact(text) == clean
    assert redact(clean) == clean


@given(json_values)
def test_json_stays_json(value: object) -> None:
    """Whatever the JSON, the result is JSON, and redacting it again changes nothing."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        clean = redact(text)
        json.loads(clean, parse_constant=pytest.fail)
        assert redact(clean) == clean


@given(json_values)
def test_no_secret_survives(value: object) -> None:
    """No secret by shape is left anywhere in the decoded result."""
    left = json.dumps(json.loads(redact(json.dumps(value))))
    for secret in SHAPES[:7]:
        assert secret not in left


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    """No text, JSON or not, makes redaction raise."""
    assert isinstance(redact(text), str)
    assert isinstance(redact(f"password={text}"), str)


@pytest.mark.parametrize(
    "text",
    ["{" + '"n":' + "9" * 5000 + ',"token":"x1"}', '{"n":1e999,"token":"x1"}', '{"\\ud800":"x",'
     '"token":"x1"}', "[" * 50_000 + '"token":' ],
    ids=["long-integer", "infinity", "surrogate", "deep"],
)  # fmt: skip
def test_json_that_python_reads_badly(text: str) -> None:
    """Numbers beyond Python's limits, surrogates and depth neither raise nor leak."""
    clean = redact(text)
    assert "x1" not in clean
    clean.encode()
    json.loads(clean, parse_constant=pytest.fail, parse_int=str)


@pytest.mark.parametrize(
    "piece",
    ["eyJ-", "token", "api_", "://a:", '"api_key": "', "-----BEGIN PRIVATE KEY-----", "bearer ",
     "\\", "secret:", "token: ", "a", " ", "\\\"", "password='"],
)  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    """The time grows with the length alone: 300 kB of the worst take under two seconds."""
    text = piece * (300_000 // len(piece))
    started = time.perf_counter()
    redact("password=x " + text)
    redact(text)
    assert time.perf_counter() - started < 2


def test_letters_beyond_ascii_are_scanned_as_fast() -> None:
    """Text in any script is scanned by the same fast engine."""

    def seconds(text: str) -> float:
        started = time.perf_counter()
        for _ in range(300):
            redact(text)
        return time.perf_counter() - started

    plain = "the quick brown fox " * 50
    assert min(seconds(plain.replace("o", "ö")) for _ in range(3)) < 20 * max(
        seconds(plain) for _ in range(3)
    )


def test_names_and_patterns_of_ones_own() -> None:
    """A Redactor takes more names and patterns, on top of what is built in."""
    mine = Redactor(names=("iban", "order-number"), patterns=(r"CASE-[0-9]{4}",))
    assert mine('{"IBAN": "DE1", "orderNumber": 5, "x": "CASE-1234 password=a"}') == (
        '{"IBAN":"[redacted]","orderNumber":"[redacted]","x":"[redacted] password=[redacted]"}'
    )
    assert mine("iban=DE1, CASE-12") == "iban=[redacted], CASE-12"
    assert redact('{"IBAN": "DE1"}') == '{"IBAN": "DE1"}'


@pytest.mark.parametrize("arguments", [{"names": ["a b|c"]}, {"names": [""]}, {"patterns": ["("]}])
def test_a_redactor_that_cannot_work_is_refused(arguments: dict[str, list[str]]) -> None:
    """A name that is none, or a pattern that does not compile, is told when it is given."""
    with pytest.raises(ConfigurationError, match="Redactor"):
        Redactor(**arguments)  # type: ignore[arg-type]


def test_shorten_gives_one_redacted_line() -> None:
    """A value in a message is one line, redacted, and no longer than asked."""
    assert shorten({"api_key": "abc"}) == "{'api_key': '[redacted]'}"
    assert shorten("x" * 200, 20) == "'" + "x" * 18 + "…"

    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no")

    assert shorten(Broken()) == "<Broken whose repr raises>"

    class Lines:
        def __repr__(self) -> str:
            return "a\nb\x85c"

    assert shorten(Lines()) == "a b c"
