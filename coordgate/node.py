"""A node and what is declared on it: `NodeGuard`, the decorator `@gated`, and `feedback()`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeVar, overload

from langgraph.config import get_config

from coordgate.contract import Contract, nearest
from coordgate.errors import ConfigurationError, UngatedError
from coordgate.gate import Gate, Judgement, as_gate
from coordgate.policy import Fallback, Feedback, Policy, Retry
from coordgate.running import RUNNING as RUNNING

Effects = Literal["none", "idempotent", "external"]
"""What running the node twice does: nothing, the same again, or harm (never repeated)."""

StreamRule = Literal["announce", "hold"]
"""What a front end sees of an attempt before its verdict: all, to be taken back, or nothing."""

NodeFunction = TypeVar("NodeFunction", bound=Callable[..., Any])

_PARTS = ("accepts", "returns", "gates", "policy", "effects", "stream")
_RETRY_LIBRARIES = frozenset({"tenacity", "stamina", "backoff", "retrying"})

ATTRIBUTE = "__coordgate__"
"""Where `@gated` puts the NodeGuard on a function."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeGuard:
    """What a node must hand over, what makes that good enough, and what happens when it is not."""

    contract: Contract | None = None
    """Types in and out; None takes the node's annotations, and else the state's own."""
    gates: Sequence[Gate | Callable[..., Any]] = ()
    """Asked in this order, the slow ones last and together."""
    policy: Policy | None = None
    """The ladder after a failed attempt; None fails at once."""
    effects: Effects = "none"
    """What running the node twice does."""
    stream: StreamRule = "announce"
    """What a front end sees of an attempt before its verdict."""

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Make one; say which part a name that is none belongs to."""
        wrong = sorted(set(given) - set(cls.__match_args__))
        if {"accepts", "returns"}.intersection(wrong):
            raise ConfigurationError(
                f"NodeGuard({wrong[0]}=...): types in and out are given as "
                f"NodeGuard(contract=Contract({wrong[0]}=...))"
            )
        if wrong:
            raise ConfigurationError(
                f"NodeGuard has no part {wrong[0]!r}{nearest(wrong[0], cls.__match_args__)}"
            )
        return object.__new__(cls)

    def __post_init__(self) -> None:
        """Check what can be known without a graph.

        Raises:
            ConfigurationError: a part is not what it should be, or two parts contradict each other.
        """
        if not isinstance(self.contract, Contract | None):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(
                f"NodeGuard(contract={self.contract!r}): use Contract(accepts=..., returns=...)"
            )
        if isinstance(self.gates, Gate | str) or not isinstance(self.gates, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError("NodeGuard(gates=...): give a list of gates")
        if not isinstance(self.policy, Policy | None):  # pyright: ignore[reportUnnecessaryIsInstance] - not every caller is type-checked
            raise ConfigurationError(
                f"NodeGuard(policy={self.policy!r}): use Policy(Retry(2), ...), rungs inside"
            )
        for name, value, allowed in (
            ("effects", self.effects, ("none", "idempotent", "external")),
            ("stream", self.stream, ("announce", "hold")),
        ):
            if value not in allowed:
                raise ConfigurationError(f"NodeGuard({name}={value!r}): use one of {allowed}")
        gates = tuple(as_gate(each, where="NodeGuard(gates=...)") for each in self.gates)
        object.__setattr__(self, "gates", gates)
        self._check_effects()
        self._check_jumps(gates)

    def _check_effects(self) -> None:
        for rung in self.policy.rungs if self.policy and self.effects == "external" else ():
            if isinstance(rung, Retry):
                raise ConfigurationError(
                    "effects='external' and Retry contradict each other: a node that sends or pays "
                    "must not be run again by itself; drop Retry, or declare effects='idempotent'"
                )
            if isinstance(rung, Fallback):
                raise ConfigurationError(
                    "effects='external' and Fallback contradict each other: when a node that sends "
                    "or pays has failed, nobody knows whether it has sent or paid, and nothing "
                    "else may do it over; use Escalate or Degrade, or declare "
                    "effects='idempotent'"
                )

    def _check_jumps(self, gates: Sequence[Gate]) -> None:
        known = self.policy.names() | {"fail"} if self.policy is not None else {"fail"}
        for each in gates:
            for jump in sorted(each.jumps - known):
                raise ConfigurationError(
                    f"gate {each.name!r} jumps to {jump!r}, which is not on the node's "
                    f"policy; add that rung, or use one of {sorted(known)}"
                )

    def over(self, declared: NodeGuard | None) -> NodeGuard:
        """Return this guard with what it leaves open taken from another, weaker one."""
        if declared is None:
            return self
        return replace(
            self,
            contract=self.contract or declared.contract,
            gates=self.gates or declared.gates,
            policy=self.policy or declared.policy,
            effects=declared.effects if self.effects == "none" else self.effects,
            stream=declared.stream if self.stream == "announce" else self.stream,
        )

    @property
    def declares(self) -> bool:
        """Whether anything is declared that a bare node would not have."""
        return bool(self.contract or self.gates or self.policy)


@overload
def gated(function: NodeFunction, /) -> NodeFunction: ...
@overload
def gated(
    *,
    accepts: Any = None,
    returns: Any = None,
    gates: Sequence[Gate | Callable[..., Any]] = (),
    policy: Policy | None = None,
    effects: Effects = "none",
    stream: StreamRule = "announce",
) -> Callable[[NodeFunction], NodeFunction]: ...
def gated(
    function: NodeFunction | None = None,
    /,
    *,
    accepts: Any = None,
    returns: Any = None,
    gates: Sequence[Gate | Callable[..., Any]] = (),
    policy: Policy | None = None,
    effects: Effects = "none",
    stream: StreamRule = "announce",
    **unknown: Any,
) -> NodeFunction | Callable[[NodeFunction], NodeFunction]:
    """Declare a node's contract, gates and policy on its function; `guard(graph)` enforces them.

    The function keeps its signature, annotations, name and kind (sync, async, generator) and can be
    called and tested by itself. In a graph that was not passed through `guard` it raises
    UngatedError instead of running unchecked.

    Raises:
        ConfigurationError: the declaration cannot work, or it decorates something that is not a
            function (pass a NodeGuard to `guard(graph, nodes={...})` for those).
    """
    if "contract" in unknown:
        raise ConfigurationError(
            "@gated(contract=...): types in and out are given as @gated(accepts=..., returns=...)"
        )
    for name in sorted(unknown):
        raise ConfigurationError(f"@gated has no part {name!r}{nearest(name, _PARTS)}")
    contract = (
        None if accepts is None and returns is None else Contract(accepts=accepts, returns=returns)
    )
    declared = NodeGuard(contract, gates, policy, effects, stream)

    def decorate(function: NodeFunction) -> NodeFunction:
        if not inspect.isfunction(function):
            raise ConfigurationError(
                f"@gated decorates functions, not {type(function).__name__}; for a Runnable or an "
                "instance use guard(graph, nodes={'its name': NodeGuard(...)})"
            )
        if declared_on(function) is not None:
            raise ConfigurationError(
                f"{function.__name__!r} is decorated with @gated twice; declare all in one"
            )
        engine = retry_engine(function)
        if engine is not None and policy is not None and policy.of(Retry):
            raise ConfigurationError(
                f"{function.__name__!r}: two retry engines on one node, {engine} inside and Retry "
                "outside, would multiply their attempts; drop one of them"
            )
        wrapper: Any = _wrapped(function, declared)
        setattr(wrapper, ATTRIBUTE, declared)
        return wrapper  # type: ignore[no-any-return]

    return decorate if function is None else decorate(function)


def feedback() -> Feedback | None:
    """Return what the current attempt is told, anywhere below a retried node; None on a first."""
    running = RUNNING.get()
    return None if running is None else running.feedback()


def note(judgement: Judgement, about: Any = None) -> None:
    """Put a judgement made below a guarded node on the record of its attempt; it decides nothing.

    `about` is what was judged, for those who observe the run. Outside of any guarded node, and
    where nothing is recorded, there is nothing to do.
    """
    running = RUNNING.get()
    if running is not None:
        running.note(judgement, about)


def declared_on(function: object) -> NodeGuard | None:
    """Return the NodeGuard that `@gated` put on a function."""
    while isinstance(function, functools.partial):
        function = function.func
    for each in (function, getattr(type(function), "__call__", None)):  # noqa: B004 - the method
        found = getattr(each, ATTRIBUTE, None)
        if isinstance(found, NodeGuard):
            return found
    return None


def retry_engine(function: Any) -> str | None:
    """Return the retry library that a function is wrapped by."""
    while function is not None:
        module = getattr(function, "__globals__", {}).get("__name__", "").partition(".")[0]
        if module in _RETRY_LIBRARIES:
            return str(module)
        function = getattr(function, "__wrapped__", None)
    return None


def _wrapped(function: Callable[..., Any], declared: NodeGuard) -> Callable[..., Any]:
    """Return a function of the same kind that refuses to run in an unguarded graph."""
    name = function.__name__
    wrapper: Any
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def async_generator(*args: Any, **kwargs: Any) -> Any:
            require_guard(name, declared)
            async for item in function(*args, **kwargs):
                yield item

        wrapper = async_generator
    elif inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Any:
            require_guard(name, declared)
            return (yield from function(*args, **kwargs))  # pyright: ignore[reportUnknownVariableType] - whatever the function returns

        wrapper = generator
    elif inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            require_guard(name, declared)
            return await function(*args, **kwargs)

        wrapper = coroutine
    else:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            require_guard(name, declared)
            return function(*args, **kwargs)

        wrapper = call
    # LangGraph looks for subgraphs behind one __wrapped__ only, so a second one is stepped over.
    inner = getattr(function, "__wrapped__", None)
    if inner is not None:
        wrapper.__signature__ = inspect.signature(function)
        wrapper.__wrapped__ = inner
    return wrapper  # type: ignore[no-any-return]


def require_guard(name: str, declared: NodeGuard) -> None:
    """Refuse to run a gated function as a node of a graph that nobody guarded.

    Raises:
        UngatedError: it is being run as a node, and not by a guarded graph.
    """
    running = RUNNING.get()
    if running is not None and running.declared is declared:
        return
    try:
        namespace = get_config()["metadata"]["langgraph_checkpoint_ns"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - caught below
    except (RuntimeError, KeyError):
        return  # called by itself, outside any graph
    if running is not None and running.namespace == namespace:
        return  # called by another guarded node, as a plain function
    raise UngatedError(
        f"{name!r} is decorated with @gated, but the graph it runs in is not guarded, so its "
        "contract and gates would be skipped; guard the graph: "
        "app = guard(builder).compile(...), or app = guard(app)"
    )
