"""Microsoft.Insights: alert rules, and the action groups that they notify."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem
from delivery.offline_azure.limits import at

_LONGEST_QUERY_MINUTES: Final = 2 * 24 * 60


def metric_alert(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Types of Azure Monitor alerts": the window is at least the frequency."""
    if _minutes(inputs.get("windowSize")) < _minutes(inputs.get("evaluationFrequency")):
        yield "BadRequest", "The window size must not be smaller than the evaluation frequency."
    names = list(at(inputs, "criteria.allOf[].name"))
    if len(set(names)) < len(names):
        yield "BadRequest", "The criteria of a metric alert have different names."


def query_rule(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """REST reference, "Scheduled Query Rules - Create Or Update", and Microsoft Learn, "Log search alert rules"."""
    window, frequency = _minutes(inputs.get("windowSize")), _minutes(inputs.get("evaluationFrequency"))
    if window < frequency and inputs.get("overrideQueryTimeRange") is None:
        yield "BadRequest", "The window size must not be smaller than the evaluation frequency."
    for periods in at(inputs, "criteria.allOf[].failingPeriods"):
        number, least = periods.get("numberOfEvaluationPeriods", 1), periods.get("minFailingPeriodsToAlert", 1)
        if least > number:
            yield "BadRequest", "'minFailingPeriodsToAlert' must not be greater than 'numberOfEvaluationPeriods'."
        if number * window > _LONGEST_QUERY_MINUTES:
            yield "BadRequest", "The window size times the number of periods must not be longer than two days."


def _minutes(duration: Any) -> int:
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", str(duration).upper())
    days, hours, minutes = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return (days * 24 + hours) * 60 + minutes


def action_group(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Action groups": a short name of 12 characters, receivers of different names."""
    if not 1 <= len(str(inputs.get("groupShortName", "x"))) <= 12:
        yield "ActionGroupShortNameInvalid", "The short name of an action group has 1 to 12 characters."
    names = [one.get("name") for key in inputs if key.endswith("Receivers") for one in inputs[key] or []]
    if len(set(names)) < len(names):
        yield "ReceiverNamesNotUnique", f"The receivers {names} are not of different names."
    for email in at(inputs, "emailReceivers[].emailAddress"):
        if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", str(email)):
            yield "InvalidEmailAddress", f"'{email}' is no email address."
