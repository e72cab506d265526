"""The offline stand-in: a chat model without a network, which quotes, and goes wrong on request.

It is no language model. It reads its prompt by four tags, `<question>`, `<passages>` (each `[n]
text`, parted by blank lines), `<draft>` and `<feedback>`, and does one of two things, told apart by
the schema that it is asked to fill:

- **write**: quote the sentences of the passages that share most words with the question, each with
  its citation `[n]`, leaving out those that the feedback calls not supported;
- **judge**, where the schema has a boolean field: name each sentence of the draft that holds a word
  which no passage holds along with the others.

With `faults` above 0 it goes wrong as models do. The dice of a call are thrown from the seed, the
name of the schema and the number of the call with that schema, so that a repeated call of one node
does not shift the dice of another.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from threading import Lock
from typing import Any, Final, Literal, NamedTuple

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from coordgate.demo.words import bare, content_words, sentences

Fault = Literal["unsupported", "uncited", "malformed", "exception", "empty", "careless"]
"""What goes wrong: a made-up sentence, missing citations, a broken structure, a lost connection,
an answer without content, a judge who approves without looking."""

WRITING_FAULTS: Final[tuple[Fault, ...]] = (
    "unsupported",
    "uncited",
    "malformed",
    "exception",
    "empty",
)
JUDGING_FAULTS: Final[tuple[Fault, ...]] = ("careless", "malformed", "exception", "empty")

MADE_UP: Final = (
    "Independent tests in 2019 measured it to be 37% faster than every alternative",
    "More than 400 companies adopted it within its first year",
    "A later survey by the same authors confirmed this on twelve further data sets",
    "This behaviour was withdrawn in the most recent edition",
)

LONGEST_QUOTE: Final = 30
"""Words of meaning above which a sentence is not quoted: it is a list or a table's row."""

NEAR: Final = 0.4
"""Of the best sentence's score: what a further sentence must reach to be quoted with it."""

NOTHING_FOUND: Final = "The passages do not say."


def throw(
    faults: float, seed: int, schema: str, call: int, kinds: Sequence[Fault]
) -> tuple[Fault | None, Random]:
    """Return what goes wrong in the call of this number, from 1, and the dice for its details."""
    dice = Random(f"{schema}-{call}-{seed}")  # noqa: S311 - a repeatable demonstration, no secret
    return (dice.choice(kinds) if dice.random() < faults else None), dice


