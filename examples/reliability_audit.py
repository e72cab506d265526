"""A reliability audit: four nodes and three handoffs, measured from recorded runs.

python examples/reliability_audit.py [--bare] [--runs 1000] [--seed 1]

With --bare it does the arithmetic that one does on paper: it assumes the rates, and that nodes fail
independently. Without, it runs a pipeline whose nodes and handoffs go wrong at these rates, guarded
in observe mode, and the audit measures what came of it, with intervals, knowing none of the rates.
The pipeline is a stand-in: each node adds a letter, and a handoff may lose the last one.
"""
# ruff: noqa: T201 - a program that prints

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import Gate, NodeGuard, Tracer, guard, open_store
from coordgate.audit import Rate, audit, reliability
from coordgate.gates import check
from coordgate.labels import Label

NODES = {"retrieve": 0.98, "reason": 0.96, "draft": 0.97, "review": 0.95}
HANDOFF = 0.97
LETTERS = dict(zip(NODES, "abcd", strict=True))


class State(TypedDict):
    """What the nodes share: a letter from each."""

    text: str


def step(name: str, dice: random.Random) -> Callable[[State], State]:
    """Return a node that is right at its rate, and reads what its predecessor gave at HANDOFF's."""

    def node(state: State) -> State:
        text = state["text"]
        if text and dice.random() > HANDOFF:
            text = text[:-1]
        return {"text": text + (LETTERS[name] if dice.random() <= NODES[name] else "?")}

    return node


def adds_its_letter(name: str) -> Gate:
    """Return a gate on a node's own work; what was lost before it, it cannot see."""
    return check(lambda output: output["text"].endswith(LETTERS[name]), f"no {LETTERS[name]}")


def build(dice: random.Random) -> Any:
    """Return the pipeline, as anybody would write it."""
    builder = StateGraph(State).add_sequence([(name, step(name, dice)) for name in NODES])
    return builder.add_edge(START, next(iter(NODES)))


def measure(runs: int, seed: int, traces: Path) -> Any:
    """Run the pipeline, say of each run whether it came out right, and audit the record."""
    nodes = {name: NodeGuard(gates=[adds_its_letter(name)]) for name in NODES}
    builder = build(random.Random(seed))  # noqa: S311 - a repeatable demonstration, no secret
    with Tracer(str(traces)) as tracer:
        app = guard(builder, nodes, mode="observe", tracer=tracer).compile()
        right = [app.invoke({"text": ""})["text"] == "abcd" for _ in range(runs)]
    with open_store(str(traces)) as store:
        ids = [run.id for run in store.runs(newest_first=False)]
        labels = [Label(id, correct) for id, correct in zip(ids, right, strict=True)]
        return audit(store, labels=labels)


def shown(rate: Rate) -> str:
    """Return a rate with its interval."""
    return f"{rate.estimate:.3f}  [{rate.low:.3f}, {rate.high:.3f}]"


def main() -> None:
    """Print the audit."""
    parser = argparse.ArgumentParser(description="Audit a pipeline of four nodes.")
    parser.add_argument("--bare", action="store_true", help="on paper, from assumed rates")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.bare:
        design = reliability(NODES, handoffs=HANDOFF)
        print(f"assumed: nodes {', '.join(map(str, NODES.values()))}; each handoff {HANDOFF}")
        print(f"product of the nodes  {design.naive:.3f}")
        print(f"end to end            {design.end_to_end:.3f}")
        print(f"gap                   {design.gap:.3f}")
        print("nothing was run: no interval, no weakest handoff, and right only if the rates are")
        return
    with tempfile.TemporaryDirectory() as folder:
        report = measure(args.runs, args.seed, Path(folder) / "traces.db")
    print(f"measured on {args.runs} runs, with 95% intervals")
    for node in report.nodes:
        print(f"{node.node:21} {shown(node.first_pass)}")
    print(f"product of the nodes  {shown(report.product)}")
    print(f"runs that were right  {shown(report.observed)}")
    gap = report.gap
    print(f"gap                   {gap.estimate:.3f}  [{gap.low:.3f}, {gap.high:.3f}]")
    print(f"the whole against its parts: {report.compared.decided}")
    weakest = report.weakest
    if weakest.handoff is not None:
        print(f"weakest handoff: {weakest.handoff.producer} -> {weakest.handoff.consumer}")
    else:
        named = (f"{each.producer} -> {each.consumer}" for each in weakest.candidates)
        print(f"weakest handoff: undecided between {', '.join(named)}; ", end="")
        print(f"about {weakest.more_runs} more runs would tell")
    for gate in report.next_gates[:1]:
        print(f"next gate: on {gate.producer}; {gate.reason}")
    paper = reliability(NODES, handoffs=HANDOFF)
    inside = report.observed.low <= paper.end_to_end <= report.observed.high
    where = "within" if inside else "outside of"
    said = f"{paper.end_to_end:.3f}, {where} what was measured"
    print(f"end to end on paper, had one known each rate: {said}")


if __name__ == "__main__":
    main()
