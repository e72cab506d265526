"""An agent made with create_agent, guarded without a change to it.

python examples/retrofit_agent.py [--bare]

`agent` stands for one that you already have. Its model is a script that does what models do: it
misspells a tool, gives it an argument that does not exist, and states a figure that no tool said.
"""
# ruff: noqa: T201 - a program that prints

import argparse
import re
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool

from coordgate import NodeGuard, Policy, Retry, Verdict, gate, guard
from coordgate.gates import valid_calls
from coordgate.testing import RecordingTracer, ScriptedModel
from coordgate.tools import checks

# What is there already


@tool
def order(id: int) -> str:
    """Look an order up."""
    return f"Order {id}: a floor lamp for 129 euro, delivered on 9 March."


def agent(script: list[AIMessage]) -> Any:
    """Return the agent."""
    return create_agent(ScriptedModel(*script), [order], system_prompt="Answer customers.")


def calling(name: str, **arguments: Any) -> AIMessage:
    """Return a model's answer that calls a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": name}])


MISSPELT = calling("oder", id=4471)
EXTRA = calling("order", id=4471, refund=True)
RIGHT = calling("order", id=4471)
INVENTED = AIMessage("Your lamp came on 9 March, and you get 149 euro back.")
TRUE = AIMessage("Your lamp, for 129 euro, came on 9 March.")

# What is added, from outside


@gate
def figures_come_from_tools(output: dict[str, Any], state: dict[str, Any]) -> Verdict:
    """Refuse figures in a final answer that neither a tool nor the user has said."""
    answer = output["messages"][-1]
    said = " ".join(m.text for m in state["messages"] if m.type in {"tool", "human"})
    unknown = set(re.findall(r"\d+", answer.text)) - set(re.findall(r"\d+", said))
    if unknown and not answer.tool_calls:
        return Verdict.reject(f"no tool has said {', '.join(sorted(unknown))}")
    return Verdict.accept()


GUARD = {
    "model": NodeGuard(
        gates=[valid_calls(checks([order])), figures_come_from_tools],
        policy=Policy(Retry(2)),
    )
}


def main() -> None:
    """Ask one question."""
    parser = argparse.ArgumentParser(description="Ask an agent about an order.")
    parser.add_argument("--bare", action="store_true", help="the agent as it was")
    args = parser.parse_args()
    tracer = RecordingTracer()
    # Bare, nothing answers the extra argument or the figure, so the script ends sooner.
    script = [MISSPELT, EXTRA, INVENTED] if args.bare else [MISSPELT, EXTRA, RIGHT, INVENTED, TRUE]
    app = agent(script) if args.bare else guard(agent(script), GUARD, tracer=tracer)
    result = app.invoke({"messages": [HumanMessage("Where is my order 4471?")]})
    for each in tracer.transitions:
        for made in each.attempts:
            print(f"{each.node:6} {made.number} {made.rung:6} {made.outcome}", *made.reasons)
    print()
    for message in result["messages"]:
        calls = [f"{call['name']}({call['args']})" for call in getattr(message, "tool_calls", [])]
        print(f"{message.type:6}", message.text, *calls)


if __name__ == "__main__":
    main()
