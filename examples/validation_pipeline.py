"""A validation-gated pipeline: route, look up at once, answer, and ship what is grounded.

python examples/validation_pipeline.py [--bare] [--text "..."] [--wait 0.2]

All five layers: contracts, gates, policies, a record, and routing (of mails, of models, of tools
that an MCP server offers: order_services.py). Models and services are stand-ins.
"""
# ruff: noqa: T201 - a program that prints

import argparse
import asyncio
import itertools
import operator
import re
import time
from contextlib import asynccontextmanager
from typing import Annotated, Any

from langchain_core.messages import ToolCall
from langchain_core.tools import BaseTool
from langgraph.graph import START, StateGraph
from order_services import connection, plain_tools
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from coordgate import Degrade, Feedback, Policy, Retry, gated, guard, router
from coordgate.demo.offline import OfflineModel
from coordgate.gates import by_rules, cites, enough, grounded_in, no_instructions
from coordgate.models import ModelLadder
from coordgate.testing import RecordingTracer
from coordgate.tools import gated_tools

try:
    from langchain_mcp_adapters.client import MultiServerMCPClient
    from langchain_mcp_adapters.tools import load_mcp_tools

    from coordgate.integrations import mcp
except ImportError:
    mcp = None  # type: ignore[assignment]


class State(TypedDict, total=False):
    """What the nodes share; a fact is a text and its source."""

    question: str
    order: int
    facts: Annotated[list[dict[str, str]], operator.add]
    answer: str


class Answer(BaseModel):
    """An answer to the question, each sentence citing its passage as [1]."""

    answer: str


@asynccontextmanager
async def discovered(wait: float, *, bare: bool) -> Any:
    """Give the tools that the server offers, which runs as long."""
    if mcp is None:
        yield plain_tools(wait) if bare else gated_tools(plain_tools(wait))
    else:
        async with MultiServerMCPClient({"orders": connection(wait)}).session("orders") as session:
            yield await (load_mcp_tools(session) if bare else mcp.gated_tools(session))


@gated(returns={"order": Annotated[int, Field(ge=1000, le=9999)]})
def read_order(state: State) -> dict[str, Any]:
    """Find the number of the order."""
    return {"order": next((int(n) for n in re.findall(r"\d+", state["question"])), None)}


def look_up(service: BaseTool) -> Any:
    """Return a node that asks one service."""

    @gated(gates=[enough("facts")], policy=Policy(Retry(1), Degrade({"facts": []})))
    async def node(state: State) -> dict[str, Any]:
        call = ToolCall(name=service.name, args={"order": state["order"]}, id="1", type="tool_call")
        said = await service.ainvoke(call)
        facts = [{"source": service.name, "text": said.text}]
        return {"facts": facts if said.status == "success" else []}

    return node


def answering(model: Any) -> Any:
    """Return the node that writes the answer from the facts."""

    @gated(
        accepts={"facts": Annotated[list[Any], Field(min_length=3)]},
        returns=Answer,
        gates=[grounded_in("facts", key="answer"), cites("answer", sources="facts")],
        policy=Policy(Retry(2), Degrade({"answer": "A colleague will write to you."})),
    )
    def answer(state: State, feedback: Feedback | None = None) -> Any:
        facts = "\n\n".join(f"[{n}] {fact['text']}" for n, fact in enumerate(state["facts"], 1))
        told = {"question": state["question"], "passages": facts, "feedback": feedback or ""}
        prompt = "\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in told.items())
        return model.with_structured_output(Answer.model_json_schema()).invoke(prompt)

    return answer


def build(tools: list[BaseTool], *, bare: bool, at_once: bool) -> Any:
    """Return the pipeline, its look-ups side by side or in a chain."""
    cheap = OfflineModel(faults=1.0, seed=4)  # with this seed it makes something up
    routes, sure = {"order": "read_order"}, lambda state: "order" in state["question"]
    route = router(routes, classify=by_rules({"order": sure}), at_least=0.7, default="human")
    nodes = {"read_order": read_order, **{each.name: look_up(each) for each in tools}}
    nodes["answer"] = answering(cheap if bare else ModelLadder(cheap, OfflineModel()))
    builder = StateGraph(State).add_node("route", route.node).add_edge(START, "route")
    builder.add_node("human", lambda state: {"answer": "A colleague will read this."})
    for name, node in nodes.items():
        builder.add_node(name, node.__wrapped__ if bare else node)
    names = [each.name for each in tools]
    for each in [("read_order", name) for name in names] if at_once else itertools.pairwise(nodes):
        builder.add_edge(*each)
    return builder.add_edge(names, "answer") if at_once else builder


async def main() -> None:
    """Answer one question, twice: look-ups in a chain, and at once."""
    parser = argparse.ArgumentParser(description="Answer a question on an order.")
    parser.add_argument("--bare", action="store_true", help="without coordgate")
    parser.add_argument("--text", default="When does order 4471 arrive, and may it be returned?")
    parser.add_argument("--wait", type=float, default=0.2, help="seconds that a service takes")
    args = parser.parse_args()
    seconds = []
    for at_once in (False, True):
        async with discovered(args.wait, bare=args.bare) as tools:
            tracer, builder = RecordingTracer(), build(tools, bare=args.bare, at_once=at_once)
            app = (builder if args.bare else guard(builder, tracer=tracer)).compile()
            began = time.perf_counter()
            state = await app.ainvoke({"question": args.text})
            seconds.append(time.perf_counter() - began)
    for node, made in ((each.node, made) for each in tracer.transitions for made in each.attempts):
        failed = (verdict.reason for verdict in made.verdicts if not verdict.passed)
        print(f"{node:10} {made.number} {made.rung:8} {made.outcome}", *failed)
    print(f"\n{state['answer']}\n")
    if state.get("facts"):
        for gate in (no_instructions("facts"), grounded_in("facts", key="answer")):
            verdict: Any = gate(state, state)
            print(f"judged afterwards, {gate.name}: {verdict.reason or 'passed'}")
        less = 1 - seconds[1] / seconds[0]
        print("one after another {:.2f} s, at once {:.2f} s: {:.0%} less".format(*seconds, less))


if __name__ == "__main__":
    asyncio.run(main())
