"""Ladders with people on them, as a state machine: whatever happens, a run ends as stated."""

import asyncio
from typing import Any, TypedDict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from coordgate import (
    Approve,
    Degrade,
    Edit,
    Escalate,
    Fallback,
    GateRejected,
    HandoffError,
    NodeGuard,
    Policy,
    Reject,
    Retry,
    RetryWith,
    Verdict,
    gate,
    guard,
)
from coordgate.testing import RecordingTracer

THREAD: Any = {"configurable": {"thread_id": "1"}}
JUMPS = ["jump retry", "jump fallback", "jump escalate", "jump degrade", "fail"]
OUTCOMES = st.lists(
    st.sampled_from(["good", "bad", "bad", "violation", "raise", "transport", "asks", *JUMPS]),
    min_size=6,
    max_size=6,
)
RUNGS = st.lists(
    st.one_of(
        st.integers(1, 2),
        st.just("fallback"),
        st.tuples(st.sampled_from([None, 10.0]), st.sampled_from([None, "fail", "degrade"])),
    ),
    min_size=1,
    max_size=4,
)
REFUSED = [
    "yes",
    17,
    {"decision": "perhaps"},
    {"decision": "reject", "reason": ""},
    {"decision": "approve", "update": {}},
    Edit({"draft": 3}),
    Edit({"draft": 3}, override=True),
    Edit({"drift": "good"}),
    Edit({"draft": "bad"}),
    Edit({"draft": "fail"}),
]


class State(TypedDict, total=False):
    """The state of the graphs here."""

    draft: str


@gate
def judged(output: State) -> Verdict:
    """Do as the output says, up to its number."""
    said = output["draft"].partition(" #")[0]
    if said == "good":
        return Verdict.accept()
    kind, _, rung = said.partition(" ")
    return Verdict.reject("rejected", otherwise="fail" if kind == "fail" else rung or None)


