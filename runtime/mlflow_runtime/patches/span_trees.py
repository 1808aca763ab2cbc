"""Spans of a request that name each other as parents must not keep a replica busy for ever.

MLflow 3.17.2 adds up the tokens and the costs of a trace by walking down from its roots (`_aggregate_from_nodes` in
mlflow/tracing/utils/__init__.py). Where a root and another span of the same request share an id, and that other one
names it as its parent, the walk has no end: it keeps a core, a connection and an open transaction, and with a second
such span its memory grows until the process is killed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def one_per_id(nodes: Iterable[Any]) -> list[Any]:
    """The last node of each `span_id`. (PostgreSQL then refuses a request with two, in the insert that follows.)

    Each hangs below one parent at most, so that a walk from the roots meets it once at most.
    """
    return list({node.span_id: node for node in nodes}.values())


def install() -> None:
    """Have MLflow add up over these nodes only, in this process. MLflow must be loaded."""
    from mlflow.tracing import utils

    walk = utils._aggregate_from_nodes

    def bounded(nodes: list[Any], *arguments: Any, **options: Any) -> Any:
        return walk(one_per_id(nodes), *arguments, **options)

    utils._aggregate_from_nodes = bounded
