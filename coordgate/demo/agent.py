"""The demo's agent: retrieve, draft, verify; plain node functions, and beside them their guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from typing_extensions import TypedDict

from coordgate.contract import Contract
from coordgate.demo.documents import Passage
from coordgate.demo.offline import OfflineModel
from coordgate.demo.words import bare
from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, Verdict, as_verdict, gate
from coordgate.gates import cites, grounded_in, not_empty
from coordgate.node import NodeGuard
from coordgate.policy import Degrade, Fallback, Feedback, Policy, Retry

ROUNDS: Final = 2
"""How often the answer is checked at most; each check that fails but the last sends it back."""

DEFAULT_MODEL: Final = "gpt-5.4-mini"


# What goes through the graph ---------------------------------------------------------------------


class Question(TypedDict):
    """What the graph is given."""

    question: str


class State(Question):
    """What the nodes share."""

    passages: list[Passage]
    answer: str
    citations: list[int]
    supported: bool
    unsupported: list[str]
    reason: str
    rounds: int


class Found(BaseModel):
    """What `retrieve` hands over."""

    passages: list[Passage]


class Draft(BaseModel):
    """What `draft` hands over: an answer resting on the numbered passages."""

    model_config = ConfigDict(extra="forbid")

    answer: str = Field(description="Sentences, each ending with the passage it rests on, as [1].")
    citations: list[int] = Field(description="The numbers of the passages that the answer cites.")


class Opinion(BaseModel):
    """A verdict on whether the passages support each sentence of a draft."""

    model_config = ConfigDict(extra="forbid")

    supported: bool = Field(description="Whether the passages support every sentence.")
    unsupported: list[str] = Field(description="The sentences they do not support, word for word.")
    reason: str = Field(description="What the passages say instead; empty if all is supported.")


class Checked(Opinion):
    """What `verify` hands over: the verdict, and how many there were."""

    rounds: int


class Search(Protocol):
    """Finds passages for a question."""

    def search(self, question: str) -> list[Passage]:
        """Return the best passages first; none if nothing matches."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the nodes work with: LangGraph hands it to them as the runtime's context."""

    model: BaseChatModel
    """Writes the draft and judges it."""
    library: Search
    """The documents."""


# The nodes ---------------------------------------------------------------------------------------


def retrieve(state: State, runtime: Runtime[Parts]) -> dict[str, Any]:
    """Find the passages that the question is about."""
    return {"passages": runtime.context.library.search(state["question"])}


def draft(
    state: State, runtime: Runtime[Parts], feedback: Feedback | None = None
) -> dict[str, Any]:
    """Write an answer from the passages, told what was wrong with the one before."""
    return write(runtime.context.model, state, [*objections(state), *reasons(feedback)])


def quote_passages(state: State) -> dict[str, Any]:
    """Write the answer out of quotations, without a model: what `draft` falls back to."""
    return write(OfflineModel(), state, objections(state))


def verify(
    state: State, runtime: Runtime[Parts], feedback: Feedback | None = None
) -> dict[str, Any]:
    """Ask the model whether the passages support each sentence of the answer."""
    opinion = ask(
        runtime.context.model,
        Opinion,
        "Judge whether the passages support each sentence of the draft. Name those that they do "
        "not support, word for word. Knowledge of your own does not count.",
        passages=numbered(state["passages"]),
        draft=state["answer"],
        feedback=reasons(feedback),
    )
    return {**opinion, "rounds": state.get("rounds", 0) + 1}


def after_verify(state: State) -> str:
    """Send an unsupported answer back to be written again, as long as there are rounds left.

    An answer that cites nothing says that there is none: writing it again would not help.
    """
    done = state["supported"] or state["rounds"] >= ROUNDS or not state["citations"]
    return END if done else "draft"


def build() -> StateGraph[State, Parts, Question, State]:
    """Return the graph as one writes it in LangGraph."""
    builder = StateGraph(State, context_schema=Parts, input_schema=Question)
    builder.add_sequence([retrieve, draft, verify])
    builder.add_edge(START, "retrieve")
    builder.add_conditional_edges("verify", after_verify, ["draft", END])
    return builder


# What coordgate adds -----------------------------------------------------------------------------


@gate
def names_what_it_rejects(output: Opinion, state: State) -> Verdict:
    """Refuse a verdict that rejects without quoting, or quotes what the draft does not say."""
    if output.supported and output.unsupported:
        return Verdict.reject("it calls the draft supported and names unsupported sentences")
    if not output.supported and not output.unsupported:
        return Verdict.reject("it rejects the draft but names no sentence; quote what is wrong")
    strange = [said for said in output.unsupported if bare(said) not in bare(state["answer"])]
    if strange:
        return Verdict.reject(f"the draft does not say: {strange[0]!r}; quote it word for word")
    return Verdict.accept()


