"""A stack may break a guardrail for a time, with somebody's name and a reason, and no longer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pytest

from delivery.preview.plan import read
from delivery.preview.report import report
from delivery.preview.text import plain
from infra.settings.guardrails import RULES
from infra.settings.guardrails.waivers import LONGEST
from infra.settings.model import Settings, SettingsError, parse
from infra.settings.problems import Problem
from tests.support.previews import preview, same
from tests.support.stacks import configuration

TODAY = date(2026, 11, 29)
RULE = "prod-internet-outbound"
WAIVER = {"owner": "ml-platform", "reason": "webhooks call the chat of the on-call team", "expires": "2027-02-28"}
BROKEN: Mapping[str, Any] = {"network": {"internetOutbound": "true"}}


def settings(waivers: Mapping[str, Any], today: date = TODAY, **values: Any) -> Settings:
    return parse(configuration("prod", **{**BROKEN, "waivers": waivers, **values}), "prod", today=today)


def problems(waivers: Mapping[str, Any], today: date = TODAY, **values: Any) -> list[Problem]:
    with pytest.raises(SettingsError) as caught:
        settings(waivers, today, **values)
    return list(caught.value.problems)


def test_a_waiver_lets_the_stack_break_its_rule_and_no_other() -> None:
    assert settings({RULE: WAIVER}).azure is not None
    (other,) = problems({RULE: WAIVER}, privateRegistry="false")
    assert other.rule == "prod-private-registry"


@pytest.mark.parametrize("expires", ["2026-11-29", "2027-05-28", "2026-11-29T00:00:00Z"])
def test_it_holds_until_the_end_of_its_day(expires: str) -> None:
    assert settings({RULE: {**WAIVER, "expires": expires}}).azure is not None


@pytest.mark.parametrize(
    "expires", ["2026-11-28", "2027-05-29", "2027-02-30", "never", "", "2027-02-28T10:00:00Z", "28.02.2027"]
)
def test_a_day_that_is_past_far_or_none_is_refused_with_the_rule(expires: str) -> None:
    wrong, rule = problems({RULE: {**WAIVER, "expires": expires}})
    assert (wrong.field, wrong.value) == (f"waivers.{RULE}.expires", expires)
    assert wrong.allowed == f"a day from {TODAY} to {TODAY + LONGEST}, as in {TODAY + LONGEST}"
    assert rule.rule == RULE


def test_what_was_waived_is_refused_again_the_day_after() -> None:
    last = date.fromisoformat(WAIVER["expires"])
    assert settings({RULE: WAIVER}, today=last).azure is not None
    assert {one.rule for one in problems({RULE: WAIVER}, today=last + timedelta(days=1))} == {"", RULE}


@pytest.mark.parametrize(
    ("waiver", "field"),
    [
        ({**WAIVER, "owner": " "}, f"waivers.{RULE}.owner"),
        ({**WAIVER, "reason": "because"}, f"waivers.{RULE}.reason"),
        ({**WAIVER, "reason": "x" * 301}, f"waivers.{RULE}.reason"),
        ({key: value for key, value in WAIVER.items() if key != "reason"}, f"waivers.{RULE}"),
        ({**WAIVER, "until": "2027"}, f"waivers.{RULE}"),
        ({}, f"waivers.{RULE}"),
    ],
    ids=range(6),
)
def test_it_says_who_why_and_until_when(waiver: Mapping[str, str], field: str) -> None:
    found = problems({RULE: waiver})
    assert [one.field for one in found] == [field, "network.internetOutbound"]
    assert found[0].remedy.endswith(f"waivers.{RULE} -s prod")


@pytest.mark.parametrize("waivers", ["yes", ["prod-budget"], {RULE: "yes"}, {RULE: {"owner": ["a"]}}], ids=range(4))
def test_another_shape_is_refused(waivers: Any) -> None:
    assert problems(waivers)[0].field.startswith("waivers")


@pytest.mark.parametrize("rule", sorted(rule.id for rule in RULES if not rule.waivable))
def test_some_rules_cannot_be_waived(rule: str) -> None:
    found = problems({rule: WAIVER})
    assert found[0].field == f"waivers.{rule}"
    assert found[0].allowed.startswith("guardrails that can be waived: clients-from-everywhere, ")
    assert rule not in found[0].allowed


def test_a_waiver_of_a_rule_that_the_stack_keeps_is_refused() -> None:
    (found,) = problems({RULE: WAIVER}, network={})
    assert (found.field, found.allowed) == (f"waivers.{RULE}", "a guardrail that the stack breaks")


def test_every_report_shows_it() -> None:
    document = preview(same("network:VirtualNetwork", "network"))
    document["config"] = {"mlflow-platform:waivers": f'{{"{RULE}": {{"owner": "@all", "expires": "2027-02-28"}}}}'}
    found = report(read(document))
    (row,) = found.rows
    assert (row.what, plain(row.now), plain(row.after)) == (
        f"guardrail {RULE}",
        "waived until 2027-02-28",
        "@all: None",
    )
