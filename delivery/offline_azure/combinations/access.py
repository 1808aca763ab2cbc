"""Who may do what: federated credentials, role assignments, locks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem

_LONGEST: Final = 600


def federated_credential(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Workload identity federation considerations"; no field takes wildcards or spaces around it."""
    if len(inputs.get("audiences") or [1]) != 1:
        yield "BadRequest", "A federated identity credential has one audience."
    if not str(inputs.get("issuer", "https://")).startswith("https://"):
        yield "BadRequest", f"The issuer '{inputs.get('issuer')}' is no HTTPS URL."
    texts = {"issuer": inputs.get("issuer"), "subject": inputs.get("subject")}
    texts |= {f"audiences[{index}]": one for index, one in enumerate(inputs.get("audiences") or [])}
    for field, text in texts.items():
        if text is not None and (not str(text).strip() or len(str(text)) > _LONGEST):
            yield "BadRequest", f"The value of '{field}' has 1 to {_LONGEST} characters."
        if text is not None and ("*" in str(text) or str(text) != str(text).strip()):
            yield "BadRequest", f"The value '{text}' of '{field}' matches no token."


def role_assignment(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure role assignment condition format and syntax": a condition has version 2.0."""
    if bool(inputs.get("condition")) != bool(inputs.get("conditionVersion")):
        yield "InvalidCondition", "A condition and its version are given together."
    if inputs.get("conditionVersion") not in (None, "2.0"):
        yield "InvalidConditionVersion", f"The condition version '{inputs['conditionVersion']}' is not 2.0."


def lock(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """REST reference, "Management Locks": notes of at most 512 characters."""
    if len(str(inputs.get("notes", ""))) > 512:
        yield "InvalidLockNotes", "The notes of a lock have at most 512 characters."
