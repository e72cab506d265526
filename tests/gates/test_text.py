"""The text gates: citations, and groundedness sentence by sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from pydantic import BaseModel

from coordgate.errors import ConfigurationError
from coordgate.gate import Gate, Verdict, as_verdict, gate
from coordgate.gates import cites, grounded_in, not_empty


def ask(asked: Gate, output: Any, state: Any = None) -> Verdict:
    """Return the verdict of a gate that is not async."""
    return as_verdict(asked(output, state))


def cited(text: str, sources: object = ("a", "b", "c"), **options: Any) -> Verdict:
    """Return what `cites` says of a text."""
    return ask(cites("draft", sources="docs", **options), {"draft": text}, {"docs": sources})


DOCUMENTS = [
    Document(page_content="Refunds take five days.", metadata={"source": "refunds.md"}),
    Document(page_content="Dogs travel free.", metadata={"id": "dogs"}, id="d-2"),
    Document(page_content="The ferry has no lift."),
]

# -- cites


@pytest.mark.parametrize(
    "text",
    [
        "Refunds take five days [1]. Dogs travel free [2].",
        "Refunds take five days. [1] Dogs travel free.[2]",
        "Dr. Ito waits approx. 3.5 days [1, 2]. All is well [1-3].",
        "# Answer\n\nThese hold:\n- refunds [1]\n- dogs [^2]",
        "Refunds [refunds.md] are slow. Dogs [DOGS] and [d-2] are free.",
        "| item | price [1] |\n|---|---|\n| lift | none [2] |",
    ],
)
def test_cites_passes_when_each_sentence_cites_a_source(text: str) -> None:
    """By number or id, inside or after the full stop; headings and lead-ins need none."""
    verdict = cited(text, DOCUMENTS)
    assert verdict.passed, verdict.reason
    assert verdict.score == 1


def test_cites_names_the_sentence_without_a_citation() -> None:
    """The score is the share of sentences that cite."""
    verdict = cited("Refunds take five days [1]. Dogs travel free.")
    assert 'no source is cited in "Dogs travel free."' in verdict.reason
    assert "Refunds take" not in verdict.reason
    assert verdict.score == 0.5


@pytest.mark.parametrize(
    ("text", "mark"),
    [("Yes it is [4].", "4"), ("Yes it is [a; x].", "x"), ("Yes it is [0].", "0")],
)
def test_cites_names_the_marker_that_refers_to_nothing(text: str, mark: str) -> None:
    """The reason names it and the sources that there are."""
    reason = cited(text).reason
    assert f"[{mark}] is none of the sources; the sources are [a], [b], [c]" in reason


def test_cites_names_the_places_of_a_range_that_do_not_exist() -> None:
    """Of `[2-4]`, with three sources, the fourth is unknown."""
    assert "[4] is none" in cited("It is so [2-4].").reason
    assert "[3] is none" not in cited("It is so [2-4].").reason
    assert "[1-9999] is none" in cited("It is so [1-9999].").reason


def test_cites_takes_numbers_for_ids_where_ids_are_numbers() -> None:
    """With sources 7 and 9 there is no source 1."""
    assert cited("It is so [7].", [{"id": 7}, {"id": 9}])
    assert not cited("It is so [1].", [{"id": 7}, {"id": 9}])


@pytest.mark.parametrize(
    "sources",
    [
        {"a": "text", "b": "text"},
        [{"id": "a", "text": "t"}, {"metadata": {"source": "b"}}],
        ["b", "a"],
        {"a", "b"},
        [ToolMessage("t", tool_call_id="1", id="a"), Document(page_content="t", id="b")],
    ],
)
def test_cites_finds_ids_in_dicts_documents_messages_and_lists(sources: object) -> None:
    """The sources may come in any of these shapes."""
    assert cited("It is so [a]. It is so [b].", sources)
    assert not cited("It is so [z].", sources)


def test_abbreviations_end_a_sentence_only_where_another_begins() -> None:
    """`Acme Inc. Norway` is one sentence, `in the U.S. The rest` is two."""
    assert cited("Acme Inc. Norway sells pumps to Dr. Ito, J. Berg et al. by 5 p.m. Oslo time [1].")
    reason = cited("The firm left the U.S. The rest stayed [1].").reason
    assert 'cited in "The firm left the U.S."' in reason


def test_cites_by_paragraph_asks_one_citation_of_each() -> None:
    """A list item is a paragraph of its own."""
    text = "Refunds take five days. Dogs travel free [1].\n\n- There is no lift."
    assert not cited(text)
    reason = cited(text, per="paragraph").reason
    assert "lift" in reason
    assert "Dogs" not in reason


def test_cites_takes_a_pattern_of_yours() -> None:
    """The first group, or else the whole match, is the id."""
    assert cited("It is so (see a).", pattern=r"\(see (\w+)\)")
    assert cited("It is so @b.", ["@a", "@b"], pattern=r"@\w+")
    assert not cited("It is so (see z).", pattern=r"\(see (\w+)\)")


def test_cites_does_not_take_a_link_for_a_citation() -> None:
    """A Markdown link cites nothing."""
    assert "no source is cited" in cited("See [the page](https://example.org) on it.").reason


@pytest.mark.parametrize("text", ["", "  \n", "# Heading\n", "[1]", "..."])
def test_cites_does_not_judge_a_text_without_sentences(text: str) -> None:
    """There is nothing to check, so it has not passed, inverted or not."""
    assert "has no sentence" in cited(text).reason
    assert not ask(~cites("draft", sources="docs"), {"draft": text}, {"docs": ["a"]})


@pytest.mark.parametrize("sources", [[], None, {}, ""])
def test_cites_does_not_pass_without_sources(sources: object) -> None:
    """No source, or an empty one: nothing can be cited."""
    assert not cited("It is so [1].", sources) or sources == ""


def test_cites_reads_the_sources_from_the_output_if_the_state_has_none() -> None:
    """The state comes first."""
    asked = cites("draft", sources="docs")
    assert ask(asked, {"draft": "It is so [a].", "docs": ["a"]}, {})
    assert not ask(asked, {"draft": "It is so [a].", "docs": ["a"]}, {"docs": ["b"]})
    assert "missing from the state and from" in ask(asked, {"draft": "So [a]."}, {}).reason


@pytest.mark.parametrize("options", [{"pattern": "("}, {"per": "page"}])
def test_cites_refuses_options_that_mean_nothing(options: dict[str, Any]) -> None:
    """A broken pattern or an unknown unit is refused when the gate is built."""
    with pytest.raises(ConfigurationError):
        cites("draft", sources="docs", **options)


# -- grounded_in

FERRY = (
    "The Harbour Line ferry runs between Mole Point and Castle Quay every 20 minutes. "
    "A single ticket costs 3.40 euros, a day ticket 9 euros. "
    "Dogs travel free but must be kept on a lead. In strong wind the ferry may be suspended. "
    "Most crossings take eight minutes. The ferry does not carry cars."
)


def grounded(text: str, context: object = FERRY, **options: Any) -> Verdict:
    """Return what `grounded_in` says of a text."""
    return ask(
        grounded_in("context", key="draft", **options), {"draft": text}, {"context": context}
    )


@pytest.mark.parametrize(
    "text",
    [
        "Every 20 minutes, the Harbour Line ferry runs between Mole Point and Castle Quay.",
        "A single ticket costs €3.40 [1]. **Day ticket:** 9 euros.",
        "- Cars are not carried by the ferry.\n- Dogs travel free, but they must be on a lead.",
        "# Prices\n\nA day ticket costs nine euros.",
    ],
)
def test_grounded_in_passes_what_the_context_says(text: str) -> None:
    """Order, voice, notation and markup may differ."""
    verdict = grounded(text)
    assert verdict.passed, verdict.reason
    assert verdict.score == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A single ticket costs 4.40 euros.", "does not say '4.40 euros'"),
        ("A single ticket costs 9 euros.", "gives '9 euros' for something else"),
        ("The ferry runs every 20 hours.", "does not say '20 hours'"),
        ("The ferry runs between Mole Point and Eastport.", "does not name 'Eastport'"),
        ("The ferry carries cars.", "negates it"),
        ("Dogs must not be kept on a lead.", "without a negation"),
        ("In strong wind the ferry is suspended.", "'may'"),
        ("All crossings take eight minutes.", "does not say 'all'"),
        ("The crew speaks four languages.", "nothing like it is in the source"),
        ("The harbour has a fine restaurant.", "nothing on 'fine', 'restaurant'"),
    ],
)
def test_grounded_in_names_the_sentence_and_what_is_wrong(text: str, why: str) -> None:
    """The reason quotes the unsupported sentence, not its neighbours, and says why."""
    verdict = grounded(f"Dogs travel free. {text}")
    assert f'"{text}"' in verdict.reason
    assert why in verdict.reason
    assert "Dogs travel free" not in verdict.reason
    assert verdict.score == 0.5


def test_grounded_in_asks_for_the_share_that_is_given() -> None:
    """With at_least=0.5, one of two supported sentences is enough."""
    text = "Dogs travel free. The crew wears hats."
    assert grounded(text, at_least=0.5)
    assert not grounded(text, at_least=0.51)


def test_grounded_in_does_not_mix_two_sources() -> None:
    """A sentence is supported by one text, not by the end of one and the start of the next."""
    halves = ["The red pump costs 40 euros", "It is sold in Oslo and Bergen"]
    text = "The red pump costs 40 euros; it is sold in Oslo and Bergen as the red pump."
    assert not grounded(text, halves)
    assert grounded("It is sold in Oslo.", halves)


@pytest.mark.parametrize(
    "context",
    [
        FERRY,
        [FERRY],
        AIMessage(FERRY),
        [Document(page_content="Other."), Document(page_content=FERRY)],
        [{"text": FERRY, "source": "x"}],
        {"doc-1": FERRY},
    ],
)
def test_grounded_in_reads_every_shape_of_context(context: object) -> None:
    """Text, message, documents, dicts, and lists of them."""
    assert grounded("Dogs travel free.", context)
    assert not grounded("Cats travel free.", context)


@pytest.mark.parametrize("context", ["", " ", [], None, [""], {}, 5])
def test_grounded_in_does_not_judge_without_context(context: object) -> None:
    """An empty context supports nothing, and its inversion does not pass either."""
    asked = grounded_in("context", key="draft")
    assert "nothing to be grounded in" in ask(asked, {"draft": "A."}, {"context": context}).reason
    assert not ask(~asked, {"draft": "A."}, {"context": context})


@pytest.mark.parametrize("text", ["", "\n\n", "---", "## Summary", "[1]"])
def test_grounded_in_does_not_judge_a_text_without_sentences(text: str) -> None:
    """An empty answer is not a grounded one."""
    assert "has no sentence" in grounded(text).reason


class Answer(BaseModel):
    """A contract object with one text."""

    draft: str
    confidence: float


@dataclass
class Two:
    """A contract object with two texts."""

    title: str
    draft: str


def test_grounded_in_finds_the_only_text_of_the_output() -> None:
    """A model, a dict, a message or a bare text: the one text that there is."""
    asked = grounded_in("context")
    state = {"context": FERRY}
    text = "Dogs travel free."
    for output in (
        Answer(draft=text, confidence=1),
        {"draft": text, "n": 3},
        {"messages": [AIMessage(text)]},
        {"draft": text, "context": "what the node gives back"},
        text,
    ):
        assert ask(asked, output, state), output


def test_grounded_in_says_when_it_cannot_tell_which_text_is_meant() -> None:
    """With two texts, or none, it asks for key=."""
    asked = grounded_in("context")
    state = {"context": FERRY}
    verdict = ask(asked, Two("Dogs", "Dogs travel free."), state)
    assert "which of draft, title to check; say it with key=" in verdict.reason
    assert "which text" in ask(asked, {"n": 1}, state).reason
    assert ask(grounded_in("context", key="draft"), Two("x", "Dogs travel free."), state)


@pytest.mark.parametrize("at_least", [0, -1, 1.1, True, "1", float("nan")])
def test_grounded_in_refuses_what_is_no_share(at_least: Any) -> None:
    """The share is above 0 and at most 1."""
    with pytest.raises(ConfigurationError, match="share"):
        grounded_in("context", at_least=at_least)


def test_fingerprints_differ_with_every_parameter() -> None:
    """A cached node is run again if a gate of it is changed."""
    made = [
        grounded_in("context"),
        grounded_in("context", key="draft"),
        grounded_in("context", at_least=0.5),
        grounded_in("facts"),
        grounded_in("context", otherwise="fail"),
        cites("draft", sources="docs"),
        cites("draft", sources="docs", per="paragraph"),
        cites("draft", sources="docs", pattern=r"\w"),
        cites("other", sources="docs"),
    ]
    assert len({one.fingerprint for one in made}) == len(made)


def test_text_gates_compose_with_others() -> None:
    """`&` stops at the first that rejects, `|` gives the reasons of both."""
    both = not_empty("draft") & grounded_in("context", key="draft")
    assert ask(both, {"draft": ""}, {"context": FERRY}).reason == "draft is empty"

    @gate
    def reviewed(output: dict[str, str]) -> Verdict:
        return Verdict.reject("not reviewed")

    either = grounded_in("context", key="draft") | reviewed
    verdict = ask(either, {"draft": "Cats bark."}, {"context": FERRY})
    assert "Cats bark." in verdict.reason
    assert "not reviewed" in verdict.reason
