"""One data plane for the tests of this folder that leave it whole, and one for each test that breaks it."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlflow_runtime.azure import identity
from mlflow_runtime.routes import ServiceRole
from tests.support import issued
from tests.support.plane import REPOSITORY
from tests.support.services import BY_ROLE, Platform, Service, platform


@pytest.fixture(scope="session")
def azurite() -> Path:
    """The folder that holds Azurite, from the project's own installer and its cache."""
    installer = REPOSITORY / "tools" / "azurite" / "install.py"
    result = subprocess.run([sys.executable, installer], capture_output=True, text=True, check=True)
    return Path(result.stdout.strip())


@pytest.fixture(scope="session")
def shared(azurite: Path) -> Iterator[Platform]:
    """A platform that tests share and do not break."""
    folder = _folder()
    try:
        with platform(folder, azurite) as made:
            yield made
            assert issued.left_in(folder) == []
    finally:
        shutil.rmtree(folder)


def _folder() -> Path:
    # Not pytest's tmp_path: its name is too long for a Unix socket on macOS.
    return Path(tempfile.mkdtemp(prefix="services-"))


@pytest.fixture(scope="session")
def service_of(shared: Platform) -> Callable[[str], Service]:
    """The one service of a role, started when a test first wants it."""
    return functools.cache(shared.start)


@pytest.fixture(scope="session")
def tracking(service_of: Callable[[str], Service]) -> Service:
    """A tracking service."""
    return service_of("tracking")


@pytest.fixture(scope="session")
def registry(service_of: Callable[[str], Service]) -> Service:
    """A registry service."""
    return service_of("registry")


@pytest.fixture(scope="session")
def artifacts(service_of: Callable[[str], Service]) -> Service:
    """An artifacts service. Its environment has no database."""
    return service_of("artifacts")


@pytest.fixture
def services(service_of: Callable[[str], Service]) -> dict[str, Service]:
    """One service of each role."""
    return {role.value: service_of(role.value) for role in ServiceRole}


@pytest.fixture
def as_tracking(shared: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """This process has the tracking service's identity."""
    sign_in(shared, "tracking", monkeypatch)
    return shared


def sign_in(platform: Platform, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process the identity of a role."""
    for name, value in platform.plane.environment(BY_ROLE[role]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(identity, "current", functools.cache(identity.current.__wrapped__))
