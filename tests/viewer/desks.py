"""A desk: a guarded graph in a file that asks a person, begun by a process that was killed."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from httpx import Response
from starlette.testclient import TestClient

from coordgate.loading import open_graph
from coordgate.viewer import viewer

ORIGIN = "http://127.0.0.1:8765"

DESK = """
import contextlib, os, signal, sys
from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from coordgate import Escalate, NodeGuard, Policy, Tracer, Verdict, gate, guard

HERE = Path(__file__).parent


class State(TypedDict, total=False):
    draft: str
    note: str
    sent: str


@gate
def good(output: State) -> Verdict:
    if str(output.get("draft", output.get("note"))).startswith("good"):
        return Verdict.accept()
    return Verdict.reject("it is not good: " + output.get("draft", "")[:40])


def pause():
    with (HERE / "gate").open("rb", buffering=0) as gate:
        gate.read(1)  # a pipe: until somebody writes


def write(state: State, feedback=None):
    if "slowly" in str(feedback):
        pause()
    with (HERE / "ledger").open("a") as file:
        file.write("wrote\\n")
    return {"draft": state.get("draft", "bad")}


async def awrite(state: State):
    return write(state)


def note(state: State):
    return {"note": "to be decided"}


def send(state: State):
    if state["draft"] == "good, but it fails":
        raise ValueError("the mail server is away")
    if state["draft"] == "good, but slow":
        pause()
    with (HERE / "ledger").open("a") as file:
        file.write(f"sent {state['draft']!r}\\n")
    return {"sent": state["draft"]}


def builder(node, tracer=None, several=False):
    asks = NodeGuard(gates=[good], policy=Policy(Escalate("editor", within=86400)))
    graph = StateGraph(State).add_node("write", node).add_node(send)
    graph.add_edge(START, "write").add_edge("write", "send")
    if several:
        graph.add_node(note).add_edge(START, "note")
    nodes = {"write": asks, "note": asks} if several else {"write": asks}
    return guard(graph, nodes, tracer=tracer)


@contextlib.contextmanager
def opened(several):
    with SqliteSaver.from_conn_string(str(HERE / "saved.db")) as saver:
        with Tracer(HERE / "traces.db") as tracer:
            yield builder(write, tracer, several).compile(checkpointer=saver)


def desk():
    return opened(False)


def pair():
    return opened(True)


@contextlib.asynccontextmanager
async def adesk():
    async with AsyncSqliteSaver.from_conn_string(str(HERE / "saved.db")) as saver:
        with Tracer(HERE / "traces.db") as tracer:
            yield builder(awrite, tracer).compile(checkpointer=saver)


forgetful = builder(write).compile(checkpointer=InMemorySaver())


if __name__ == "__main__":
    with opened(sys.argv[1] == "pair") as app:
        for place, draft in enumerate(sys.argv[2:], 1):
            given = {} if draft == "-" else {"draft": draft.encode().decode("unicode_escape")}
            app.invoke(given, {"configurable": {"thread_id": str(place)}})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def desk_in(folder: Path, *drafts: str, kind: str = "desk") -> Path:
    """Write the desk's file and let a process ask about each draft, which is then killed.

    A draft is text with Python's escapes; `-` is the node's own, `bad`.
    """
    for name, content in _made(drafts or ("-",), kind).items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _made(drafts: tuple[str, ...], kind: str) -> dict[str, bytes]:
    """Return the files that a process left that was killed."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "desk.py").write_text(DESK)
        command = [sys.executable, str(folder / "desk.py"), kind, *drafts]
        assert subprocess.run(command, check=False).returncode == -9  # noqa: S603 - this file's
        return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def ledger(folder: Path) -> list[str]:
    """Return what the nodes did, in order."""
    return (folder / "ledger").read_text().splitlines()


@contextmanager
def reviewing(folder: Path, app: str | None = "desk") -> Iterator[TestClient]:
    """Open the viewer of a desk, with its graph if one is named, for a client on this machine."""
    if app is None:
        yield TestClient(viewer(folder / "traces.db"), base_url=ORIGIN)
        return
    with open_graph(f"{folder / 'desk.py'}:{app}") as opened:
        made = viewer(folder / "traces.db", app=opened)
        with closing(made.state.desk):
            yield TestClient(made, base_url=ORIGIN)


def form_of(client: TestClient, place: int = 0) -> dict[str, str]:
    """Return the hidden fields of the form of one question that waits."""
    text = client.get(links(client)[place]).text
    return hidden(text)


def hidden(text: str) -> dict[str, str]:
    """Return the hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)
    return {name: unescape(value) for name, value in found}


def links(client: TestClient) -> list[str]:
    """Return the addresses of the questions that wait."""
    text = client.get("/inbox").text
    return [unescape(each) for each in re.findall(r'href="(/inbox/question[^"]*)"', text)]


def post(client: TestClient, form: Mapping[str, str], **typed: str) -> Response:
    """Send an answer as the browser would; return the page that follows."""
    sent: Any = client.post("/inbox/answer", data={**form, **typed}, headers={"origin": ORIGIN})
    return sent  # type: ignore[no-any-return]


def settled(client: TestClient, page: Response) -> str:
    """Return the page of an answer when its run has come to an end or a question."""
    while "The run goes on" in page.text:
        page = client.get(str(page.url))
    return page.text
