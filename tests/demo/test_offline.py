"""The offline stand-in: what it writes and judges, and how it goes wrong."""

from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel

from coordgate.demo.offline import (
    JUDGING_FAULTS,
    MADE_UP,
    WRITING_FAULTS,
    Fault,
    OfflineModel,
    throw,
)
from coordgate.demo.words import sentences

PASSAGES = "[1] The heron waits in shallow water. It is grey.\n\n[2] Owls hunt at night, alone."
PROMPT = f"<question>Where does the heron wait?</question><passages>{PASSAGES}</passages>"


class Draft(BaseModel):
    """A draft."""

    answer: str
    citations: list[int]


class Opinion(BaseModel):
    """An opinion."""

    supported: bool
    unsupported: list[str]
    reason: str


def ask(model: OfflineModel, schema: type[BaseModel], prompt: str = PROMPT) -> Any:
    """Return what the model fills in, as a dict."""
    return model.with_structured_output(schema.model_json_schema()).invoke(prompt)


def faulty(fault: Fault, kinds: tuple[Fault, ...], schema: str) -> OfflineModel:
    """Return a stand-in whose first call with `schema` goes wrong in this way."""
    seed = next(s for s in range(1000) if throw(1, s, schema, 1, kinds)[0] == fault)
    return OfflineModel(faults=1, seed=seed)


def test_it_quotes_with_citations() -> None:
    """The sentence that shares words with the question comes back word for word, cited."""
    assert ask(OfflineModel(quotes=1), Draft) == {
        "answer": "The heron waits in shallow water [1].",
        "citations": [1],
    }


def test_it_leaves_out_what_the_feedback_rejects() -> None:
    """A sentence that was called unsupported is not written again."""
    told = f"{PROMPT}<feedback>not supported: The heron waits in shallow water [1].</feedback>"
    assert "shallow" not in ask(OfflineModel(), Draft, told)["answer"]


@pytest.mark.parametrize(
    "told",
    [
        'no source is cited in "The heron waits in shallow water."',
        'Draft arguments: {"answer": "The heron waits in shallow water [1].", are not valid JSON.',
    ],
)
def test_it_keeps_what_is_quoted_for_another_reason(told: str) -> None:
    """A sentence without citation, or in a broken structure, is written again, and right."""
    answer = ask(OfflineModel(), Draft, f"{PROMPT}<feedback>{told}</feedback>")["answer"]
    assert answer == "The heron waits in shallow water [1]."


def test_it_says_so_when_the_passages_do_not_answer() -> None:
    """Without a shared word there is nothing to quote, and nothing is made up."""
    prompt = f"<question>Why submarines?</question><passages>{PASSAGES}</passages>"
    assert ask(OfflineModel(), Draft, prompt) == {
        "answer": "The passages do not say.",
        "citations": [],
    }


def test_it_quotes_whole_sentences_only() -> None:
    """Fragments, questions and what holds citations of its own are not quoted."""
    passages = (
        "[1] the heron waits where it likes.\nWhere does the heron wait, in general?\n"
        "The heron waits, says the old book [7].\nThe heron waits in many places"
    )
    prompt = f"<question>Where does the heron wait?</question><passages>{passages}</passages>"
    assert ask(OfflineModel(), Draft, prompt)["answer"] == "The passages do not say."


def test_it_names_unsupported_sentences() -> None:
    """As a judge it names the sentences that no single passage holds all words of."""
    draft = "The heron waits [1]. The heron hunts at night [2]."
    opinion = ask(OfflineModel(), Opinion, f"<passages>{PASSAGES}</passages><draft>{draft}</draft>")
    assert opinion == {
        "supported": False,
        "unsupported": ["The heron hunts at night [2]."],
        "reason": "no passage says: The heron hunts at night [2].",
    }


def test_it_adds_a_made_up_sentence() -> None:
    """An unsupported sentence is one that no passage holds, with a citation all the same."""
    answer = ask(faulty("unsupported", WRITING_FAULTS, "Draft"), Draft)["answer"]
    assert any(answer.endswith(f"{said} [1].") for said in MADE_UP)


def test_it_forgets_citations() -> None:
    """An uncited answer is whole but for its citations."""
    written = ask(faulty("uncited", WRITING_FAULTS, "Draft"), Draft)
    assert written == {"answer": "The heron waits in shallow water.", "citations": []}


def test_it_answers_nothing() -> None:
    """An empty answer keeps its structure."""
    written = ask(faulty("empty", WRITING_FAULTS, "Draft"), Draft)
    assert written == {"answer": "", "citations": []}


def test_it_loses_the_connection() -> None:
    """The exception is the one that a lost connection raises."""
    with pytest.raises(ConnectionError, match="simulated"):
        ask(faulty("exception", WRITING_FAULTS, "Draft"), Draft)


def test_it_breaks_the_structure_in_three_ways() -> None:
    """Over many seeds: cut-off JSON, a wrong type and a missing field, and nothing else."""
    ways: set[str] = set()
    for seed in range(200):
        if throw(1, seed, "Draft", 1, WRITING_FAULTS)[0] == "malformed":
            ways.add(shape(OfflineModel(faults=1, seed=seed)))
    assert ways == {"not JSON", "no citations", "citations: str"}


def shape(model: OfflineModel) -> str:
    """Return in which way a draft is broken."""
    try:
        written = ask(model, Draft)
    except OutputParserException as error:
        return "not JSON" if "not valid JSON" in str(error) else str(error)
    citations = written.get("citations")
    return "no citations" if citations is None else f"citations: {type(citations).__name__}"


@pytest.mark.parametrize(("fault", "supported"), [("careless", True), ("empty", False)])
def test_it_judges_without_looking(fault: Fault, supported: bool) -> None:
    """A careless judge approves what is wrong; an empty verdict rejects and names nothing."""
    prompt = f"<passages>{PASSAGES}</passages><draft>Whales sing [1].</draft>"
    opinion = ask(faulty(fault, JUDGING_FAULTS, "Opinion"), Opinion, prompt)
    assert opinion == {"supported": supported, "unsupported": [], "reason": ""}


def test_a_repeated_call_does_not_shift_the_dice_of_another() -> None:
    """The faults of one schema's calls depend on their own number alone."""

    def opinions(drafts_before: int) -> list[str]:
        model = OfflineModel(faults=0.5, seed=3)
        for _ in range(drafts_before):
            outcome(model, Draft)
        return [outcome(model, Opinion) for _ in range(8)]

    assert opinions(0) == opinions(5)
    assert len(set(opinions(0))) > 1


def outcome(model: OfflineModel, schema: type[BaseModel]) -> str:
    """Return what one call gives, an exception included, as text."""
    try:
        return str(ask(model, schema))
    except (ConnectionError, OutputParserException) as error:
        return type(error).__name__


def test_it_speaks_without_a_schema() -> None:
    """Asked without a structure it answers in plain text, through the usual road."""
    assert OfflineModel().invoke(PROMPT).text == "The heron waits in shallow water [1]."


def test_sentences_keep_their_citations() -> None:
    """A citation after the full stop belongs to the sentence before it."""
    assert sentences("One is so. [1] Two is 3.5 m [2]. Three") == [
        "One is so. [1]",
        "Two is 3.5 m [2].",
        "Three",
    ]
