"""Entry: what is settled before the body of an attempt is run, and what is noted when it has been.

In this order: whether what it depends on is up, whether the run can still afford it, and whether
what its effects stand on is saved.
"""

from __future__ import annotations

import re
import time
from typing import Any, Protocol

from langgraph.errors import ParentCommand

from coordgate import effects
from coordgate.capture import RawAttempt
from coordgate.circuit import Came, is_transport
from coordgate.errors import HandoffError
from coordgate.observers import Seen
from coordgate.plan import NodePlan
from coordgate.policy import Fallback, Retry, Rung
from coordgate.run import RunContext

_IDS = re.compile(r":[^|]*|\|\d+(?=\||$)")
"""What a checkpoint namespace has beside the names of nodes."""


class Entering(Protocol):
    """What is asked of an attempt whose body is about to be run."""

    node: NodePlan
    run: RunContext | None
    config: Any
    namespace: str
    given: Any
    seen: Seen | None
    began: float
    above: Any
    acted: bool
    quietly: bool
    counted: bool
    era: int | None

    @property
    def rung(self) -> Rung | None:
        """The rung that it is made on; None for the node itself."""
        ...

    @property
    def raw(self) -> RawAttempt:
        """The record of this attempt."""
        ...

    @property
    def made(self) -> RawAttempt | None:
        """The same, if there is one yet."""
        ...


def enter(turn: Entering) -> None:
    """Settle what must be before the body is run.

    Raises:
        CircuitOpen: what the node depends on keeps failing.
        BudgetExceeded: the run has nothing left to spend.
        Exception: what must be saved before could not be.
    """
    _show(turn)
    if not isinstance(turn.rung, Retry | Fallback | None):
        return  # a person is asked, or a stated answer ships: nothing is run
    _admit(turn)
    try:
        if turn.counted and turn.run is not None and turn.run.account is not None:
            turn.run.account.save()
        if turn.node.acts:
            effects.begin(turn)
    except BaseException:
        _let_go(turn, "unknown")
        raise


async def aenter(turn: Entering) -> None:
    """Do what `enter` does, in the event loop."""
    _show(turn)
    if not isinstance(turn.rung, Retry | Fallback | None):
        return
    _admit(turn)
    try:
        if turn.counted and turn.run is not None and turn.run.account is not None:
            await turn.run.account.asave()
        if turn.node.acts:
            await effects.abegin(turn)
    except BaseException:
        _let_go(turn, "unknown")
        raise


def _admit(turn: Entering) -> None:
    node, circuit = turn.node, turn.node.circuit
    name = _IDS.sub("", turn.namespace) or node.name
    if circuit is not None and not isinstance(turn.rung, Fallback):
        turn.era = circuit.enter(node.name)
    account = None if turn.run is None else turn.run.account
    if account is None:
        return
    over = account.begin(name, counts=not node.encloses)
    if over and node.enforces:
        _let_go(turn, "unknown")
        raise account.exceeded(name)
    if over:
        account.count(name, counts=not node.encloses)
        turn.quietly = True
        turn.raw.reasons = (*turn.raw.reasons, f"budget spent: {', '.join(over)}")
    turn.counted = True


def leave(turn: Entering, error: BaseException | None) -> None:
    """Note what came of a body that was run, and what it has spent; the second time, nothing."""
    if error is not None and turn.raw.seen is None:
        _show(turn)  # it has failed by what it was handed, before its body was to be run
    if turn.counted:
        turn.counted = False
        account = None if turn.run is None else turn.run.account
        made = turn.made
        assert account is not None
        if made is not None and made.cost is None and made.tokens_in is not None:
            account.note_unpriced(made.model or "a model")
        account.end(
            _IDS.sub("", turn.namespace) or turn.node.name,
            tokens=0 if made is None else (made.tokens_in or 0) + (made.tokens_out or 0),
            usd=0.0 if made is None else made.cost or 0.0,
            seconds=0.0 if turn.node.encloses else time.perf_counter() - turn.began,
        )
    if turn.era is not None:
        if error is None or isinstance(error, ParentCommand):
            _let_go(turn, "passed")
        elif isinstance(error, HandoffError):
            _let_go(turn, "passed" if turn.quietly else "unknown")
        elif is_transport(error):
            _let_go(turn, "failed", f"{type(error).__name__}: {error}")
        else:
            _let_go(turn, "unknown")


def finish(turn: Entering) -> None:
    """Note that the attempt has ended, and keep what the run has spent."""
    leave(turn, None)
    if turn.run is not None and turn.run.account is not None:
        turn.run.account.keep()
    if turn.made is not None and turn.made.seen is not None:
        turn.made.seen.leave()


async def afinish(turn: Entering) -> None:
    """Do what `finish` does, in the event loop."""
    leave(turn, None)
    if turn.run is not None and turn.run.account is not None:
        await turn.run.account.akeep()
    if turn.made is not None and turn.made.seen is not None:
        turn.made.seen.leave()


def _show(turn: Entering) -> None:
    """Tell those who observe the run, if anybody does, that an attempt begins."""
    run = turn.run
    if run is None or run.seen is None:
        return
    made, watch = turn.raw, run.seen.watch
    name, guard, namespace = turn.node.name, turn.node.guard, turn.namespace
    started = time.time() - (time.perf_counter() - turn.began)
    if turn.seen is None:
        around = turn.above.raw.seen if turn.above is not None and turn.above.run is run else None
        turn.seen = Seen(
            "node",
            name,
            watch,
            run.id,
            around or run.seen,
            started=started,
            namespace=namespace,
            repeats=turn.node.climbs or bool(turn.node.transports),
            guard=guard,
        )
    made.seen = seen = Seen(
        "attempt",
        name,
        watch,
        run.id,
        turn.seen,
        started=started,
        namespace=namespace,
        number=made.number,
        rung=made.rung,
        guard=guard,
        config=turn.config,
        input=turn.given,
    )
    seen.enter()
    turn.config = seen.config


def _let_go(turn: Entering, came: Came, said: str = "") -> None:
    era, turn.era = turn.era, None
    if era is not None and turn.node.circuit is not None:
        turn.node.circuit.leave(era, came, said)
