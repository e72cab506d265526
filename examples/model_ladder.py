"""A ladder of models: a cheap one reads each mail, a strong one only where a gate rejects that.

python examples/model_ladder.py [--bare] [--prices prices.toml]

Without OPENAI_BASE_URL the two models are stand-ins behind a real server on this machine: the small
one takes the first number it sees for the order's, the large one looks for the word before it. Four
of the twelve mails are made so that the small one fails. Tokens are counted as four characters.
"""
# ruff: noqa: T201 - a program that prints

import argparse
import json
import os
import re
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, SecretStr
from typing_extensions import TypedDict

from coordgate import GateRejected, Policy, Prices, Retry, Tracer, gated, guard
from coordgate.gate import Verdict, gate
from coordgate.models import ModelLadder
from coordgate.stores import MemoryStore

EASY = ["Order {n} arrived damaged.", "Where is order {n}?", "Please cancel order {n}."]
HARD = "You can reach me at 0151-{p}. My order {n} has not arrived."
MAILS = [each.format(n=4470 + i) for i, each in enumerate(EASY * 3)][:8]
MAILS += [HARD.format(n=4480 + i, p=7001 + i) for i in range(4)]
TASK = "Give the number of the order that this mail is about."


class State(TypedDict, total=False):
    """What the nodes share."""

    mail: str
    order: int


class Order(BaseModel):
    """What a mail is about."""

    order: int


@gate
def mail_names_the_order(output: Order, state: State) -> Verdict:
    """Refuse a number that the mail does not call an order."""
    if re.search(rf"(?i)\border {output.order}\b", state["mail"]):
        return Verdict.accept()
    return Verdict.reject(f"the mail does not speak of an order {output.order}")


def build(model: BaseChatModel) -> Any:
    """Return a graph that reads one mail."""

    @gated(returns=Order, gates=[mail_names_the_order], policy=Policy(Retry(1)))
    def read(state: State) -> dict[str, Any]:
        answer: Any = model.with_structured_output(Order).invoke(f"{TASK}\n\n{state['mail']}")
        return answer.model_dump()  # type: ignore[no-any-return]

    return StateGraph(State).add_node(read).add_edge(START, "read")


def run(model: BaseChatModel, *, mode: Any, prices: Prices | None) -> Counter[str]:
    """Read all mails; print what came out, and return the tokens of each model."""
    store = MemoryStore()
    with Tracer(store) as tracer:
        app = guard(build(model), mode=mode, tracer=tracer, prices=prices).compile()
        right = 0
        for mail in MAILS:
            try:
                order = app.invoke({"mail": mail})["order"]
            except GateRejected:
                continue
            right += f"rder {order}" in mail
        tracer.flush()
    tokens: Counter[str] = Counter()
    cost: float | None = 0.0
    for each in store.runs():
        for transition in store.transitions(each.id):
            for attempt in transition.attempts:
                cost = None if cost is None or attempt.cost is None else cost + attempt.cost
                for call in attempt.calls:
                    tokens[call.model or "?"] += (call.tokens_in or 0) + (call.tokens_out or 0)
    said = ", ".join(f"{name} {count} tokens" for name, count in sorted(tokens.items()))
    price = "cost unknown" if cost is None else f"${cost:.6f}"
    print(f"  {right} of {len(MAILS)} right; {said}; {price}")
    return tokens


class StandIn(BaseHTTPRequestHandler):
    """Answers as the small or the large model would, and counts tokens as four characters."""

    def do_POST(self) -> None:
        """Answer in the shape of a chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mail = body["messages"][0]["content"]
        pattern = r"rder (\d{4})" if body["model"] == "large" else r"(\d{4})\b"
        found = re.search(pattern, mail.partition("\n\n")[2])
        text = json.dumps({"order": int(found[1]) if found else 0})
        sent = sum(len(each["content"]) for each in body["messages"]) // 4
        used = {"prompt_tokens": sent, "completion_tokens": len(text) // 4, "total_tokens": 0}
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0}
        raw = json.dumps({**head, "model": body["model"], "choices": [choice], "usage": used})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(raw.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing of the server's own."""


def main() -> None:
    """Read the mails by the ladder, and by the strong model alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bare", action="store_true", help="the cheap model alone, unguarded")
    parser.add_argument("--prices", help="a TOML file of what the models cost")
    parser.add_argument("--cheap", default="small")
    parser.add_argument("--strong", default="large")
    arguments = parser.parse_args()
    prices = Prices.load(arguments.prices) if arguments.prices else None
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = os.environ.get("OPENAI_BASE_URL") or f"http://127.0.0.1:{server.server_port}/v1"
        key = SecretStr(os.environ.get("OPENAI_API_KEY") or "none")
        cheap = ChatOpenAI(model=arguments.cheap, base_url=url, api_key=key)
        strong = ChatOpenAI(model=arguments.strong, base_url=url, api_key=key)
        print("the cheap model alone, unguarded:" if arguments.bare else "the ladder:")
        model = cheap if arguments.bare else ModelLadder(cheap, strong)
        mode = "observe" if arguments.bare else "enforce"
        used = run(model, mode=mode, prices=prices)[arguments.strong]
        print("the strong model alone:")
        alone = run(strong, mode="enforce", prices=prices)[arguments.strong]
        print(f"tokens of the strong model saved: {alone - used} of {alone}")
        server.shutdown()


if __name__ == "__main__":
    main()
