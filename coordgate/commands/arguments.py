"""Kinds of arguments that commands share: each takes the text given, or says what is wrong."""

from __future__ import annotations

import argparse


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
