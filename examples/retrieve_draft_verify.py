"""A company brief: retrieve facts, draft from them, verify, and say what was caught on the way.

python examples/retrieve_draft_verify.py [--company NAME] [--bare] [--faults 0.3] [--seed 2]
"""
# ruff: noqa: T201 - a program that prints

import argparse
import inspect
import os
from typing import Any, Literal

import bm25s
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel
from typing_extensions import TypedDict

from coordgate import Fallback, Feedback, Policy, Retry, Tracer, gated, guard
from coordgate.demo.offline import OfflineModel
from coordgate.gates import cites, grounded_in, not_empty
from coordgate.tracer import Transition

FACTS = [
    "Northlight Batteries makes sodium-ion cells for stationary storage.",
    "Northlight Batteries was founded in 2016 and is based in Gothenburg.",
    "Northlight Batteries opened a second plant in 2023, which doubled its output to 1.8 GWh.",
    "Northlight Batteries sells three quarters of its output to grid operators.",
    "Harbour Grain ships wheat and barley from four terminals on the Baltic Sea.",
]
ROUNDS = 2  # how often the draft is verified at most
AGAIN = Retry(2, wait=0.1, jitter=False)


class State(TypedDict, total=False):
    """What the nodes share."""

    company: str
    context: list[str]
    draft: str
    verified: bool
    unsupported: list[str]
    rounds: int


class Context(TypedDict):
    """What the nodes work with."""

    model: BaseChatModel


class Brief(BaseModel):
    """A brief on a company in a few sentences, each citing its fact as [1]."""

    draft: str


class Opinion(BaseModel):
    """Whether the facts support the draft, and the sentences that they do not support."""

    verified: bool
    unsupported: list[str]


@gated(gates=[not_empty("context")])
def retrieve(state: State) -> dict[str, Any]:
    """Find the facts on the company."""
    index = bm25s.BM25()
    index.index(bm25s.tokenize(FACTS, show_progress=False), show_progress=False)
    query = bm25s.tokenize([state["company"]], show_progress=False)
    facts, scores = index.retrieve(query, corpus=FACTS, k=4, show_progress=False)
    return {"context": [str(f) for f, s in zip(facts[0], scores[0], strict=True) if s > 0]}


def quote_facts(state: State) -> dict[str, Any]:
    """Draft without a model."""
    return {"draft": " ".join(f"{fact} [{n}]" for n, fact in enumerate(state["context"], 1))}


@gated(
    returns=Brief,
    gates=[cites("draft", sources="context"), grounded_in("context", key="draft")],
    policy=Policy(AGAIN, Fallback(quote_facts)),
)
def draft(state: State, runtime: Runtime[Context], feedback: Feedback | None = None) -> Any:
    """Write the brief, told what was wrong with the last one."""
    wrong = [*state.get("unsupported", ()), *(feedback.reasons if feedback else ())]
    question = f"What is there to know about {state['company']}?"
    return ask(runtime, state, Brief, question=question, feedback="\n".join(wrong))


@gated(returns={"verified": bool, "unsupported": list[str], "rounds": int}, policy=Policy(AGAIN))
def verify(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Ask which sentences the facts do not support."""
    opinion = ask(runtime, state, Opinion, draft=state["draft"])
    return {**opinion, "rounds": state.get("rounds", 0) + 1}


def after_verify(state: State) -> Literal["draft", "__end__"]:
    """Send what is not supported back, as long as there are rounds left."""
    return END if state["verified"] or state["rounds"] >= ROUNDS else "draft"


def ask(runtime: Runtime[Context], state: State, schema: type[BaseModel], **told: str) -> Any:
    """Let the model fill the schema; the answer comes back raw, for the contract to judge."""
    told["passages"] = "\n\n".join(f"[{n}] {fact}" for n, fact in enumerate(state["context"], 1))
    prompt = "\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in told.items())
    model = runtime.context["model"].with_structured_output(schema.model_json_schema())
    return model.invoke(f"{schema.__doc__} Use the passages alone.\n{prompt}")


class Shown:
    """Where the tracer writes: each attempt becomes a line."""

    def write(self, records: Any) -> None:
        """Print the attempts of each transition."""
        for each in records:
            for made in each.attempts if isinstance(each, Transition) else ():
                print(f"{each.node:9} {made.number} {made.rung:21}", made.outcome, *made.reasons)


def main() -> None:
    """Write one brief and print it."""
    parser = argparse.ArgumentParser(description="Write a brief on a company from known facts.")
    parser.add_argument("--company", default="Northlight Batteries")
    parser.add_argument("--bare", action="store_true", help="without coordgate")
    parser.add_argument("--faults", type=float, default=0.3, help="how often the stand-in errs")
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    model: BaseChatModel = OfflineModel(faults=args.faults, seed=args.seed)
    if os.environ.get("OPENAI_API_KEY"):
        model = ChatOpenAI(model=os.environ.get("OPENAI_MODEL", "gpt-5.4-mini"))
    nodes = [inspect.unwrap(n) if args.bare else n for n in (retrieve, draft, verify)]
    builder = StateGraph(State, context_schema=Context).add_sequence(nodes)
    builder.add_edge(START, "retrieve").add_conditional_edges("verify", after_verify)
    with Tracer(Shown()) as tracer:
        app = (builder if args.bare else guard(builder, tracer=tracer)).compile()
        state = app.invoke({"company": args.company}, context={"model": model})
    facts = (f"[{n}] {fact}" for n, fact in enumerate(state["context"], 1))
    print("", state["draft"] or "(an empty brief)", "", *facts, "", sep="\n")
    print(f"verified: {state['verified']}", *state.get("unsupported", ()), sep="\n")
    for gate in (cites("draft", sources="context"), grounded_in("context", key="draft")):
        verdict: Any = gate(state, state)
        print(f"judged afterwards, {gate.name}: {verdict.reason or 'passed'}")


if __name__ == "__main__":
    main()
