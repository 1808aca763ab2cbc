"""Both sides of the comparison, on the data plane that the tests of the runtime share."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator

import psycopg2
import pytest
from sqlalchemy import make_url

from mlflow_runtime.azure import identity
from tests.runtime.hotpath.asking import V2, Client
from tests.runtime.hotpath.comparing import Sides
from tests.support.plane import TRACKING
from tests.support.services import PUBLIC_HOST, Platform, Service


@pytest.fixture(scope="session")
def without(shared: Platform) -> Service:
    """A tracking service without a hot path."""
    return shared.start("tracking", MLFLOW_RUNTIME_HOT_PATH_CONNECTIONS="0")


@pytest.fixture(scope="module")
def sides(shared: Platform, without: Service) -> Iterator[Sides]:
    """MLflow alone, and a hot path of this process before it."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in shared.plane.environment(TRACKING).items():
            patched.setenv(name, value)
        patched.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", PUBLIC_HOST)
        patched.setattr(identity, "current", functools.cache(identity.current.__wrapped__))
        made = without.ask(f"{V2}/experiments/create", {"name": f"hot-{uuid.uuid4()}"})
        client = Client(without.port)
        rows = psycopg2.connect(
            host="127.0.0.1",
            port=shared.plane.postgres_port,
            user=TRACKING.name,
            password=shared.plane.token(TRACKING)["access_token"],
            dbname="tracking",
        )
        rows.autocommit = True
        yield Sides(
            reference=client,
            url=make_url(shared.database_url("tracking", "tracking")),
            rows=rows,
            experiment=made.body["experiment_id"],
        )
        client.close()
        rows.close()
