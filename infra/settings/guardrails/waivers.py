"""Waivers: what lets a stack break a guardrail for a time, with somebody's name and a reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from infra.settings.problems import Problems, path

LONGEST: Final = timedelta(days=180)
"""From today on. Whoever still needs it then says so again."""

KEYS: Final = ("owner", "reason", "expires")
_LEAST_REASON: Final = 15
_MOST_TEXT: Final = 300
# The engine hands a day that a file has without quotes on as a time.
_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:T00:00:00Z?| 00:00:00 \+0000 UTC)?")


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """Lets the stack break a rule until a day, which is included."""

    rule: str
    owner: str
    reason: str
    expires: date


def read(
    problems: Problems, given: Mapping[str, Mapping[str, str]], rules: Collection[str], today: date
) -> dict[str, Waiver]:
    """Return the waivers by the rule; record those that name no rule of `rules`, lack a key, or have expired."""
    found: dict[str, Waiver] = {}
    for rule, values in given.items():
        field = path("waivers", rule)
        if rule not in rules:
            problems.note(
                field, dict(values), f"guardrails that can be waived: {', '.join(rules)}", _away(problems, rule)
            )
            continue
        if values.keys() != {*KEYS}:
            problems.note(field, dict(values), f"the keys {', '.join(KEYS)}, each of them", _away(problems, rule))
            continue
        before = len(problems)
        expires = _expires(problems, rule, values["expires"], today)
        for key, least in (("owner", 1), ("reason", _LEAST_REASON)):
            if not least <= len(values[key].strip()) <= _MOST_TEXT:
                allowed = f"{least} to {_MOST_TEXT} characters that tell a reader who, or why"
                problems.note(f"{field}.{key}", values[key], allowed, _away(problems, rule))
        if expires is not None and len(problems) == before:
            found[rule] = Waiver(rule=rule, owner=values["owner"], reason=values["reason"], expires=expires)
    return found


def _expires(problems: Problems, rule: str, given: str, today: date) -> date | None:
    field = path("waivers", rule, "expires")
    latest = today + LONGEST
    allowed = f"a day from {today} to {latest}, as in {latest}"
    matched = _DATE.fullmatch(given)
    try:
        found = date.fromisoformat(matched[1]) if matched else None
    except ValueError:
        found = None
    if found is None or not today <= found <= latest:
        problems.note(field, given, allowed, problems.set(field, latest) if found is None else _away(problems, rule))
        return None
    return found


def _away(problems: Problems, rule: str) -> str:
    return problems.remove(path("waivers", rule))
