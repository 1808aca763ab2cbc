"""docs/stacks.md says what the stacks are, and every resource of theirs has a price or is known to be free."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from delivery.cost.catalogue import Group
from delivery.cost.estimate import Estimate
from delivery.cost.resources import read
from delivery.reference import compute
from delivery.reference.stacks import DOCUMENT, STACKS, Plan, document, plan, preview


@pytest.fixture(scope="module")
def plans() -> Mapping[str, Plan]:
    return {stack: plan(preview(stack)) for stack in STACKS}


def test_the_committed_document_is_up_to_date(plans: Mapping[str, Plan]) -> None:
    assert DOCUMENT.read_text() == document(plans)


def test_another_resource_changes_the_document(plans: Mapping[str, Plan]) -> None:
    dev = plans["dev"]
    more = Plan(types={**dev.types, "one-more": "azure-native:cache:Redis"}, cost=dev.cost)
    assert "| one-more | cache:Redis |  | x |  |  |" in document({**plans, "dev": more})


def test_nothing_of_a_stack_is_without_a_price(plans: Mapping[str, Plan]) -> None:
    assert {stack: [one.resource for one in plan.cost.not_priced] for stack, plan in plans.items()} == {
        stack: [] for stack in STACKS
    }


def test_dev_costs_a_fraction_of_prod(plans: Mapping[str, Plan]) -> None:
    assert plans["dev"].cost.load_usd < plans["prod"].cost.idle_usd / 3


@pytest.fixture(scope="module")
def both() -> Mapping[str, tuple[Estimate, Estimate]]:
    """What each stack costs on Container Apps and in a cluster."""
    return {stack: compute.costs(stack, read(preview(stack))) for stack in compute.STACKS}


def test_the_committed_costs_of_both_backends_are_up_to_date(both: Mapping[str, tuple[Estimate, Estimate]]) -> None:
    assert compute.DOCUMENT.read_text() == compute.inserted(compute.DOCUMENT.read_text(), both)


def test_only_compute_and_its_monitoring_differ_and_everything_in_a_cluster_has_a_price(
    both: Mapping[str, tuple[Estimate, Estimate]],
) -> None:
    for apps, cluster in both.values():
        assert cluster.not_priced == []
        same = set(Group) - {Group.COMPUTE, Group.MONITORING}
        assert {group: apps.groups()[group] for group in same} == {group: cluster.groups()[group] for group in same}
        assert cluster.idle_usd > apps.load_usd


def test_a_document_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"choosing-compute\.md: got no marks"):
        compute.inserted("# Container Apps or AKS", {})
