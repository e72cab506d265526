"""A support agent: from a customer's e-mail to a refund that a person allows, paid exactly once.

python examples/support_agent.py [--email FILE] [--answer approve] [--bare] [--data DIR [--crash]]
"""
# ruff: noqa: T201 - a program that prints

import argparse
import hashlib
import inspect
import os
import re
import signal
import sqlite3
import tempfile
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from coordgate import Degrade, Escalate, Policy, Verdict, gate, gated, guard, idempotency_key

EMAIL = """From: kim@example.com
My order 4471 arrived damaged. I want a refund or a replacement by Friday."""
LIMIT = 50_00  # cents that are paid back without asking
LATER = {"action": "none", "amount": 0, "answer": "A colleague will write to you today."}
BOOK = """
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, customer, item, price, stock);
CREATE TABLE IF NOT EXISTS ledger (key TEXT PRIMARY KEY, number, action, amount);
CREATE TABLE IF NOT EXISTS outbox (key TEXT PRIMARY KEY, customer, text);
INSERT OR IGNORE INTO orders VALUES (4471, 'kim@example.com', 'desk lamp', 12900, 0),
 (4480, 'lee@example.com', 'kettle', 6900, 12), (4502, 'ada@example.com', 'mug', 1850, 0);"""


class State(TypedDict, total=False):
    """What the nodes share; amounts are in cents."""

    email: str
    number: int
    order: dict[str, Any]
    action: str
    amount: int
    answer: str


class Context(TypedDict):
    """What the nodes work with: a statement on the book, and the key of a task."""

    book: Callable[..., Any]
    key: Callable[[], str]


class Resolution(BaseModel):
    """What is done about a complaint."""

    action: Literal["refund", "replacement", "none"]
    amount: int = Field(ge=0)
    answer: str


@gate
def theirs(output: dict[str, Any], state: State) -> Verdict:
    """Check that there is such an order, and that it is the sender's."""
    sender = re.match(r"From: *(\S+)", state["email"])
    if sender and output["order"].get("customer") == sender[1]:
        return Verdict.accept()
    return Verdict.reject(f"the sender of the e-mail has no order {state['number']}")


@gate
def within_the_limit(output: Resolution, state: State) -> Verdict:
    """Let a replacement and a small refund pass; the rest is for a person."""
    limit = min(LIMIT, state["order"]["price"])
    if output.amount <= limit:
        return Verdict.accept()
    return Verdict.reject(f"{output.amount / 100:.2f} is more than {limit / 100:.2f} EUR")


@gated(returns={"number": int})
def read(state: State) -> Any:
    """Take the order's number from the e-mail."""
    found = re.search(r"\border\D{0,9}(\d+)", state["email"], re.IGNORECASE)
    return {"number": int(found[1]) if found else None}


@gated(gates=[theirs])
def look_up(state: State, runtime: Runtime[Context]) -> Any:
    """Look the order up in the order book."""
    found = runtime.context["book"]("SELECT * FROM orders WHERE number = ?", state["number"])
    names = ("number", "customer", "item", "price", "stock")
    return {"order": dict(zip(names, found[0], strict=True)) if found else {}}


ASK = Policy(Escalate("support lead"), Degrade(LATER))


@gated(returns=Resolution, gates=[within_the_limit], policy=ASK)
def resolve(state: State) -> Any:
    """Draft what to do: a new one if there is one, else the money back."""
    item = f"{state['order']['item']} (order {state['number']})"
    if state["order"]["stock"]:
        return {"action": "replacement", "amount": 0, "answer": f"A new {item} comes by Friday."}
    paid = state["order"]["price"]
    return {"action": "refund", "amount": paid, "answer": f"We paid you back for the {item}."}


@gated(effects="external")
def execute(state: State, runtime: Runtime[Context]) -> Any:
    """Book it, as a payment service does: once for each key, however often it is asked."""
    row = (runtime.context["key"](), state["number"], state["action"], state["amount"])
    if state["action"] != "none":
        runtime.context["book"]("INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?)", *row)
    return {}


@gated(effects="external")
def send(state: State, runtime: Runtime[Context]) -> Any:
    """Send the answer."""
    row = (runtime.context["key"](), state["order"]["customer"], state["answer"])
    runtime.context["book"]("INSERT OR IGNORE INTO outbox VALUES (?, ?, ?)", *row)
    return {}


def desk(data: Path, *, bare: bool = False) -> Any:
    """Return the graph; the record of its runs stands in the folder `data`."""
    builder = StateGraph(State, context_schema=Context).add_edge(START, "read")
    nodes = (read, look_up, resolve, execute, send)
    builder.add_sequence([inspect.unwrap(each) if bare else each for each in nodes])
    return builder if bare else guard(builder, tracer=data / "traces.db")


def settle(app: Any, email: str, context: Context, decide: Callable[[Any], Any]) -> None:
    """Bring the case of an e-mail to its end, from wherever an earlier process has left it."""
    config = {"configurable": {"thread_id": hashlib.sha256(email.encode()).hexdigest()}}
    while (now := app.get_state(config)).tasks or not now.created_at:
        given = None if now.created_at else {"email": email}
        if now.interrupts:
            given = Command(resume=decide(now.interrupts[0].value))
        app.invoke(given, config, context=context)


def main() -> None:
    """Settle one e-mail, and show what was booked and sent."""
    parser = argparse.ArgumentParser(description="Answer a customer's complaint.")
    parser.add_argument("--email", type=Path, help="a file; else one on order 4471")
    parser.add_argument("--answer", help="approve, 'reject REASON', or an amount in cents")
    parser.add_argument("--bare", action="store_true", help="without coordgate")
    parser.add_argument("--data", type=Path, help="a folder to keep all in; else nothing is kept")
    parser.add_argument("--crash", action="store_true", help="die when the refund is booked")
    args = parser.parse_args()
    data: Path = args.data or Path(tempfile.mkdtemp())
    data.mkdir(exist_ok=True)

    def book(query: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(data / "book.db", isolation_level=None)) as database:
            database.executescript(BOOK)
            found = database.execute(query, values).fetchall()
        if args.crash and "INTO ledger" in query:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    def decide(asked: Any) -> Any:
        print(*asked["reasons"], *asked.get("refused", ()), asked["candidate"], sep="\n")
        said, args.answer = args.answer or input("approve, reject REASON, or cents: "), None
        if said.isdigit():
            update = {**asked["candidate"], "amount": int(said)}
            return {"decision": "edit", "update": update, "override": True}
        decision, _, reason = said.partition(" ")
        return {"decision": decision, **({"reason": reason} if reason else {})}

    key = (lambda: uuid.uuid4().hex) if args.bare else idempotency_key
    email = args.email.read_text() if args.email else EMAIL
    with SqliteSaver.from_conn_string(str(data / "checkpoints.db")) as saver:
        app = desk(data, bare=args.bare).compile(checkpointer=saver)
        settle(app, email, {"book": book, "key": key}, decide)
    print(
        "booked:", *book("SELECT * FROM ledger"), "sent:", *book("SELECT * FROM outbox"), sep="\n"
    )


if __name__ == "__main__":
    main()
