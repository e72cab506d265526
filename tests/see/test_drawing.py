"""Drawings: what a guarded graph looks like as Mermaid, as a PNG, and in a notebook."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any, TypedDict
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph
from PIL import Image
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
from coordgate.picture import Edge, Node, picture, svg


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
    html = shown["text/html"]
    assert "fall back to &lt;b&gt;bold" in html == app._repr_html_()
    assert html.count("http") == html.count('xmlns="http://www.w3.org/2000/svg"') == 1


def test_a_drawing_in_a_notebook_is_svg_or_mermaid_in_markdown() -> None:
    """A notebook that shows no HTML gets the text, which it can draw by itself."""
    drawing = draw(guard(built().compile()))
    shown = drawing._repr_mimebundle_()
    assert shown["text/html"] == drawing.svg
    assert shown["text/markdown"].startswith("```mermaid\n")
    assert "answer" in shown["text/plain"]
    assert repr(drawing) == "<drawing of guarded LangGraph: 1 node, mode 'enforce', not traced>"


def words_of(svg: str) -> list[str]:
    """Return the texts of an SVG, which must be well-formed and hold nothing that runs."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own, and the test
    kinds = {each.tag.rpartition("}")[2] for each in root.iter()}
    assert kinds <= {"svg", "title", "path", "polygon", "rect", "text"}
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_an_svg_says_what_is_declared() -> None:
    """Each node is a box with its contract, its gates and its ladder."""
    words = " ".join(words_of(draw(guard(built().compile(), nodes={"answer": DECLARED})).svg))
    assert "answer returns: Answer gates: not_empty(answer)" in words
    said = "on failure: retry up to 2 more, then fall back to template, then degrade answer"
    assert said in " ".join(words.split())
    assert {"__start__", "__end__"} <= set(words.split())


def test_hostile_names_are_drawn_and_never_run() -> None:
    """Markup, control characters and endless names are shown as text, cut."""
    builder: Any = StateGraph(State)
    hostile = "<script>alert(1)</script>\x1b[31m\x00\u202e"
    builder.add_node(hostile, answered)
    builder.add_node("x" * 5000, answered)
    builder.add_conditional_edges(START, answered, {"\x07<b>": hostile, "&": "x" * 5000})
    policy = Policy(Fallback(template, name="<i>&</i>"))
    app: Any = guard(builder.compile(), nodes={hostile: NodeGuard(policy=policy)})
    words = words_of(draw(app).svg)
    assert "on failure: fall back to <i>&</i>" in words
    assert r"<script>alert(1)</script>\x1b[31m\x00\u202e" in words
    assert r"\x07<b>" in words
    assert max(map(len, words)) < 50
    html = app._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in html


def test_edges_do_not_cross_without_need() -> None:
    """The nodes of a row stand below those that lead to them, whatever order they were added in."""
    nodes = [Node(name, name, {}) for name in ("start", "a", "b", "to b", "to a")]
    pairs = [("start", "a"), ("start", "b"), ("b", "to b"), ("a", "to a")]
    drawn = picture("any", nodes, [Edge(*pair) for pair in pairs])
    left = {box.title: box.x for box in drawn.boxes}
    assert (left["a"] < left["b"]) == (left["to a"] < left["to b"])


ids = st.integers(0, 7)


@given(st.lists(st.tuples(ids, ids), max_size=20), st.lists(st.booleans(), min_size=8, max_size=8))
def test_boxes_never_overlap_and_arrows_join_them(
    pairs: list[tuple[int, int]], tall: list[bool]
) -> None:
    """Whatever the edges, loops too: every box has its own place, every edge its arrow, within."""
    nodes = [Node(str(n), f"node {n}", {"gates": "a, " * 60} if tall[n] else {}) for n in range(8)]
    edges = [Edge(str(a), str(b), "if so", True) for a, b in pairs]
    drawn = picture("any", nodes, edges)
    for one, other in combinations(drawn.boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    assert len(drawn.arrows) == len(edges)
    for arrow in drawn.arrows:
        assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in arrow.points)
        for x, y in (arrow.points[0], arrow.points[-1]):
            assert any(
                b.x <= x <= b.x + b.width and b.y <= y <= b.y + b.height for b in drawn.boxes
            )
    words_of(svg(drawn))


def test_a_png_is_drawn_here(tmp_path: Path) -> None:
    """No socket is opened for it, and what is declared takes its room in it."""
    script = (
        "import sys\n"
        "from typing import Any\n"
        "def alone(event, arguments):\n"
        "    if event.startswith('socket.'):\n"
        "        raise AssertionError(event)\n"
        "from test_drawing import DECLARED, built, draw, guard\n"
        "sys.addaudithook(alone)\n"
        "draw(guard(built().compile())).png('bare.png')\n"
        "draw(guard(built().compile(), nodes={'answer': DECLARED})).png('app.png')\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script], cwd=tmp_path, check=True, env={"PYTHONPATH": path}
    )
    with Image.open(tmp_path / "bare.png") as bare, Image.open(tmp_path / "app.png") as app:
        assert app.width > bare.width
        assert app.height > bare.height
        dark = sum(count for count, colour in app.getcolors(2**16) or () if sum(colour) < 200)  # type: ignore[arg-type, misc]
    assert dark > 1000  # there is text on it


def test_without_pillow_the_error_says_what_to_install() -> None:
    """What needs nothing is named too."""
    script = "import sys; sys.modules['PIL'] = None\nimport coordgate.png"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)  # noqa: S603 - our own script
    assert (
        "pip install 'coordgate[png]'; draw(app).svg and draw(app).mermaid need nothing"
        in done.stderr
    )


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
