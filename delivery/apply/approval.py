"""The plan that somebody approved: its fingerprint, and the whole report where a file has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from delivery.outcome import CommandError, ExitCode
from delivery.preview import saved
from delivery.preview.document import VERSION
from delivery.preview.document import document as of_report
from delivery.preview.fingerprint import LENGTH
from delivery.preview.plan import PlanError
from delivery.preview.report import report

LARGEST_MIB: Final = 16
"""Of a file with a report; one of a first deployment has 0.1."""

_FINGERPRINT: Final = re.compile(rf"[0-9a-f]{{{LENGTH}}}")


@dataclass(frozen=True, kw_only=True)
class Approval:
    """`plan` is the approved fingerprint. The rest is of the report's document, empty where only the plan is known.

    `changes` has the words of each resource's change by its name, `parts` the fingerprints of resources by their urn.
    """

    plan: str
    head: str = ""
    engine: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)


def read(given: str, stack: str) -> Approval:
    """Return the approval for a stack in a fingerprint, or in a file of `preview --json` or `preview --save`.

    Raises CommandError for anything else: a fingerprint is never completed, cut or guessed.
    """
    if _FINGERPRINT.fullmatch(given):
        return Approval(plan=given)
    path = Path(given)
    if not given or not path.is_file():
        raise _refused(given, "no plan and no file", stack)
    if path.stat().st_size > LARGEST_MIB * 1024**2:
        raise _refused(given, f"a file of more than {LARGEST_MIB} MiB", stack)
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        raise _refused(given, "a file that is not JSON", stack) from None
    if isinstance(document, Mapping) and saved.PRINTED in document:
        try:
            document = of_report(report(*saved.load(path)))
        except PlanError as error:
            raise _refused(given, f"no saved plan: {str(error).removesuffix('.')}", stack) from None
    return _of(document, given, stack)


def by_name(changes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the words of each resource's changes: one that changes may have a deletion left as well."""
    found: dict[str, list[str]] = {}
    for name, words in changes:
        found.setdefault(name, []).append(words)
    return {name: "; ".join(words) for name, words in found.items()}


def _of(document: Any, given: str, stack: str) -> Approval:
    if not isinstance(document, Mapping) or document.get("version") != VERSION:
        raise _refused(given, f"no report of version {VERSION}", stack)
    plan, parts, source = document.get("plan"), document.get("parts"), document.get("source")
    if not isinstance(plan, str) or not _FINGERPRINT.fullmatch(plan):
        raise _refused(given, "a report without a plan", stack)
    if document.get("stack") != stack:
        raise _refused(given, f"a report of stack {document.get('stack')!r}", stack)
    if not isinstance(parts, Mapping) or not isinstance(source, Mapping):
        raise _refused(given, "a report that was cut", stack)
    if source.get("offline"):
        raise _refused(given, "a report that was computed offline, with a made-up Azure", stack)
    return Approval(
        plan=plan,
        head=str(source.get("head") or ""),
        engine=str(source.get("engine") or ""),
        changes=by_name(_changes(document.get("changes"))),
        parts={str(urn): str(part) for urn, part in parts.items()},
    )


def _changes(listed: object) -> list[tuple[str, str]]:
    return [
        (str(name), str(one.get("change")))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, Mapping)
        for name in one.get("resources") or ()
    ]


def _refused(given: str, what: str, stack: str) -> CommandError:
    return CommandError(
        f"--approved: got {given!r}, {what}; expected the plan's {LENGTH} hexadecimal digits as `preview` prints them, "
        f"or a file of its --json or --save. Run: mlflow-platform preview {stack}",
        ExitCode.USAGE,
    )
