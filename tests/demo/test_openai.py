"""The demo with ChatOpenAI, against a server on the loopback that speaks chat completions."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from demo_runs import flags

from coordgate.demo import main

GOOD = "The heron waits in shallow water for passing fish [1]."
MADE_UP = "It was crowned king of all birds in 1911 [1]."


class Completions(BaseHTTPRequestHandler):
    """Answers drafts and verdicts; the first of each goes wrong by `flaw` and `named`."""

    asked: ClassVar[list[dict[str, Any]]] = []
    status: ClassVar[int] = 200
    flaw: ClassVar[str] = ""
    named: ClassVar[str] = ""

    def do_POST(self) -> None:
        """Answer in the shape of a chat completion."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        first = schema_of(body) not in map(schema_of, self.asked)
        self.asked.append(body)
        if schema_of(body) == "Opinion":
            named = [self.named] if first and self.named else []
            filled: dict[str, Any] = {"supported": not named, "unsupported": named, "reason": ""}
        else:
            answer = f"{GOOD} {self.flaw}" if first and self.flaw else GOOD
            filled = {"answer": answer, "citations": [1]}
        message = {"role": "assistant", "content": json.dumps(filled)}
        reply = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
        raw = json.dumps(reply).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


def schema_of(body: dict[str, Any]) -> str:
    """Return the name of the schema that a request wants filled."""
    return str(body["response_format"]["json_schema"]["name"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, herons: Path) -> Iterator[ThreadingHTTPServer]:
    """Run the server, and let the environment name it."""
    Completions.asked.clear()
    Completions.status, Completions.flaw, Completions.named = 200, "", ""
    running = ThreadingHTTPServer(("127.0.0.1", 0), Completions)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{running.server_port}/v1")
    monkeypatch.setenv("OPENAI_MODEL", "some-model")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_configured_model_answers_and_is_told_what_was_wrong(
    server: ThreadingHTTPServer, herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ChatOpenAI drafts through the same nodes; the gate's reason stands in its second prompt."""
    Completions.flaw = MADE_UP
    assert main(flags(herons, json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"].startswith("some-model at http://127.0.0.1")
    assert document["answer"] == GOOD
    first, second = document["transitions"][1]["attempts"]
    assert (first["outcome"], second["outcome"]) == ("rejected", "accepted")
    assert [schema_of(each) for each in Completions.asked] == ["Draft", "Draft", "Opinion"]
    prompts = [each["messages"][1]["content"] for each in Completions.asked]
    assert "crowned king" not in prompts[0]
    assert "crowned king" in prompts[1]
    assert "strict" in Completions.asked[0]["response_format"]["json_schema"]


def test_what_the_judge_rejects_is_told_to_the_next_draft(
    server: ThreadingHTTPServer, herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence that a verdict names goes back with the answer, once, and is checked again."""
    Completions.named = GOOD
    assert main(flags(herons, json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["node"] for each in document["transitions"]] == [
        "retrieve",
        "draft",
        "verify",
        "draft",
        "verify",
    ]
    assert document["supported"] is True
    second = Completions.asked[2]["messages"][1]["content"]
    assert f"not supported: {GOOD}" in second


def test_a_server_that_refuses_ends_in_the_fallback(
    server: ThreadingHTTPServer, herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its model the agent still answers, in quotations, and says that nobody checked it."""
    Completions.status = 400
    assert main(flags(herons)) == 0
    shown = capsys.readouterr().out
    assert "Error code: 400" in shown
    assert "fallback:quote_passages" in shown
    assert GOOD in shown
    assert "Not verified: the check could not be made." in shown
