"""The vendored scripts: they are what they are said to be, and they are in the wheel."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from coordgate.viewer.pages import STATIC

VENDOR = STATIC / "vendor"
ROW = re.compile(
    r"^\| `(?P<file>\S+)` \| \S+ \| [\d.]+ \| "
    r"\S+, `(?P<licence>\S+)` \| `\S+` \| `(?P<hash>\w+)` \|$",
    re.MULTILINE,
)


def test_vendored_files_are_those_of_the_packages() -> None:
    """Each file has the hash that its README tells, and its licence beside it; none is untold."""
    told = {each["file"]: each for each in ROW.finditer((VENDOR / "README.md").read_text())}
    licences = {each["licence"] for each in told.values()}
    assert {each.name for each in VENDOR.iterdir()} == {"README.md", *told, *licences}
    hashes = {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in told}
    assert hashes == {name: each["hash"] for name, each in told.items()}


def test_pages_load_nothing_from_elsewhere() -> None:
    """No template and no file of our own names another host, or holds a script or style inline."""
    own = [*STATIC.glob("*.*"), *Path(STATIC.parent, "templates").iterdir()]
    bad = re.compile(
        r"""https?://(?!www\.w3\.org/)|<style|\sstyle=|\son\w+=["']|javascript:|innerHTML"""
        r"""|<script(?![^>]*(src=|type="application/json"))"""
    )
    found = {each.name: bad.findall(each.read_text()) for each in own}
    assert {name: what for name, what in found.items() if what} == {}
