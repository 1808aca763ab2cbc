"""docs/stacks.md says what the stacks are, and every resource of theirs has a price or is known to be free."""

from __future__ import annotations

import pytest

from delivery.reference.stacks import DOCUMENT, costs, render
from tests.support.stacks import STACKS, graph


def test_the_committed_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == render()


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_of_a_stack_is_without_a_price(stack: str) -> None:
    assert [one.resource for one in costs(graph(stack)).not_priced] == []


def test_dev_costs_a_fraction_of_prod() -> None:
    dev, prod = costs(graph("dev")), costs(graph("prod"))
    assert dev.load_usd < prod.idle_usd / 3
