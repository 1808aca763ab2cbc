"""The guardrails that the stack breaks for a time, as its file says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.preview.plan import Plan
from delivery.preview.reasons import Figure, Found, Row, Subject
from delivery.preview.text import Code

_KEY: Final = "waivers"


def waivers(plan: Plan) -> Iterator[Found]:
    """How many rules passed, and one line for each waiver, in every report: who answers for it, until when, and why."""
    given = _given(plan)
    if plan.guardrails is not None:
        words = f"{plan.guardrails[0]} passed, {plan.guardrails[1]} waived"
        if given or plan.empty_before:
            yield Row(subject=Subject.RULES, what="guardrails", now=[""], after=[words])
        else:
            yield Figure(subject=Subject.RULES, words=words)
    for rule, waiver in sorted(given.items()):
        yield Row(
            subject=Subject.RULES,
            what=f"guardrail {rule}" if rule.replace("-", "").isalnum() else Code(rule),
            now=["waived until ", Code(str(waiver.get("expires")))],
            after=[Code(str(waiver.get("owner"))), ": ", Code(str(waiver.get("reason")))],
        )


def _given(plan: Plan) -> Mapping[str, Mapping[str, Any]]:
    """The stack's waivers in the configuration, whose objects the engine prints as JSON."""
    texts = [value for key, value in plan.config.items() if key.rpartition(":")[2] == _KEY]
    try:
        found = json.loads(texts[0]) if texts else {}
    except ValueError:
        return {}
    return {rule: one for rule, one in found.items() if isinstance(one, Mapping)} if isinstance(found, Mapping) else {}
