"""A server on the loopback that answers chat completions with messages given word for word."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Gives its answers one after another, the last one again and again; keeps what it is asked."""

    daemon_threads = True

    def __init__(self, *answers: Any) -> None:
        """Take messages, or functions from a request's body to a message."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        """Answer in the shape of a chat completion, with one token for each word."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer = answer(body) if callable(answer) else answer
        message = {"role": "assistant", "content": None, **answer}
        finish = message.pop("finish_reason", "stop")
        sent = sum(len(str(each["content"]).split()) for each in body["messages"])
        received = len(str(message["content"] or "").split())
        usage = {"prompt_tokens": sent, "completion_tokens": received}
        usage = {**usage, "total_tokens": sent + received}
        reply = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": message.pop("usage", usage),
            "service_tier": message.pop("service_tier", None),
        }
        raw = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(*answers: Any) -> Iterator[Server]:
    """Run a server for as long as it is needed."""
    with Server(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
