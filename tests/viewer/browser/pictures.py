"""The pictures of docs/viewer.md, of real runs of the demo: run it to draw them anew."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import ARGUMENTS, found
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from serving import served

from coordgate.stores import open_store
from coordgate.viewer import viewer

ROOT = Path(__file__).parents[3]

RUNS = (
    *(["--seed", str(seed)] for seed in (1, 3, 6, 14, 2)),
    ["--ask", "Xyzzy plugh?"],  # of which the documents know nothing
    *(["--seed", str(seed)] for seed in (5, 8)),
)
"""Of the demo; what goes wrong in each follows from its seed."""


def main() -> None:
    """Run the demo, look at its store, and write the pictures."""
    with tempfile.TemporaryDirectory() as home:
        os.chdir(home)  # the page tells the path
        for given in RUNS:
            demo = ["demo", "--docs", str(ROOT / "docs"), "--faults", "0.6", *given]
            subprocess.run(  # noqa: S603 - this Python
                [sys.executable, "-m", "coordgate.cli", *demo],
                stdout=subprocess.DEVNULL,
                check=False,  # a run that fails is to be seen, too
            )
        store = Path("traces.db")
        with served(viewer(store)) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found(), args=ARGUMENTS)
            tab = browser.new_page(viewport={"width": 1180, "height": 640}, color_scheme="light")
            tab.goto(address)
            draw(tab, "viewer-runs.png")
            tab.goto(f"{address}{retried(store)}")
            draw(tab, "viewer-run.png")
            browser.close()


def retried(store: Path) -> str:
    """Return where the run is shown that had most attempts, at its first rejection."""
    with open_store(store) as opened:
        ended = {
            run.id: list(opened.transitions(run.id)) for run in opened.runs(status="completed")
        }
    id, transitions = max(ended.items(), key=lambda each: sum(len(one.attempts) for one in each[1]))
    first = next(each.number for each in transitions if len(each.attempts) > 1)
    return f"/run?id={id}&number={first}"


def draw(tab: Page, name: str) -> None:
    """Write what a page shows into the documentation."""
    tab.wait_for_timeout(1_000)  # the graph is laid out
    tab.screenshot(path=ROOT / "docs" / name, animations="disabled")


if __name__ == "__main__":
    main()