class LadderMachine(RuleBasedStateMachine):
    """One run of one guarded node, answered and touched in any order, in any process."""

    @initialize(
        rungs=RUNGS,
        degrades=st.booleans(),
        outcomes=OUTCOMES,
        is_async=st.booleans(),
    )
    def start(self, rungs: list[Any], degrades: bool, outcomes: list[str], is_async: bool) -> None:
        """Begin the run with a policy, and what the node does each time it runs."""
        self.saver, self.tracer = InMemorySaver(), RecordingTracer()
        self.is_async = is_async
        self.time = 1000.0
        self.calls = self.granted = 0
        self.payload: Any = None
        self.end = ""
        self.policy = Policy(*self.ladder(rungs, degrades=degrades))
        self.most = 1 + sum(
            rung.attempts if isinstance(rung, Retry) else isinstance(rung, Fallback)
            for rung in self.policy.rungs
        )
        self.go({}, outcomes)

    def ladder(self, rungs: list[Any], *, degrades: bool) -> list[Any]:
        """Return the rungs; a deadline goes on with Degrade only where there is one."""
        found: list[Any] = []
        for rung in rungs:
            if isinstance(rung, int):
                found.append(Retry(rung, wait=0.0, jitter=False))
            elif rung == "fallback":
                found.append(Fallback(self.body, name="spare"))
            else:
                within, otherwise = rung
                otherwise = None if within is None or not degrades else otherwise
                found.append(
                    Escalate("editor", within=within, otherwise=otherwise, clock=self.clock)
                )
        return [*found, Degrade({"draft": "sorry"})] if degrades else found

    def clock(self) -> float:
        """Say the time."""
        return self.time

    def body(self, state: State) -> Any:
        """Do what is next."""
        self.calls += 1
        outcome = self.outcomes[min(self.used, len(self.outcomes) - 1)]
        self.used += 1
        if outcome == "asks":
            interrupt("topic?")
            outcome = "bad"
        if outcome == "raise":
            raise ValueError("raised")
        if outcome == "transport":
            raise ConnectionError("down")
        return {"draft": 3 if outcome == "violation" else f"{outcome} #{self.calls}"}

    async def abody(self, state: State) -> Any:
        """Do what is next."""
        return self.body(state)

    def go(self, given: Any, outcomes: list[str]) -> None:
        """Run the graph, built anew as in another process, and take in how it has ended."""
        self.outcomes, self.used = outcomes, 0
        builder = StateGraph(State)
        builder.add_node("write", self.abody if self.is_async else self.body)
        builder.add_edge(START, "write")
        spec = NodeGuard(gates=[judged], policy=self.policy)
        app = guard(builder, {"write": spec}, tracer=self.tracer).compile(checkpointer=self.saver)
        self.payload = None
        try:
            if self.is_async:
                result = asyncio.run(app.ainvoke(given, THREAD))
            else:
                result = app.invoke(given, THREAD)
        except (HandoffError, ValueError, ConnectionError) as error:
            self.end = "failed"
            self.error = error
            return
        if "__interrupt__" in result:
            (asked,) = result["__interrupt__"]
            self.payload = asked.value
            self.end = ""
        else:
            self.end = "completed"
            self.draft = result["draft"]

    @property
    def asked(self) -> bool:
        """Whether a person is asked about a hand-over."""
        return not self.end and self.payload != "topic?"

    @precondition(lambda self: self.asked)
    @rule(by=st.sampled_from(["", "ann"]))
    def approve(self, by: str) -> None:
        """An approval ships what was shown without running the node, or is refused."""
        payload, calls = self.payload, self.calls
        self.go(Command(resume=Approve(by=by)), ["good"])
        assert self.calls == calls
        if "approve" in payload["answers"]:
            assert (self.end, self.draft) == ("completed", payload["candidate"]["draft"])
        else:
            self.was_refused(payload)

    @precondition(lambda self: self.asked)
    @rule(draft=st.sampled_from(["good", "bad", "fail", "jump retry"]))
    def edit(self, draft: str) -> None:
        """An edit ships, past the gates if it says so, without running the node."""
        calls = self.calls
        override = draft != "good"
        self.go(Command(resume=Edit({"draft": draft}, override=override)), ["good"])
        assert (self.calls, self.end, self.draft) == (calls, "completed", draft)

    @precondition(lambda self: self.asked)
    @rule(answer=st.sampled_from(REFUSED))
    def refuse(self, answer: Any) -> None:
        """What cannot be taken is refused; the question stays the same."""
        payload, calls = self.payload, self.calls
        self.go(Command(resume=answer), ["good"])
        assert self.calls == calls
        self.was_refused(payload)

    def was_refused(self, before: Any) -> None:
        """Assert that the same question is put again, with reasons."""
        assert self.asked
        assert self.payload["refused"]
        same = ["candidate", "reasons", "answers", "to"]
        assert [self.payload[key] for key in same] == [before[key] for key in same]

    @precondition(lambda self: self.asked)
    @rule(outcomes=OUTCOMES)
    def reject(self, outcomes: list[str]) -> None:
        """A rejection goes on with the next rung, or ends the run with the reason."""
        self.go(Command(resume=Reject("no")), outcomes)
        if self.end == "failed" and self.used == 0:
            assert isinstance(self.error, GateRejected)
            assert self.error.reasons[-1].endswith(": no")

    @precondition(lambda self: self.asked)
    @rule(outcomes=OUTCOMES)
    def retry(self, outcomes: list[str]) -> None:
        """The node runs once more for each time that a person asks for it."""
        payload, calls = self.payload, self.calls
        self.go(Command(resume=RetryWith("again")), outcomes)
        if "retry" in payload["answers"]:
            self.granted += 1
            assert self.calls > calls
        else:
            self.was_refused(payload)

    @precondition(lambda self: not self.end)
    @rule(outcomes=OUTCOMES)
    def touch(self, outcomes: list[str]) -> None:
        """Without an answer the same is asked again."""
        payload, calls, overdue = self.payload, self.calls, self.overdue
        self.go(None, outcomes)
        if payload == "topic?":
            self.granted += self.most
        elif not overdue:
            assert self.payload == payload
            assert self.calls == calls

    @precondition(lambda self: self.asked)
    @rule(seconds=st.sampled_from([5.0, 10.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; nothing happens by itself."""
        self.time += seconds

    @property
    def overdue(self) -> bool:
        """Whether the open question is past its deadline."""
        return self.asked and self.time >= self.payload.get("until", self.time + 1)

    @precondition(lambda self: self.payload == "topic?" and not self.end)
    @rule(outcomes=OUTCOMES)
    def tell(self, outcomes: list[str]) -> None:
        """The node's own question is answered, and it runs again, as LangGraph has it."""
        self.granted += self.most
        self.go(Command(resume="rain"), outcomes)

    @precondition(lambda self: self.end)
    @rule(outcomes=OUTCOMES, given=st.sampled_from([{}, None]))
    def anew(self, outcomes: list[str], given: Any) -> None:
        """A run that has ended is begun anew, or one that has failed is tried again."""
        if given == {} or self.end == "failed":
            self.calls = self.granted = 0
            self.go(given, outcomes)

    @invariant()
    def bounded(self) -> None:
        """The body runs as often as the policy and the people allow."""
        assert self.calls <= self.most + self.granted

    @invariant()
    def recorded(self) -> None:
        """The record says how the run stands, and numbers the attempts on over all of them."""
        run, transition = self.tracer.runs[-1], self.tracer.transitions[-1]
        assert run.status == (self.end or "interrupted")
        stands = {"": {"interrupted"}, "failed": {"failed"}, "completed": {"accepted", "degraded"}}
        assert transition.status in stands[self.end]
        if self.end == "completed":
            assert (transition.status == "degraded") == (self.draft == "sorry")
            assert isinstance(self.draft, str)
        if self.asked:
            numbers = [each["number"] for each in self.payload["attempts"]]
            assert numbers == list(range(1, len(numbers) + 1))
            assert self.payload["reasons"]


def test_every_ladder_with_people_on_it_ends_as_stated() -> None:
    """Any verdicts, exceptions and answers end as stated, within the bound of body calls."""
    run_state_machine_as_test(
        LadderMachine,
        settings=settings(max_examples=80, stateful_step_count=8, deadline=None, derandomize=True),
    )
