"""Records with hostile text, made by Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from coordgate.tracer import Attempt, Call, GateVerdict, Run, RunId, ThreadId, Transition

texts = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "So"]), max_size=8),
    st.sampled_from(["", "\0", "a\0b", "\ud800", "\x1b[31m", "'; DROP TABLE runs; --", "🦊"]),
)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
counts = st.one_of(st.none(), st.integers(0, 2**63 - 1))
names = st.lists(texts, max_size=3).map(tuple)

verdicts = st.builds(GateVerdict, texts, st.booleans(), st.none() | numbers, texts, numbers)


calls = st.builds(
    Call,
    model=st.none() | texts,
    finish=st.none() | texts,
    tokens_in=counts,
    tokens_out=counts,
    details=st.none() | texts,
    cost=st.none() | numbers,
    seconds=st.none() | numbers,
    gate=st.none() | texts,
    error=st.none() | texts,
)


@st.composite
def attempts(draw: st.DrawFn) -> tuple[Attempt, ...]:
    """Return attempts numbered from 1."""
    count = draw(st.integers(0, 3))
    one = st.builds(
        Attempt,
        number=st.just(0),
        rung=texts,
        outcome=st.sampled_from(["accepted", "rejected", "raised"]),
        seconds=numbers,
        reasons=names,
        error=st.none() | texts,
        output=st.none() | texts,
        verdicts=st.lists(verdicts, max_size=3).map(tuple),
        model=st.none() | texts,
        tokens_in=counts,
        tokens_out=counts,
        cost=st.none() | numbers,
        calls=st.lists(calls, max_size=2).map(tuple),
    )
    made = [draw(one) for _ in range(count)]
    return tuple(
        Attempt(number, *(getattr(each, name) for name in Attempt.__slots__[1:]))
        for number, each in enumerate(made, 1)
    )


runs = st.builds(
    Run,
    id=texts.map(RunId),
    graph=texts,
    thread=st.none() | texts.map(ThreadId),
    mode=st.sampled_from(["enforce", "observe"]),
    status=st.sampled_from(["completed", "failed", "interrupted", "cancelled", "lost"]),
    started=numbers,
    ended=st.none() | numbers,
    error=st.none() | texts,
    process=texts,
)


@st.composite
def runs_of_transitions(draw: st.DrawFn) -> tuple[Run, list[Transition]]:
    """Return a run and its transitions, numbered in order."""
    run = draw(runs)
    one = st.builds(
        Transition,
        run=st.just(run.id),
        number=st.just(0),
        thread=st.none() | texts.map(ThreadId),
        namespace=texts,
        step=st.integers(-1, 2**40),
        node=texts,
        status=st.sampled_from(["accepted", "observed", "degraded", "failed"]),
        started=numbers,
        seconds=numbers,
        producers=names,
        goto=names,
        reads=st.none() | texts,
        writes=st.none() | texts,
        attempts=attempts(),
    )
    made = draw(st.lists(one, max_size=3))
    return run, [
        Transition(each.run, number, *(getattr(each, n) for n in Transition.__slots__[2:]))
        for number, each in enumerate(made, 1)
    ]
