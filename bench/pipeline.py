"""The pipeline that is measured: six small useful nodes, what they must hand over, and its graphs.

`bare` is the graph as LangGraph runs it, `guarded` the same with every node guarded, and `by_hand`
the same checks as people write them: after each node a node that validates, with a conditional
edge that goes on, or back to try again.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias, TypedDict

from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, Field, ValidationError

from coordgate import Contract, Gate, NodeGuard, Policy, Retry, Tracer, gate, guard

Update: TypeAlias = dict[str, Any]
Body: TypeAlias = Callable[["State"], Update]

QUESTION = "  Which lighthouse was lit first, and by whom?  "

PASSAGES = (
    "The lighthouse of Skagen was lit in 1747 by Philip de Lange.",
    "The harbour of Skagen was opened in 1907.",
    "A lighthouse keeper trims the lamp at dusk and at midnight.",
    "The first lamp burned coal in an iron basket.",
    "Kullen lighthouse was lit first in 1561 by order of the king.",
    "Fog signals were given with a bell until 1902.",
    "The pilots rowed out when the light was seen by a ship.",
    "In winter the sound froze over, and no ship was seen for weeks.",
)


class State(TypedDict, total=False):
    """The state of the bare and the guarded graphs."""

    question: str
    query: str
    terms: list[str]
    passages: list[int]
    draft: str
    citations: list[int]
    confidence: float
    answer: str


class CheckedState(State, total=False):
    """The state of the graph with gates written by hand."""

    problem: str
    tries: int


def normalize(state: State) -> Update:
    """Strip and lower the question."""
    return {"query": " ".join(state["question"].split()).lower()}


def split(state: State) -> Update:
    """Take the words that say something."""
    return {"terms": [word for word in re.findall(r"\w+", state["query"]) if len(word) > 3]}


def retrieve(state: State) -> Update:
    """Find the two passages that share most words with the question."""
    terms = state["terms"]
    scores = [sum(term in passage for term in terms) for passage in PASSAGES]
    best = sorted(range(len(PASSAGES)), key=scores.__getitem__, reverse=True)
    return {"passages": best[:2]}


def draft(state: State) -> Update:
    """Write an answer out of the passages."""
    return {"draft": " ".join(f"{PASSAGES[at]} [{at}]" for at in state["passages"])}


def cite(state: State) -> Update:
    """Read the citations out of the draft."""
    return {"citations": [int(found) for found in re.findall(r"\[(\d+)\]", state["draft"])]}


def score(state: State) -> Update:
    """Say how sure the answer is, and give it."""
    cited = state["citations"]
    return {"confidence": len(cited) / 2, "answer": f"{state['draft']} ({len(cited)} sources)"}


class Asked(BaseModel):
    """What `normalize` accepts."""

    question: str = Field(min_length=1)


class Query(BaseModel):
    """What `normalize` returns, and `split` accepts."""

    query: str = Field(min_length=1)


class Terms(BaseModel):
    """What `split` returns, and `retrieve` accepts."""

    terms: list[str] = Field(min_length=1)


class Passages(BaseModel):
    """What `retrieve` returns, and `draft` accepts."""

    passages: list[int] = Field(min_length=1, max_length=5)


class Draft(BaseModel):
    """What `draft` returns, and `cite` accepts."""

    draft: str = Field(min_length=1)


class Citations(BaseModel):
    """What `cite` returns, and `score` accepts."""

    citations: list[int] = Field(min_length=1)


class Answer(BaseModel):
    """What `score` returns."""

    confidence: float = Field(ge=0, le=1)
    answer: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Stage:
    """One node of the pipeline, and what is declared on it."""

    body: Body
    """The function."""
    accepts: type[BaseModel]
    """What it must be handed."""
    returns: type[BaseModel]
    """What it must hand over."""
    rule: Callable[[Any], bool]
    """The rule that the parsed output must meet."""

    @property
    def name(self) -> str:
        """The node's name."""
        return self.body.__name__


