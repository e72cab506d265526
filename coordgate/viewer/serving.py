"""Serving the viewer: at which address, and until when."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlencode

import uvicorn
from starlette.types import ASGIApp

from coordgate.errors import ConfigurationError


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections at an address; port 0 is any free one.

    Raises:
        ConfigurationError: there can be none; the message says why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} is in use on {host}, perhaps by another viewer: give another, such "
                "as --port 0 for any free one"
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigurationError(
                f"port {port} is not allowed to this user: give one from 1024 on, such as 8765"
            ) from error
        raise ConfigurationError(
            f"cannot answer at {host}: {error.strerror or error}; give an address of this machine, "
            "such as 127.0.0.1"
        ) from error


def address_of(listening: socket.socket, host: str, token: str | None) -> str:
    """Return what to type into a browser, with the token if there is one."""
    name = socket.gethostname() if host in {"0.0.0.0", "::"} else host  # noqa: S104 - asked for
    port = listening.getsockname()[1]
    query = f"?{urlencode({'token': token})}" if token else ""
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/{query}"


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve an application until a signal ends it; requests under way get a second more."""
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listening])
