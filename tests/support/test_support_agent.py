"""The support agent under examples/: what passes, who is asked, and one refund if it is killed."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import refunds
import support_agent
from killing import lines_of
from langgraph.checkpoint.memory import InMemorySaver

from coordgate import ContractViolation, GateRejected, Reject, idempotency_key

PROGRAM = Path(support_agent.__file__)
KILLS = int(os.environ.get("COORDGATE_KILLS", "8"))
TERMINAL = {"completed", "failed", "interrupted", "cancelled", "lost"}


def settle(data: Path, email: str, decide: Callable[[Any], Any]) -> tuple[list[Any], str]:
    """Settle an e-mail; return what was booked and the answer."""
    book = partial(support_agent.book, data)
    app = support_agent.desk(data).compile(checkpointer=InMemorySaver())
    context: Any = {"book": book, "key": idempotency_key}
    try:
        answer = support_agent.settle(app, email, context, decide)
    finally:
        app.coordgate.tracer.close()
    return [tuple(row.values())[1:] for row in book("SELECT * FROM ledger")], answer


def nobody(asked: Any) -> Any:
    """Be asked nothing."""
    raise AssertionError(asked["reasons"])


def email(sender: str, text: str) -> str:
    """Return an e-mail."""
    return f"From: {sender}@example.com\n\n{text}"


def test_a_replacement_passes(tmp_path: Path) -> None:
    """What is in stock is sent again, whatever it costs, and nobody is asked."""
    booked, answer = settle(tmp_path, email("lee", "Order no. 4480 is broken."), nobody)
    assert booked == [(4480, "replacement", 0)]
    assert answer == "A new kettle is sent."


def test_a_small_refund_passes(tmp_path: Path) -> None:
    """Below the limit the money is paid back without asking."""
    booked, answer = settle(tmp_path, email("ada", "My order 4502 came in pieces."), nobody)
    assert booked == [(4502, "refund", 18_50)]
    assert answer == "You have your money back."


def test_a_greater_refund_goes_to_a_person(tmp_path: Path) -> None:
    """The person sees the amount; after a no nothing is booked, and the customer hears of it."""
    seen: list[Any] = []

    def decide(asked: Any) -> Any:
        seen.append(asked)
        return Reject("call them first", by="ann")

    booked, answer = settle(tmp_path, support_agent.EMAIL, decide)
    assert [asked["candidate"]["amount"] for asked in seen] == [129_00]
    assert seen[0]["to"] == "support lead"
    assert booked == []
    assert answer == "A colleague will write to you today."


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("My order 4480 is broken.", GateRejected, "the order is not the sender's"),
        ("My order 1 is broken.", ContractViolation, "order"),
        ("My lamp is broken.", ContractViolation, "order"),
    ],
)
def test_an_order_that_is_not_theirs_is_not_paid(
    tmp_path: Path, text: str, error: type[Exception], says: str
) -> None:
    """Somebody else's order, one that is not in the book, or none at all ends the run."""
    with pytest.raises(error, match=says):
        settle(tmp_path, email("kim", text), nobody)


# The program


def run(*flags: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, str(PROGRAM), *flags],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def booked_by(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines of the ledger that a run has shown."""
    assert done.returncode == 0, done.stderr
    booked = done.stdout.partition("booked:\n")[2].partition("sent:")[0]
    return booked.splitlines()


def test_the_answer_is_typed_or_given(tmp_path: Path) -> None:
    """A person's amount takes the place of the agent's; one e-mail is settled once."""
    typed = run("--data", str(tmp_path), said="6000\n")
    assert "amount is 12900, at most 5000 is allowed" in typed.stdout
    assert [line.endswith("'action': 'refund', 'amount': 6000}") for line in booked_by(typed)] == [
        True
    ]
    assert booked_by(run("--data", str(tmp_path), "--answer", "approve")) == booked_by(typed)[:1]


def test_bare_nobody_is_asked_and_a_crash_pays_twice(tmp_path: Path) -> None:
    """The same crash: bare two refunds and no question, guarded one, after a question."""
    refunds_of: dict[str, int] = {}
    for name, flags in (("bare", ["--bare"]), ("guarded", ["--answer", "approve"])):
        data = ["--data", str(tmp_path / name)]
        assert run(*flags, *data, "--crash").returncode < 0
        again = run(*data, *flags[: 1 if name == "bare" else 0])
        refunds_of[name] = len(booked_by(again))
        assert "at most 5000" not in again.stdout
        said = "nobody was asked, though 5000 is the limit; after a crash it is booked twice"
        assert (said in again.stdout) == (name == "bare")
    assert refunds_of == {"bare": 2, "guarded": 1}


def test_a_question_can_wait(tmp_path: Path) -> None:
    """Where nobody answers nothing is booked or sent; the next run asks again."""
    left = run("--data", str(tmp_path))
    assert booked_by(left) == []
    assert left.stdout.endswith("booked:\nsent:\n")
    assert len(booked_by(run("--data", str(tmp_path), "--answer", "approve"))) == 1


# Killed


def check(case: dict[str, Any]) -> None:
    """Hold what came of a case against what must be."""
    assert case["ledger"] == [{"number": 4471, "action": "refund", "amount": 129_00}]
    told = {"customer": "kim@example.com", "answer": "You have your money back."}
    assert case["outbox"] == [told]
    assert case["answer"] == told["answer"]
    assert set(case["runs"]) <= TERMINAL
    assert case["runs"]


def test_killed_at_every_point_it_pays_once(tmp_path: Path) -> None:
    """Killed before or after any write of saver, books and record, the next process pays once."""
    # LangGraph saves as it does by default: in the background, while the next node runs.
    cases = lines_of(Path(refunds.__file__), str(tmp_path), "every", timeout=300)
    for case in cases:
        check(case)
    assert [case["kills"] for case in cases] == [1] * (len(cases) - 1) + [0]
    assert len(cases) > 30


def test_killed_at_random_it_pays_once(tmp_path: Path) -> None:
    """Killed at random moments, some again and again; COORDGATE_KILLS says how often in all."""
    cases = lines_of(
        Path(refunds.__file__), str(tmp_path), "random", "7", str(KILLS), timeout=60 + 4 * KILLS
    )
    for case in cases:
        check(case)
    assert sum(case["kills"] for case in cases) >= KILLS