STAGES: Sequence[Stage] = (
    Stage(normalize, Asked, Query, lambda output: len(output.query) < 500),
    Stage(split, Query, Terms, lambda output: len(output.terms) < 50),
    Stage(retrieve, Terms, Passages, lambda output: max(output.passages) < len(PASSAGES)),
    Stage(draft, Passages, Draft, lambda output: "[" in output.draft),
    Stage(cite, Draft, Citations, lambda output: len(output.citations) <= 5),
    Stage(score, Citations, Answer, lambda output: output.confidence >= 0.5),
)


def in_loop(body: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return the same function as a coroutine function."""

    @wraps(body)
    async def coroutine(state: State) -> Any:
        return body(state)

    coroutine.__annotations__ = {**body.__annotations__}
    return coroutine


def bare(saver: Any = None, *, in_async: bool = False, stages: Sequence[Stage] = STAGES) -> Any:
    """Return the graph as LangGraph runs it."""
    return _builder(stages, in_async=in_async).compile(checkpointer=saver)


def guarded(
    saver: Any = None,
    *,
    in_async: bool = False,
    tracer: Tracer | None = None,
    stages: Sequence[Stage] = STAGES,
    declared: Callable[[Stage], NodeGuard] | None = None,
) -> Any:
    """Return the graph guarded, with what `declared` says of each stage, or with nothing said."""
    nodes = {stage.name: declared(stage) for stage in stages} if declared else None
    return guard(bare(saver, in_async=in_async, stages=stages), nodes=nodes, tracer=tracer)


def declaration(stage: Stage) -> NodeGuard:
    """Return what the bar asks for: a contract in and out, one rule gate, a policy."""
    return NodeGuard(
        contract=Contract(accepts=stage.accepts, returns=stage.returns),
        gates=[rule_gate(stage)],
        policy=Policy(Retry(2)),
    )


def rule_gate(stage: Stage) -> Gate:
    """Return the stage's rule as a gate."""
    rule = stage.rule

    @gate
    def holds(output: Any) -> bool:
        return rule(output)

    return holds


def _builder(stages: Sequence[Stage], *, in_async: bool) -> Any:
    builder: Any = StateGraph(State)
    before = START
    for stage in stages:
        builder.add_node(stage.name, in_loop(stage.body) if in_async else stage.body)
        builder.add_edge(before, stage.name)
        before = stage.name
    builder.add_edge(before, END)
    return builder


def by_hand(saver: Any = None, *, in_async: bool = False, async_routers: bool = False) -> Any:
    """Return the graph with a validating node after each node, written by hand."""
    builder: Any = StateGraph(CheckedState)
    before = START
    for place, stage in enumerate(STAGES):
        following = STAGES[place + 1].name if place + 1 < len(STAGES) else END
        check, route = f"check_{stage.name}", _route(stage.name, following)
        node, checking = stage.body, _checking(stage)
        builder.add_node(stage.name, in_loop(node) if in_async else node)
        builder.add_node(check, in_loop(checking) if in_async else checking)
        if place == 0:
            builder.add_edge(before, stage.name)
        builder.add_edge(stage.name, check)
        ends = [stage.name, following]
        builder.add_conditional_edges(check, in_loop(route) if async_routers else route, ends)
    return builder.compile(checkpointer=saver)


def _checking(stage: Stage) -> Callable[[CheckedState], Update]:
    """Return the node that checks what a stage was handed and handed over."""
    accepts, returns, rule = stage.accepts, stage.returns, stage.rule

    def check(state: CheckedState) -> Update:
        try:
            accepts.model_validate(state)
            output = returns.model_validate(state)
        except ValidationError as error:
            return {"problem": str(error), "tries": state.get("tries", 0) + 1}
        if not rule(output):
            return {"problem": "the rule is broken", "tries": state.get("tries", 0) + 1}
        return {"problem": "", "tries": 0}

    return check


def _route(node: str, following: str) -> Callable[[CheckedState], str]:
    """Return the router that goes on, goes back, or gives up."""

    def route(state: CheckedState) -> str:
        if not state["problem"]:
            return following
        if state["tries"] > 2:
            raise RuntimeError(state["problem"])
        return node

    return route
