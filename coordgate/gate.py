"""Gates: functions that judge what a node hands over, their verdicts, and how they compose."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Self, get_args, overload

from coordgate.errors import ConfigurationError
from coordgate.fingerprint import fingerprint

RungName = Literal["retry", "fallback", "reroute", "send_back", "escalate", "degrade", "fail"]
"""The rungs that a verdict may jump to; `fail` ends the ladder at once."""

RUNG_NAMES: frozenset[str] = frozenset(get_args(RungName))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of one hand-over. Make it with `Verdict.accept` or `Verdict.reject`."""

    passed: bool
    """True only if the gate accepted."""
    reason: str = ""
    """Why it did not pass, in words that the node can act on."""
    score: float | None = None
    """The gate's own measure, if it has one; its scale is the gate's business."""
    otherwise: RungName | None = None
    """The rung to jump to, instead of the next one on the ladder."""
    broken: bool = False
    """True if the gate itself failed: it raised, timed out, or returned nonsense."""

    def __bool__(self) -> bool:
        """Return whether the gate accepted."""
        return self.passed

    @classmethod
    def accept(cls, score: float | None = None) -> Self:
        """Accept the hand-over."""
        return cls(passed=True, score=score)

    @classmethod
    def reject(
        cls, reason: str, score: float | None = None, otherwise: RungName | None = None
    ) -> Self:
        """Reject the hand-over; `reason` is what a retried node is told.

        Raises:
            ConfigurationError: `otherwise` is no rung.
        """
        _check_rung(otherwise)
        return cls(passed=False, reason=reason, score=score, otherwise=otherwise)


class Judgement(NamedTuple):
    """A verdict with the gate that gave it and the time it took: what the record keeps."""

    gate: str
    """The gate's name."""
    verdict: Verdict
    """What it said."""
    seconds: float = 0.0
    """How long it took."""


GateFunction = Callable[..., "bool | Verdict | Awaitable[bool | Verdict]"]


@dataclass(frozen=True, slots=True)
class Gate:
    """A named check on a hand-over. Made by `@gate` or by the factories in `coordgate.gates`.

    `&`, `|` and `~` compose gates into one gate. `a & b` stops at the first that does not pass.
    """

    name: str
    """Shown in the record, the feedback and the errors."""
    function: GateFunction = field(repr=False)
    """Called with `(output, state)`, or `(output)` where it takes one argument only."""
    takes_state: bool = field(default=True, repr=False)
    """Whether `function` takes the state as well."""
    slow: bool = False
    """True for gates that wait (models, network): they run after the others, concurrently."""
    timeout: float | None = None
    """Seconds after which a slow gate has not passed."""
    otherwise: RungName | None = None
    """The rung that this gate jumps to when it rejects, unless its verdict names one."""
    parts: tuple[Gate, ...] = field(default=(), repr=False)
    """The gates that a composed gate is made of."""
    reads: tuple[str, ...] = field(default=(), repr=False)
    """The keys, or paths, that a ready-made gate reads in the output."""
    context: tuple[str, ...] = field(default=(), repr=False)
    """The keys, or paths, that it reads in the state, or else in the output."""
    fingerprint: str = field(default="", repr=False)
    """What tells this gate from others of its name; a change of it misses LangGraph's cache."""

    @property
    def is_async(self) -> bool:
        """Whether calling it gives an awaitable."""
        return _is_async(self.function)

    def __call__(
        self, output: Any, state: Any = None
    ) -> bool | Verdict | Awaitable[bool | Verdict]:
        """Call the gate's function, as a test of the gate by itself would."""
        return self.function(output, state) if self.takes_state else self.function(output)

    def __and__(self, other: Gate | GateFunction) -> Gate:
        """Pass if both pass; the second is asked only if the first passed."""
        return _compose("and", self, other)

    def __rand__(self, other: GateFunction) -> Gate:
        """Compose a plain function, which comes first, with this gate."""
        return _compose("and", other, self)

    def __or__(self, other: Gate | GateFunction) -> Gate:
        """Pass if either passes; the second is asked only if the first did not."""
        return _compose("or", self, other)

    def __ror__(self, other: GateFunction) -> Gate:
        """Compose a plain function, which comes first, with this gate."""
        return _compose("or", other, self)

    def __invert__(self) -> Gate:
        """Pass if this gate rejects. One that raises or returns nonsense does not pass inverted."""
        return _compose("not", self)

    @property
    def jumps(self) -> frozenset[str]:
        """The rungs that the gate, or a part of it, jumps to."""
        own = frozenset[str]() if self.otherwise is None else frozenset[str]({self.otherwise})
        return own.union(*(part.jumps for part in self.parts))

    @property
    def sees_answers(self) -> bool:
        """Whether it looks at the answers of the node's models, which are not handed over."""
        own = self.fingerprint.startswith("finished") and not self.reads
        return own or any(part.sees_answers for part in self.parts)

    def named(self, name: str) -> Gate:
        """Return the same gate under another name."""
        return replace(self, name=name)


