"""Both ways out of a line of drift: make Azure what the program says, or the program what Azure has."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delivery.drift.keep import Keep, keep
from delivery.drift.lines import Drift, Line


@dataclass(frozen=True, kw_only=True)
class WaysOut:
    """`revert` is a command; `keep` is None where no setting makes what is on Azure."""

    revert: str
    keep: Keep | None


def ways_out(drift: Drift, values: Mapping[str, Any]) -> list[WaysOut]:
    """Return both for each line, in their order. `values` is the stack's configuration without its namespace."""
    return [_of(drift.stack, line, values) for line in drift.lines]


def _of(stack: str, line: Line, values: Mapping[str, Any]) -> WaysOut:
    return WaysOut(
        revert=shlex.join(["mlflow-platform", "drift", stack, "--revert", line.step.name]),
        keep=keep(line.step, line.differences, values, stack),
    )
