"""Escalations: a person asked about a hand-over, through LangGraph's own `interrupt`.

The interrupt's payload is what the reviewer is shown, and it is also what is kept: the candidate
and the ladder's place stand in it. Whoever resumes the run, in whichever process, finds it among
the task's pending writes and goes on from there, without running the node again.

An answer that leads to a further attempt stays in the task's list of answers, with the place on
the ladder beside it, so that a node that then asks a question of its own goes on from there too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt
from pydantic_core import to_jsonable_python

from coordgate import _langgraph as lg
from coordgate.answers import Answer, read_answer, schemas
from coordgate.capture import RawAttempt, RawTransition
from coordgate.errors import ConfigurationError, GateRejected
from coordgate.plan import NodePlan
from coordgate.policy import Escalate, Place, Retry, Rung
from coordgate.question import KEY, Question, recorded
from coordgate.run import RunContext
from coordgate.update import edited

_ALL_USED = 2**31


@dataclass(slots=True)
class Escalation:
    """What a ladder keeps of the questions to people."""

    asked: list[int] = field(default_factory=list[int])
    """The positions of those answered, among the task's interrupts."""
    earlier: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    """The attempts made in other processes or before a pause."""
    question: Question | None = None
    """The one that is open."""
    answers: list[Any] = field(default_factory=list[Any])
    """The task's list of answers: LangGraph's own."""
    given: list[Any] = field(default_factory=list[Any])
    """What LangGraph would give as an answer to the next question in this run."""
    stood: list[Any] = field(default_factory=list[Any])
    """The same when the open question was put: answers to others."""
    restored: bool = False
    """Whether the open question was read from a checkpoint: it has been shown."""


class OnLadder(Protocol):
    """What an escalation needs of a ladder."""

    node: NodePlan
    run: RunContext | None
    place: Place
    next: Rung | None
    history: list[tuple[str, ...]]
    rejected: Any
    escalation: Escalation
    raw: RawTransition


class Asking(Protocol):
    """What an escalation needs of the turn that asks."""

    node: NodePlan
    namespace: str
    config: RunnableConfig
    gated: bool
    reply: Answer | None

    @property
    def raw(self) -> RawAttempt:
        """Return the record of this attempt."""
        ...

    def decline(self, reason: str) -> None:
        """Put down why nothing ships of this attempt."""
        ...


def ask(turn: Asking, ladder: OnLadder) -> Any:
    """Ask, and return what ships; the run pauses here until there is an answer that can be taken.

    Raises:
        GateRejected: the person wants something else, or nobody has answered in time.
        GraphInterrupt: there is no answer yet.
    """
    escalation = ladder.escalation
    question = escalation.question
    assert question is not None
    while True:
        if question.overdue and not lg.is_answered(turn.config, question.position):
            late = f"{question.name}: nobody has answered within {question.rung.within:g} seconds"
            turn.decline(late)
            raise GateRejected(turn.node.name, question.name, [*question.reasons, late])
        payload = _payload(turn, ladder, question)
        try:
            answer = read_answer(interrupt(payload), question.allowed)
        except GraphInterrupt as paused:
            (put,) = paused.args[0]
            turn.raw.output = recorded(payload, put.id)
            raise
        if not isinstance(answer, list):
            return _answered(turn, question, answer)
        ask_again(escalation, answer)


def ask_again(escalation: Escalation, reasons: Sequence[str]) -> None:
    """Keep the question open: its last answer cannot be taken."""
    question = escalation.question
    assert question is not None
    escalation.asked.append(question.position)
    escalation.restored = False
    question.position += 1
    question.refused = tuple(reasons)


def _answered(turn: Asking, question: Question, answer: Answer) -> Any:
    turn.reply = answer
    turn.raw.decision, turn.raw.by = answer.decision, answer.by or None
    whole = question.candidate if question.output is None else question.output
    if answer.decision == "approve":
        turn.gated = False
        return whole
    if answer.decision == "edit":
        turn.gated = not answer.override
        return edited(whole, answer.update)
    said = answer.reason if answer.decision == "reject" else answer.feedback
    reason = f"{question.name}: {answer.by + ': ' if answer.by else ''}{said}"
    turn.decline(reason)
    raise GateRejected(turn.node.name, question.name, [*question.reasons, reason])


def _payload(turn: Asking, ladder: OnLadder, question: Question) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "node": turn.node.name,
        "to": question.rung.to,
        "candidate": question.candidate,
        "reasons": list(question.reasons),
        "attempts": [*ladder.escalation.earlier, *_attempts(ladder.raw.attempts)],
        "answers": schemas(question.allowed, turn.node.form),
    }
    if question.goto:
        payload["goto"] = list(question.goto)
    if question.until is not None:
        payload["until"] = question.until
    if question.refused:
        payload["refused"] = list(question.refused)
    kept = _kept(turn.namespace, ladder)
    kept |= {"position": question.position, "asked_at": question.asked_at}
    kept |= {"cause": question.cause, "allowed": list(question.allowed)}
    if question.output is not None:
        kept["output"] = question.output
    payload[KEY] = kept
    return payload


def _kept(namespace: str, ladder: OnLadder) -> dict[str, Any]:
    """Return what another process needs to go on with the ladder."""
    return {
        "task": namespace,
        "place": [ladder.place.position, ladder.place.used],
        "history": [list(reasons) for reasons in ladder.history],
        "asked": list(ladder.escalation.asked),
        "stood": list(ladder.escalation.given),
    }


