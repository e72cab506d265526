"""A team of agents under a supervisor, guarded without a change to it.

python examples/retrofit_team.py [--bare]

`team` stands for one that you already have: a supervisor sends the work to a researcher and a
writer, each an agent of its own. The models are scripts: the supervisor misspells a name, and the
writer states what nobody has found. Bare, the first of these ends the run in silence.
"""
# ruff: noqa: T201 - a program that prints

import argparse
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command

from coordgate import NodeGuard, Policy, Retry, Verdict, gate, guard
from coordgate.gates import grounded_in
from coordgate.models import with_feedback
from coordgate.testing import RecordingTracer, ScriptedModel

FOUND = "Larch wood is tough and lasts long out of doors. Spruce wood is light and soft."
INVENTED = "Larch lasts 90 years out of doors, and Spruce is light."
TRUE = "Larch wood lasts long out of doors. Spruce wood is light."

# What is there already


def team(models: dict[str, Any]) -> Any:
    """Return the team."""

    def supervisor(state: MessagesState) -> Command[Any]:
        said = models["supervisor"].invoke(state["messages"]).text
        return Command(goto=END if said == "done" else said)

    builder = StateGraph(MessagesState).add_node("supervisor", supervisor)
    builder.add_edge(START, "supervisor")
    for name in ("researcher", "writer"):
        builder.add_node(name, create_agent(models[name], [], name=name))
        builder.add_edge(name, "supervisor")
    return builder.compile()


# What is added, from outside


@gate
def rests_on_what_was_found(output: dict[str, Any], state: dict[str, Any]) -> Verdict:
    """Refuse a text with a sentence that no earlier message supports."""
    context = [message.text for message in state["messages"] if message.type == "ai"]
    judged = grounded_in("context", key="text")
    verdict: Any = judged({"text": output["messages"][-1].text}, {"context": context})
    return verdict


GUARD = {
    "supervisor": NodeGuard(policy=Policy(Retry(1))),
    "writer|model": NodeGuard(gates=[rests_on_what_was_found], policy=Policy(Retry(1))),
}


def main() -> None:
    """Have one text written."""
    parser = argparse.ArgumentParser(description="Have a team write a text.")
    parser.add_argument("--bare", action="store_true", help="the team as it was")
    args = parser.parse_args()
    models = {
        "supervisor": ScriptedModel("reseacher", "researcher", "writer", "done"),
        "researcher": ScriptedModel(FOUND),
        "writer": with_feedback(ScriptedModel(INVENTED, TRUE)),
    }
    tracer = RecordingTracer()
    app = team(models) if args.bare else guard(team(models), GUARD, tracer=tracer)
    result = app.invoke({"messages": [HumanMessage("Write two sentences on larch and spruce.")]})
    for each in tracer.transitions:
        for made in each.attempts:
            print(f"{each.node:10} {made.number} {made.rung:6} {made.outcome}", *made.reasons)
    print()
    for message in result["messages"]:
        print(f"{message.name or message.type:10}", message.text)


if __name__ == "__main__":
    main()
