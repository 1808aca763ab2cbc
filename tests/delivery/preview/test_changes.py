"""Changes of the stacks' own files, as report and as an `up` of the offline Azure: what the one says, the other does.

The program runs without an engine (tests/support/offline_up.py): an engine would take minutes for so many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from delivery.azure_types.type_tokens import PACKAGE
from delivery.offline_azure.errors import RefusedError
from delivery.preview.findings.rights import ASSIGNMENT, MAY
from delivery.preview.plan import Op, Plan, Step
from delivery.preview.reasons import Subject, Verdict
from delivery.preview.report import Report, report
from delivery.preview.text import plain
from infra.azure.access import grants
from tests.infra.settings.test_misconfigurations import changed, legitimate, merged
from tests.support.offline_up import OfflineStack
from tests.support.stacks import STACKS, configuration

Change = Mapping[str, Any]


def refusals(found: Report) -> list[str]:
    return [plain(reason.phrase) for reason in found.reasons if reason.verdict >= Verdict.REFUSED]


def leaves(change: Change, path: str = "") -> Iterator[str]:
    for key, value in change.items():
        yield from leaves(value, f"{path}{key}.") if isinstance(value, Mapping) else [f"{path}{key}"]


def batches(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Changes of different settings together: as few updates as there are values of one setting."""
    found: list[dict[str, Any]] = []
    for change in changes:
        free = [one for one in found if not set(leaves(one)) & set(leaves(change))]
        if free:
            free[0].update(merged(free[0], change))
        else:
            found.append(dict(change))
    return found


def of_azure(plan: Plan) -> set[str]:
    """The resources of Azure that change. Whatever waits for an app learns its revision's name from the `up` alone."""
    return {step.urn for step in plan.changes if step.type.startswith(PACKAGE)}


@pytest.fixture(scope="module")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], OfflineStack]:
    """Each stack as its own file makes it. Tests take copies."""

    @cache
    def of(stack: str) -> OfflineStack:
        living = OfflineStack(stack, tmp_path_factory.mktemp(stack) / "azure.json")
        living.up(configuration(stack))
        return living

    return of


@pytest.mark.parametrize("stack", STACKS)
def test_a_legitimate_change_is_never_said_to_fail_and_never_fails(
    stack: str, brought_up: Callable[[str], OfflineStack], tmp_path: Path
) -> None:
    living, values = brought_up(stack).copied(tmp_path / "azure.json"), configuration(stack)
    for batch in batches(legitimate(stack)):
        values = merged(values, batch)
        done = living.up(values)  # raises where Azure refuses
        assert of_azure(done)
        assert refusals(report(done)) == []
    assert living.up(values).changes == []


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A change of a living stack that the settings accept, and Azure refuses: `says` is a pattern of its answer.

    `base` comes before it, with those of the stack's other cases that have one.
    """

    stack: str
    change: Change
    says: str
    base: Change = field(default_factory=dict)


# What Azure fixes when it makes a resource, by the setting that changes it.
REFUSED: Mapping[str, Refused] = {
    "geo backup": Refused(stack="staging", change={"database": {"geoBackup": True}}, says="geoRedundantBackup"),
    "kind of standby": Refused(
        stack="staging",
        base={"database": {"highAvailability": "zone-redundant"}},
        change={"database": {"highAvailability": "same-zone"}},
        says="disable it first",
    ),
    "smaller disk": Refused(
        stack="staging",
        base={"database": {"storageGib": 256}},
        change={"database": {"storageGib": 128}},
        says="Storage cannot be reduced from 256 to 128 GiB",
    ),
    "network range": Refused(
        stack="staging", change={"network": {"cidr": "10.61.0.0/24"}}, says="is outside the IP address range"
    ),
    "zones": Refused(
        stack="staging",
        change={"zoneRedundant": "false"},
        says="Zones cannot be added|chosen when a registry is created",
    ),
    "copies in zones": Refused(stack="dev", change={"storage": {"redundancy": "zone"}}, says="it takes a conversion"),
    "purge protection": Refused(
        stack="staging", base={"protect": "false"}, change={"purgeProtection": "false"}, says="It is irreversible"
    ),
    "private registry": Refused(
        stack="staging", change={"privateRegistry": "false"}, says="chosen when a registry is created"
    ),
}


@pytest.fixture(scope="module")
def changed_before(
    brought_up: Callable[[str], OfflineStack], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[OfflineStack, dict[str, Any]]]:
    """Each stack after the changes that come before those of its cases, and its values."""

    @cache
    def of(stack: str) -> tuple[OfflineStack, dict[str, Any]]:
        bases = batches(case.base for case in REFUSED.values() if case.stack == stack and case.base)
        assert len(bases) == 1, "two cases set one value differently before their changes"
        living = brought_up(stack).copied(tmp_path_factory.mktemp(stack) / "azure.json")
        values = changed(stack, bases[0])
        living.up(values)
        return living, values

    return of


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_azure_fixes_is_said_to_fail_and_fails(
    name: str,
    brought_up: Callable[[str], OfflineStack],
    changed_before: Callable[[str], tuple[OfflineStack, dict[str, Any]]],
    tmp_path: Path,
) -> None:
    case = REFUSED[name]
    before, values = changed_before(case.stack) if case.base else (brought_up(case.stack), configuration(case.stack))
    living, wanted = before.copied(tmp_path / "azure.json"), merged(values, case.change)
    found = report(living.preview(wanted))
    assert any(re.search(f"Azure will refuse.*({case.says})", text) for text in refusals(found)), refusals(found)
    assert plain(found.title).startswith("will fail on Azure")
    with pytest.raises(RefusedError):
        living.up(wanted)
    assert any(re.search(case.says, str(one)) for one in living.refused)
    assert len(living.refused) == sum("Azure will refuse the change" in text for text in refusals(found))


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A change of a living stack that the settings accept, and that a person has to see: the report `says` it."""

    stack: str
    change: Change
    verdict: Verdict
    says: str


