"""Each service has its line in every table of services: the test names the files that lack one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from components.mlflow.roles import BACKENDS, SERVICES
from delivery.pulumi.installation import REPOSITORY
from infra.settings.model import KEYS
from infra.settings.ports import OFFSETS
from infra.settings.profiles import PROFILES
from mlflow_runtime.routes import ANSWERS


def lacking(service: str, *, behind_the_gateway: bool) -> Iterator[str]:
    """The files without a line for a service."""
    declared = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    for file, names in {
        "infra/settings/model.py": KEYS,
        "infra/settings/ports.py": OFFSETS,
        **{f"infra/settings/profiles.py, {name}": profile.sizes for name, profile in PROFILES.items()},
        "Pulumi.yaml": declared,
        **({"runtime/mlflow_runtime/routes.py": ANSWERS} if behind_the_gateway else {}),
    }.items():
        if service not in map(str, names):
            yield file


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_in_every_table(service: str) -> None:
    assert "; ".join(lacking(service, behind_the_gateway=service in BACKENDS)) == ""


def test_a_service_that_is_in_no_table_is_named_with_each() -> None:
    places = [*lacking("echo", behind_the_gateway=True)]
    profiles = [f"infra/settings/profiles.py, {name}" for name in PROFILES]
    settings = ["infra/settings/model.py", "infra/settings/ports.py"]
    assert places == [*settings, *profiles, "Pulumi.yaml", "runtime/mlflow_runtime/routes.py"]
