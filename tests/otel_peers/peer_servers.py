"""Phoenix and MLflow: how each is installed, started, sent to and asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STARTS_WITHIN = 180.0
"""Seconds until a server must answer: the first start makes its database."""


class PeerFailed(Exception):
    """A server could not be installed, started or asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A span as a server shows it."""

    name: str
    """Its name."""
    kind: str
    """What the server takes it for."""
    given: Any
    """What it was given, of JSON; None if the server shows nothing."""
    gave: Any
    """What it gave, likewise."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that shows traces."""

    name: str
    """Its name in the table."""
    package: str
    """The package, as the index has it."""
    version: str
    """The release that is installed."""
    command: Callable[[Path, int, Path], Sequence[str]]
    """How to start it: by the folder of its programs, a port, and a folder for its data."""
    settings: Callable[[int, Path], Mapping[str, str]]
    """Its environment, by the port and the folder: among it, to ask nobody and to tell nobody."""
    ready: str
    """The path that answers once it has started."""
    headers: Mapping[str, str]
    """What it wants to be told with what is sent to it."""
    ask: Callable[[str], list[Shown]] = field(repr=False)
    """All spans that it has, by the address of the server."""


def installed(peer: Peer, home: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of the programs of a peer, installed in an environment of its own.

    Raises:
        PeerFailed: the release cannot be had.
    """
    place = home / f"{peer.package}-{peer.version}"
    stamp = place / "installed"
    if not stamp.exists():
        say(f"installing {peer.package} {peer.version} (some minutes the first time)")
        shutil.rmtree(place, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(place)])
        wanted = f"{peer.package}=={peer.version}"
        pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", wanted])
        stamp.touch()
    return place / "bin"


@contextmanager
def running(peer: Peer, programs: Path, data: Path) -> Iterator[str]:
    """Run a server on loopback, and give its address; it ends with its own process group.

    Raises:
        PeerFailed: it does not start.
    """
    port = _free_port()
    data.mkdir(parents=True)
    address = f"http://127.0.0.1:{port}"
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "LANG", "TMPDIR"}}
    with (data / "server.log").open("w") as log:
        server = subprocess.Popen(  # noqa: S603 - no shell
            peer.command(programs, port, data),
            cwd=data,
            env={**kept, "HOME": str(data), **peer.settings(port, data)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(server, address + peer.ready, data / "server.log")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_for(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise PeerFailed(f"the server did not start:\n{end}")


def _asked(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def _phoenix(address: str) -> list[Shown]:
    found: list[Shown] = []
    cursor = ""
    while True:
        page = _asked(f"{address}/v1/projects/default/spans?limit=1000{cursor}")
        for span in page["data"]:
            told = span["attributes"]
            given, gave = told.get("input.value"), told.get("output.value")
            found.append(Shown(span["name"], span["span_kind"], parsed(given), parsed(gave)))
        if not page.get("next_cursor"):
            return found
        cursor = f"&cursor={page['next_cursor']}"


def _mlflow(address: str) -> list[Shown]:
    where = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    traces = _asked(f"{address}/api/3.0/mlflow/traces/search", {"locations": [where]})
    found: list[Shown] = []
    for trace in traces.get("traces", ()):
        whole = _asked(f"{address}/api/3.0/mlflow/traces/get?trace_id={trace['trace_id']}")
        for span in whole["trace"]["spans"]:
            told = {each["key"]: _value(each.get("value", {})) for each in span["attributes"]}
            kind = str(told.get("mlflow.spanType"))
            given, gave = told.get("mlflow.spanInputs"), told.get("mlflow.spanOutputs")
            found.append(Shown(span["name"], kind, parsed(given), parsed(gave)))
    return found


def _value(told: Mapping[str, Any]) -> Any:
    """Return a value of OTLP as JSON has it."""
    match told:
        case {"kvlist_value": held}:
            return {each["key"]: _value(each.get("value", {})) for each in held.get("values", ())}
        case {"array_value": held}:
            return [_value(each) for each in held.get("values", ())]
        case {"int_value": number}:
            return int(number)
        case _:
            return next(iter(told.values()), None)


def parsed(value: Any) -> Any:
    """Return what a text says as JSON; of any other text or value, itself."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


PEERS = (
    Peer(
        "Phoenix",
        "arize-phoenix",
        "20.26.1",
        lambda programs, port, data: [str(programs / "phoenix"), "serve"],
        lambda port, data: {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(_free_port()),
            "PHOENIX_WORKING_DIR": str(data),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
            "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
        },
        "/healthz",
        {},
        _phoenix,
    ),
    Peer(
        "MLflow",
        "mlflow",
        "3.17.2",
        lambda programs, port, data: [
            *(str(programs / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{data}/mlflow.db"),
            *("--artifacts-destination", str(data / "artifacts")),
        ],
        lambda port, data: {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        "/health",
        {"x-mlflow-experiment-id": "0"},
        _mlflow,
    ),
)
"""The servers that the bar is for."""


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - no shell
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise PeerFailed(f"{' '.join(command)} failed:\n{end}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