REPORTED: Mapping[str, Reported] = {
    "other names": Reported(
        stack="dev", change={"nameGeneration": "2"}, verdict=Verdict.REFUSED, says="No data is moved."
    ),
    "other region": Reported(
        stack="dev", change={"location": "northeurope"}, verdict=Verdict.REFUSED, says="No data is moved."
    ),
    "budget below the estimate": Reported(
        stack="prod",
        change={"monitoring": {"monthlyBudget": 300}},
        verdict=Verdict.DECIDE,
        says="The estimate exceeds the budget of 300 USD a month",
    ),
    "protection off": Reported(
        stack="staging", change={"protect": "false"}, verdict=Verdict.DECIDE, says="Protection from deletion ends"
    ),
    "clients of another network": Reported(
        stack="prod",
        change={"network": {"clientRanges": ["203.0.113.0/24"]}},
        verdict=Verdict.DECIDE,
        says="lets in 203.0.113.0/24",
    ),
    "fewer days of backups": Reported(
        stack="staging", change={"database": {"backupDays": 7}}, verdict=Verdict.DECIDE, says="older than 7 days"
    ),
    "fewer days of deleted blobs": Reported(
        stack="staging", change={"storage": {"softDeleteDays": 1}}, verdict=Verdict.DECIDE, says="Less protection"
    ),
    "another repository deploys": Reported(
        stack="prod",
        change={"github": {"repository": "somebody/else"}},
        verdict=Verdict.DECIDE,
        says="Who may sign in as",
    ),
    "signed addresses": Reported(
        stack="prod",
        change={"storage": {"clientsReachBlob": True}},
        verdict=Verdict.DECIDE,
        says="may sign addresses of blobs for others",
    ),
    "a far larger database": Reported(
        stack="staging", change={"database": {"sku": "Standard_D16ds_v5"}}, verdict=Verdict.DECIDE, says="USD a month"
    ),
    "internet for the services": Reported(
        stack="staging", change={"network": {"internetOutbound": True}}, verdict=Verdict.DECIDE, says="lets out"
    ),
}


@pytest.fixture(scope="module")
def planned(brought_up: Callable[[str], OfflineStack]) -> Callable[[str], Plan]:
    """What an `up` would do with the change of a case of `REPORTED`."""

    @cache
    def of(name: str) -> Plan:
        case = REPORTED[name]
        return brought_up(case.stack).preview(changed(case.stack, case.change))

    return of


@pytest.mark.parametrize("name", sorted(REPORTED))
def test_what_a_person_has_to_see_is_reported(name: str, planned: Callable[[str], Plan]) -> None:
    case = REPORTED[name]
    found = report(planned(name))
    assert found.verdict is case.verdict
    assert case.says in " ".join(plain(reason.phrase) for reason in found.reasons)


KINDS = {"images": "registry", "artifacts": "container", "account": "account", "vault": "vault", "secret": "secret"}


def test_each_grant_of_the_platform_is_described_when_it_comes_goes_or_becomes_wider(
    planned: Callable[[str], Plan],
) -> None:
    plan = planned("signed addresses")
    living = [step for step in plan.steps if step.kind != ASSIGNMENT]
    group = next(step.state.id for step in living if step.kind == "resources:ResourceGroup")
    by_name = {step.name: step for step in plan.steps}

    def said(step: Step) -> tuple[str, str]:
        """The reason, and what the table says of now and after."""
        found = report(Plan(stack="prod", steps=(*living, step)))
        reasons = [plain(one.phrase) for one in found.reasons if one.subject is Subject.RIGHTS]
        (row,) = (one for one in found.rows if one.subject is Subject.RIGHTS)
        return " ".join(reasons), f"{plain(row.now)} | {plain(row.after)}"

    for grant in grants(clients_reach_blob=True):
        step = by_name[f"identity-{grant.holder}-{grant.secret or grant.on}"]
        state = step.state
        may = f"{grant.holder} may {MAY[grant.role]} on "
        where = f"{may}{KINDS[grant.on]} {state.inputs['scope'].rpartition('/')[2]}"
        wider, unknown = (
            replace(state, inputs={**state.inputs, "scope": scope}, depends_on={}) for scope in (group, UNKNOWN)
        )
        assert said(replace(step, op=Op.CREATE, before=None)) == (f"A right is granted: {where}.", f"none | {where}")
        assert said(replace(step, op=Op.DELETE, before=state, after=None)) == ("", f"{where} | none")
        assert said(replace(step, op=Op.REPLACE, before=state, after=wider))[0] == (
            f"A right becomes wider: {may}group {group.rpartition('/')[2]}. Until now: {where}."
        )
        assert said(replace(step, op=Op.CREATE, before=None, after=unknown))[0] == (
            f"A right is granted: {may}resource known after the update."
        )
