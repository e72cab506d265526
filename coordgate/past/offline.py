"""Offline: a stretch of a program in which nothing of this process reaches a network."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from typing import Any

_CLOSED: set[str] = set()
_REFUSED = frozenset({"socket.connect", "socket.getaddrinfo", "socket.sendto"})


class Offline(OSError):
    """A connection was asked for where there must be none."""


@contextlib.contextmanager
def offline() -> Generator[None]:
    """Refuse every connection while the block runs, with an error that says so."""
    if "hooked" not in _CLOSED:
        _CLOSED.add("hooked")
        sys.addaudithook(_refuse)  # there is no way to take it off again, but to have it do nothing
    _CLOSED.add("now")
    try:
        yield
    finally:
        _CLOSED.discard("now")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED and "now" in _CLOSED:
        raise Offline(f"a replay reaches no network, and something asked for {event}")
