"""A support agent: from a customer's e-mail to a refund that a person allows, paid exactly once.

python examples/support_agent.py [--email FILE] [--answer approve] [--bare] [--data DIR [--crash]]
"""
# ruff: noqa: T201 - a program that prints

import argparse
import inspect
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_OID, uuid4, uuid5

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import NonNegativeInt
from typing_extensions import TypedDict

from coordgate import Degrade, Edit, Escalate, Policy, Reject, gated, guard, idempotency_key
from coordgate.gates import check, threshold

EMAIL = """From: kim@example.com
My order 4471 arrived damaged. I want a refund or a replacement by Friday."""
LIMIT = 50_00  # cents that are paid back without asking
ACTION = Literal["refund", "replacement", "none"]
RESOLUTION = {"action": ACTION, "amount": NonNegativeInt, "answer": str}
LATER = {"action": "none", "amount": 0, "answer": "A colleague will write to you today."}
ASK = Policy(Escalate("support lead"), Degrade(LATER))
BOOK = """
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, customer, item, price, stock);
CREATE TABLE IF NOT EXISTS ledger (key TEXT PRIMARY KEY, number, action, amount);
CREATE TABLE IF NOT EXISTS outbox (key TEXT PRIMARY KEY, customer, answer);
INSERT OR IGNORE INTO orders VALUES (4471, 'kim@example.com', 'desk lamp', 12900, 0),
 (4480, 'lee@example.com', 'kettle', 6900, 12), (4502, 'ada@example.com', 'mug', 1850, 0);"""


def book(data: Path, query: str, *values: Any) -> list[dict[str, Any]]:
    """Read or write the order book and the ledger."""
    with closing(sqlite3.connect(data / "book.db", isolation_level=None)) as database:
        database.row_factory = sqlite3.Row
        database.executescript(BOOK)
        return [dict(row) for row in database.execute(query, values)]


class State(TypedDict, total=False):
    """What the nodes share; amounts are in cents."""

    email: str
    order: dict[str, Any]
    action: str
    amount: int
    answer: str


theirs = check(
    lambda output, state: state["email"].startswith(f"From: {output['order']['customer']}\n"),
    "the order is not the sender's",
)


@gated(returns={"order": dict}, gates=[theirs])
def look_up(state: State, runtime: Runtime[Any]) -> Any:
    """Look up the order that the e-mail names."""
    named = re.search(r"\border\D{0,9}(\d+)", state["email"], re.IGNORECASE)
    found = runtime.context["book"]("SELECT * FROM orders WHERE number = ?", named and named[1])
    return {"order": found[0] if found else None}


@gated(returns=RESOLUTION, gates=[threshold("amount", at_most=LIMIT)], policy=ASK)
def resolve(state: State) -> Any:
    """Draft what to do: a new one if there is one, else the money back."""
    order = state["order"]
    if order["stock"]:
        return {"action": "replacement", "amount": 0, "answer": f"A new {order['item']} is sent."}
    return {"action": "refund", "amount": order["price"], "answer": "You have your money back."}


@gated(effects="external")
def execute(state: State, runtime: Runtime[Any]) -> None:
    """Book it and answer, as services do: once for each key, however often they are asked."""
    key, order, book = runtime.context["key"](), state["order"], runtime.context["book"]
    row = (key, order["number"], state["action"], state["amount"])
    if state["action"] != "none":
        book("INSERT OR IGNORE INTO ledger VALUES (?, ?, ?, ?)", *row)
    book("INSERT OR IGNORE INTO outbox VALUES (?, ?, ?)", key, order["customer"], state["answer"])


def desk(data: Path, *, bare: bool = False) -> Any:
    """Return the graph; the record of its runs stands in the folder `data`."""
    nodes = [inspect.unwrap(n) if bare else n for n in (look_up, resolve, execute)]
    builder = StateGraph(State).add_sequence(nodes).add_edge(START, "look_up")
    return builder if bare else guard(builder, tracer=data / "traces.db")


def settle(app: Any, email: str, context: Any, decide: Callable[[Any], Any]) -> str:
    """Bring an e-mail to its answer, from wherever an earlier process has left it."""
    config = {"configurable": {"thread_id": str(uuid5(NAMESPACE_OID, email))}}
    while (now := app.get_state(config)).tasks or not now.created_at:
        given = Command(resume=decide(now.interrupts[0].value)) if now.interrupts else None
        app.invoke(given if now.created_at else {"email": email}, config, context=context)
    return now.values["answer"]


def main() -> None:
    """Settle one e-mail, and show what was booked and answered."""
    parser = argparse.ArgumentParser(description="Answer a customer's complaint.")
    parser.add_argument("--email", type=Path, help="a file; else one on order 4471")
    parser.add_argument("--answer", help="approve, 'reject REASON', or an amount in cents")
    parser.add_argument("--bare", action="store_true", help="without coordgate")
    parser.add_argument("--data", type=Path, help="a folder to keep all in; else nothing is kept")
    parser.add_argument("--crash", action="store_true", help="die when the refund is booked")
    args = parser.parse_args()
    data: Path = args.data or Path(tempfile.mkdtemp())
    data.mkdir(exist_ok=True)

    def work(query: str, *values: Any) -> Any:
        found = book(data, query, *values)
        if args.crash and "INTO ledger" in query:
            os.kill(os.getpid(), 9)
        return found

    def decide(asked: Any) -> Any:
        print(*asked["reasons"], *asked.get("refused", ()), asked["candidate"], sep="\n")
        said, args.answer = args.answer or input("approve, reject REASON, cents; ^D: later "), None
        if said.isdigit():
            return Edit({**asked["candidate"], "amount": int(said)}, override=True)
        word, _, reason = said.partition(" ")
        return Reject(reason) if word == "reject" else {"decision": word}

    key = (lambda: uuid4().hex) if args.bare else idempotency_key
    email = args.email.read_text() if args.email else EMAIL
    with SqliteSaver.from_conn_string(str(data / "checkpoints.db")) as saver, suppress(EOFError):
        app = desk(data, bare=args.bare).compile(checkpointer=saver)
        settle(app, email, {"book": work, "key": key}, decide)
    booked, sent = book(data, "SELECT * FROM ledger"), book(data, "SELECT * FROM outbox")
    print("booked:", *booked, "sent:", *sent, sep="\n")
    if args.bare:
        print(f"nobody was asked, though {LIMIT} is the limit; after a crash it is booked twice")


if __name__ == "__main__":
    main()
