"""What goes wrong with a stack, and what must not, by the real engine against the offline Azure.

A stack's first `up` runs once for all tests (`first_up`); `living` copies what it left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import must
from tests.end_to_end.azure.living import IMAGE, SLOW, Cloud, FirstUp, failed, steps
from tests.support.arm import needs_schemas

pytestmark = [needs_schemas, SLOW]
DATA = {"store-account", "postgres-server", "vault-vault"}


def test_data_in_prod_is_not_replaced(living: Callable[[str], Cloud]) -> None:
    cloud = living("prod")
    product, azure = cloud.stack("prod"), cloud.azure
    there = dict(azure.resources)
    before, state = product.values, must(product.run("stack", "export")).text
    resources = json.loads(state[state.index("{") :])["deployment"]["resources"]
    assert {one["urn"].rsplit("::", 1)[1] for one in resources if one.get("protect")} >= DATA
    # Each of these makes the provider replace something that is protected: the engine says so before anything is done.
    for change in (
        {"location": "northeurope"},
        {"nameGeneration": "other"},
    ):
        product.configure(**change)
        refused = failed(product.preview())
        assert "unable to replace resource" in refused
        assert "as it is currently marked for protection" in refused
        product.configure(**{key: before.get(key) for key in change})
    assert azure.resources == there
    # As it was when its first `up` had left nothing to do.
    assert product.values == before
    assert product.run("stack", "export").text == state


def test_a_subnet_that_is_still_linked_is_destroyed_later(living: Callable[[str], Cloud]) -> None:
    cloud = living("dev")
    product, azure = cloud.stack("dev"), cloud.azure
    azure.inject("linger", operation="delete", matching="/managedEnvironments/[^/]+$")
    assert "InUseSubnetCannotBeDeleted" in failed(product.destroy())
    assert [key for key in azure.resources if key.endswith("/subnets/container-apps")]
    azure.clear_faults()
    must(product.destroy())
    assert azure.resources == {}


def test_before_there_is_an_image_everything_else_is_made(cloud: Cloud) -> None:
    product = cloud.stack("dev")
    product.configure(image={"digest": "none"})
    first = must(product.up())
    assert "registry" in first.text
    assert "url" not in product.run("stack", "output").text
    made = {one["type"].removeprefix("azure-native:") for one in cloud.azure.resources.values()}
    assert not made & {"app:ContainerApp", "app:Job"}
    assert {"app:ManagedEnvironment", "containerregistry:Registry", "dbforpostgresql:Server"} <= made
    product.configure(image=IMAGE)
    assert "delete" not in steps(product.preview("--json")).values()
    assert "https://mlflow-gateway." in must(product.up()).text


def test_after_failures_in_the_middle_the_next_up_finishes(cloud: Cloud) -> None:
    product, azure = cloud.stack("dev"), cloud.azure
    together = {
        "provisioning": ("half", "/flexibleServers/[^/]+$"),
        "QuotaExceeded": ("quota", "/managedEnvironments/[^/]+$"),
        "AuthorizationFailed": ("forbidden", "/roleAssignments/"),
        # Without an end: the provider's client gives up.
        "TooManyRequests": ("throttled", "/vaults/[^/]+$"),
    }
    for kind, matching in together.values():
        # The provider's client repeats some of these, so once would not be enough.
        azure.inject(kind, operation="create", matching=matching, every=1)
    said = failed(product.up("--continue-on-error"))
    assert [message for message in together if message not in said] == []
    assert azure.resources
    assert not [key for key in azure.resources if "/managedenvironments/" in key or "/roleassignments/" in key]

    # The engine stops at the first failure, as it does where it is not asked to go on.
    azure.clear_faults()
    azure.inject("conflict", operation="create", matching="/flexibleServers/[^/]+/administrators/", every=1)
    assert "AnotherOperationInProgress" in failed(product.up())
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


def test_a_failed_prepare_stops_the_up_and_no_service_is_touched(living: Callable[[str], Cloud]) -> None:
    cloud = living("dev")
    product, azure = cloud.stack("dev"), cloud.azure
    before = {key: one for key, one in azure.resources.items() if "/containerapps/" in key}
    product.configure(image={"digest": "sha256:" + "6" * 64})
    cloud.management.outcomes["mlflow-prepare"] = ["Failed"]
    said = failed(product.up())
    assert "ended with status Failed; the previous revision still serves" in said
    assert "ContainerAppConsoleLogs" in said
    assert "Traceback" not in said
    assert before
    assert {key: one for key, one in azure.resources.items() if "/containerapps/" in key} == before
    must(product.up())
    must(product.preview("--expect-no-changes"))


def properties(azure: Azure, kind: str) -> list[dict[str, Any]]:
    return [one["inputs"] for one in azure.resources.values() if one["type"] == f"azure-native:{kind}"]


def test_the_services_find_each_other(first_up: Callable[[str], FirstUp]) -> None:
    """What is unknown until Azure has made it arrives where it belongs."""
    azure = first_up("dev").azure
    apps = {app["containerAppName"]: app for app in properties(azure, "app:ContainerApp")}
    env = {
        name: {item["name"]: item["value"] for item in app["template"]["containers"][0]["env"]}
        for name, app in apps.items()
    }
    zones = [zone["privateZoneName"] for zone in properties(azure, "privatedns:PrivateZone")]
    (domain,) = [zone for zone in zones if zone.endswith("azurecontainerapps.io")]
    gateway, tracking = env["mlflow-gateway"], env["mlflow-tracking"]
    assert gateway["MLFLOW_RUNTIME_TRACKING_UPSTREAMS"] == f"mlflow-tracking.internal.{domain}:443"
    assert gateway["MLFLOW_RUNTIME_PUBLIC_HOSTS"] == f"mlflow-gateway.{domain}"
    assert tracking["MLFLOW_RUNTIME_PUBLIC_HOSTS"] == f"mlflow-gateway.{domain},mlflow-tracking.internal.{domain}"
    database = tracking["MLFLOW_RUNTIME_TRACKING_DATABASE_URL"]
    assert database.startswith("postgresql+entra://id-mlflow-dev-tracking@psql-")
    (store,) = properties(azure, "storage:BlobServiceProperties")
    assert store["cors"]["corsRules"][0]["allowedOrigins"] == [f"https://mlflow-gateway.{domain}"]
