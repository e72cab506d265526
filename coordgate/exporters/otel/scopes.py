"""Scopes: which span is current, in a way that survives code which ends elsewhere than it began.

OpenTelemetry's own token must be given back in the context that it was made in. A stream that is
abandoned, or calls that overlap, end as they please.
"""

from __future__ import annotations

from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import Span


class Scope:
    """A span that was made current, and what was before."""

    __slots__ = ("before", "outer", "over", "span")

    def __init__(self, span: Span, before: Context, outer: Scope | None) -> None:
        """Take the span, the context before it, and the scope that it is in."""
        self.span = span
        self.before = before
        self.outer = outer
        self.over = False


_TOP: ContextVar[Scope | None] = ContextVar("coordgate_otel_scope", default=None)


def push(span: Span) -> Scope:
    """Make a span current."""
    before = get_current()
    attach(trace.set_span_in_context(span, before))
    scope = Scope(span, before, _TOP.get())
    _TOP.set(scope)
    return scope


def pop(scope: Scope) -> None:
    """Make current what was before a scope, and end those within it; elsewhere, nothing."""
    scope.over = True
    top = _TOP.get()
    while top is not None and top is not scope:
        top = top.outer
    if top is not None:
        _restore(scope)


def end(scope: Scope) -> None:
    """Make current what was before a scope, unless there is something else by now."""
    scope.over = True
    tidy()


def tidy() -> None:
    """Step out of scopes that are over, as long as one of them is what is current."""
    top = _TOP.get()
    if top is not None and top.over and trace.get_current_span() is top.span:
        _restore(top)


def _restore(scope: Scope) -> None:
    while scope.outer is not None and scope.outer.over:
        scope = scope.outer
    attach(scope.before)
    _TOP.set(scope.outer)
