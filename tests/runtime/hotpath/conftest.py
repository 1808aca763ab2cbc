"""Both sides of the comparison, on the data plane that the tests of the runtime share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.hotpath.comparing import Sides, sides_of
from tests.support.services import Platform, Service


@pytest.fixture(scope="session")
def without(shared: Platform) -> Service:
    """A tracking service without a hot path."""
    return shared.start("tracking", MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS="0")


@pytest.fixture(scope="module")
def sides(shared: Platform, without: Service) -> Iterator[Sides]:
    """MLflow alone, and a hot path of this process before it."""
    with sides_of(shared, without) as made:
        yield made
