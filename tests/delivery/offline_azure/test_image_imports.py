"""What the offline Azure takes and refuses of an import of an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.errors import RefusedError

PLACED = {"resourceGroupName": "rg", "location": "westeurope"}
ADDRESS = "ghcr.io/example/shop"
ELSEWHERE = "/subscriptions/1/resourceGroups/b/providers/Microsoft.ContainerRegistry/registries/crbuild"
DIGEST = "sha256:" + "1" * 64
VERSION = "2025-11-01"
BODY: Mapping[str, Any] = {
    "source": {"registryUri": "ghcr.io", "sourceImage": f"example/shop@{DIGEST}"},
    "targetTags": ["shop:one"],
    "mode": "NoForce",
}
OF_ID = {**BODY, "source": {"resourceId": ELSEWHERE, "sourceImage": f"shop@{DIGEST}"}}


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    found = Azure(tmp_path / "azure.json")
    found.create("azure-native:resources:ResourceGroup", PLACED)
    found.create(
        "azure-native:containerregistry:Registry", {**PLACED, "registryName": "crshop", "sku": {"name": "Basic"}}
    )
    found.publish(f"{ADDRESS}@{DIGEST}")
    return found


def registry(azure: Azure) -> dict[str, Any]:
    return next(one for one in azure.resources.values() if one["type"].endswith(":Registry"))


def run(azure: Azure, body: Mapping[str, Any] = BODY, version: str = VERSION) -> None:
    operation = azure.import_image(registry(azure)["id"], version, body)
    assert azure.is_import(operation)
    assert azure.import_ended(operation) is False
    assert azure.import_ended(operation) is True


def refused(azure: Azure, body: Mapping[str, Any] = BODY, version: str = VERSION) -> tuple[int, str, str]:
    before = dict(registry(azure).get("images", {}))
    with pytest.raises(RefusedError) as error:
        run(azure, body, version)
    assert registry(azure).get("images", {}) == before
    return error.value.status, error.value.code, error.value.message


def test_a_published_image_is_copied_and_stays_over_an_update_and_a_restart(azure: Azure, tmp_path: Path) -> None:
    run(azure)
    found = registry(azure)
    azure.update(found["type"], found["id"], {**found["inputs"], "tags": {"a": "b"}})
    assert registry(Azure(tmp_path / "azure.json"))["images"] == {"shop": {"one": DIGEST}}


def test_a_tag_that_is_there_ends_the_operation_before_anything_is_copied(azure: Azure) -> None:
    run(azure)
    status, _, message = refused(azure)
    assert (status, "Tag shop:one already exists in target registry." in message) == (409, True)
    run(azure, {**BODY, "mode": "Force"})


@pytest.mark.parametrize(
    ("change", "property_"),
    [
        ({"source": None}, "Source"),
        ({"source": {"sourceImage": f"shop@{DIGEST}"}}, "Source"),
        ({"source": {**BODY["source"], "resourceId": ELSEWHERE}}, "Source"),
        ({"source": {"registryUri": "ghcr.io"}}, "Source.SourceImage"),
        ({"source": {"registryUri": "ghcr.io", "sourceImage": f"shop:1@{DIGEST}"}}, "Source.SourceImage"),
        ({"source": {"registryUri": "ghcr.io", "sourceImage": "shop@sha256:12"}}, "Source.SourceImage"),
        ({"source": {"registryUri": "ghcr.io", "sourceImage": f"ghcr.io/shop:1@{DIGEST}"}}, "Source.SourceImage"),
        ({"targetTags": []}, "TargetTags"),
        ({"targetTags": [f"shop@{DIGEST}"]}, "TargetTags"),
        ({"targetTags": ["shop:a/b"]}, "TargetTags"),
        ({"mode": "Overwrite"}, "Mode"),
    ],
)
def test_a_wrong_body_is_refused_at_once(azure: Azure, change: Mapping[str, Any], property_: str) -> None:
    status, _, message = refused(azure, {**BODY, **change})
    assert status == 400
    assert f"for property parameters.{property_} " in message


def test_another_version_of_the_api_is_refused(azure: Azure) -> None:
    assert refused(azure, version="2025-01-01")[:2] == (400, "NoRegisteredProviderFound")


def test_a_registry_that_is_not_there_is_refused(azure: Azure) -> None:
    with pytest.raises(RefusedError) as error:
        azure.import_image(f"{registry(azure)['id']}x", VERSION, BODY)
    assert error.value.status == 404


def test_an_image_that_nobody_declared_is_unknown(azure: Azure) -> None:
    other = {**BODY, "source": {"registryUri": "ghcr.io", "sourceImage": f"example/shop@sha256:{'2' * 64}"}}
    assert "MANIFEST_UNKNOWN" in refused(azure, other)[2]
    assert (
        "MANIFEST_UNKNOWN" in refused(azure, {**BODY, "source": {"registryUri": "ghcr.io", "sourceImage": "shop"}})[2]
    )


def test_who_asks_needs_a_right_on_the_source(azure: Azure) -> None:
    assert refused(azure, OF_ID)[:2] == (404, "ResourceNotFound")
    azure.publish(f"{ELSEWHERE}/shop@{DIGEST}", readable=False)
    status, code, message = refused(azure, OF_ID)
    assert (status, code) == (403, "LinkedAuthorizationFailed")
    assert f"does not have permission to perform action 'read' on the linked scope(s) '{ELSEWHERE}'" in message
    azure.publish(f"{ELSEWHERE}/shop@{DIGEST}")
    run(azure, OF_ID)


def test_a_source_that_needs_a_sign_in_is_refused(azure: Azure) -> None:
    azure.publish(f"{ADDRESS}@{DIGEST}", readable=False)
    assert "UNAUTHORIZED" in refused(azure)[2]


def test_who_asks_needs_a_right_on_the_target(azure: Azure) -> None:
    azure.inject("forbidden", operation="import", matching="/registries/")
    assert refused(azure)[:2] == (403, "AuthorizationFailed")


@pytest.mark.parametrize("bypass", ["AzureServices", "None"])
def test_a_private_registry_admits_trusted_services_or_nothing(azure: Azure, bypass: str) -> None:
    azure.change(registry(azure)["id"], publicNetworkAccess="Disabled", networkRuleBypassOptions=bypass)
    if bypass == "None":
        assert "Access to crshop.azurecr.io denied." in refused(azure)[2]
    else:
        run(azure)


@pytest.mark.parametrize("image", ["ghcr.io/shop", "ghcr.io/shop:1", f"@{DIGEST}", "ghcr.io/shop@sha256:1"])
def test_an_image_is_declared_by_its_digest(azure: Azure, image: str) -> None:
    with pytest.raises(ValueError, match="expected REGISTRY/REPOSITORY@sha256:"):
        azure.publish(image)