@overload
def gate(function: GateFunction, /) -> Gate: ...
@overload
def gate(
    *,
    name: str | None = None,
    slow: bool = False,
    timeout: float | None = None,
    otherwise: RungName | None = None,
) -> Callable[[GateFunction], Gate]: ...
def gate(
    function: GateFunction | None = None,
    /,
    *,
    name: str | None = None,
    slow: bool = False,
    timeout: float | None = None,
    otherwise: RungName | None = None,
) -> Gate | Callable[[GateFunction], Gate]:
    """Make a gate of a function `(output, state)` or `(output)` that returns a bool or a Verdict.

    `output` is the parsed object where the node declares `returns`, else the update as a dict.
    The function may be async. Set `slow` for one that waits on a model or a network: it runs
    after the quick ones, at the same time as other slow ones, and within `timeout` seconds.

    Raises:
        ConfigurationError: the function cannot be called with one or two arguments.
    """

    def make(function: GateFunction) -> Gate:
        if not callable(function):
            raise ConfigurationError(
                f"a gate is a function of (output, state) or (output), not {function!r}; "
                "decorate a function with @gate"
            )
        if timeout is not None and timeout <= 0:
            raise ConfigurationError(f"a gate's timeout is in seconds above 0, not {timeout!r}")
        _check_rung(otherwise)
        return Gate(
            name=name or _name_of(function),
            function=function,
            takes_state=_takes_state(function),
            slow=slow or timeout is not None,
            timeout=timeout,
            otherwise=otherwise,
            fingerprint=fingerprint(function),
        )

    return make if function is None else make(function)


def as_gate(thing: object, *, where: str) -> Gate:
    """Return `thing` as a gate, or say how to make one of it."""
    if isinstance(thing, Gate):
        return thing
    if _makes_gates(thing):
        raise ConfigurationError(f"{where}: {thing!r} makes gates, and is none: call it")
    if callable(thing) and not isinstance(thing, type):
        function: Any = thing
        return gate(function)
    raise ConfigurationError(
        f"{where}: {thing!r} is not a gate; use @gate on a function of (output, state), "
        "or one of coordgate.gates"
    )


def _makes_gates(thing: Any) -> bool:
    returned = getattr(thing, "__annotations__", {}).get("return")
    return returned is Gate or returned == "Gate"


def as_verdict(result: object) -> Verdict:
    """Turn what a gate returned into a verdict; whatever is not clearly a pass has not passed."""
    if result is True:
        return ACCEPTED
    if isinstance(result, Verdict):
        return result
    if result is False:
        return Verdict.reject("did not pass")
    return _broken(f"the gate returned {type(result).__name__}, not a bool or a Verdict")


def raised(error: BaseException) -> Verdict:
    """Return the verdict of a gate that raised: it has not passed."""
    return _broken(f"the gate raised {type(error).__name__}: {error}")


def jumping(gate: Gate, verdict: Verdict) -> Verdict:
    """Return a gate's verdict with the rung that the gate itself jumps to, if it names none."""
    if verdict.passed or gate.otherwise is None or verdict.otherwise is not None:
        return verdict
    return replace(verdict, otherwise=gate.otherwise)


def timed_out(seconds: float) -> Verdict:
    """Return the verdict of a gate that did not answer in time: it has not passed."""
    return _broken(f"the gate did not answer within {seconds:g} s")


