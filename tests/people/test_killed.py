"""What was shown ships, and nothing else, wherever the process is killed."""

from pathlib import Path
from typing import Any

import pytest
from killing import lines_of

PROGRAM = Path(__file__).with_name("answering.py")


def cases(directory: Path, task: str) -> list[dict[str, Any]]:
    """Return what came of killing one step at each point in turn; the last was not killed."""
    found: list[dict[str, Any]] = lines_of(PROGRAM, str(directory), task)
    assert [case["killed"] for case in found] == [True] * (len(found) - 1) + [False]
    return found


@pytest.mark.parametrize("answer", ["approve", "edit"])
def test_an_answer_survives_a_kill_at_every_write(tmp_path: Path, answer: str) -> None:
    """Killed before or after any write of the resume, the run goes on, and the body never runs."""
    # Where the answer was lost with the process, the same question is still open.
    found = cases(tmp_path, answer)
    for case in found:
        ships = case["asked"] if answer == "approve" else "edited"
        assert case["went_on"] in {case["asked"], f"sent {ships}"}
        assert case["ends"] == f"sent {ships}"
        wrote, *sent = case["ledger"]
        assert wrote == f"wrote {case['asked']}"
        assert set(sent) == {f"sent {ships}"}  # a node that was killed runs again, on the same
    assert found[0]["went_on"] == found[0]["asked"]  # killed before the answer was written
    assert sum(case["went_on"] != case["asked"] for case in found) >= 6
    assert len(found) >= 8


def test_a_question_survives_a_kill_while_it_is_put(tmp_path: Path) -> None:
    """Killed while the question is written, the run asks again, about what then ships."""
    found = cases(tmp_path, "ask")
    for case in found:
        assert case["ends"] == f"sent {case['asked']}"
        assert case["ledger"][-2:] == [f"wrote {case['asked']}", f"sent {case['asked']}"]
    assert len(found) >= 4
    assert any(case["ledger"].count(f"wrote {case['asked']}") == 1 for case in found)
