"""Which process is this, and is that one still alive: what tells a lost run from a running one."""

from __future__ import annotations

import functools
import os
from pathlib import Path

_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""What Linux calls the pid namespace of the machine itself, outside every container."""


def identity() -> str:
    """Return `host:pid:start` of this process; quick to call, and right after a fork."""
    return _identity_of(os.getpid())


def is_here(process: str) -> bool:
    """Return whether `process` belongs to this host, and so can be looked up."""
    return process.rpartition(":")[0].rpartition(":")[0] == host()


def is_alive(process: str) -> bool:
    """Return whether `process`, one of this host, still runs; a reused pid is another process."""
    rest, _, start = process.rpartition(":")
    pid = rest.rpartition(":")[2]
    if not pid.isdecimal():
        return False
    now = _start_of(int(pid))
    return now != "" and start in {now, "0"}


@functools.cache
def host() -> str:
    """Return the host's name, with its pid namespace where that is a container's."""
    name = os.uname().nodename
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return name
    # Two containers may share a host name, and never each other's process numbers.
    return name if namespace == _FIRST_PID_NAMESPACE else f"{name}/{namespace[5:-1]}"


@functools.lru_cache(maxsize=8)
def _identity_of(pid: int) -> str:
    return f"{host()}:{pid}:{_start_of(pid) or '0'}"


def _start_of(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty if there is none.

    Without /proc the start is unknown: `0` if there is such a process.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() or not _answers(pid) else "0"
    # The name, field 2, stands in brackets and may hold spaces and brackets; the state is field 3.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
