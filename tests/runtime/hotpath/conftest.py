"""Both sides of the comparison, on the data plane that the tests of the runtime share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.hotpath import stock as mlflow
from tests.runtime.hotpath.comparing import Sides, sides_of
from tests.support.services import Platform, Service


@pytest.fixture(scope="session")
def stock(shared: Platform) -> Iterator[Service]:
    """MLflow as it comes."""
    with mlflow.serving(shared) as service:
        yield service


@pytest.fixture(scope="module")
def sides(shared: Platform, stock: Service, tracking: Service) -> Iterator[Sides]:
    """Stock MLflow, and a hot path of this process before it."""
    with sides_of(shared, stock, tracking) as made:
        yield made
