"""The demo's documents: a folder of prose read into passages, and BM25 search over them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from coordgate.demo.words import content_words, pieces
from coordgate.errors import ConfigurationError

try:
    import bm25s  # type: ignore[import-untyped,unused-ignore]
except ImportError as missing:
    raise ImportError(
        "the demo searches with bm25s, which is not installed: pip install 'coordgate[demo]'"
    ) from missing

SUFFIXES = frozenset({".md", ".markdown", ".rst", ".txt"})
LARGEST_FILE = 1_000_000
MOST_FILES = 2_000
PASSAGE_LENGTH = 500
"""Characters that neighbouring paragraphs under one heading are joined up to."""
LONGEST_PASSAGE = 1_200
"""Characters above which one paragraph is cut, between sentences."""


class Passage(TypedDict):
    """A few paragraphs of one document, and where they stand. A dict, since it lives in a state."""

    text: str
    """The prose, its markup removed; paragraphs and list items are lines."""
    path: str
    """The file, relative to the folder that was read."""
    heading: str
    """The headings above it, outermost first, joined by ` > `."""
    line: int
    """The line of the file where it begins, from 1."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was not read."""

    path: str
    """The file, relative to the folder."""
    why: str
    """The reason, in words."""


@dataclass(frozen=True, slots=True)
class Library:
    """The passages of a set of documents, indexed for search."""

    root: Path
    """The folder that was read."""
    files: tuple[str, ...]
    """The files that gave at least one passage."""
    passages: tuple[Passage, ...]
    """All passages, in the order of files and lines."""
    skipped: tuple[Skipped, ...]
    """The files of a readable kind that were left out."""
    index: Any
    """The `bm25s.BM25` index over heading and text of each passage."""

    def search(self, question: str, limit: int = 4) -> list[Passage]:
        """Return the passages that share words with `question`, the best first."""
        words = content_words(question)
        if not words:
            return []
        found, scores = self.index.retrieve(
            [words], k=min(limit, len(self.passages)), show_progress=False
        )
        pairs = zip(found[0].tolist(), scores[0].tolist(), strict=True)
        return [self.passages[number] for number, score in pairs if score > 0]


def read_folder(root: Path, only: Sequence[Path] | None = None) -> Library:
    """Read the documents under `root`, or `only` those named, into a library.

    Hidden files and folders, binaries and files above a megabyte are left out.

    Raises:
        ConfigurationError: the folder is missing, is not a folder, or holds nothing to read.
    """
    if not root.exists():
        raise ConfigurationError(f"--docs {root}: there is no such folder; name one that exists")
    if not root.is_dir():
        raise ConfigurationError(f"--docs {root}: this is a file; name the folder that holds it")
    passages: list[Passage] = []
    skipped: list[Skipped] = []
    files: list[str] = []
    for path in only if only is not None else _documents(root):
        name = path.relative_to(root).as_posix()
        text = _read(path)
        if isinstance(text, _Unread):
            skipped.append(Skipped(name, text.why))
            continue
        found = split(text, name)
        if found:
            files.append(name)
            passages.extend(found)
    if not passages:
        kinds = ", ".join(sorted(SUFFIXES))
        left = f" ({len(skipped)} left out: {skipped[0].why})" if skipped else ""
        raise ConfigurationError(
            f"--docs {root}: no prose was found in files ending in {kinds}{left}; "
            "name a folder that holds some"
        )
    return index_passages(passages, root=root, files=files, skipped=skipped)


def index_passages(
    passages: Sequence[Passage],
    *,
    root: Path,
    files: Sequence[str],
    skipped: Sequence[Skipped] = (),
) -> Library:
    """Index passages that are already cut."""
    index: Any = bm25s.BM25()
    texts = (f"{passage['heading']} {passage['text']}" for passage in passages)
    index.index([content_words(text) or ["-"] for text in texts], show_progress=False)
    return Library(root, tuple(files), tuple(passages), tuple(skipped), index)


def split(text: str, path: str) -> list[Passage]:
    """Cut one document into passages; code blocks, tables' rules and comments are left out."""
    lines = text.splitlines()
    blocks = _rst_blocks(lines) if path.endswith(".rst") else _markdown_blocks(lines)
    passages: list[Passage] = []
    for block in blocks:
        for prose in pieces(_plain(block.text), LONGEST_PASSAGE):
            if not re.search(r"\w", prose):
                continue
            last = passages[-1] if passages else None
            joined = len(last["text"]) + len(prose) if last else 0
            if last and last["heading"] == block.heading and joined < PASSAGE_LENGTH:
                last["text"] += "\n" + prose
                continue
            passages.append(Passage(text=prose, path=path, heading=block.heading, line=block.line))
    return passages


@dataclass(frozen=True, slots=True)
class _Block:
    """One paragraph, list item or table row."""

    text: str
    heading: str
    line: int


@dataclass(frozen=True, slots=True)
class _Unread:
    why: str


def _documents(root: Path) -> Iterator[Path]:
    """Yield the files of a readable kind under `root`, sorted; hidden ones are passed over."""
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith(".") or Path(name).suffix.lower() not in SUFFIXES:
                continue
            count += 1
            if count > MOST_FILES:
                raise ConfigurationError(
                    f"--docs {root}: more than {MOST_FILES} documents; name a smaller folder"
                )
            yield Path(folder, name)


