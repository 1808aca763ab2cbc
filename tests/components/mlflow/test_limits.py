"""Each limit is declared once, and no value outside its range is accepted."""

from __future__ import annotations

from dataclasses import fields

import pytest

from components.mlflow.limits import LIMITS, Limits


def test_every_field_has_a_declaration_and_its_default_is_within_the_range() -> None:
    assert [each.name for each in fields(Limits)] == [*LIMITS]
    for name, limit in LIMITS.items():
        assert getattr(Limits(), name) in limit
        assert limit.meaning
        assert limit.unit


@pytest.mark.parametrize("name", LIMITS)
def test_both_ends_of_a_range_are_accepted_and_their_neighbours_refused(name: str) -> None:
    limit = LIMITS[name]
    for value in (limit.least, limit.most):
        assert getattr(Limits(**{name: value}), name) == value
    for value in (limit.least - 1, limit.most + 1):
        with pytest.raises(ValueError, match=rf"Limits\.{name}: got {value}; expected {limit.least} to {limit.most}"):
            Limits(**{name: value})


def test_all_wrong_limits_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)max_body_mib: got 0.*grace_seconds: got 1;"):
        Limits(max_body_mib=0, grace_seconds=1)
