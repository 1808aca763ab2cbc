"""What a user reads of a failed provider, and what the state keeps of a provider."""

from __future__ import annotations

import base64
import pickle
import pydoc
import re
import traceback
from typing import Any

import pytest
from pulumi.dynamic import Resource, ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider

from components.azure.aks_pool_settings import PoolSettings, PoolSettingsProvider
from components.azure.cluster_access import ClusterAccess, ClusterAccessProvider
from components.azure.existing_cluster import ExistingCluster, ExistingClusterProvider
from components.azure.image_import import ImageImport, ImageImportProvider
from components.compute.aks.resources import RolledOut, RolledOutProvider
from components.compute.container_apps.resources import (
    JobExecution,
    JobExecutionProvider,
    RevisionReady,
    RevisionReadyProvider,
)
from components.compute.dynamic import Provider
from components.compute.local.resources import (
    JobProvider,
    JobRun,
    ProcessGroupProvider,
    RunningGroup,
    SupervisorDaemon,
    SupervisorProvider,
)
from components.emulators.blob_container import BlobContainer, BlobContainerProvider
from tests.support import house

# These names stand in the state of stacks that exist: another one could not be read from it.
NAMES: dict[type[Provider], str] = {
    SupervisorProvider: "components.compute.local.resources.SupervisorProvider",
    ProcessGroupProvider: "components.compute.local.resources.ProcessGroupProvider",
    JobProvider: "components.compute.local.resources.JobProvider",
    BlobContainerProvider: "components.emulators.blob_container.BlobContainerProvider",
    JobExecutionProvider: "components.compute.container_apps.resources.JobExecutionProvider",
    RevisionReadyProvider: "components.compute.container_apps.resources.RevisionReadyProvider",
    ImageImportProvider: "components.azure.image_import.ImageImportProvider",
    ClusterAccessProvider: "components.azure.cluster_access.ClusterAccessProvider",
    ExistingClusterProvider: "components.azure.existing_cluster.ExistingClusterProvider",
    PoolSettingsProvider: "components.azure.aks_pool_settings.PoolSettingsProvider",
    RolledOutProvider: "components.compute.aks.resources.RolledOutProvider",
}

# The types too: a resource of another type would be a new one, and the old one deleted with all that it runs.
TYPES: dict[type[Resource], str] = {
    SupervisorDaemon: "dynamic/local:SupervisorDaemon",
    RunningGroup: "dynamic/local:ProcessGroup",
    JobRun: "dynamic/local:JobRun",
    BlobContainer: "dynamic/local:BlobContainer",
    JobExecution: "dynamic/container_apps:JobExecution",
    RevisionReady: "dynamic/container_apps:RevisionReady",
    ImageImport: "dynamic/container_registry:ImageImport",
    ClusterAccess: "dynamic/aks:ClusterAccess",
    ExistingCluster: "dynamic/aks:ExistingCluster",
    PoolSettings: "dynamic/aks:PoolSettings",
    RolledOut: "dynamic/aks:RolledOut",
}
# By a name that only older states hold.
OLDER_NAMES: dict[str, type[Provider]] = {
    "components.local.blob_container.BlobContainerProvider": BlobContainerProvider,
}

DECLARED = re.compile(r"^class (\w+)\(Provider\):$", re.MULTILINE)


class ExpectedError(Exception):
    pass


class Failing(Provider):
    errors = (ExpectedError,)

    def fail(self, error: Exception) -> None:
        with self.message_only():
            raise error from KeyError("inner")


def said(error: Exception) -> str:
    """As Pulumi's provider host tells an error."""
    try:
        Failing().fail(error)
    except type(error):
        return traceback.format_exc()
    return ""


@pytest.mark.parametrize(("resource", "name"), TYPES.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_a_resource_keeps_its_type(resource: type[Resource], name: str) -> None:
    assert resource._resource_type_name == name


def test_an_expected_error_is_its_message() -> None:
    assert said(ExpectedError("do this")).splitlines() == [f"{__name__}.ExpectedError: do this"]


def test_any_other_error_keeps_its_traceback() -> None:
    reported = said(ValueError("a bug"))
    assert "Traceback" in reported
    assert "in fail" in reported
    assert "inner" in reported


@pytest.mark.parametrize(("provider", "name"), NAMES.items(), ids=[one.__name__ for one in NAMES])
def test_the_state_names_the_class_and_holds_nothing_else(provider: type[Provider], name: str) -> None:
    kept: Any = serialize_provider(provider())
    pickled = base64.b64decode(kept)
    assert len(pickled) < 2 * len(name)
    module, _, cls = name.rpartition(".")
    assert module.encode() in pickled
    assert cls.encode() in pickled
    assert type(pickle.loads(pickled)) is provider  # noqa: S301 - it was made above
    assert provider.serialize_as_secret_always is False
    assert provider.errors


def test_every_provider_of_the_product_is_in_the_table() -> None:
    sources = {module: file.read_text() for module, file in house.files().items()}
    found = {f"{module}.{name}" for module, source in sources.items() for name in re.findall(DECLARED, source)}
    assert found == set(NAMES.values())


@pytest.mark.parametrize("name", OLDER_NAMES)
def test_an_older_state_finds_its_provider(name: str) -> None:
    assert pydoc.locate(name) is OLDER_NAMES[name]


def test_pulumi_would_make_it_secret_otherwise() -> None:
    assert ResourceProvider.serialize_as_secret_always is True
