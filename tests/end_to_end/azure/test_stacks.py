"""The stacks dev, staging and prod, each through its life, by the real engine against the offline Azure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import Product
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.offline_azure.running import NO_CHANGES_EXPECTED, Result, must
from tests.support.arm import CHECKS, needs_schemas
from tests.support.stacks import STACKS

pytestmark = needs_schemas
PROTECTED = ("staging", "prod")


@dataclass(frozen=True)
class Cloud:
    """An Azure and what a stack needs to reach it."""

    azure: Azure
    management: ManagementApi
    port: int
    folder: Path

    def stack(self, name: str) -> Product:
        return Product(self.folder, name, self.port, self.management.url)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    azure = Azure(tmp_path / "azure.json", checks=CHECKS)
    server, port = serve(azure)
    management = ManagementApi(azure)
    yield Cloud(azure, management, port, tmp_path)
    server.stop(None)
    management.close()


def steps(result: Result) -> dict[str, str]:
    """What a preview would do, by resource name; what stays is left out."""
    document = json.loads(must(result).text[result.text.index("{") :])
    return {step["urn"].split("::")[-1]: step["op"] for step in document["steps"] if step["op"] != "same"}


def only(azure: Azure, kind: str) -> str:
    (found,) = [key for key, one in azure.resources.items() if one["type"] == f"azure-native:{kind}"]
    return found


def failed(result: Result) -> str:
    assert result.code != 0, result.text
    return result.text


@pytest.mark.parametrize("stack", STACKS)
def test_a_life(cloud: Cloud, stack: str) -> None:
    product, azure = cloud.stack(stack), cloud.azure

    previewed = steps(product.preview("--json"))
    assert set(previewed.values()) == {"create"}
    assert azure.calls() == []
    must(product.up())
    of_azure = [name for name in previewed if not name.startswith(("mlflow-platform-", "default_"))]
    assert len(azure.resources) < len(of_azure)
    must(product.preview("--expect-no-changes"))
    must(product.refresh("--expect-no-changes", "--diff"))

    # A failover swaps the server's zones, and its disk grows by itself: nothing to do.
    azure.change(
        only(azure, "dbforpostgresql:Server"),
        availabilityZone="3",
        highAvailability={"standbyAvailabilityZone": "1"},
        storage={"storageSizeGB": 1024},
    )
    must(product.preview("--refresh", "--expect-no-changes", "--diff"))

    # One setting: what it touches and nothing else. A new revision is waited for.
    product.configure(tracking={"concurrency": 7})
    assert steps(product.preview("--json")) == {"tracking": "update", "tracking-ready": "update"}
    must(product.up())
    must(product.preview("--expect-no-changes"))

    # Another image: prepare runs, then every service rolls, and nothing of the data changes.
    product.configure(image={"digest": "sha256:" + "5" * 64})
    rolled = steps(product.preview("--json"))
    assert {"prepare-job", "prepare", "tracking", "registry", "artifacts", "gateway"} <= rolled.keys()
    assert {name.removesuffix("-ready") for name in rolled} <= {
        *("prepare-job", "prepare", "tracking", "registry", "artifacts", "gateway")
    }
    must(product.up())

    # Somebody opens the account in the portal.
    azure.change(only(azure, "storage:StorageAccount"), publicNetworkAccess="Enabled")
    drifted = product.refresh("--expect-no-changes", "--diff")
    assert drifted.code == NO_CHANGES_EXPECTED, drifted.text
    assert "publicNetworkAccess" in drifted.text
    must(product.up("--refresh"))
    must(product.refresh("--expect-no-changes"))

    if stack in PROTECTED:
        there = len(azure.resources)
        # As a person does it, with the preview that comes first.
        assert "cannot be deleted" in failed(product.run("destroy", "--yes"))
        assert len(azure.resources) == there
        product.configure(protect="false")
        must(product.up())
    must(product.destroy())
    assert azure.resources == {}


def test_data_in_prod_is_not_replaced(cloud: Cloud) -> None:
    product, azure = cloud.stack("prod"), cloud.azure
    must(product.up())
    there = dict(azure.resources)
    # Each of these makes the provider replace something that is protected: the engine says so before anything is done.
    for change in (
        {"location": "northeurope"},
        {"nameGeneration": "other"},
    ):
        before = product.values
        product.configure(**change)
        refused = failed(product.preview())
        assert "unable to replace resource" in refused
        assert "as it is currently marked for protection" in refused
        product.configure(**{key: before.get(key) for key in change})
    assert azure.resources.keys() == there.keys()
    must(product.preview("--expect-no-changes"))


def test_before_there_is_an_image_everything_else_is_made(cloud: Cloud) -> None:
    product = cloud.stack("dev")
    product.configure(image={"digest": "none"})
    first = must(product.up())
    assert "registry" in first.text
    assert "url" not in product.run("stack", "output").text
    made = {one["type"].removeprefix("azure-native:") for one in cloud.azure.resources.values()}
    assert not made & {"app:ContainerApp", "app:Job"}
    assert {"app:ManagedEnvironment", "containerregistry:Registry", "dbforpostgresql:Server"} <= made
    product.configure(image={"digest": "sha256:" + "5" * 64})
    assert "delete" not in steps(product.preview("--json")).values()
    assert "https://mlflow-gateway." in must(product.up()).text


@pytest.mark.parametrize(
    ("kind", "matching", "message"),
    [
        ("conflict", "/flexibleServers/[^/]+/databases/registry$", "AnotherOperationInProgress"),
        ("quota", "/managedEnvironments/[^/]+$", "QuotaExceeded"),
        ("forbidden", "/roleAssignments/", "AuthorizationFailed"),
        ("half", "/flexibleServers/[^/]+$", "provisioning"),
    ],
)
def test_after_a_failure_in_the_middle_the_next_up_finishes(
    cloud: Cloud, kind: str, matching: str, message: str
) -> None:
    product, azure = cloud.stack("dev"), cloud.azure
    # The provider's client repeats some of these, so once would not be enough.
    azure.inject(kind, operation="create", matching=matching, every=1)
    assert message in failed(product.up())
    assert azure.resources
    azure.clear_faults()
    must(product.up())
    must(product.preview("--expect-no-changes"))
    must(product.destroy())
    assert azure.resources == {}


def test_an_up_goes_through_while_a_third_of_the_calls_is_throttled(cloud: Cloud) -> None:
    product, azure = cloud.stack("dev"), cloud.azure
    azure.inject("throttled", operation="create", matching=".", every=3)
    azure.inject("throttled", operation="start", matching=".", every=3)
    must(product.up())
    refused = [call for call in azure.calls() if "429" in call.get("refused", "")]
    created = [call for call in azure.calls() if call["operation"] == "create"]
    assert len(refused) >= len(created) // 4
    azure.clear_faults()
    must(product.preview("--expect-no-changes"))
    must(product.destroy())
    assert azure.resources == {}


def test_throttling_without_an_end_is_said_and_the_next_up_finishes(cloud: Cloud) -> None:
    product, azure = cloud.stack("dev"), cloud.azure
    azure.inject("throttled", operation="create", matching="/vaults/[^/]+$", every=1)
    assert "TooManyRequests" in failed(product.up())
    azure.clear_faults()
    must(product.up())
    must(product.destroy())
    assert azure.resources == {}


def test_a_failed_prepare_stops_the_up_and_no_service_is_touched(cloud: Cloud) -> None:
    product, azure = cloud.stack("dev"), cloud.azure
    must(product.up())
    before = {key: one for key, one in azure.resources.items() if "/containerapps/" in key}
    product.configure(image={"digest": "sha256:" + "6" * 64})
    cloud.management.outcomes["mlflow-prepare"] = ["Failed"]
    said = failed(product.up())
    assert "ended with status Failed; the services of before still run" in said
    assert "ContainerAppConsoleLogs" in said
    assert "Traceback" not in said
    assert {key: one for key, one in azure.resources.items() if "/containerapps/" in key} == before
    must(product.up())
    must(product.preview("--expect-no-changes"))


def properties(azure: Azure, kind: str) -> list[dict[str, Any]]:
    return [one["inputs"] for one in azure.resources.values() if one["type"] == f"azure-native:{kind}"]


def test_the_services_find_each_other(cloud: Cloud) -> None:
    """What is unknown until Azure has made it arrives where it belongs."""
    product = cloud.stack("dev")
    must(product.up())
    apps = {app["containerAppName"]: app for app in properties(cloud.azure, "app:ContainerApp")}
    env = {
        name: {item["name"]: item["value"] for item in app["template"]["containers"][0]["env"]}
        for name, app in apps.items()
    }
    zones = [zone["privateZoneName"] for zone in properties(cloud.azure, "privatedns:PrivateZone")]
    (domain,) = [zone for zone in zones if zone.endswith("azurecontainerapps.io")]
    assert env["mlflow-gateway"]["MLFLOW_RUNTIME_TRACKING_UPSTREAMS"] == f"mlflow-tracking.internal.{domain}:443"
    assert env["mlflow-gateway"]["MLFLOW_RUNTIME_PUBLIC_HOSTS"] == f"mlflow-gateway.{domain}"
    assert (
        env["mlflow-tracking"]["MLFLOW_RUNTIME_PUBLIC_HOSTS"]
        == f"mlflow-gateway.{domain},mlflow-tracking.internal.{domain}"
    )
    assert env["mlflow-tracking"]["MLFLOW_RUNTIME_TRACKING_DATABASE_URL"].startswith(
        "postgresql+entra://id-mlflow-dev-tracking@psql-"
    )
    (store,) = properties(cloud.azure, "storage:BlobServiceProperties")
    assert store["cors"]["corsRules"][0]["allowedOrigins"] == [f"https://mlflow-gateway.{domain}"]