class OfflineModel(BaseChatModel):
    """A stand-in for a chat model: quotes the passages of its prompt, without any network."""

    faults: float = Field(default=0.0, ge=0.0, le=1.0)
    """The chance that a call goes wrong."""
    seed: int = 0
    """The same seed gives the same faults."""
    quotes: int = Field(default=3, ge=1)
    """The most sentences that it quotes."""

    _calls: Counter[str] = PrivateAttr(default_factory=Counter[str])
    _lock: Any = PrivateAttr(default_factory=Lock)

    @property
    def _llm_type(self) -> str:
        return "coordgate-offline"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind the schema to fill; `with_structured_output` comes through here."""
        formatted = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=formatted, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        prompt = "\n\n".join(message.text for message in messages)
        tools = kwargs.get("tools")
        message = self._fill(tools[0]["function"], prompt) if tools else _say(self._write(prompt))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _fill(self, schema: Mapping[str, Any], prompt: str) -> AIMessage:
        """Fill the fields of a schema, by their types; then go wrong, if the dice say so."""
        name: str = schema["name"]
        fields: Mapping[str, Mapping[str, Any]] = schema["parameters"]["properties"]
        judging = any(field.get("type") == "boolean" for field in fields.values())
        with self._lock:
            self._calls[name] += 1
            call = self._calls[name]
        kinds = JUDGING_FAULTS if judging else WRITING_FAULTS
        fault, dice = throw(self.faults, self.seed, name, call, kinds)
        if fault == "exception":
            raise ConnectionError("the model's server closed the connection (simulated)")
        if judging:
            filled = _judged(fields, _unsupported(prompt), fault)
        else:
            filled = _written(fields, _spoil(self._write(prompt), fault, dice))
        if fault == "malformed":
            return _malformed(name, filled, fields, dice)
        return _call(name, filled)

    def _write(self, prompt: str) -> str:
        """Quote the sentences that answer the question best, in the order of the passages."""
        question = set(content_words(_section(prompt, "question")))
        told = _section(prompt, "feedback").splitlines()
        rejected = bare(" ".join(line for line in told if "not supported" in line))
        passages = _passages(prompt)
        quotes = [
            _Quote(number, place, said, set(content_words(said)))
            for number, text in passages.items()
            for place, said in enumerate(sentences(text))
            if _quotable(said) and bare(said)[:100] not in rejected
        ]
        rarity = Counter(word for quote in quotes for word in quote.words)
        scores = {q.said: sum(1 / rarity[word] for word in question & q.words) for q in quotes}
        bar = max(scores.values(), default=0) * NEAR
        best = sorted(
            (q for q in quotes if scores[q.said] > 0 and scores[q.said] >= bar),
            key=lambda q: -scores[q.said],
        )
        chosen: dict[str, int] = {}
        for quote in sorted(best[: self.quotes], key=lambda quote: (quote.number, quote.place)):
            chosen.setdefault(quote.said, quote.number)
        cited = (f"{said[:-1]} [{number}]{said[-1]}" for said, number in chosen.items())
        return " ".join(cited) or NOTHING_FOUND


class _Quote(NamedTuple):
    """A sentence that may be quoted."""

    number: int
    """The number of its passage."""
    place: int
    """Its place in the passage."""
    said: str
    """The sentence."""
    words: set[str]
    """Its words of meaning."""


def _section(prompt: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", prompt, re.DOTALL)
    return found[1].strip() if found else ""


def _passages(prompt: str) -> dict[int, str]:
    """Return the passages of the prompt by their numbers."""
    parts = re.split(r"(?:\A|\n\n)\[(\d+)\] ", _section(prompt, "passages"))
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def _quotable(sentence: str) -> bool:
    """Return whether a sentence can stand by itself: whole, no list, no citation of its own."""
    return (
        sentence.endswith((".", "!"))
        and sentence[0].isupper()
        and 3 <= len(content_words(sentence)) <= LONGEST_QUOTE
        and sentence.count(";") < 2
        and re.search(r"\[\d+\]", sentence) is None
    )


def _unsupported(prompt: str) -> list[str]:
    """Return the sentences of the draft whose words do not all stand in one passage."""
    known = [set(content_words(text)) for text in _passages(prompt).values()]
    return [
        sentence
        for sentence in sentences(_section(prompt, "draft"))
        if (words := set(content_words(bare(sentence)))) and not any(words <= k for k in known)
    ]


def _spoil(text: str, fault: Fault | None, dice: Random) -> str:
    """Return what a model that goes wrong in this way writes instead."""
    if fault == "empty":
        return ""
    if fault == "uncited":
        return re.sub(r"\s*\[\d+\]", "", text)
    if fault == "unsupported":
        cited = re.search(r"\[\d+\]", text)
        return f"{text} {dice.choice(MADE_UP)} {cited[0] if cited else '[1]'}."
    return text


def _written(fields: Mapping[str, Mapping[str, Any]], text: str) -> dict[str, Any]:
    """Fill the fields of a draft: strings with the text, lists with the numbers that it cites."""
    cited = sorted({int(number) for number in re.findall(r"\[(\d+)\]", text)})
    return {key: cited if field.get("type") == "array" else text for key, field in fields.items()}


def _judged(
    fields: Mapping[str, Mapping[str, Any]], found: list[str], fault: Fault | None
) -> dict[str, Any]:
    """Fill the fields of a verdict: a boolean, the sentences, and a reason in words."""
    supported = fault == "careless" or (not found and fault != "empty")
    named = [] if fault in {"careless", "empty"} else found
    reason = f"no passage says: {' '.join(named)}" if named else ""
    values = {"boolean": supported, "array": named}
    return {key: values.get(field.get("type", ""), reason) for key, field in fields.items()}


def _call(name: str, arguments: dict[str, Any]) -> AIMessage:
    return AIMessage(
        content="",
        tool_calls=[{"name": name, "args": arguments, "id": f"call_{name}", "type": "tool_call"}],
    )


def _say(text: str) -> AIMessage:
    return AIMessage(content=text)


def _malformed(
    name: str, filled: dict[str, Any], fields: Mapping[str, Mapping[str, Any]], dice: Random
) -> AIMessage:
    """Return the structure broken: cut-off JSON, a wrong type, or a missing field."""
    how = dice.choice(("cut off", "wrong type", "missing field"))
    if how == "cut off":
        text = json.dumps(filled)
        function = {"name": name, "arguments": text[: len(text) * 2 // 3]}
        raw = {"id": f"call_{name}", "type": "function", "function": function}
        return AIMessage(content="", additional_kwargs={"tool_calls": [raw]})
    key = dice.choice([key for key in fields if fields[key].get("type") != "string"] or [*fields])
    if how == "missing field":
        del filled[key]
    else:
        filled[key] = {"boolean": "mostly", "array": "see the passages"}.get(fields[key]["type"], 7)
    return _call(name, filled)
