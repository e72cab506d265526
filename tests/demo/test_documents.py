"""The demo's documents: what is read, how it is cut, and what a search finds."""

from pathlib import Path

import pytest

from coordgate import ConfigurationError
from coordgate.demo.documents import LARGEST_FILE, read_folder, split

MARKDOWN = """\
---
title: left out
---
# The *pump*

It moves **40 litres** a minute, see [the sheet](sheet.md).

## Care

- Clean the `filter` weekly.
- Oil the bearing
  once a year.

```python
left_out()
```

| part | price |
|---|---|
| seal | 4 euros |
"""


def test_markdown_becomes_prose_with_provenance() -> None:
    """Headings, lists, tables and inline marks become plain text that knows its file and line."""
    first, second = split(MARKDOWN, "pump.md")
    assert first == {
        "text": "It moves 40 litres a minute, see the sheet.",
        "path": "pump.md",
        "heading": "The pump",
        "line": 6,
    }
    assert second["heading"] == "The pump > Care"
    assert second["line"] == 10
    assert second["text"].splitlines() == [
        "Clean the filter weekly.",
        "Oil the bearing once a year.",
        "part: price.",
        "seal: 4 euros.",
    ]


def test_code_front_matter_and_comments_are_left_out() -> None:
    """What is not prose gives no passage, whatever fence it stands in."""
    more = "\n    indented_code()\n\n~~~\nfenced\n```\nstill fenced\n~~~\n<!-- hidden -->\n"
    everything = " ".join(passage["text"] for passage in split(MARKDOWN + more, "pump.md"))
    for hidden in ("left out", "left_out", "indented_code", "fenced", "hidden"):
        assert hidden not in everything


def test_restructured_text_is_read_by_its_own_rules() -> None:
    """Underlined titles nest, directives and literal blocks are left out, roles become text."""
    text = (
        "=====\nTitle\n=====\n\nUse ``this`` and :ref:`that` of `the site <https://x.org>`_::\n\n"
        "    left_out()\n\nPart\n----\n\n.. note:: left out\n   as well\n\nMore.\n"
    )
    first, second = split(text, "a.rst")
    assert (first["text"], first["heading"], first["line"]) == (
        "Use this and that of the site:",
        "Title",
        5,
    )
    assert (second["text"], second["heading"]) == ("More.", "Title > Part")


def test_a_paragraph_without_end_is_cut_between_sentences() -> None:
    """No passage grows beyond what a prompt should hold."""
    passages = split("The wheel turns once more. " * 400, "long.txt")
    assert len(passages) > 5
    assert all(len(p["text"]) <= 1200 and p["text"].endswith("more.") for p in passages)


def test_a_folder_is_read_without_what_is_hidden_binary_or_huge(tmp_path: Path) -> None:
    """Hidden files are passed over; unreadable ones are left out, and named with the reason."""
    (tmp_path / "sub" / ".hidden").mkdir(parents=True)
    (tmp_path / "sub" / "good.MD").write_text("A good file about herons.")
    (tmp_path / "sub" / ".hidden" / "a.md").write_text("hidden folder")
    (tmp_path / ".secret.md").write_text("hidden file")
    (tmp_path / "code.py").write_text("# another kind")
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    (tmp_path / "latin.txt").write_bytes("Gr\xfc\xdfe".encode("latin-1"))
    (tmp_path / "huge.txt").write_text("x" * (LARGEST_FILE + 1))
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    library = read_folder(tmp_path)
    assert library.files == ("sub/good.MD",)
    assert [(each.path, each.why) for each in library.skipped] == [
        ("binary.txt", "binary"),
        ("gone.txt", "No such file or directory"),
        ("huge.txt", "larger than 1 MB"),
        ("latin.txt", "not UTF-8 text"),
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing", "there is no such folder"),
        ("a.md", "this is a file"),
        ("empty", "no prose was found"),
    ],
)
def test_a_folder_that_cannot_be_read_is_named_with_the_cure(
    tmp_path: Path, name: str, told: str
) -> None:
    """A missing folder, a file and a folder without prose each get their own error."""
    (tmp_path / "a.md").write_text("text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "blank.md").write_text("\n```\ncode only\n```\n")
    with pytest.raises(ConfigurationError, match=told) as caught:
        read_folder(tmp_path / name)
    assert "; name " in str(caught.value)


def test_search_finds_other_forms_of_the_same_words(tmp_path: Path) -> None:
    """Plural and tense do not hide a passage; words that nobody wrote find nothing."""
    (tmp_path / "a.md").write_text("# By day\n\nA heron waits.\n\n# By night\n\nAn owl hunts.")
    library = read_folder(tmp_path)
    assert [p["heading"] for p in library.search("Which owls hunted?")] == ["By night"]
    assert library.search("submarine") == []
    assert library.search("what is it?") == []
