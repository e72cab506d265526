"""Kinds of arguments that commands share: each takes the text given, or says what is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

from coordgate.errors import StoreError
from coordgate.labels import Label, read_labels


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the store that a command reads."""
    parser.add_argument("store", metavar="STORE", help="a trace file (.db, .jsonl) or its URL")


def add_app(parser: argparse.ArgumentParser) -> None:
    """Add the graph that a command holds a store against."""
    parser.add_argument(
        "--app", required=True, metavar="FILE.py:NAME", help="the guarded graph, or its factory"
    )


def add_labels(parser: argparse.ArgumentParser) -> None:
    """Add the labels of a store."""
    parser.add_argument(
        "--labels", metavar="FILE", help="what is known to be correct (else STORE.labels.jsonl)"
    )


def count(text: str) -> int:
    """Return a count from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a count from 0")
    return int(text)


def at_least_one(text: str) -> int:
    """Return a count from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a count from 1")
    return int(text)


def port(text: str) -> int:
    """Return a port of TCP; 0 means any free one."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    try:
        given = float(text)
    except ValueError:
        given = -1.0
    if not 0 <= given <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return given


def named_labels(path: str | None) -> list[Label] | None:
    """Return the labels of the file that was named; None if none was.

    Raises:
        StoreError: there is no such file, or it holds something else.
    """
    if path is None:
        return None
    if not Path(path).exists():
        raise StoreError(f"{path}: there is no such file of labels")
    return list(read_labels(path))
