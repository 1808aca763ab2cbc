"""A plan as a file: what the engine printed, and where it comes from. Whoever reads it makes the report himself.

So a job that runs the code of a pull request hands over data only, and the report is made by the base branch's code.
`up --approved` takes the same file, so that a refusal can show in what the plan differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from delivery.drift.beside import beside
from delivery.preview import releases
from delivery.preview.plan import Plan, PlanError, read
from delivery.preview.releases import Releases
from delivery.preview.report import Beside, Source
from delivery.preview.text import masked, numbered

VERSION: Final = 1
PRINTED: Final = "preview"
"""The key of what the engine printed."""
LARGEST: Final = 64 * 1024 * 1024
"""Bytes. A first deployment, with every property twice, takes 5 MB."""

STACK: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
_LONGEST_SOURCE: Final = 200


def save(
    file: Path,
    stack: str,
    printed: Mapping[str, Any] | None,
    error: str,
    source: Source,
    drift: Mapping[str, Any] | None = None,
    moves: Mapping[str, Any] | None = None,
) -> None:
    """Write what the engine printed, or the error that it ended with.

    `drift` is what `looked` of the drift has returned, `moves` what that of the releases has, None without either.
    """
    document = {"version": VERSION, "stack": stack, "source": asdict(source), PRINTED: printed, "error": error}
    # Of the plan every byte counts, and the program refuses secrets in it; on Azure there may be any.
    document |= {"drift": masked(drift, numbered()), "releases": moves}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))


def load(file: Path) -> tuple[Plan, Source, Beside | None, Releases | None]:
    """Read it again, as `report` takes it. Raises PlanError for any other file; nothing in it is trusted."""
    if file.stat().st_size > LARGEST:
        raise PlanError(f"{file.name}: got {file.stat().st_size:,} bytes; expected at most {LARGEST:,}.")
    try:
        document = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise PlanError(f"{file.name}: this is no JSON; expected a file of `preview STACK --save FILE`.") from None
    if not isinstance(document, Mapping) or document.get("version") != VERSION:
        raise PlanError(f"{file.name}: expected version {VERSION} of a file of `preview STACK --save FILE`.")
    stack = document.get("stack")
    if not isinstance(stack, str) or STACK.fullmatch(stack) is None:
        raise PlanError(f"{file.name}: expected the name of a stack in `stack`, of lower-case letters, digits and -.")
    source = _source(document.get("source"))
    if document.get(PRINTED) is None:
        error = str(document.get("error") or "the engine said nothing")
        return Plan(stack=stack, steps=(), errors=(error,)), source, None, None
    try:
        plan = read(document[PRINTED])
        if plan.stack not in ("", stack):
            raise PlanError(f"`stack` is {stack}, and the plan is of {plan.stack!r}.")
        plan = replace(plan, stack=stack)
        drift = document.get("drift")
        return plan, source, None if drift is None else beside(drift, plan), releases.read(document.get("releases"))
    except PlanError as error:
        raise PlanError(f"{file.name}: {error}") from None
    except (AttributeError, KeyError, TypeError, IndexError, ValueError) as error:
        raise PlanError(f"{file.name}: this is not what the engine prints: {error!r}.") from error


def _source(given: object) -> Source:
    values = given if isinstance(given, Mapping) else {}
    texts = {key: str(values.get(key) or "")[:_LONGEST_SOURCE] for key in ("head", "base", "against", "engine")}
    return Source(**texts, offline=values.get("offline") is True)
