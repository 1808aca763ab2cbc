"""Looks at Azure for a stack's drift. It changes neither Azure nor the state."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from delivery.drift.lines import Drift, both
from delivery.drift.lines import drift as found
from delivery.outcome import CommandError
from delivery.preview.plan import DRIFT_FLAGS, read
from delivery.pulumi.engine import Engine


def check(engine: Engine, stack: str, *, again: float = 0, sleep: Callable[[float], None] = time.sleep) -> Drift:
    """Return the drift of the engine's stack. Raises CommandError where the engine cannot look.

    `again` is the pause in seconds before a second look (default: none); only what both see is drift then.
    """
    first = _look(engine, stack)
    if not (again and first.lines):
        return first
    sleep(again)
    return both(first, _look(engine, stack))


def blocking(engine: Engine, stack: str) -> list[str]:
    """Return one line for each resource whose drift endangers data or security: updates of the stack wait for these."""
    return [
        f"{line.step.name}: {'; '.join([*line.dangers, *(one.path for one in line.differences)])}"
        for line in check(engine, stack).lines
        if line.blocks
    ]


def refreshed(engine: Engine, stack: str) -> dict[str, Any]:
    """Return the engine's document of what Azure has. Raises CommandError where it prints none."""
    result = engine.run("refresh", *DRIFT_FLAGS)
    try:
        return dict(json.loads(result.out))
    except (ValueError, TypeError):
        raise CommandError(
            f"drift: the engine could not look at stack {stack}. `mlflow-platform recover {stack}` solves what a "
            f"killed update left; a missing login or right is named below.\n{result.text.strip()}"
        ) from None


def _look(engine: Engine, stack: str) -> Drift:
    plan = read(refreshed(engine, stack))
    if plan.errors:
        raise CommandError(f"drift: the engine could not look at stack {stack}.\n{plan.errors[0]}")
    return replace(found(plan), stack=stack)