def close_question(namespace: str, ladder: OnLadder) -> None:
    """Close the question; keep with its answer where the ladder goes on from here."""
    escalation = ladder.escalation
    question, escalation.question = escalation.question, None
    assert question is not None
    escalation.asked.append(question.position)
    kept = _kept(namespace, ladder)
    kept["rejected"] = to_jsonable_python(ladder.rejected, fallback=repr)
    kept["attempts"] = [*escalation.earlier, *_attempts(ladder.raw.attempts)]
    answers = escalation.answers
    if len(answers) == question.position:
        answers.append(None)  # nobody has answered in time
    answers[question.position] = {"answer": answers[question.position], KEY: kept}


def again(place: Place) -> tuple[Place, Retry]:
    """Return where the ladder stands when a person wants the node run again: below the question."""
    return Place(place.position - 1, _ALL_USED), Retry(1)


def restore(ladder: OnLadder, config: RunnableConfig, namespace: str) -> bool:
    """Put a fresh ladder where an earlier process has left it; return whether there is such."""
    for payload in lg.waiting(config):
        kept = _own(payload, namespace)
        if kept is not None and "position" in kept:
            _stand(ladder, kept, payload["attempts"])
            _reopen(ladder, payload, kept)
            return ladder.escalation.question is not None
    for answer in reversed(lg.answers(config)):
        kept = _own(answer, namespace)
        if kept is not None:
            _stand(ladder, kept, kept["attempts"])
            ladder.rejected = kept["rejected"]
            position, used = ladder.place.position, ladder.place.used
            rungs = ladder.node.policy.rungs if ladder.node.policy else ()
            ladder.next = Retry(1) if used == _ALL_USED else _rung_at(rungs, position)
            return ladder.next is not None
    return False


def _own(value: Any, namespace: str) -> Mapping[str, Any] | None:
    kept = cast("dict[str, Any]", value).get(KEY) if isinstance(value, dict) else None
    if not isinstance(kept, dict):
        return None
    found = cast("dict[str, Any]", kept)
    return found if found.get("task") == namespace else None


def _stand(ladder: OnLadder, kept: Mapping[str, Any], attempts: Sequence[Any]) -> None:
    ladder.place = Place(*kept["place"])
    ladder.history[:] = [tuple(reasons) for reasons in kept["history"]]
    ladder.escalation.asked[:] = kept["asked"]
    ladder.escalation.earlier[:] = attempts
    ladder.escalation.stood = kept["stood"]


def _reopen(ladder: OnLadder, payload: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    rungs = ladder.node.policy.rungs if ladder.node.policy else ()
    rung = _rung_at(rungs, ladder.place.position)
    if not isinstance(rung, Escalate):
        return  # the policy has been changed meanwhile: the node begins anew
    ladder.next = rung
    ladder.rejected = payload["candidate"]
    ladder.escalation.restored = True
    ladder.escalation.question = Question(
        rung,
        kept["cause"],
        payload["candidate"],
        kept.get("output"),
        tuple(payload.get("goto", ())),
        tuple(payload["reasons"]),
        tuple(kept["allowed"]),
        kept["asked_at"],
        kept["position"],
        tuple(payload.get("refused", ())),
    )


def _rung_at(rungs: Sequence[Rung], position: int) -> Rung | None:
    return rungs[position] if 0 <= position < len(rungs) else None


def config_for(ladder: OnLadder, config: RunnableConfig) -> RunnableConfig:
    """Return the config of the next turn, in which its questions find their own answers.

    LangGraph gives `Command(resume=...)` to whichever question is put next, also to one that
    nobody has seen, and keeps it for a later `invoke(None)`. An answer is taken only for a
    question that was shown, and only where it was not already given to an earlier one.
    """
    escalation = ladder.escalation
    question = escalation.question
    escalation.answers, escalation.given = lg.answers(config), lg.answers_given(config)
    if question is None and not escalation.asked:
        return config
    resumed = ladder.run is not None and ladder.run.resumed
    fresh = resumed or escalation.given != escalation.stood
    if question is not None:
        if question.position < 0:
            question.position = len(escalation.answers)
        return lg.asking(config, question.position, takes=escalation.restored and fresh)
    return lg.asking(config, 0, beside=frozenset(escalation.asked), takes=fresh)


def require_checkpointer(node: NodePlan, config: RunnableConfig) -> None:
    """Refuse to run a node that may have to wait for a person where nothing can wait.

    Raises:
        ConfigurationError: the graph has no checkpointer.
    """
    if not lg.has_checkpointer(config):
        raise ConfigurationError(
            f"node {node.name!r} may escalate to a person, and the graph has no checkpointer to "
            "wait with: compile it with one, such as .compile(checkpointer=InMemorySaver()), "
            "and invoke it with a thread_id"
        )


def _attempts(made: Sequence[RawAttempt]) -> Iterator[dict[str, Any]]:
    for attempt in made:
        shown: dict[str, Any] = {
            "number": attempt.number,
            "rung": attempt.rung,
            "outcome": attempt.outcome,
            "reasons": list(attempt.reasons),
        }
        yield shown
