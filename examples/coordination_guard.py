"""A coordination guard: what one agent hands over is checked before the next one publishes it.

python examples/coordination_guard.py [--confidence 0.9] [--answer approve --by ann] [--bare]

Malformed: the analyst is told and tries again. Confident and ready: published. Else a person is
asked. What was shown is what is published, also if this program is killed: run it again.
"""
# ruff: noqa: T201 - a program that prints

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from coordgate import Escalate, HandoffError, Policy, Retry, Tracer, gated, guard, idempotency_key
from coordgate.gates import check, threshold

ERRORS = {"week 37": 9.1, "week 38": 8.3, "week 39": 7.2, "week 40": 6.4}  # per 1,000 orders
SURE = 0.8  # below it a person is asked


class State(TypedDict, total=False):
    """What the agents share."""

    evidence: float  # how sure the figures make the analyst
    insight: str
    confidence: float
    ready_for_prod: bool
    published: str


class Payload(BaseModel):
    """What the analyst hands to the publisher."""

    insight: str = Field(min_length=10, description="one sentence")
    confidence: float = Field(ge=0, le=1)
    ready_for_prod: bool


def stand_in(prompt: str, confidence: float) -> str:
    """Answer as a model would that writes `62%` for a number until it is told not to."""
    said = f"Errors fell from {ERRORS['week 37']} in week 37 to {ERRORS['week 40']} in week 40."
    sure = confidence if "Last time" in prompt else f"{confidence:.0%}"
    return json.dumps({"insight": said, "confidence": sure, "ready_for_prod": confidence >= 0.5})


def build(home: Path, *, model: Callable[[str, float], str] = stand_in, bare: bool = False) -> Any:
    """Return the graph of two agents, guarded or bare."""

    def analyse(state: State, feedback: Any = None) -> dict[str, Any]:
        prompt = f"One insight from these figures, as JSON: {json.dumps(ERRORS)}"
        prompt += f"\nLast time:\n{feedback}" if feedback else ""
        return json.loads(model(prompt, state["evidence"]))

    def publish(state: State) -> dict[str, Any]:
        # Whoever takes it keeps the key, and takes nothing twice.
        key = uuid4().hex if bare else idempotency_key()
        with closing(sqlite3.connect(home / "published.db", timeout=30)) as production, production:
            production.execute("CREATE TABLE IF NOT EXISTS published (key PRIMARY KEY, payload)")
            row = (key, json.dumps({name: state[name] for name in Payload.model_fields}))
            production.execute("INSERT OR IGNORE INTO published VALUES (?, ?)", row)
        return {"published": key}

    if not bare:
        ready = check(lambda output: output.ready_for_prod, "not ready", otherwise="escalate")
        sure = threshold("confidence", at_least=SURE, otherwise="escalate")
        policy = Policy(Retry(2), Escalate("editor"))
        analyse = gated(returns=Payload, gates=[sure, ready], policy=policy)(analyse)
        publish = gated(effects="idempotent")(publish)
    return StateGraph(State).add_sequence([analyse, publish]).add_edge(START, "analyse")


@contextmanager
def desk(home: Path = Path(), *, bare: bool = False, **parts: Any) -> Iterator[Any]:
    """Give the compiled graph, with its checkpoints and its record in a folder."""
    builder = build(home, bare=bare, **parts)
    saved, recorded = str(home / "coordination.db"), home / "traces.db"
    with SqliteSaver.from_conn_string(saved) as saver, Tracer(recorded) as tracer:
        yield (builder if bare else guard(builder, tracer=tracer)).compile(checkpointer=saver)


def run(app: Any, thread: str, confidence: float, answer: Callable[[Any], Any]) -> Any:
    """Begin a thread or go on with it, and answer what it asks; return the state it comes to."""
    there = app.get_state(config := {"configurable": {"thread_id": thread}})
    if "published" in there.values:
        return there.values
    begun = there.created_at is not None  # `next` is empty between a node's writes and a checkpoint
    state = app.invoke(None if begun else {"evidence": confidence}, config)
    while asked := state.get("__interrupt__"):
        if (given := answer(asked[0].value)) is None:
            return state
        state = app.invoke(Command(resume=given), config)
    return state


def typed(asked: dict[str, Any]) -> dict[str, Any]:
    """Take an answer from the terminal; Ctrl-C leaves it for later."""
    wants = {"reject": "reason", "retry": "feedback", "edit": "update"}
    word = input(f"{', '.join(asked['answers'])}? ")
    if word not in wants:
        return {"decision": word}
    said = input(f"{wants[word]}: ")
    return {"decision": word, wants[word]: json.loads(said) if word == "edit" else said}


def main() -> None:
    """Run the two agents, and be the person between them."""
    parser = argparse.ArgumentParser(description="Two agents, and a guard between them.")
    parser.add_argument("--confidence", type=float, default=0.62, help="what the analyst has")
    parser.add_argument("--answer", help="approve, or an answer as JSON; typed if not given")
    parser.add_argument("--by", default="", help="who answers")
    parser.add_argument("--home", type=Path, default=Path(), help="where the files are")
    parser.add_argument("--thread", default="1", help="another for another run")
    parser.add_argument("--bare", action="store_true", help="without coordgate")
    args = parser.parse_args()
    given = [args.answer] if args.answer else []

    def answer(asked: dict[str, Any]) -> dict[str, Any] | None:
        print(f"the {asked['to']} is asked about", json.dumps(asked["candidate"]))
        print(*(f"  {why}" for why in asked.get("refused", asked["reasons"])), sep="\n")
        word = given.pop() if given else None
        if word is None:
            return {**typed(asked), "by": args.by} if sys.stdin.isatty() else None
        return {**(json.loads(word) if word[:1] == "{" else {"decision": word}), "by": args.by}

    try:
        with desk(args.home, bare=args.bare) as app:
            state = run(app, f"{args.thread}{'-bare' * args.bare}", args.confidence, answer)
    except HandoffError as error:
        sys.exit(f"not published: {error}")
    payload = {name: state.get(name) for name in Payload.model_fields}
    waits = "__interrupt__" in state
    note = "\nnobody was asked, and nobody saw that the confidence is no number" * args.bare
    print("it waits: run this again" if waits else f"published: {json.dumps(payload)}{note}")


if __name__ == "__main__":
    main()