AGAIN: Final = Retry(2, wait=0.1, jitter=False)

GUARDS: Final[Mapping[str, NodeGuard]] = {
    "retrieve": NodeGuard(Contract(returns=Found), gates=[not_empty("passages")]),
    "draft": NodeGuard(
        Contract(returns=Draft),
        gates=[
            not_empty("answer"),
            cites("answer", sources="passages", pattern=r"\[(\d+)\]"),
            grounded_in("passages", key="answer"),
        ],
        policy=Policy(
            AGAIN,
            Fallback(quote_passages),
            Degrade({"answer": "The documents do not answer this question.", "citations": []}),
        ),
    ),
    "verify": NodeGuard(
        Contract(returns=Checked),
        gates=[names_what_it_rejects],
        policy=Policy(
            AGAIN,
            Degrade(
                {
                    "supported": False,
                    "unsupported": [],
                    "reason": "the check could not be made",
                    "rounds": ROUNDS,
                }
            ),
        ),
    ),
}


def judge_answer(state: Mapping[str, Any]) -> list[str]:
    """Return what the contract and the gates of `draft` say against an answer that went out."""
    handed = {key: state[key] for key in Draft.model_fields if key in state}
    try:
        output = Draft.model_validate(handed)
    except ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    verdicts = [(each.name, as_verdict(each(output, state))) for each in _gates("draft")]
    return [f"{name}: {verdict.reason}" for name, verdict in verdicts if not verdict.passed]


def _gates(node: str) -> Sequence[Gate]:
    return [each for each in GUARDS[node].gates if isinstance(each, Gate)]


# Asking a model ----------------------------------------------------------------------------------


def write(model: BaseChatModel, state: State, wrong: Sequence[str]) -> dict[str, Any]:
    """Ask `model` for a draft; `wrong` says what was wrong with the last one."""
    return ask(
        model,
        Draft,
        "Answer the question from the passages alone, in at most four sentences. End each sentence "
        "with the number of the passage it rests on, as [1]. Say nothing that they do not say.",
        question=state["question"],
        passages=numbered(state["passages"]),
        feedback=list(wrong),
    )


def ask(
    model: BaseChatModel, schema: type[BaseModel], task: str, **told: str | list[str]
) -> dict[str, Any]:
    """Ask `model` to fill `schema`; what it wrote comes back raw, for the contract to judge."""
    texts = {key: text if isinstance(text, str) else "\n".join(text) for key, text in told.items()}
    prompt = "\n\n".join(f"<{key}>\n{text}\n</{key}>" for key, text in texts.items())
    asked = model.with_structured_output(schema.model_json_schema(), strict=True)
    answer: Any = asked.invoke([("system", task), ("human", prompt)])
    return answer  # type: ignore[no-any-return]


def numbered(passages: Sequence[Passage]) -> str:
    """Return the passages as a prompt shows them: `[1] text`, parted by blank lines."""
    return "\n\n".join(f"[{n}] {passage['text']}" for n, passage in enumerate(passages, 1))


def objections(state: State) -> list[str]:
    """Return what `verify` said against the last draft."""
    named = [f"not supported: {sentence}" for sentence in state.get("unsupported", [])]
    return [*named, state["reason"]] if named else []


def reasons(feedback: Feedback | None) -> list[str]:
    """Return why the last attempt of the node was not accepted."""
    return list(feedback.reasons) if feedback else []


def choose_model(
    environment: Mapping[str, str], *, faults: float = 0.0, seed: int = 0
) -> tuple[BaseChatModel, str]:
    """Return the model that the environment names, else the offline stand-in, and what to call it.

    Raises:
        ConfigurationError: faults were asked of a real model.
    """
    key = environment.get("OPENAI_API_KEY")
    url = environment.get("OPENAI_BASE_URL")
    if not key and not url:
        told = f", going wrong in {faults:.0%} of its calls (seed {seed})" if faults else ""
        return OfflineModel(faults=faults, seed=seed), f"offline stand-in (no language model){told}"
    if faults:
        raise ConfigurationError(
            "--faults is for the offline stand-in, but OPENAI_API_KEY or OPENAI_BASE_URL is set; "
            "unset both, or leave --faults out"
        )
    name = environment.get("OPENAI_MODEL") or DEFAULT_MODEL
    model = ChatOpenAI(
        model=name,
        base_url=url or None,
        api_key=SecretStr(key or "none"),  # servers of one's own often want no key, the client does
        timeout=60,
    )
    return model, f"{name} at {url}" if url else f"{name} at OpenAI"
