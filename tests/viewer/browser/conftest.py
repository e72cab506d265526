"""A real headless Chromium; without one these tests are skipped, or fail if it is demanded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NEEDED = "COORDGATE_NEEDS_CHROMIUM"
"""Where CI says that a missing browser is a failure."""

MISSING = "no Chromium found: browser tests not run; apt-get install chromium"

NAMES = ("chromium", "chromium-browser", "google-chrome")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def found() -> str | None:
    """Return the path of a Chromium: what CHROMIUM names, or the first on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


# For each module: while Playwright runs, this thread counts as one that runs an event loop, in
# which the tests of other modules could not start theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give the browser."""
    path = found()
    if path is None:
        if os.environ.get(NEEDED) == "1":
            pytest.fail(f"no Chromium found, and {NEEDED}=1: apt-get install chromium")
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say once for all tests here that there is no browser: the summary folds what is the same."""
    report = yield
    if report.skipped and MISSING in str(report.longrepr):
        report.longrepr = (__file__, 1, f"Skipped: {MISSING}")
    return report


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """Give a fresh page, which fails the test if it logs an error or asks another host."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if _is_error(said) else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda asked: None if "://127.0.0.1:" in asked.url else wrong.append(asked.url),
    )
    yield page
    context.close()
    assert wrong == []


def _is_error(said: ConsoleMessage) -> bool:
    """Return whether a page has logged an error; that it is an error page itself is none."""
    if "Failed to load resource" in said.text and said.page is not None:
        return said.location["url"] != said.page.url
    return said.type == "error"
