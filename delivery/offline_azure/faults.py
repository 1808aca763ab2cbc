"""Faults that a test injects: which call runs into which. A fault is plain JSON, kept with the state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# What Azure answers: status, code, message.
ANSWERS: Final[Mapping[str, tuple[int, str, str]]] = {
    "throttled": (429, "TooManyRequests", "The request is being throttled. Please try after '10' seconds."),
    "conflict": (
        409,
        "AnotherOperationInProgress",
        "Another operation on this or a dependent resource is in progress.",
    ),
    "forbidden": (403, "AuthorizationFailed", "The client does not have authorization to perform the action."),
    "quota": (400, "QuotaExceeded", "Operation could not be completed as it results in exceeding approved quota."),
    "offer": (400, "RegionIsOfferRestricted", "The location is restricted from performing this operation."),
    # microsoft/azure-container-apps issue 1272.
    "capacity": (
        409,
        "ManagedEnvironmentNoAvailableCapacityInRegion",
        "No capacity available in this region for provisioning an environment, please try again in another region.",
    ),
    "policy": (403, "RequestDisallowedByPolicy", "Resource was disallowed by policy."),
}
# Done, but unfinished; done, after a while; deleted, but still linked to its subnet.
HALF: Final = "half"
SLOW: Final = "slow"
LINGER: Final = "linger"
KINDS: Final = (HALF, SLOW, LINGER, *ANSWERS)

Fault = dict[str, Any]


def fault(kind: str, *, operation: str, matching: str, times: int, every: int | None, seconds: float) -> Fault:
    """Return a fault for the next `times` calls of an operation whose ID matches, or for every n-th of them.

    Of these, one that would meet an ID twice in a row meets the next other one: what is repeated gets through, in
    whatever order calls that are made at the same time come.
    """
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}; there are {', '.join(KINDS)}")
    if every is not None and every < 1:
        raise ValueError(f"every: {every}; 1 hits each call, 3 every third one; give at least 1.")
    re.compile(matching)
    return {
        "kind": kind,
        "operation": operation,
        "matching": matching,
        "times": times,
        "every": every,
        "seconds": seconds,
        "calls": 0,
        "owed": 0,
        "just_met": [],
    }


def met(faults: list[Fault], operation: str, identifier: str) -> Fault | None:
    """Count a call and return the fault that it meets, if any: the first that is due. Only that one counts it."""
    found: Fault | None = None
    for one in faults:
        if one["operation"] != operation or not re.search(one["matching"], identifier, re.IGNORECASE):
            continue
        if found is None and _due(one, identifier.lower()):
            found = one
        elif identifier.lower() in one["just_met"]:
            one["just_met"].remove(identifier.lower())
    return found


def _due(one: Fault, key: str) -> bool:
    """Count the call, and return whether it meets the fault."""
    if one["every"] is None:
        one["times"] -= 1
        return int(one["times"]) >= 0
    one["calls"] += 1
    one["owed"] += one["calls"] % one["every"] == 0
    if one["owed"] == 0 or (one["every"] > 1 and key in one["just_met"]):
        return False
    one["owed"] -= 1
    if one["every"] > 1:
        one["just_met"].append(key)
    return True