def _read(path: Path) -> str | _Unread:
    try:
        if path.stat().st_size > LARGEST_FILE:
            return _Unread("larger than 1 MB")
        raw = path.read_bytes()
    except OSError as error:
        return _Unread(error.strerror or type(error).__name__)
    if b"\0" in raw:
        return _Unread("binary")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _Unread("not UTF-8 text")


_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r" {0,3}(?:> ?)?(`{3,}|~{3,})")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+(?=\S)")
_ROW = re.compile(r"\s*\|(.*)\|\s*$")
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})\s*$")


class _Outline:
    """Collects lines into blocks under the headings seen so far."""

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        self._levels: dict[int, str] = {}
        self._lines: list[str] = []
        self._begun = 0

    def heading(self, level: int, text: str) -> None:
        self.end()
        self._levels = {k: v for k, v in self._levels.items() if k < level} | {level: _plain(text)}

    def add(self, number: int, line: str) -> None:
        if not self._lines:
            self._begun = number
        self._lines.append(line.strip())

    def last(self) -> str | None:
        """Take back the one line of the open block; None unless there is exactly one."""
        return self._lines.pop() if len(self._lines) == 1 else None

    def end(self) -> None:
        if self._lines:
            heading = " > ".join(self._levels[level] for level in sorted(self._levels))
            self.blocks.append(_Block(" ".join(self._lines), heading, self._begun))
        self._lines = []


def _markdown_blocks(lines: Sequence[str]) -> list[_Block]:
    out = _Outline()
    fence = ""
    start = _after_front_matter(lines)
    in_list = False
    for number, line in enumerate(lines[start:], start + 1):
        fenced = _FENCE.match(line)
        if fence:
            closes = fenced and fenced[1].startswith(fence) and not line.strip("`~> \t")
            fence = "" if closes else fence
        elif fenced:
            out.end()
            fence = fenced[1]
        elif not line.strip():
            out.end()
        elif heading := _HEADING.match(line):
            out.heading(len(heading[1]), heading[2])
            in_list = False
        elif (setext := _SETEXT.match(line)) and (title := out.last()) is not None:
            out.heading(1 if setext[1].startswith("=") else 2, title)
        elif row := _ROW.match(line):
            out.end()
            out.add(number, _row(row[1]))
            out.end()
            in_list = False
        elif item := _ITEM.match(line):
            out.end()
            out.add(number, line[item.end() :])
            in_list = True
        elif line.startswith(("    ", "\t")) and not in_list:
            out.end()  # an indented code block
        else:
            in_list = in_list and line.startswith(" ")
            out.add(number, line.lstrip(" >"))
    out.end()
    return out.blocks


def _after_front_matter(lines: Sequence[str]) -> int:
    if lines and lines[0].strip() == "---":
        for number, line in enumerate(lines[1:], 1):
            if line.strip() == "---":
                return number + 1
    return 0


def _row(cells: str) -> str:
    """Return a table row as `first: second; third.`; empty for the rule under the head."""
    first, *rest = [cell.strip() for cell in re.split(r"(?<!\\)\|", cells)]
    if not re.search(r"\w", cells):
        return ""
    told = "; ".join(cell for cell in rest if cell)
    said = f"{first}: {told}" if first and told else first or told
    return said if said.endswith((".", "!", "?")) else said + "."


def _rst_blocks(lines: Sequence[str]) -> list[_Block]:
    out = _Outline()
    levels: list[str] = []
    literal = False
    for number, line in enumerate(lines, 1):
        indented = line[:1].isspace()
        if literal and (indented or not line.strip()):
            continue
        literal = False
        if not line.strip():
            out.end()
        elif (mark := _UNDERLINE.match(line)) and (title := out.last()) is not None:
            if mark[1] not in levels:
                levels.append(mark[1])
            out.heading(levels.index(mark[1]) + 1, title)
        elif mark or re.match(r"[:.]{1,2}[\w ]*[:.]?\s*$", line):
            continue  # the line over a title
        elif line.lstrip().startswith(".. "):
            out.end()
            literal = True  # a directive or comment, with what is indented below it
        elif item := _ITEM.match(line):
            out.end()
            out.add(number, line[item.end() :])
        else:
            out.add(number, re.sub(r"::\s*$", ":", line))
            if line.rstrip().endswith("::"):
                out.end()
                literal = True  # what is indented below it is a code block
    out.end()
    return out.blocks


def _plain(text: str) -> str:
    """Return a line of Markdown or reStructuredText as prose."""
    text = re.sub(r"<!--.*?-->", "", text)
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", text)
    text = re.sub(r"^\[[^\]]+\]:\s+\S+.*$", "", text)
    text = re.sub(r"`([^`<]+?)\s*<[^`>]+>`_{1,2}", r"\1", text)
    text = re.sub(r":[\w:+-]+:`([^`]+)`", r"\1", text)
    text = re.sub(r"</?[A-Za-z][^<>]*>", "", text)
    text = re.sub(r"(`{1,2})(.+?)\1", r"\2", text)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", text)
    return re.sub(r"\s+", " ", text.replace("\\|", "|")).strip()
