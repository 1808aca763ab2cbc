"""docs/stacks.md says what the stacks are, and every resource of theirs has a price or is known to be free."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

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
