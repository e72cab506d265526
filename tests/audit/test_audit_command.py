"""`coordgate audit`: what a terminal, a pull request, a machine and a browser get to see."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from lines import record

from coordgate.audit import audit
from coordgate.audit.page import page
from coordgate.audit.printing import markdown, terminal
from coordgate.cli import main
from coordgate.labels import Label, write_labels
from coordgate.record import Attempt, GateVerdict, Run, RunId, Transition
from coordgate.stores import MemoryStore, open_store


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a store of observed runs, with one node that is weaker than the others."""
    found = tmp_path / "traces.db"
    record(found, {"a": 0.97, "b": 0.6, "c": 0.95}, runs=80, mode="observe", seed=3)
    return str(found)


def test_the_terminal_shows_every_part(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Rates with intervals, the gap and what it means, the weakest handoff, the next gate."""
    assert main(["audit", path]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "80 runs: 80 completed." in shown
    assert "Gap: none is shown" in shown
    assert "Accepted is not correct" in shown
    assert "Weakest handoff: make_b -> make_c" in shown
    first = audit(path).nodes[0].first_pass
    assert f"make_a 80 {(first.estimate or 0):.1%} [{first.low:.1%}, {first.high:.1%}]" in shown
    assert "Next gate" in shown


def test_json_holds_the_report_field_by_field(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every rate has n, successes, estimate, low and high, and is that of the report."""
    assert main(["audit", path, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    report = audit(path)
    assert told["observed"] == {
        "n": 80,
        "successes": report.observed.successes,
        "estimate": report.observed.estimate,
        "low": report.observed.low,
        "high": report.observed.high,
    }
    assert [each["producer"] for each in told["handoffs"]] == ["make_a", "make_b", "make_c"]
    assert told["next_gates"][0]["producer"] == "make_b"


class Tags(HTMLParser):
    """Collects the tags of a page, and what they link to."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag."""
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]


def test_the_page_stands_by_itself(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file with charts, without scripts, that loads nothing from elsewhere; or printed."""
    target = tmp_path / "audit.html"
    assert main(["audit", path, "--html", str(target)]) == 0
    text = target.read_text()
    assert capsys.readouterr().out == ""
    assert main(["audit", path, "--html"]) == 0
    assert capsys.readouterr().out == text
    assert main(["audit", path, "--html", str(tmp_path / "no" / "where.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    tags = Tags()
    tags.feed(text)
    assert tags.tags.count("svg") == 2
    assert "script" not in tags.tags
    assert tags.links == []
    assert "url(" not in text
    charts = [text[i : text.index("</svg>", i) + 6] for i in _starts(text, "<svg")]
    assert [len(ElementTree.fromstring(each).findall(".//circle")) for each in charts] == [4, 6]  # noqa: S314 - ours


def _starts(text: str, what: str) -> list[int]:
    return [place for place in range(len(text)) if text.startswith(what, place)]


def test_what_was_recorded_steers_neither_page_nor_terminal_nor_table() -> None:
    """Names out of a store are escaped: no markup, no control character, no further cell."""
    evil = "a<script>|`\x1b[31m"
    store = MemoryStore()
    attempt = Attempt(1, "first", "rejected", 0.1, verdicts=(GateVerdict(evil, False),))
    store.write(
        [
            Run(RunId("r"), evil, None, "observe", "completed", 1.0, 2.0),
            Transition(RunId("r"), 1, None, "", 1, evil, "observed", 1.0, 0.1, attempts=(attempt,)),
        ]
    )
    report = audit(store, labels=[Label("r", False)])
    assert "<script" not in page(report)
    shown = [page(report), markdown(report), str(terminal(report).renderables[4])]
    assert not any("\x1b" in each for each in shown)
    cells = next(line for line in markdown(report).splitlines() if line.startswith("| a\\<script"))
    assert cells.replace("\\|", "").count("|") == 6


def test_labels_may_lie_elsewhere(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--labels` takes another file; one that is not there is an error of one line."""
    with open_store(path) as store:
        labels = [Label(run.id, True) for run in store.runs()]
    write_labels(tmp_path / "mine.jsonl", labels)
    assert main(["audit", path, "--labels", str(tmp_path / "mine.jsonl"), "--markdown"]) == 0
    assert "| correct | 80 | 100.0% " in capsys.readouterr().out
    assert main(["audit", path, "--labels", str(tmp_path / "none.jsonl")]) == 2
    assert "no such file of labels" in capsys.readouterr().err


def test_without_the_extra_the_audit_says_what_to_install(path: str) -> None:
    """Without scipy `audit` names the extra; `show` and `reliability` do not need it."""
    code = f"""
import sys
sys.modules["scipy"] = sys.modules["scipy.special"] = None
from coordgate.cli import main
assert main(["show", {path!r}]) == 0
assert main(["reliability", "0.9", "0.9"]) == 0
sys.exit(main(["audit", {path!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # noqa: S603 - ours
    assert done.returncode == 2
    assert done.stderr == (
        "coordgate: the audit of recorded runs needs scipy; install it with "
        "`pip install 'coordgate[audit]'`\n"
    )


def test_an_empty_store_is_told_of_without_a_finding() -> None:
    """Of no runs nothing is said to be shown or not shown."""
    shown = markdown(audit(MemoryStore()))
    assert shown == "# Audit of MemoryStore()\n\n## End to end\n\nNo runs yet.\n"


def test_one_run_is_counted_in_the_singular() -> None:
    """It says `1 run`."""
    store = MemoryStore()
    store.write([Run(RunId("r1"), "g", None, "enforce", "completed", started=1.0, ended=2.0)])
    assert "1 run: 1 completed." in markdown(audit(store))
