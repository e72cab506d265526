"""A receiver of LangSmith's own calls on loopback: what the client sends, put together again."""

from __future__ import annotations

import contextlib
import email
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import zstandard

Ways = Literal["well", "404", "500", "stalls"]
PROJECT = "7b0f3c55-2f8e-4b39-9d3b-4f2f7c1d2e3a"


@dataclass
class Smith:
    """What came, and how it is answered."""

    feedback_404: bool = False
    """Whether feedback is refused."""
    seconds: float = 0.0
    """How long an answer takes."""
    answers: Ways = "well"
    """How everything is answered."""
    info: dict[str, Any] = field(default_factory=dict[str, Any])
    """What it says of itself."""
    asked: list[str] = field(default_factory=list[str])
    """Each call: its method and path."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The runs, by id, as they stand after all calls."""
    posts: list[str] = field(default_factory=list[str])
    """The ids of the runs that were begun, as often as they were."""
    ends: list[str] = field(default_factory=list[str])
    """The ids of the runs that were ended, as often as they were."""
    feedback: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The feedback."""
    url: str = ""
    """Where it is."""
    go: threading.Event = field(default_factory=threading.Event)
    """Set to end a stall."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the runs of a name, in the order of their beginning."""
        found = [each for each in self.runs.values() if each["name"] == name]
        return sorted(found, key=lambda each: each["dotted_order"])

    def under(self, run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the runs below a run."""
        found = [r for r in self.runs.values() if r.get("parent_run_id") == run["id"]]
        return sorted(found, key=lambda each: each["dotted_order"])

    def take(self, path: str, method: str, body: bytes, kind: str) -> None:
        """Take what was sent."""
        with self.changed:
            if path.endswith("/multipart"):
                self._take_parts(body, kind)
            elif path == "/feedback":
                self.feedback.append(json.loads(body))
            elif path.startswith("/runs"):
                self._take_run(json.loads(body), begins=method == "POST")
            self.changed.notify_all()

    def _take_parts(self, body: bytes, kind: str) -> None:
        message = email.message_from_bytes(
            f"Content-Type: {kind}\r\n\r\n".encode() + body, policy=HTTP
        )
        runs: dict[tuple[str, str], dict[str, Any]] = {}
        for part in message.iter_parts():  # type: ignore[attr-defined]
            name = str(part.get_param("name", header="content-disposition"))
            what, id, *rest = name.split(".")
            value = json.loads(part.get_payload(decode=True))
            if what == "feedback":
                self.feedback.append(value)
            elif rest:
                runs[what, id][rest[0]] = value
            else:
                runs[what, id] = value
        for (what, _), run in runs.items():
            self._take_run(run, begins=what == "post")

    def _take_run(self, run: dict[str, Any], *, begins: bool) -> None:
        known = self.runs.setdefault(run["id"], {})
        if run.get("end_time"):
            self.ends.append(run["id"])
        if begins:
            self.posts.append(run["id"])
            run = {**run, **known}  # its end may have come before
        known.update({key: value for key, value in run.items() if value is not None or begins})


class _Handler(BaseHTTPRequestHandler):
    """Answers as LangSmith does."""

    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> Smith:
        """Return what has come."""
        return self.server.state  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        """Answer."""
        self.answer()

    def do_POST(self) -> None:
        """Answer."""
        self.answer()

    def do_PATCH(self) -> None:
        """Answer."""
        self.answer()

    def answer(self) -> None:
        """Take what was sent, unless it is to be refused."""
        state = self.state
        path, _, _ = self.path.partition("?")
        body = self.body()
        state.asked.append(f"{self.command} {path}")
        state.go.wait(60 if state.answers == "stalls" else state.seconds)
        refused = state.answers if state.answers in {"404", "500"} else ""
        if refused or (path == "/feedback" and state.feedback_404):
            self.reply(int(refused or 404), {"detail": "no"})
        elif path == "/info":
            self.reply(200, state.info)
        elif path == "/sessions":
            about = {"id": PROJECT, "tenant_id": PROJECT, "reference_dataset_id": None}
            self.reply(200, [{**about, "start_time": "2026-01-01T00:00:00"}])
        else:
            state.take(path, self.command, body, str(self.headers.get("Content-Type")))
            self.reply(202, {})

    def body(self) -> bytes:
        """Return what was sent, in whatever way."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self.chunks())
        if self.headers.get("Content-Encoding") == "zstd":
            assert self.state.info["instance_flags"]["zstd_compression_enabled"]
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        return body

    def chunks(self) -> Iterator[bytes]:
        """Yield the pieces of a body whose length was not known."""
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def reply(self, status: int, value: Any) -> None:
        """Send an answer."""
        said = json.dumps(value).encode()
        with contextlib.suppress(OSError):  # who asked may have gone
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def smith(answers: Ways = "well", *, batches_feedback: bool, zstd: bool) -> Iterator[Smith]:
    """Serve as LangSmith on loopback."""
    limits = {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
    }
    info = {
        "version": "0.12.0" if batches_feedback else "0.8.0",
        "batch_ingest_config": limits,
        "instance_flags": {"zstd_compression_enabled": zstd},
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}"
    state = server.state = Smith(answers=answers, info=info, url=url)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.go.set()
        server.shutdown()
        thread.join()
        server.server_close()
