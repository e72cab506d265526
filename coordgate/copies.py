"""Copies: guarded copies of the nodes of a compiled graph."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from langgraph.types import CachePolicy, RetryPolicy

from coordgate import _langgraph as lg


def guarded_node(
    node: Any,
    seq: lg.RunnableSeq,
    write: lg.ChannelWrite,
    retry: Sequence[RetryPolicy] | None,
    cache_prefix: str | None,
    subgraph: Any,
) -> Any:
    """Return a copy of a node whose executable is `seq`; all else is as it was.

    `subgraph` is the guarded graph that an update by hand inside the node goes through; None leaves
    the node's own.
    """
    guarded = copy.copy(node)
    if subgraph is not None and node.subgraphs:
        guarded.subgraphs = [subgraph]
    if retry is not None:
        guarded.retry_policy = tuple(retry)
    if cache_prefix is not None and node.cache_policy is not None:
        guarded.cache_policy = _prefixed(node.cache_policy, cache_prefix)
    guarded.__dict__["flat_writers"] = [write, *node.flat_writers[1:]]
    guarded.__dict__["node"] = seq
    return guarded


def _prefixed(policy: CachePolicy[Any], prefix: str) -> CachePolicy[Any]:
    """Return a cache policy whose keys also depend on what is declared on the node."""

    def key(*args: Any, **kwargs: Any) -> str:
        own = policy.key_func(*args, **kwargs)
        return f"{prefix}:{own if isinstance(own, str) else own.hex()}"

    return CachePolicy(key_func=key, ttl=policy.ttl)
