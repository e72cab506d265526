"""Drawings: what a guarded graph looks like as Mermaid, as a PNG, and in a notebook."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from coordgate import (
    ConfigurationError,
    Contract,
    Degrade,
    Fallback,
    NodeGuard,
    Policy,
    Retry,
    draw,
    guard,
)
from coordgate.gates import not_empty


class State(TypedDict, total=False):
    """The state."""

    question: str
    answer: str


class Answer(BaseModel):
    """What is handed over."""

    answer: str


def answered(_: State) -> dict[str, str]:
    """Answer."""
    return {"answer": "yes"}


def template(_: State) -> dict[str, str]:
    """Answer by rote."""
    return {"answer": "no"}


def built(*, inner: Any = None) -> StateGraph[State]:
    """Return a graph of one node, which may be a graph itself."""
    builder = StateGraph(State)
    builder.add_node("answer", inner or answered)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder


DECLARED = NodeGuard(
    contract=Contract(returns=Answer),
    gates=[not_empty("answer")],
    policy=Policy(Retry(2), Fallback(template), Degrade({"answer": "<none>"})),
)


def test_a_drawing_says_what_is_declared() -> None:
    """Contract, gates and ladder stand on the node; the rest is LangGraph's own drawing."""
    bare = built().compile()
    drawn = draw(guard(bare, nodes={"answer": DECLARED})).mermaid
    for said in (
        "returns = Answer",
        "gates = not_empty",
        "on failure = retry up to 2 more, then fall back to template, then degrade answer",
    ):
        assert said in drawn
    assert drawn.count("-->") == bare.get_graph().draw_mermaid().count("-->")


def test_what_is_declared_inside_is_drawn_inside() -> None:
    """With xray a subgraph's own nodes say what is declared on them."""
    app = guard(built(inner=built().compile()).compile(), nodes={"answer|answer": DECLARED})
    assert "returns = Answer" in str(draw(app, xray=True))
    assert "returns = Answer" not in str(draw(app))


def test_the_original_draws_as_before() -> None:
    """Guarding and drawing leave the bare graph's drawing alone."""
    bare = built().compile()
    before = bare.get_graph().draw_mermaid()
    draw(guard(bare, nodes={"answer": DECLARED}))
    assert bare.get_graph().draw_mermaid() == before


def test_an_unguarded_graph_is_refused() -> None:
    """The error says what to give, and how the other is drawn."""
    with pytest.raises(ConfigurationError, match=r"get_graph\(\).draw_mermaid\(\)"):
        draw(built().compile())


def test_a_notebook_shows_what_is_declared_and_asks_nobody() -> None:
    """The table names each node's declarations, with what they hold made harmless."""
    declared = NodeGuard(policy=Policy(Fallback(template, name="<b>bold</b>")))
    app: Any = guard(built().compile(), nodes={"answer": declared}, mode="observe")
    shown = app._repr_mimebundle_()
    assert shown["text/plain"] == repr(app)
    assert "1 node, mode 'observe', not traced" in repr(app)
    assert "fall back to &lt;b&gt;bold" in shown["text/html"] == app._repr_html_()


def test_a_drawing_in_a_notebook_is_mermaid_in_markdown() -> None:
    """A notebook gets the text, which it can draw by itself."""
    shown = draw(guard(built().compile()))._repr_mimebundle_()
    assert shown["text/markdown"].startswith("```mermaid\n")
    assert "answer" in shown["text/plain"]


def test_a_png_is_made_by_the_server_that_is_named(tmp_path: Path) -> None:
    """The PNG comes from LangChain's own drawing, here against a server on loopback."""
    asked: list[str] = []

    class Ink(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"PNG")

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Ink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        drawing = draw(guard(built().compile(), nodes={"answer": DECLARED}))
        made = drawing.png(tmp_path / "app.png", base_url=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert made == b"PNG" == (tmp_path / "app.png").read_bytes()
    sent = asked[0].removeprefix("/img/").partition("?")[0]
    assert b"returns = Answer" in base64.b64decode(sent)


def test_a_guarded_builder_can_be_looked_at() -> None:
    """Before it is compiled it shows itself as a bare builder does."""
    assert "StateGraph" in repr(guard(built()))
