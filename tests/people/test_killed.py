"""What was shown ships, and nothing else, wherever the process is killed."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from killing import lines_of

PROGRAM = Path(__file__).with_name("answering.py")
SAVERS = ["sqlite-sync", "sqlite-async", "postgres-sync", "postgres-async"]
SHAPES = ["plain", "subgraph", "parallel", "sent"]


@pytest.mark.parametrize(
    "saver", ["sqlite-sync", "sqlite-async", "postgres-sync", "postgres-async"]
)
def test_what_was_shown_ships_wherever_the_process_is_killed(
    saver: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Killed before any write, from the question on, no body runs again once it was shown."""
    # In a subgraph, in parallel branches, in tasks that were sent; answered at once or one by one.
    postgres = saver.startswith("postgres")
    place = request.getfixturevalue("checkpoints") if postgres else str(tmp_path / "saved.db")
    ledgers = tmp_path / "ledgers"
    ledgers.mkdir()
    cases = lines_of(PROGRAM, saver, place, str(ledgers), *SHAPES)
    points = Counter((case["shape"], case["do"]) for case in cases)
    assert set(points) == {
        *((shape, "all") for shape in SHAPES),
        *((shape, "each") for shape in ("parallel", "sent")),
        *((shape, "ask") for shape in ("plain", "sent")),
    }
    assert all(number >= 4 for number in points.values()), points
    for case in cases:
        check(case)
    for kind in points:
        same = [case for case in cases if (case["shape"], case["do"]) == kind]
        assert [case["killed"] for case in same] == [True] * (len(same) - 1) + [False]
        if kind[1] != "ask":
            # Killed before the answer was written the question is open; afterwards it is answered.
            assert same[0]["went_on"] == same[0]["asked"]
            assert sum(case["went_on"] == case["ends"] for case in same) >= 2


def check(case: dict[str, Any]) -> None:
    """Assert that what was asked has shipped, and that no body ran after it was shown."""
    wrote = [line[6:] for line in case["ledger"] if line.startswith("wrote")]
    sent = [line for line in case["ledger"] if line.startswith("sent")]
    asked = case["asked"]
    drafts = ["b edited" if draft.startswith("b") else draft for draft in asked]
    if case["shape"] == "parallel":
        drafts.append(last(wrote, "c"))
    assert case["ends"] == f"sent {', '.join(drafts)}", case
    # A node that was killed runs again, on the same.
    assert set(sent) == {case["ends"]}, case
    if case["do"] != "ask":
        assert Counter(draft[0] for draft in wrote) == Counter(draft[0] for draft in drafts), case
    assert set(asked) <= set(wrote), case
    if isinstance(case["went_on"], list):
        assert set(case["went_on"]) <= set(asked), case


def last(wrote: list[str], task: str) -> str:
    """Return the last draft of a task."""
    return [draft for draft in wrote if draft.startswith(task)][-1]
