"""The programs under examples/: what each shows guarded, and what goes wrong bare."""

import re
from pathlib import Path

import pytest
from programs import EXAMPLES, run


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_can_be_read_in_a_sitting(path: Path) -> None:
    """Each is under 150 lines, and takes only public names of coordgate."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    assert not re.search(r"coordgate[\w.]*\._|import _", text)


def answer(lines: list[str]) -> str:
    """Return what the pipeline answers."""
    return lines[lines.index("") + 1]


def judged(lines: list[str]) -> list[str]:
    """Return what the gates say of what went out."""
    return [line.partition("): ")[2] for line in lines if line.startswith("judged afterwards")]


@pytest.mark.parametrize("server", [True, False], ids=["a server", "no extra"])
def test_the_pipeline_ships_what_is_grounded(tmp_path: Path, server: bool) -> None:
    """The poisoned look-up and the made-up sentence are caught, with the extra and without it."""
    for name in ("mcp", "langchain_mcp_adapters"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not installed')")
    lines = run("validation_pipeline", "--wait", "0.1", before=None if server else tmp_path)
    assert any(re.match(r"carrier +1 first +rejected .*held back", line) for line in lines)
    assert any(re.match(r"carrier +2 retry +accepted", line) for line in lines)
    assert any(
        re.match(r"answer +1 first +rejected .*not supported by facts", line) for line in lines
    )
    assert any(re.match(r"answer +2 retry +accepted", line) for line in lines)
    assert "Order 4471 arrives on 9 March [1]." in answer(lines)
    assert "companies" not in answer(lines)
    assert judged(lines) == ["passed", "passed"]


def test_the_pipelines_fan_out_is_quicker_than_its_chain() -> None:
    """Three services that each wait are waited for at once: less than two thirds of the time."""
    times = re.findall(r"([\d.]+) s", run("validation_pipeline", "--wait", "0.5")[-1])
    chained, beside = map(float, times)
    assert beside < chained * 2 / 3


def test_the_pipeline_bare_ships_what_was_made_up() -> None:
    """Without coordgate the carrier's order is among the facts, and a made-up sentence goes out."""
    lines = run("validation_pipeline", "--wait", "0.01", "--bare")
    assert "arrives on 9 March" not in answer(lines)
    assert "400 companies" in answer(lines)
    instructions, invented = judged(lines)
    assert "instructions hidden in the text" in instructions
    assert "1 of 3 sentences of answer are not supported by facts" in invented


def test_the_pipeline_leaves_what_it_does_not_know_to_a_person() -> None:
    """A mail that fits no route goes to the default."""
    lines = run("validation_pipeline", "--wait", "0.01", "--text", "hello")
    assert lines[0].startswith("route      1 first    accepted no label fits")
    assert answer(lines) == "A colleague will read this."


def test_the_audit_on_paper_does_its_arithmetic() -> None:
    """Four rates and three handoffs come to .867 on paper, and .791 end to end."""
    assert run("reliability_audit", "--bare")[1:] == [
        "product of the nodes  0.867",
        "end to end            0.791",
        "gap                   0.076",
        "nothing was run: no interval, no weakest handoff, and right only if the rates are",
    ]


def test_the_audit_measures_what_it_was_not_told() -> None:
    """Its intervals hold the true rates, and the whole is shown to be below its parts."""
    lines = run("reliability_audit", "--runs", "600")
    found = {
        words[1]: (float(words[2]), float(words[3]))
        for line in lines
        if (words := re.match(r"(\D+?) +[\d.]+  \[([\d.]+), ([\d.]+)\]", line))
    }
    truth = {"retrieve": 0.98, "reason": 0.96, "draft": 0.97, "review": 0.95}
    truth |= {"product of the nodes": 0.867, "runs that were right": 0.791, "gap": 0.076}
    assert {name: low <= truth[name] <= high for name, (low, high) in found.items()} == (
        dict.fromkeys(truth, True)
    )
    assert "the whole against its parts: below" in lines
    assert lines[-1].endswith("had one known each rate: 0.791, within what was measured")


def test_an_agent_is_guarded_from_outside() -> None:
    """Misspelt tool, unknown argument and invented figure are sent back, and told no user."""
    lines = run("retrofit_agent")
    assert "there is no tool 'oder'" in lines[0]
    assert "refund is not known" in lines[1]
    assert any("no tool has said 149" in line for line in lines)
    assert lines[-1].endswith("Your lamp, for 129 euro, came on 9 March.")
    assert "149" not in "".join(lines[lines.index("") :])
    bare = run("retrofit_agent", "--bare")
    assert bare[-1].endswith("you get 149 euro back.")


def test_a_team_is_guarded_from_outside() -> None:
    """Guarded, the misspelt name is tried again and the text is grounded; bare, nothing is said."""
    lines = run("retrofit_team")
    assert "did you mean 'researcher'" in lines[0]
    assert any("does not say '90 years'" in line for line in lines)
    assert lines[-1].split()[0] == "writer"
    assert "90 years" not in "".join(lines[lines.index("") :])
    assert [line.split()[0] for line in run("retrofit_team", "--bare") if line] == ["human"]
