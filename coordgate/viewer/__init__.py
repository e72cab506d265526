"""The viewer: a local page that shows what was recorded. `viewer("traces.db")` makes it."""

from __future__ import annotations

from importlib.util import find_spec

_missing = [name for name in ("starlette", "jinja2", "uvicorn") if find_spec(name) is None]
if _missing:
    raise ImportError(f"the viewer needs {', '.join(_missing)}: pip install 'coordgate[viewer]'")

from coordgate.viewer.app import viewer  # noqa: E402 - what it needs is looked for first

__all__ = ["viewer"]
