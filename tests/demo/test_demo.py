"""The demo: what it answers, what the gates catch, and what goes out without them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from demo_runs import RATE, flags, seed_with

from coordgate.demo import main, own_documents
from coordgate.demo.offline import MADE_UP, Fault
from coordgate.stores import open_store


def told(capsys: pytest.CaptureFixture[str], docs: Path, **given: object) -> dict[str, Any]:
    """Run the demo with --json and return its document."""
    code = main(flags(docs, json=True, **given))
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (0 if document["error"] is None else 1)
    return document


def test_it_answers_from_the_documents(herons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A question that the folder answers is answered, with the file and line it rests on."""
    assert main(flags(herons)) == 0
    shown = capsys.readouterr().out
    assert "offline stand-in (no language model)" in shown
    assert "2 documents, 3 passages" in shown
    assert "The heron waits in shallow water for passing fish [1]." in shown
    assert "[1] heron.md:3  Herons" in shown
    assert "nothing: every first attempt passed" in shown
    assert shown.index("retrieve  accepted") < shown.index("Answer") < shown.index("What the gates")


def test_the_run_is_recorded(herons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The store holds the run and its three transitions; the screen says how to look at them."""
    assert main(flags(herons, store="here.db")) == 0
    shown = capsys.readouterr().out
    store = open_store("here.db")
    (run,) = store.runs()
    assert run.status == "completed"
    assert run.graph == "retrieve-draft-verify"
    assert [each.node for each in store.transitions(run.id)] == ["retrieve", "draft", "verify"]
    store.close()
    assert f"coordgate show here.db {run.id[:12]}" in shown


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("unsupported", "rejected"),
        ("uncited", "rejected"),
        ("empty", "rejected"),
        ("exception", "raised"),
        ("malformed", ("violated", "raised")),
    ],
)
def test_a_faulty_draft_is_caught_and_written_again(
    herons: Path, capsys: pytest.CaptureFixture[str], fault: Fault, caught: str | tuple[str, ...]
) -> None:
    """Each way of going wrong is caught on the first attempt, and the second one goes out."""
    seed = seed_with({("Draft", 1): fault})
    document = told(capsys, herons, faults=RATE, seed=seed)
    draft = document["transitions"][1]
    first, second = draft["attempts"]
    assert first["outcome"] in caught
    assert first["reasons"]
    assert (second["rung"], second["outcome"]) == ("retry", "accepted")
    assert document["answer"].startswith("The heron waits in shallow water for passing fish [1].")
    assert document["objections"] == []


@pytest.mark.parametrize("fault", ["exception", "malformed", "empty"])
def test_a_faulty_verdict_is_caught_and_given_again(
    herons: Path, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    """The judge is held to its contract and its gate as the writer is."""
    seed = seed_with({("Opinion", 1): fault})
    document = told(capsys, herons, faults=RATE, seed=seed)
    verify = document["transitions"][2]
    assert [each["outcome"] == "accepted" for each in verify["attempts"]] == [False, True]
    assert document["supported"] is True


@pytest.mark.parametrize("fault", ["unsupported", "uncited", "empty"])
def test_without_the_guard_the_same_seed_ships_it(
    herons: Path, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    """Bare, a bad draft goes out where the judge looks away; the gates say so afterwards."""
    faults: dict[tuple[str, int], Fault] = {("Draft", 1): fault}
    if fault == "unsupported":
        faults["Opinion", 1] = "careless"
    seed = seed_with(faults)
    guarded = told(capsys, herons, faults=RATE, seed=seed)
    bare = told(capsys, herons, faults=RATE, seed=seed, bare=True)
    assert guarded["objections"] == []
    assert bare["objections"]
    assert bare["supported"] is True
    assert main(flags(herons, faults=RATE, seed=seed, bare=True)) == 0
    assert "This answer went out. The gates, asked after the fact, say:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seed", "bare_ends"),
    [
        (16, "are not supported by passages"),
        (18, "answer is empty"),
        (19, "The run crashed in verify."),
    ],
)
def test_the_seeds_of_the_documentation_show_what_it_says(
    herons: Path, capsys: pytest.CaptureFixture[str], seed: int, bare_ends: str
) -> None:
    """On each seed that docs/demo.md names, guarded answers well and bare does not."""
    page = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()
    assert f"seed {seed}" in page
    guarded = told(capsys, herons, faults=RATE, seed=seed)
    assert guarded["answer"].startswith("The heron waits")
    assert guarded["objections"] == []
    main(flags(herons, faults=RATE, seed=seed, bare=True))
    assert bare_ends in " ".join(capsys.readouterr().out.split())


def test_without_the_guard_an_exception_ends_the_run(
    herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bare, a lost connection crashes; the screen says in which node and shows the last line."""
    seed = seed_with({("Draft", 1): "exception"})
    assert main(flags(herons, faults=RATE, seed=seed, bare=True)) == 1
    shown = capsys.readouterr().out
    assert "The run crashed in draft. No answer went out." in shown
    assert "ConnectionError: the model's server closed the connection (simulated)" in shown


def test_an_unsupported_draft_that_the_judge_names_is_written_again_bare(
    herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The graph's own loop works without the guard, and what it says reaches the second draft."""
    seed = seed_with({("Draft", 1): "unsupported"})
    bare = told(capsys, herons, faults=RATE, seed=seed, bare=True)
    assert bare["objections"] == []
    assert not any(said in bare["answer"] for said in MADE_UP)


def test_a_writer_who_never_recovers_is_replaced(
    herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When every call fails, the draft comes from the fallback, and the check is given up, told."""
    seed = next(
        seed for seed in range(500) if told(capsys, herons, faults=1.0, seed=seed)["answer"]
    )
    document = told(capsys, herons, faults=1.0, seed=seed)
    draft, verify = document["transitions"][1:3]
    assert [each["rung"] for each in draft["attempts"]] == [
        "first",
        "retry",
        "retry",
        "fallback:quote_passages",
    ]
    assert draft["status"] == "accepted"
    assert len(verify["attempts"]) <= 4
    assert document["answer"].startswith("The heron waits")


def test_whatever_the_seed_nothing_bad_goes_out_guarded(
    herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over many seeds each guarded run ends in an answer that its gates accept."""
    guarded = [told(capsys, herons, faults=RATE, seed=seed) for seed in range(25)]
    assert all(each["error"] is None and each["objections"] == [] for each in guarded)
    bare = [told(capsys, herons, faults=RATE, seed=seed, bare=True) for seed in range(25)]
    assert sum(bool(each["error"] or each["objections"]) for each in bare) >= 3


def test_nothing_to_quote_ends_in_the_stated_answer(
    herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no draft passes, the answer that the policy states goes out, and is called that."""
    (herons / "plover.md").write_text("# Plovers\n\nplovers and more plovers\n")
    assert main(flags(herons, ask="Where do plovers go?")) == 0
    shown = capsys.readouterr().out
    assert "draft     degraded" in shown
    assert "The documents do not answer this question." in shown
    assert "No draft passed: this is the answer that the policy states for it." in shown
    assert "Not verified" not in shown
    assert "FAIL cites" in shown or "FAIL grounded_in" in shown
    assert "why " not in shown  # a reason that a verdict states is not said again
    assert shown.count("draft     ") == 1


def test_nothing_found_fails_with_the_error_s_own_text(
    herons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A question that no passage matches is refused by the first gate, and nothing is made up."""
    assert main(flags(herons, ask="submarine diesel?")) == 1
    shown = capsys.readouterr().out
    assert "The run failed in retrieve. No answer went out." in shown
    assert "passages is empty" in shown
    assert "retrieve  failed" in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"docs": "nowhere"}, "there is no such folder"),
        ({"docs": "empty"}, "no prose was found"),
        ({"ask": "  "}, "--ask is empty"),
        ({"faults": 1.5}, "give a share of the calls, from 0 to 1"),
        ({"store": "missing/dir/traces.db"}, "missing/dir"),
    ],
)
def test_bad_usage_is_told_before_anything_runs(
    herons: Path, capsys: pytest.CaptureFixture[str], given: dict[str, object], said: str
) -> None:
    """What cannot work ends with 2, one message on the error stream, and nothing on the other."""
    Path("empty").mkdir()
    assert main(flags(**{"docs": herons, **given})) == 2  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert said in " ".join(captured.err.split())
    assert captured.out == ""


