"""The engine: the executable of a guarded node.

The node keeps its bound Runnable, its shape in the graph and its traced runs. What is replaced is
the executable that LangGraph runs for it: the sequence of the node and its channel writes, whose
first write judges the hand-over before it writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import Command

from coordgate import _langgraph as lg
from coordgate.asking import ask_in_threads, ask_together
from coordgate.body import Joined, Told, sequence, takes_feedback
from coordgate.calls import COUNTER, COUNTING
from coordgate.channels import control_channels, target_of
from coordgate.edges import looked_at
from coordgate.entry import aenter, afinish, enter, finish
from coordgate.errors import ContractViolation, HandoffError
from coordgate.handover import Handover
from coordgate.invariants import refuse
from coordgate.ladder import Ladder
from coordgate.node import RUNNING
from coordgate.onestep import one_step
from coordgate.plan import NodePlan, check
from coordgate.policy import Degrade, Escalate, Fallback, Reroute, Retry, SendBack
from coordgate.rungs import AS_GIVEN, asking, leaving, stating
from coordgate.streams import StreamTap
from coordgate.turn import Turn
from coordgate.update import ship
from coordgate.write import PlainWrite


class GuardedWrite(lg.ChannelWrite):
    """The first channel write of a guarded node: it judges what it is given, then writes it."""

    def __init__(self, write: lg.ChannelWrite, plan: NodePlan) -> None:
        """Take the place of `write`."""
        super().__init__(write.writes, tags=write.tags)
        self.plan = plan
        self.plain = PlainWrite(write)
        if plan.invariants is not None:
            self.plain.ready = False

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Judge the node's output and write it."""
        shipped = self.plainly(input, config)
        return super().invoke(input, config, **kwargs) if shipped is None else shipped

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Judge the node's output and write it."""
        shipped = self.plainly(input, config)
        return await super().ainvoke(input, config, **kwargs) if shipped is None else shipped

    def plainly(self, output: Any, config: RunnableConfig | None) -> Any:
        """Write a plain dict that passes, and return what ships; None where there is more to do."""
        turn = RUNNING.get()
        if type(output) is not dict or type(turn) is not Turn or turn.node is not self.plan:
            return None
        if config is None or not self.plain.ready:
            return None
        shipped = turn.hand_over_now(output)
        if shipped is not None:
            plain = self.plain
            written: list[tuple[str, Any]] = []
            for mapper in plain.mappers:
                pairs = mapper(shipped)
                if pairs:
                    written += pairs
            config["configurable"][lg.CONFIG_KEY_SEND](written + plain.constants)  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
        return shipped

    def _write(self, input: Any, config: RunnableConfig) -> Any:
        shipped = _drive(self._judged(input, config))
        super()._write(shipped, config)
        self._close(config)
        return shipped

    async def _awrite(self, input: Any, config: RunnableConfig) -> Any:
        shipped = await _adrive(self._judged(input, config))
        await super()._awrite(shipped, config)
        self._close(config)
        return shipped

    def _judged(self, output: Any, config: RunnableConfig) -> Handover:
        turn = RUNNING.get()
        if isinstance(turn, Turn) and turn.node is self.plan:
            return turn.hand_over(output)
        return self._outside(output, config)

    def _outside(self, output: Any, config: RunnableConfig) -> Handover:
        """Judge a write that no attempt of the node makes.

        A Command that a subgraph hands up is judged like the node's own output. An update by hand
        (`update_state`) is a person's: it must keep the contract, and gates are not asked.
        """
        ladder = getattr(lg.slot(config), "coordgate", None)
        if isinstance(ladder, Ladder) and ladder.node is self.plan:
            return (yield from self._handed_up(ladder, output, config))
        given: object = output
        if "langgraph_triggers" in config.get("metadata", ()) and not isinstance(given, Command):
            return output  # a task that nobody runs: LangGraph draws the graph
        checked = check(self.plan, output)
        if not self.plan.enforces:
            return output
        if checked.violations:
            raise ContractViolation(self.plan.name, checked.violations)
        if checked.values is not None:
            output = ship(output, iter(checked.values), self.plan.keys)
        if self.plan.invariants is not None:
            refuse(self.plan.invariants.after(config, self.plan.name, output, stops=True))
        return output

    def _handed_up(self, ladder: Ladder, output: Any, config: RunnableConfig) -> Handover:
        """Judge what a subgraph handed up to this graph; no further attempt can be made."""
        turn = ladder.turn
        if not isinstance(turn, Turn):
            return output
        turn.config = config
        ladder.raw.attempts.remove(turn.raw)
        turn.raw.outcome, turn.ended = "accepted", False
        try:
            return (yield from turn.hand_over(output))
        except HandoffError as error:
            turn.end()
            ladder.give_up(error, "contract")
            raise

    def _close(self, config: RunnableConfig) -> None:
        """Record the transition of a node whose output came from a subgraph's Command."""
        ladder = getattr(lg.slot(config), "coordgate", None)
        if not isinstance(ladder, Ladder) or ladder.node is not self.plan:
            return
        turn = ladder.turn
        if isinstance(turn, Turn) and turn is not RUNNING.get():
            try:
                turn.commit(config)
            except HandoffError as error:
                lg.take_back(config)
                turn.end()
                ladder.give_up(error, "contract")
                raise


