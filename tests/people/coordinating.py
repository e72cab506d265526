"""The coordination guard of the examples, killed at random moments until it is done.

Run as `coordinating.py DIRECTORY SEED KILLS`. Each run of the example is asked and answered in
processes of its own, which are killed and begun again; as many runs as it takes for so many kills.
It prints a line of JSON for each run, with what was wrong with it.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from killing import until_done

from coordgate import HandoffError, open_store

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from coordination_guard import desk, run, stand_in

PLANS = {
    "sure": [],
    "approve": [{"decision": "approve"}],
    "edit": [{"decision": "edit", "update": {"confidence": 1.0, "ready_for_prod": True}}],
    "reject": [{"decision": "reject", "reason": "no"}],
    "retry": [{"decision": "retry", "feedback": "look again"}, {"decision": "approve"}],
}
EACH = 4  # how often a step is killed at most
ENDED = {"completed", "failed", "interrupted", "cancelled", "lost"}


class Case:
    """One run of the example: one thread, asked and answered as planned."""

    def __init__(self, home: Path, thread: str, plan: str) -> None:
        """Take the folder, and what the people of this run will say."""
        self.home, self.thread, self.plan = home, thread, plan
        self.ledger = home / f"{thread}.bodies"
        self.wrong: list[str] = []
        self.kills: list[str] = []
        self.final = PLANS[plan][-1]["decision"] if PLANS[plan] else "ask"

    @property
    def bodies(self) -> int:
        """How often the analyst's body has run."""
        return len(self.ledger.read_text().splitlines()) if self.ledger.exists() else 0

    def step(self, answer: Callable[[Any], Any]) -> dict[str, Any]:
        """Go on with the run in this process; return what it asks, or what came of it."""

        def model(prompt: str, confidence: float) -> str:
            with self.ledger.open("a") as file:
                file.write("ran\n")
            said = json.loads(stand_in(prompt, confidence))
            return json.dumps({**said, "insight": f"{self.thread}: reading {self.bodies}"})

        with desk(self.home, model=model) as app:
            try:
                state = run(app, self.thread, 0.9 if self.plan == "sure" else 0.62, answer)
            except HandoffError as error:
                return {"failed": str(error)}
        asked = state.get("__interrupt__")
        if asked:
            payload = asked[0].value
            return {"candidate": payload["candidate"], "rounds": rounds(payload)}
        return {"published": state["insight"]}

    def steps(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield the steps of the plan, each to be done until it is not killed."""
        yield "ask", lambda: self.step(lambda _: None)
        for place, said in enumerate(PLANS[self.plan]):
            given = dict(said)
            if given["decision"] == "edit":
                given["update"] = {**said["update"], "insight": f"{self.thread}: edited"}

            def answer(asked: Any, place: int = place, given: Any = given) -> Any:
                # After a kill the answer may have been taken already; what is asked now is another.
                due = rounds(asked) == place and "refused" not in asked
                return {**given, "by": "ann"} if due else None

            yield given["decision"], lambda answer=answer: self.step(answer)

    def go(self, random: Random, longest: float, most: int) -> None:
        """Do the whole plan, killed again and again, and say what was wrong."""
        shown: dict[str, Any] = {}
        for name, step in self.steps():
            before = self.bodies
            for ended in until_done(step, random=random, longest=longest, kills=most):
                if ended.killed:
                    self.kills.append(name)
                else:
                    came = ended.value
            if name not in {"ask", "retry"} and self.bodies != before:
                self.wrong.append(f"the body ran again on {name}")
            if "candidate" in came:
                shown = came["candidate"]
        self.check(came, shown)

    def check(self, came: dict[str, Any], shown: dict[str, Any]) -> None:
        """Compare what was published with what was shown."""
        ships = {"edit": f"{self.thread}: edited"}.get(self.plan, shown.get("insight"))
        with closing(sqlite3.connect(self.home / "published.db")) as production:
            production.execute("CREATE TABLE IF NOT EXISTS published (key PRIMARY KEY, payload)")
            rows = production.execute("SELECT payload FROM published").fetchall()
        insights = [json.loads(row)["insight"] for (row,) in rows]
        own = [each for each in insights if each.startswith(f"{self.thread}:")]
        if self.plan == "reject":
            if own or "failed" not in came:
                self.wrong.append(f"published in spite of a no: {own}, {came}")
        elif len(own) != 1 or came != {"published": own[0]}:
            self.wrong.append(f"published {own}, and the run says {came}")
        elif self.plan != "sure" and own != [ships]:
            self.wrong.append(f"published {own}, shown {ships!r}")


def rounds(payload: Any) -> int:
    """Return how many answers a question comes after."""
    return sum(each["rung"].startswith("escalate:") for each in payload["attempts"])


def recorded(home: Path) -> dict[str, list[str]]:
    """Return the statuses of each thread's runs in the store, the oldest first."""
    found: dict[str, list[str]] = {}
    with closing(open_store(home / "traces.db")) as store:
        for each in store.runs(newest_first=False):
            found.setdefault(str(each.thread), []).append(each.status)
    return found


def main(directory: str, seed: str, kills: str) -> None:
    """Run cases until so many processes were killed; then compare the store."""
    home, random = Path(directory), Random(int(seed))  # noqa: S311 - moments, not secrets
    trial = Case(home, "trial", "approve")
    began = time.monotonic()
    trial.go(random, 0.0, 0)
    longest = (time.monotonic() - began) / 2
    cases = [trial]
    while sum(len(case.kills) for case in cases) < int(kills):
        plan = random.choice(list(PLANS))
        case = Case(home, f"t{len(cases)}", plan)
        case.go(random, longest, EACH)
        cases.append(case)
    statuses = recorded(home)
    for case in cases:
        runs = statuses.get(case.thread, [])
        last = "failed" if case.plan == "reject" else "completed"
        heard = runs[-1:] == [last]
        # Killed after the last checkpoint, and before the tracer wrote: then nothing is left to do.
        if not set(runs) <= ENDED or (not heard and case.kills[-1:] != [case.final]):
            case.wrong.append(f"the store has the runs {runs}")
        told = {"thread": case.thread, "plan": case.plan, "kills": case.kills, "heard": heard}
        sys.stdout.write(json.dumps({**told, "runs": runs, "wrong": case.wrong}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
