"""Every page runs: the `python` blocks of README and docs, top to bottom, in one namespace a page.

Only blocks marked exactly `python` run; `py`, `text`, `sh` and the like do not.
"""

import linecache
import re
import sys
import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,}) *(?P<language>[\w+-]*)")


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the python blocks of a page, each with the number of its first line."""
    ticks, language, begun = "", "", 0
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = FENCE.match(line)
        if not ticks and fence:
            ticks, language, begun = fence["ticks"], fence["language"], number + 1
            lines = []
        elif ticks and line.strip() == ticks:
            if language == "python":
                yield begun, textwrap.dedent("\n".join(lines))
            ticks = ""
        elif ticks:
            lines.append(line)
    if ticks:
        raise AssertionError(f"{page}:{begun - 1}: this block has no end")


def run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks of a page as one module; a failure names page and line."""
    module = ModuleType(f"page_{re.sub(r'[^a-z0-9]', '_', page.stem.lower())}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # for typing and pickling by name
    for begun, source in blocks(page):
        try:
            code = compile("\n" * (begun - 1) + source, str(page), "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - the page is ours, and running it is the test
        except (Exception, SystemExit) as error:
            frames = traceback.extract_tb(error.__traceback__)
            at = [frame.lineno for frame in frames if frame.filename == str(page)]
            line = (at[-1] if at else getattr(error, "lineno", None)) or begun
            shown = linecache.getline(str(page), line).strip()
            raise AssertionError(f"{page}:{line}: {shown}\n{error!r}") from error


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, with no model or service configured."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES if any(blocks(p))]
)
def test_the_code_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The python blocks of a page run without an error, one after the other."""
    run(page, monkeypatch)


def test_only_blocks_marked_python_run(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a page share a namespace; other languages, and blocks shown within, do not run."""
    page = elsewhere / "page.md"
    page.write_text(
        "```python\nx = 1\n```\n```py\nx = 2\n```\n````md\n```python\nx = 3\n```\n````\n"
        "- in a list\n\n  ```python\n  assert x == 1\n  open('ran', 'w').close()\n  ```\n"
    )
    run(page, monkeypatch)
    assert (elsewhere / "ran").exists()


@pytest.mark.parametrize(
    ("source", "line"),
    [("x = 1\n\nassert x == 2", 5), ("def f():\n    1 / 0\n\nf()", 4), ("x =", 3), ("exit(0)", 3)],
)
def test_a_failing_block_names_page_and_line(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, source: str, line: int
) -> None:
    """The error says where in the page it happened, also within a function and in bad syntax."""
    page = elsewhere / "page.md"
    page.write_text(f"# A page\n```python\n{source}\n```\n")
    with pytest.raises(AssertionError, match=rf"page\.md:{line}: "):
        run(page, monkeypatch)


def test_a_block_without_an_end_is_refused(elsewhere: Path) -> None:
    """A fence that is never closed would hide the rest of the page."""
    page = elsewhere / "page.md"
    page.write_text("# A page\n\n```python\nx = 1\n")
    with pytest.raises(AssertionError, match=r"page\.md:3: this block has no end"):
        list(blocks(page))