def _drive(flow: Handover) -> Any:
    """Run a hand-over here, its slow gates in threads."""
    answers: Any = None
    while True:
        try:
            question = flow.send(answers)
        except StopIteration as done:
            return done.value
        answers = ask_in_threads(question)


async def _adrive(flow: Handover) -> Any:
    """Run a hand-over in the event loop, its slow gates concurrently."""
    answers: Any = None
    while True:
        try:
            question = flow.send(answers)
        except StopIteration as done:
            return done.value
        answers = await ask_together(question)


class GuardedSeq(lg.RunnableSeq):
    """The executable of a guarded node: each invocation is one turn on its ladder."""

    def __init__(
        self,
        seq: lg.RunnableSeq,
        plan: NodePlan,
        write: GuardedWrite,
        original: Any,
        subgraph: Runnable[Any, Any] | None = None,
    ) -> None:
        """Take the place of `seq`.

        `original` is the node as it was before it was guarded; `subgraph` the guarded graph to run
        in the place of the node's own.
        """
        steps = lg.steps_of(seq)
        at = len(steps) - len(original.flat_writers)
        vars(self).update(vars(seq))
        edges = steps[at + 1 :]
        if plan.enforces:
            edges = [looked_at(step, self._refuse_labels) for step in edges]
        writers: list[Runnable[Any, Any]] = [write, *edges]
        own = steps[:at] if subgraph is None else [subgraph]
        self.steps = [*own, *writers]
        self.plan = plan
        self.original = original
        if len(original.flat_writers) == 1:
            plan.routes = tuple(control_channels(write))
            plan.goto = tuple(target_of(channel) for channel in plan.routes)
        self._bodies: dict[int, _Body] = {-1: _Body(self, feedback=takes_feedback(self.steps[0]))}
        for position, rung in enumerate(plan.policy.rungs if plan.policy else ()):
            if isinstance(rung, Fallback):
                first = lg.as_runnable(rung.node, plan.name)
                instead = sequence(seq, first, *writers)
                self._bodies[position] = _Body(instead, feedback=takes_feedback(first))
            elif isinstance(rung, Escalate):
                asked = lg.RunnableCallable(asking, name=plan.name, trace=False)
                self._bodies[position] = _Body(sequence(seq, asked, *writers), feedback="no")
            elif isinstance(rung, Reroute | SendBack):
                left = lg.RunnableCallable(leaving, name=plan.name, trace=False)
                self._bodies[position] = _Body(sequence(seq, left, AS_GIVEN), feedback="no")
            elif isinstance(rung, Degrade):
                stated = lg.RunnableCallable(stating(rung), name=plan.name, trace=False)
                self._bodies[position] = _Body(sequence(seq, stated, *writers), feedback="no")

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run one attempt of the node."""
        if config is None or "langgraph_triggers" not in config.get("metadata", ()):
            return super().invoke(input, config, **kwargs)
        turn, body, token = self._begin(input, config, kwargs)
        try:
            if turn.unreceived and self.plan.intake is not None:
                turn.receive(self.plan.intake)
            if turn.enters:
                enter(turn)
            output = body.at_once.invoke(turn.given, turn.config, **kwargs)
            turn.commit(config)
        except BaseException as error:
            self._failed(turn, error, config)
            raise
        finally:
            RUNNING.reset(token)
            if turn.counting is not None:
                COUNTER.reset(turn.counting)
            if turn.enters:
                finish(turn)
        return output

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run one attempt of the node."""
        if config is None or "langgraph_triggers" not in config.get("metadata", ()):
            return await super().ainvoke(input, config, **kwargs)
        turn, body, token = self._begin(input, config, kwargs)
        try:
            if turn.unreceived and self.plan.intake is not None:
                turn.receive(self.plan.intake)
            if turn.enters:
                await aenter(turn)
            output = await body.at_once.ainvoke(turn.given, turn.config, **kwargs)
            turn.commit(config)
        except BaseException as error:
            self._failed(turn, error, config)
            raise
        finally:
            RUNNING.reset(token)
            if turn.counting is not None:
                COUNTER.reset(turn.counting)
            if turn.enters:
                await afinish(turn)
        return output

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Run one attempt of the node, streaming."""
        if config is None or "langgraph_triggers" not in config.get("metadata", ()):
            async for chunk in super().astream(input, config, **kwargs):
                yield chunk
            return
        turn, body, token = self._begin(input, config, kwargs)
        turn.counting = turn.counting or COUNTER.set(COUNTING)
        try:
            if turn.unreceived and self.plan.intake is not None:
                turn.receive(self.plan.intake)
            if turn.enters:
                await aenter(turn)
            async for chunk in lg.RunnableSeq.astream(
                body.steps, turn.given, turn.config, **kwargs
            ):
                yield chunk
            turn.commit(config)
        except BaseException as error:
            self._failed(turn, error, config)
            raise
        finally:
            RUNNING.reset(token)
            if turn.counting is not None:
                COUNTER.reset(turn.counting)
            if turn.enters:
                await afinish(turn)

    def _refuse_labels(self, labels: Sequence[Any], known: Collection[Any]) -> None:
        violations = self.plan.off_the_map(labels, known)
        turn = RUNNING.get()
        if isinstance(turn, Turn) and turn.node is self.plan:
            turn.misrouted(violations)
        raise ContractViolation(self.plan.name, violations, direction="route")

    def _begin(  # noqa: C901 - one call on every node's run, where several would cost
        self, input: Any, config: RunnableConfig, kwargs: dict[str, Any]
    ) -> Any:
        plan = self.plan
        configurable = config["configurable"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - a task has it
        ladder = getattr(configurable.get(lg.CONFIG_KEY_READ), "coordgate", None)
        if ladder is not None and ladder.node is not plan:
            ladder = None
        if ladder is not None:
            config = lg.with_answers(config)
        turn = Turn(plan, input, config, ladder)
        if turn.unreceived and plan.quick_intake is not None and type(input) is dict:
            # Here, and not in `receive`, since a call more costs on every node's run.
            try:
                plan.quick_intake(input)
            except Exception:  # noqa: BLE001, S110 - the thorough check says what is wrong
                pass
            else:
                turn.unreceived = False
        if plan.escalates:
            turn.take_up()
            ladder = turn.ladder
        body = self._bodies[-1]
        if ladder is not None and not isinstance(turn.rung, Retry | None):
            body = self._bodies[ladder.place.position]
        run = turn.run
        turn.enters = plan.enters or (run is not None and run.enters)
        if plan.holds or (plan.climbs and run is not None and run.streams):
            turn.tap = StreamTap(turn.config, hold=plan.holds)
            turn.config = turn.tap.config
        if plan.repeats and getattr(configurable.get(lg.CONFIG_KEY_SEND), "__self__", None) is None:
            # A guard stands before the writes of an attempt that LangGraph times. It decides on a
            # timeout before the attempt hears of it, by the task alone.
            timed = plan.ladders[turn.task] = turn.on_ladder()
            timed.slot = lg.slot(config)
        if body.counts:
            turn.counting = COUNTER.set(COUNTING)
        if body.feedback != "no":
            told = turn.feedback()
            if told is not None or body.feedback == "always":
                kwargs["feedback"] = told
        return turn, body, RUNNING.set(turn)

    def _failed(self, turn: Turn, error: BaseException, config: RunnableConfig) -> None:
        if turn.ended:
            return  # LangGraph's timeout has ended this attempt, and the next one may have begun
        if self.plan.escalates and isinstance(error, GraphInterrupt):
            lg.keep_answers(config)
        if self.plan.enforces and not isinstance(error, GraphBubbleUp):
            lg.take_back(config)
        ladder = turn.fail(error)
        slot = lg.slot(config)
        if ladder is not None and slot is not None:
            slot.coordgate = ladder


class _Body:
    """What a turn runs: a sequence, the same in fewer steps, and whether it takes feedback.

    One of a single step sets up the counting of model calls there, where it costs least.
    """

    __slots__ = ("at_once", "counts", "feedback", "steps")

    def __init__(self, steps: lg.RunnableSeq, *, feedback: Told) -> None:
        self.steps = steps
        self.feedback = feedback
        self.at_once = sequence(steps, *lg.steps_of(steps), flat=True)
        self.counts = True
        *before, last, write = lg.steps_of(steps)
        if isinstance(write, GuardedWrite):
            joined = Joined(last, write)
            self.counts = bool(before)
            self.at_once = (
                sequence(steps, *before, joined, flat=True) if before else one_step(steps, joined)
            )
