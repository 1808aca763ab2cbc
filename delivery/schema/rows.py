"""What migrations do to rows, which no catalog shows: read in MLflow's scripts, and which scripts had to be read."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Final

from mlflow_runtime.schema.history import Change

_WRITES: Final = ("insert", "update", "delete", "bulk_insert", "merge", "add", "add_all")
_STATEMENT: Final = re.compile(r"\s*(INSERT\s+INTO\s|DELETE\s+FROM\s|UPDATE\s+\S+\s+SET\s)", re.IGNORECASE)


def _moved(table: str, detail: str) -> Change:
    return Change(table=table, columns=(), kind="rows moved", detail=detail, breaks=True)


# Every migration that writes rows, with what older code notices of it.
JUDGED: Final[Mapping[str, tuple[Change, ...]]] = {
    # Before MLflow 1.2; none that this table knows a version of.
    "90e64c465722": (),
    "89d4b8295536": (),
    # The row of the default workspace, in a table that older code does not know.
    "1b5f0d9ad7c1": (),
    # Older code goes on writing these as rows, where newer code does not look for them.
    "75868b020152": (
        _moved("trace_tags", "mlflow.traceName to trace_info.trace_name"),
        _moved("trace_request_metadata", "session, token usage and cost to columns of trace_info"),
        _moved("trace_metrics", "token counts to columns of trace_info"),
        _moved("span_metrics", "costs to columns of spans"),
    ),
    # Unfinished jobs of the old executor are ended. The services run no jobs.
    "dc11669786a5": (),
}


def writes_rows(source: str) -> bool:
    """Whether a script, somewhere, has SQL that writes rows or builds such a statement."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITES:
            return True
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _STATEMENT.match(node.value):
            return True
    return False
