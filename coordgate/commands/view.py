"""`coordgate view`: the records in a browser."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import webbrowser

from coordgate.commands.arguments import add_store, port
from coordgate.errors import ConfigurationError
from coordgate.loading import open_graph
from coordgate.stores import open_store
from coordgate.viewer import viewer
from coordgate.viewer.desk import Desk
from coordgate.viewer.security import is_loopback, new_token
from coordgate.viewer.serving import address_of, listen, serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = """\
Show the records in a browser: the runs, one run with its graph, two runs beside each other, how
reliable each handoff is, and what waits for a person. It goes on until Ctrl-C. The store is only
read; nothing is loaded from elsewhere."""
    parser.epilog = """\
examples:
  coordgate view traces.db                      at http://127.0.0.1:8765/, for this machine only
  coordgate view traces.db --open               and open it in the browser
  coordgate view traces.db --port 0             at a free port
  coordgate view traces.db --app app.py:graph   answer what waits for a person, too
  coordgate view traces.db --host 0.0.0.0       for other machines, who need the token it prints

On a server, leave the host as it is and forward the port: ssh -L 8765:127.0.0.1:8765 SERVER"""
    add_store(parser)
    parser.add_argument(
        "--app", metavar="FILE.py:NAME", help="the guarded graph, to answer what waits in it"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to answer at (127.0.0.1: this machine)"
    )
    parser.add_argument(
        "--port", type=port, default=8765, help="the port to answer at (8765); 0 for any free one"
    )
    parser.add_argument(
        "--token",
        metavar="TEXT",
        help="what each reader must have; if not given, none on this machine and else a random one",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def _end(desk: Desk) -> None:
    """Let the runs that go on come to an end; a second Ctrl-C cuts them off."""
    try:
        if desk.busy:
            runs = "1 run that goes" if desk.busy == 1 else f"{desk.busy} runs that go"
            sys.stdout.write(f"waiting for {runs} on; Ctrl-C cuts off\n")
            sys.stdout.flush()
        desk.close()
    except KeyboardInterrupt:
        os._exit(130)  # Python would wait for the threads of their nodes


def run(arguments: argparse.Namespace) -> int:
    """Serve the pages until Ctrl-C."""
    host: str = arguments.host
    token: str | None = arguments.token
    if token == "":
        raise ConfigurationError("--token needs some text; leave it out for a random one")
    if token is None and not is_loopback(host):
        token = new_token()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(open_store(arguments.store)))
        graph = stack.enter_context(open_graph(arguments.app)) if arguments.app else None
        listening = stack.enter_context(listen(host, arguments.port))
        address = address_of(listening, host, token)
        sys.stdout.write(f"{arguments.store} is shown at {address}\nCtrl-C ends it\n")
        sys.stdout.flush()
        if arguments.open:
            webbrowser.open(address)
        made = viewer(store, app=graph, token=token)
        with contextlib.suppress(KeyboardInterrupt):  # it is how one ends it
            serve(made, listening)
        desk: Desk | None = made.state.desk
        if desk is not None:
            _end(desk)
    return 0
