"""The viewer as a whole: what it answers with, and to whom."""

from __future__ import annotations

from pathlib import Path

from serving import Reader

from coordgate.viewer.security import POLICY


def test_the_list_names_every_run(reader: Reader, traces: Path) -> None:
    """The first page lists the runs, the newest first, with status and thread."""
    text = reader(traces).get("/").text
    places = [
        text.index(f"about {topic}") for topic in ("broken owls", "hopeless storks", "herons")
    ]
    assert places == sorted(places)
    assert "completed" in text
    assert "failed" in text


def test_every_answer_has_the_strict_policy(reader: Reader, traces: Path) -> None:
    """Pages, files, refusals and errors all say that nothing but our own may run."""
    client = reader(traces)
    for path in ("/", "/static/viewer.css", "/nowhere"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in POLICY