def test_faults_are_refused_where_a_real_model_answers(
    herons: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the stand-in goes wrong on request."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert main(flags(herons, faults=0.3)) == 2
    assert "--faults is for the offline stand-in" in " ".join(capsys.readouterr().err.split())


def test_control_characters_are_escaped(herons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A document cannot steer the terminal, nor can a question."""
    (herons / "evil.md").write_text("The kiwi \x1b[31mwalks\x1b[0m through the forest at night.")
    assert main(flags(herons, ask="Where does the kiwi walk\x07 in the forest?")) == 0
    shown = capsys.readouterr().out
    assert "\\x1b[31mwalks" in shown
    assert "walk\\x07 in" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_its_own_documents_are_found_from_below_the_checkout(tmp_path: Path) -> None:
    """Without --docs the README and docs of the checkout are read, from any folder inside it."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "coordgate"\n')
    (tmp_path / "README.md").write_text("Read me first.")
    (tmp_path / "notes.md").write_text("Not part of it.")
    (tmp_path / "docs" / "more").mkdir(parents=True)
    (tmp_path / "docs" / "more" / "a.md").write_text("A page.")
    library = own_documents(tmp_path / "docs" / "more")
    assert library.files == ("README.md", "docs/more/a.md")


def test_piped_output_is_plain_and_narrow(herons: Path) -> None:
    """Into a pipe that takes ASCII alone go no escape codes, and no line over 80 columns."""
    (herons / "arrow.md").write_text("The crane goes north → south in autumn, every single year.")
    shown = in_a_process(
        "from demo_runs import flags\n"
        "from coordgate.demo import main\n"
        "raise SystemExit(main(flags('birds', ask='When does the crane go south?')))",
        PYTHONIOENCODING="ascii",
    )
    assert shown.returncode == 0, shown.stderr
    assert "\\u2192" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_a_missing_bm25s_names_the_extra(herons: Path) -> None:
    """Without the search library the import says what to install."""
    shown = in_a_process("import sys\nsys.modules['bm25s'] = None\nimport coordgate.demo")
    assert shown.returncode == 1
    assert "ImportError: the demo searches with bm25s" in shown.stderr
    assert "pip install 'coordgate[demo]'" in shown.stderr


def in_a_process(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, in the current folder."""
    here = str(Path(__file__).parent)
    return subprocess.run(  # noqa: S603 - the program stands in this file
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": here, **environment},
    )
