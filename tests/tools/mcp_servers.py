"""Where the MCP servers of these tests are, and how a client starts one for itself."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def over_stdio(name: str) -> dict[str, Any]:
    """Return the connection to a server that is started for it."""
    program = str(HERE / f"{name}_server.py")
    return {"transport": "stdio", "command": sys.executable, "args": [program, "stdio"]}
