"""Rules: gates that look at one value: a predicate, a bound, a length, a pattern, emptiness."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from numbers import Real
from typing import Any, Literal, cast

from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, RungName, Verdict, as_verdict, gate
from coordgate.gates.values import Unreadable, checked_key, is_empty, read, read_text

Unit = Literal["characters", "words"]
Number = int | float | Decimal


def check(
    predicate: Callable[..., bool | Awaitable[bool]],
    message: str,
    *,
    name: str | None = None,
    otherwise: RungName | None = None,
) -> Gate:
    """Make a gate of a predicate of `(output)` or `(output, state)`; `message` is its reason.

    The predicate returns True or False; anything else, or an exception, does not pass.

    Raises:
        ConfigurationError: the predicate takes other arguments, or the message is empty.
    """
    if not message.strip():
        raise ConfigurationError(
            'check: say in the message what is wrong, "total is below 0"; the node is told it'
        )
    made = gate(otherwise=otherwise)(predicate)
    rejected = Verdict.reject(message)

    def judge(result: object) -> Verdict:
        return rejected if result is False else as_verdict(result)

    def ask(output: Any, state: Any = None) -> Verdict:
        return judge(made(output, state))

    async def ask_async(output: Any, state: Any = None) -> Verdict:
        answer = made(output, state)
        return judge(await answer if inspect.isawaitable(answer) else answer)

    return replace(
        made,
        name=name or (message if made.name == "<lambda>" else made.name),
        function=ask_async if made.is_async else ask,
        takes_state=True,
        fingerprint=f"check({made.fingerprint}, {message!r})",
    )


def threshold(
    key: str,
    *,
    at_least: Number | None = None,
    at_most: Number | None = None,
    otherwise: RungName | None = None,
) -> Gate:
    """Pass if the number under `key` is within the bounds, which count as inside; it is the score.

    Raises:
        ConfigurationError: no bound is given, or one is no finite number, or they exclude all.
    """
    checked_key(key, "threshold")
    if at_least is None and at_most is None:
        raise ConfigurationError(f"threshold({key!r}): give at_least, at_most, or both")
    for bound in (at_least, at_most):
        if bound is not None and (_number(bound) is None or not math.isfinite(_score(bound))):
            raise ConfigurationError(f"threshold({key!r}): {bound!r} is not a finite number")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ConfigurationError(
            f"threshold({key!r}): nothing is at least {at_least} and at most {at_most}"
        )

    def ask(output: Any) -> Verdict:
        try:
            value = read(output, key)
        except Unreadable as error:
            return error.verdict()
        number = _number(value)
        if number is None:
            return Unreadable(f"{key} is not a number, but {_shown(value)}").verdict()
        score = _score(number)
        if at_least is not None and number < at_least:
            return Verdict.reject(
                f"{key} is {_figure(number)}, at least {at_least} is required", score
            )
        if at_most is not None and number > at_most:
            return Verdict.reject(
                f"{key} is {_figure(number)}, at most {at_most} is allowed", score
            )
        return Verdict.accept(score)

    bounds = ", ".join(
        f"{word}={bound}"
        for word, bound in (("at_least", at_least), ("at_most", at_most))
        if bound is not None
    )
    return _rule(ask, "threshold", f"{key}, {bounds}", otherwise, key)


def max_length(
    key: str, n: int, unit: Unit = "characters", *, otherwise: RungName | None = None
) -> Gate:
    """Pass if the text under `key` has at most `n` characters, or words (parted by white space).

    Raises:
        ConfigurationError: `n` is not a whole number from 1, or the unit is unknown.
    """
    checked_key(key, "max_length")
    if type(n) is not int or n < 1:
        raise ConfigurationError(f"max_length({key!r}): {n!r} is not a whole number from 1")
    if unit not in {"characters", "words"}:
        raise ConfigurationError(
            f'max_length({key!r}): unit {unit!r} is unknown; use "characters" or "words"'
        )

    def ask(output: Any) -> Verdict:
        try:
            text = read_text(output, key)
        except Unreadable as error:
            return error.verdict()
        length = len(text) if unit == "characters" else len(text.split())
        if length > n:
            return Verdict.reject(f"{key} has {length} {unit}, at most {n} are allowed", length)
        return Verdict.accept(length)

    return _rule(ask, "max_length", f"{key}, {n} {unit}", otherwise, key)


def matches(key: str, pattern: str | re.Pattern[str], *, otherwise: RungName | None = None) -> Gate:
    r"""Pass if `pattern` is found anywhere in the text under `key`, as `re.search` does.

    Anchor it with `\A` and `\Z` to match the whole text; give a compiled pattern to set flags.
    The time that a pattern takes on hostile text is the pattern's own: avoid nested repetition.

    Raises:
        ConfigurationError: the pattern is not a valid regular expression.
    """
    checked_key(key, "matches")
    compiled = compiled_pattern(pattern, f"matches({key!r})")

    def ask(output: Any) -> Verdict:
        try:
            text = read_text(output, key)
        except Unreadable as error:
            return error.verdict()
        if compiled.search(text) is None:
            return Verdict.reject(f"{key} does not match the pattern {compiled.pattern}")
        return Verdict.accept()

    shown = repr(compiled.pattern)
    made = _rule(ask, "matches", f"{key}, {shown}", otherwise, key)
    return replace(made, fingerprint=f"matches({key}, {shown}, {compiled.flags}, {otherwise})")


def not_empty(*keys: str, otherwise: RungName | None = None) -> Gate:
    """Pass if none of the keys is missing, None, blank, or a collection of nothing but such.

    Zero and False are values, not emptiness.

    Raises:
        ConfigurationError: no key is given.
    """
    if not keys:
        raise ConfigurationError('not_empty: name at least one key, not_empty("draft")')
    for key in keys:
        checked_key(key, "not_empty")

    def ask(output: Any) -> Verdict:
        reasons: list[str] = []
        for key in keys:
            try:
                if is_empty(read(output, key)):
                    reasons.append(f"{key} is empty")
            except Unreadable as error:
                reasons.append(str(error))
        return Verdict.reject("; ".join(reasons)) if reasons else Verdict.accept()

    return _rule(ask, "not_empty", ", ".join(keys), otherwise, *keys)


def compiled_pattern(pattern: str | re.Pattern[str], where: str) -> re.Pattern[str]:
    """Return the compiled pattern.

    Raises:
        ConfigurationError: it is not a valid regular expression on text.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise ConfigurationError(
            f"{where}: {pattern!r} is not a valid regular expression ({error})"
        ) from error
    if not isinstance(cast("object", compiled.pattern), str):
        raise ConfigurationError(f"{where}: {pattern!r} matches bytes; give a pattern on text")
    return compiled


def _rule(
    ask: Callable[[Any], Verdict],
    kind: str,
    parameters: str,
    otherwise: RungName | None,
    *keys: str,
) -> Gate:
    made = gate(name=f"{kind}({parameters})", otherwise=otherwise)(ask)
    return replace(made, fingerprint=f"{kind}({parameters}, {otherwise})", reads=keys)


def _number(value: object) -> Number | None:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    # NaN is what does not equal itself; a signalling Decimal would raise if it were compared.
    is_nan = value.is_nan() if isinstance(value, Decimal) else value != value
    # Fractions and NumPy's numbers compare with the others as int and float do.
    return None if is_nan else cast("Number", value)


def _score(number: Number) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _figure(number: Number) -> str:
    score = _score(number)
    return str(number) if math.isfinite(score) else str(score)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