ACCEPTED = Verdict(passed=True)
"""The verdict that most answers are."""
_POSITIONAL = frozenset(
    {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
)


def _broken(reason: str) -> Verdict:
    return Verdict(passed=False, reason=reason, broken=True)


def _check_rung(otherwise: str | None) -> None:
    if otherwise is not None and otherwise not in RUNG_NAMES:
        raise ConfigurationError(
            f"otherwise={otherwise!r} is not a rung; use one of {', '.join(sorted(RUNG_NAMES))}"
        )


def _name_of(function: GateFunction) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def _is_async(function: GateFunction) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method is wanted, not callability
    )


def _takes_state(function: GateFunction) -> bool:
    """Tell `(output, state)` from `(output)`; refuse every other shape, and those two swapped.

    A second parameter with a default is the function's own, unless it is called `state`.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    positional = [p for p in signature.parameters.values() if p.kind in _POSITIONAL]
    second = positional[1] if len(positional) > 1 else None
    if second is not None and second.name != "state" and positional[0].name == "state":
        raise ConfigurationError(
            f"gate {_name_of(function)!r} has the signature {signature}: a gate is given the "
            "output first and the state second; write (output, state)"
        )
    wants = second is None or second.default is second.empty or second.name == "state"
    for arguments, takes in (((None, None), True), ((None,), False)):
        if takes and not wants:
            continue
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return takes
    raise ConfigurationError(
        f"gate {_name_of(function)!r} has the signature {signature}; "
        "a gate takes (output, state) or (output)"
    )


def _compose(how: Literal["and", "or", "not"], *given: Gate | GateFunction) -> Gate:
    parts = tuple(as_gate(part, where="a composed gate") for part in given)
    sign = {"and": " & ", "or": " | ", "not": "~"}[how]
    joined = sign.join(part.name for part in parts) if how != "not" else f"~{parts[0].name}"
    slow = any(part.slow for part in parts)
    ask = _ask_async if any(part.is_async for part in parts) else _ask_sync
    return Gate(
        name=f"({joined})" if how != "not" else joined,
        function=ask(how, parts),
        slow=slow,
        timeout=sum(p.timeout for p in parts if p.timeout) if _all_timed(parts) else None,
        parts=parts,
        fingerprint=f"{how}({'|'.join(part.fingerprint for part in parts)})",
    )


def _all_timed(parts: tuple[Gate, ...]) -> bool:
    return all(part.timeout for part in parts)


def _ask_sync(how: str, parts: tuple[Gate, ...]) -> GateFunction:
    def ask(output: Any, state: Any) -> Verdict:
        flow = _composed(how, parts)
        part = next(flow)
        while True:
            try:
                answered = as_verdict(part(output, state))
            except Exception as error:  # noqa: BLE001 - a part that raises has not passed
                answered = raised(error)
            try:
                part = flow.send(answered)
            except StopIteration as done:
                verdict: Verdict = done.value
                return verdict

    return ask


def _ask_async(how: str, parts: tuple[Gate, ...]) -> GateFunction:
    async def ask(output: Any, state: Any) -> Verdict:
        flow = _composed(how, parts)
        part = next(flow)
        while True:
            try:
                answer = part(output, state)
                answered = as_verdict(await answer if inspect.isawaitable(answer) else answer)
            except Exception as error:  # noqa: BLE001 - a part that raises has not passed
                answered = raised(error)
            try:
                part = flow.send(answered)
            except StopIteration as done:
                verdict: Verdict = done.value
                return verdict

    return ask


def _composed(how: str, parts: tuple[Gate, ...]) -> Generator[Gate, Verdict, Verdict]:
    """Yield each part to ask, take its verdict, and return the verdict of the whole."""
    if how == "not":
        verdict = yield parts[0]
        if verdict.broken:
            return verdict
        return Verdict.reject(f"{parts[0].name} passed") if verdict else Verdict.accept()
    verdicts: list[Verdict] = []
    for part in parts:
        verdict = jumping(part, (yield part))
        verdicts.append(verdict)
        if verdict.passed is (how == "or"):
            return verdict
    if how == "and":
        return verdicts[-1]
    reasons = " and ".join(v.reason for v in verdicts if v.reason)
    return Verdict(
        passed=False,
        reason=reasons or "neither passed",
        otherwise=next((v.otherwise for v in verdicts if v.otherwise), None),
        broken=any(v.broken for v in verdicts),
    )
