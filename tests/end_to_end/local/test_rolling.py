"""Every process is replaced beside clients that repeat nothing, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.benchmarks.rolling import replaced_beside_clients, replicas
from tests.support.local_stack import RunningStack


@pytest.fixture(scope="module")
def wide_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    stack = RunningStack.configured(tmp_path_factory.mktemp("rolling"))
    stack.configure(**replicas(2))
    try:
        stack.up()
        yield stack
    finally:
        removed = stack.run("destroy", "--yes")
    assert removed.returncode == 0, removed.stdout + removed.stderr


def test_a_roll_out_of_all_services_fails_no_request_and_loses_nothing(wide_stack: RunningStack) -> None:
    replaced, outcomes = replaced_beside_clients(wide_stack, 2, limits={"maxInFlight": 100})
    assert replaced == {f"{role}{suffix}" for role in replicas(2) for suffix in ("", "-2")}
    assert [(one.name, one.failed, one.lost) for one in outcomes if one.failed or one.lost] == []
    assert all(one.acknowledged > 20 for one in outcomes), outcomes


def test_a_new_gateway_fails_no_client_of_mlflows_and_loses_nothing(wide_stack: RunningStack) -> None:
    replaced, outcomes = replaced_beside_clients(wide_stack, 2, limits={"maxInFlight": 100, "maxBodyMib": 32})
    assert replaced == {"gateway"}
    assert [(one.name, one.lost) for one in outcomes if one.lost] == []
    (mlflows,) = (one for one in outcomes if one.name == "MLflow's client")
    assert mlflows.failed == []
    # A system's listening sockets do not hand their waiting connections over, so one that repeats nothing may see a
    # connection end before its answer; but somebody always listens.
    assert not [failure for one in outcomes for failure in one.failed if "refused" in failure]
