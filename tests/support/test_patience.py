"""The client's patience, as far as it does not depend on what this platform answers."""

from __future__ import annotations

import pytest

from tests.support.patience import OUTAGE_SECONDS, patience


def test_a_gateway_that_is_away_for_two_minutes_is_waited_for() -> None:
    assert patience(None) > OUTAGE_SECONDS


def test_a_503_without_a_time_is_waited_for_as_long_as_a_refused_connection() -> None:
    assert patience({}) == patience(None)


@pytest.mark.parametrize(("seconds", "waited"), [("2", 14), ("9", 63)])
def test_a_named_time_replaces_the_client_s_growing_pauses(seconds: str, waited: int) -> None:
    """Seven tries of it: the reason why no 503 of this platform names one."""
    assert patience({"Retry-After": seconds}) == waited
