"""What users' type checkers see of the public API. Checked by mypy and pyright, never run.

Each ignored line is a mistake that both must report: an ignore that is not needed is an error.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Literal, assert_type

from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel
from typing_extensions import TypedDict

from coordgate import (
    Contract,
    ContractViolation,
    CoordgateError,
    Degrade,
    Fallback,
    Feedback,
    Gate,
    GateRejected,
    HandoffError,
    NodeGuard,
    Policy,
    Prices,
    Retry,
    Tracer,
    Verdict,
    Violation,
    feedback,
    gate,
    gated,
    guard,
    open_store,
)
from coordgate.gates import (
    check,
    cites,
    finished,
    grounded,
    grounded_in,
    judge,
    matches,
    max_length,
    not_empty,
    threshold,
)
from coordgate.models import ModelLadder, with_feedback
from coordgate.tracer import Record, Sink


class State(TypedDict, total=False):
    """A state."""

    question: str
    draft: str


class Draft(BaseModel):
    """What a node hands over."""

    draft: str


# A gate is a Gate, however it is made, and composes to one.


@gate
def short(output: Draft, state: State) -> bool:
    """Judge with the state."""
    return len(output.draft) < len(state.get("question", ""))


@gate
def polite(output: Draft) -> Verdict:
    """Judge the output alone."""
    return (
        Verdict.reject("say please", score=0.1, otherwise="degrade") if output else Verdict.accept()
    )


@gate(name="judge", slow=True, timeout=5.0, otherwise="fallback")
async def asked(output: Draft, state: State) -> Verdict:
    """Judge with a model."""
    return Verdict.accept(score=0.9)


def long_enough(output: Draft) -> bool:
    """Be a predicate."""
    return len(output.draft) > 3


assert_type(short, Gate)
assert_type(polite, Gate)
assert_type(asked, Gate)
assert_type(short & polite | ~asked, Gate)
assert_type(short.named("brief"), Gate)
assert_type(threshold("confidence", at_least=0.8), Gate)
assert_type(
    not_empty("draft")
    & max_length("draft", 10, "words")
    & matches("draft", r"\w")
    & cites("draft", sources="context")
    & grounded_in("context", key="draft")
    & check(long_enough, "is too short"),
    Gate,
)
gate(otherwise="nowhere")  # type: ignore[call-overload]


# @gated leaves every kind of function as its author wrote it.


@gated
def bare(state: State) -> State:
    """Declare nothing."""
    return {"draft": state.get("question", "")}


@gated(
    accepts=State,
    returns=Draft,
    gates=[short & polite, asked],
    policy=Policy(Retry(2, wait=0.1), Fallback(bare), Degrade({"draft": "none"})),
    effects="idempotent",
    stream="hold",
)
def write(state: State, config: RunnableConfig, *, feedback: Feedback | None = None) -> Draft:
    """Take what LangGraph injects, and feedback."""
    return Draft(draft=str(feedback or state.get("question")))


@gated(gates=[polite])
async def write_async(state: State) -> dict[str, str]:
    """Be a coroutine."""
    return {"draft": state.get("question", "")}


@gated(gates=[polite])
def write_parts(state: State) -> Iterator[dict[str, str]]:
    """Be a generator."""
    yield {"draft": state.get("question", "")}


@gated()
async def write_parts_async(state: State) -> AsyncIterator[dict[str, str]]:
    """Be an async generator."""
    yield {"draft": state.get("question", "")}


assert_type(bare({"question": "why"}), State)
assert_type(write({"question": "why"}, {}, feedback=None), Draft)
assert_type(write_parts({}), Iterator[dict[str, str]])
assert_type(write_parts_async({}), AsyncIterator[dict[str, str]])
one_argument: Callable[[State], State] = bare
write({"question": "why"})  # type: ignore[call-arg]
write({"question": "why"}, {}, feedback="no")  # type: ignore[arg-type]
bare({"question": 1})  # type: ignore[typeddict-item]
gated(effects="some")  # type: ignore[call-overload]


async def awaited() -> None:
    """Await a gated coroutine function."""
    assert_type(await write_async({"question": "why"}), dict[str, str])


# guard gives back the type that it was given.

builder = StateGraph(State)
assert_type(guard(builder), StateGraph[State, None, State, State])
compiled: CompiledStateGraph[State, None, State, State] = builder.compile()  # pyright: ignore[reportUnknownMemberType]
assert_type(guard(compiled), CompiledStateGraph[State, None, State, State])
assert_type(
    guard(
        guard(compiled, "coordgate.toml", mode="observe"),
        nodes={"write": NodeGuard(Contract(returns={"draft": str}), gates=[short])},
        mode="enforce",
        tracer=Tracer("traces.db"),
    ),
    CompiledStateGraph[State, None, State, State],
)
guard(builder, mode="watch")  # type: ignore[arg-type]
guard(builder, {"write": Policy(Retry(1))})  # type: ignore[dict-item]
guard(builder, tracer=3)  # type: ignore[arg-type]
guard(builder, prices=Prices({"m": {"input": 1.0, "output": 2.0}}))
guard(builder, prices={"m": {"input": 1.0, "output": 2.0}})
guard(builder, prices="prices.toml")
guard(builder, prices=0.5)  # type: ignore[arg-type]

assert_type(with_feedback(ChatOpenAI()), ChatOpenAI)
assert_type(ModelLadder(ChatOpenAI(), with_feedback(ChatOpenAI())), ModelLadder)
with_feedback("a model")  # type: ignore[type-var]
ModelLadder("a model")  # type: ignore[arg-type]

assert_type(finished("truncated", "empty", key="messages", otherwise="fallback"), Gate)
finished("cut")  # type: ignore[arg-type]
assert_type(judge(ChatOpenAI(), "It is polite.", key="draft", votes=3, quorum=2), Gate)
assert_type(grounded(ChatOpenAI(), sources="context"), Gate)
grounded(ChatOpenAI())  # type: ignore[call-arg]


# Policies and feedback.

assert_type(Policy(Retry(2), Fallback(write), Degrade({"draft": ""})), Policy)
assert_type(feedback(), Feedback | None)
Policy("retry")  # type: ignore[arg-type]
Retry("two")  # type: ignore[arg-type]
Degrade(["draft"])  # type: ignore[arg-type]


def told(by: Feedback) -> None:
    """Read feedback."""
    assert_type(by.reasons, tuple[str, ...])
    assert_type(by.attempt, int)
    assert_type(by.history, tuple[tuple[str, ...], ...])


# Errors carry fields.


def catch(error: CoordgateError) -> None:
    """Read errors."""
    if isinstance(error, ContractViolation):
        assert_type(error.violations, tuple[Violation, ...])
        assert_type(error.direction, Literal["input", "output", "route"])
    elif isinstance(error, GateRejected):
        assert_type(error.gate, str)
    elif isinstance(error, HandoffError):
        assert_type(error.attempts, int)


# A sink is anything with one method.


class Printed:
    """A sink."""

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch."""


sink: Sink = Printed()
assert_type(guard(builder, tracer=Printed()), StateGraph[State, None, State, State])


def read(path: str) -> None:
    """Read a store."""
    store = open_store(path)
    for run in store.runs():
        for transition in store.transitions(run.id):
            record: Record = transition
            assert_type(transition.node, str)
            print(record)  # noqa: T201 - never run
