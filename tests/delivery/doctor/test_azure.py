"""What the doctor asks Azure, of a small stand-in that knows these calls alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from components.azure.arm import Arm
from delivery.doctor import azure
from delivery.doctor.azure import API_VERSION, allowed, ask, signed_in
from delivery.doctor.facts import settings_of
from delivery.doctor.missing import Missing
from infra.registrations import providers
from infra.settings.azure import AzureSettings
from infra.settings.model import parse
from infra.settings.profiles import ComputeKind
from tests.delivery.doctor.test_checks import FILE
from tests.support.arm_server import ArmServer
from tests.support.json_server import Answer
from tests.support.stacks import ANOTHER_OWNERS, PEER, configuration

SUBSCRIPTION = "00000000-0000-0000-0000-00000000cafe"
ROOT = f"/subscriptions/{SUBSCRIPTION}"
VAULT = "kv-mlflow-staging"
APPS = ComputeKind.CONTAINER_APPS


class Management(ArmServer):
    """Azure as its reference says, where some questions are posted."""

    def __init__(self) -> None:
        super().__init__()
        edition = {"supportedServerSkus": [{"name": "Standard_D2ds_v5"}, {"name": "Standard_B2s"}]}
        offer = {"zoneRedundantHaSupported": "Enabled", "restricted": "Disabled", "supportedServerEditions": [edition]}
        sold_elsewhere = {
            "restricted": "Enabled",
            "supportedServerEditions": [{"supportedServerSkus": [{"name": "X"}]}],
        }
        usage = {"name": {"value": "ManagedEnvironmentCount"}, "currentValue": 3, "limit": 15}
        rights = {"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}
        self.answers = {
            ROOT: {"state": "Enabled", "tenantId": "tenant"},
            **{
                f"{ROOT}/providers/{name}": {"registrationState": "Registered"}
                for kind in (ComputeKind.CONTAINER_APPS, ComputeKind.AKS)
                for name in providers(kind)
            },
            f"{ROOT}/providers/Microsoft.Features/providers/Microsoft.Compute/features/EncryptionAtHost": {
                "properties": {"state": "Pending"}
            },
            f"{ROOT}/providers/Microsoft.App/locations/westeurope/usages": {"value": [usage]},
            f"{ROOT}/providers/Microsoft.DBforPostgreSQL/locations/westeurope/capabilities": {
                "value": [offer, sold_elsewhere]
            },
            f"{ROOT}/providers/Microsoft.DBforPostgreSQL/locations/westeurope/resourceType/flexibleServers/usages": {
                "value": [
                    {"name": {"value": "cores"}, "currentValue": 4, "limit": 100},
                    {"name": {"value": "standardDDSv5Family"}, "currentValue": 0, "limit": 50},
                ]
            },
            f"{ROOT}/providers/Microsoft.Authorization/permissions": {"value": [rights]},
            **{
                f"{ROOT}/providers/{kind.partition('/')[0]}/checkNameAvailability": {"nameAvailable": True}
                for kind, _ in azure._CHECKED_NAMES.values()
            },
        }

    def answer(self, method: str, path: str) -> Answer | None:
        if (method == "POST") != path.endswith("/checkNameAvailability"):
            return 405, {"error": {"code": "MethodNotAllowed", "message": method}}, {}
        return super().answer("GET", path)


@pytest.fixture
def management() -> Iterator[Management]:
    server = Management()
    with server.serving():
        yield server


@pytest.fixture
def arm(management: Management) -> Arm:
    return Arm(api_version=API_VERSION, endpoint=management.url, token=lambda _: "token", patience=0)


@pytest.fixture(scope="module")
def settings() -> AzureSettings:
    found = settings_of(FILE, "staging").azure
    assert found is not None
    return found


def test_before_a_first_up_everything_is_asked(management: Management, arm: Arm, settings: AzureSettings) -> None:
    found = ask(arm, "staging", settings, APPS, subscription=SUBSCRIPTION, tenant="tenant", first=True)
    assert (found.home, found.enabled, found.environments, found.zones) == ("tenant", "Enabled", (3, 15), True)
    assert found.cores == {"cores": (4, 100), "standardddsv5family": (0, 50)}
    assert found.sizes == ["Standard_B2s", "Standard_D2ds_v5"]
    assert found.providers == dict.fromkeys(providers(ComputeKind.CONTAINER_APPS), "Registered")
    assert found.features == {}
    assert (found.taken, found.deleted) == ({}, None)
    assert not isinstance(found.actions, Missing)
    assert allowed(found.actions, "Microsoft.App/containerApps/write")
    assert not allowed(found.actions, "Microsoft.Authorization/locks/write")
    assert [one for one in management.calls if not one.startswith((f"GET {ROOT}", f"POST {ROOT}"))] == []


def test_a_cluster_needs_other_providers_and_a_feature(arm: Arm, settings: AzureSettings) -> None:
    found = ask(arm, "staging", settings, ComputeKind.AKS, subscription=SUBSCRIPTION, tenant="tenant", first=False)
    assert found.providers == dict.fromkeys(providers(ComputeKind.AKS), "Registered")
    assert found.features == {"Microsoft.Compute/EncryptionAtHost": "Pending"}
    assert isinstance(found.environments, Missing)


def test_beside_a_cluster_of_another_owner_nothing_of_its_creation_is_asked_for(
    management: Management, arm: Arm
) -> None:
    network = {"cidr": "10.40.0.0/24", "clientNetworks": [PEER]}
    given = {"compute": "aks", "aks": {"existingCluster": ANOTHER_OWNERS}, "network": network}
    chosen = parse(configuration("staging", **given), "staging").azure
    assert chosen is not None
    ask(arm, "staging", chosen, ComputeKind.AKS, subscription=SUBSCRIPTION, tenant="tenant", first=False)
    assert [one for one in management.calls if "Microsoft.Comp" in one or "Microsoft.Container" in one] == [
        f"GET {ROOT}/providers/Microsoft.ContainerRegistry"
    ]


def test_a_name_that_is_taken_and_one_of_a_deleted_vault(
    management: Management, arm: Arm, settings: AzureSettings
) -> None:
    path = f"{ROOT}/providers/Microsoft.Storage/checkNameAvailability"
    management.answers[path] = {"nameAvailable": False, "reason": "AlreadyExists"}
    management.answer = _any_deleted_vault(management)  # type: ignore[method-assign]
    found = ask(arm, "staging", settings, APPS, subscription=SUBSCRIPTION, tenant="tenant", first=True)
    assert not isinstance(found.taken, Missing)
    ((name, why),) = found.taken.items()
    assert (name.startswith("stmlflowstaging"), why) == (True, "AlreadyExists")
    assert str(found.deleted).startswith(VAULT)


def _any_deleted_vault(management: Management) -> Any:
    answer = management.answer
    return lambda method, path: (200, {}, {}) if "/deletedVaults/" in path else answer(method, path)


def test_a_later_up_asks_for_rights_on_the_group_and_for_no_name(
    management: Management, arm: Arm, settings: AzureSettings
) -> None:
    group = f"{ROOT}/resourceGroups/rg-mlflow-staging/providers/Microsoft.Authorization/permissions"
    management.answers[group] = {"value": [{"actions": ["*/read"], "notActions": []}]}
    found = ask(arm, "staging", settings, APPS, subscription=SUBSCRIPTION, tenant="tenant", first=False)
    assert found.actions == [(["*/read"], [])]
    assert [one for one in management.calls if "checkName" in one or "deleted" in one] == []


def test_what_azure_refuses_keeps_nothing_else_from_being_known(
    management: Management, arm: Arm, settings: AzureSettings
) -> None:
    management.answers.pop(ROOT)
    management.answers[f"{ROOT}/providers/Microsoft.App/locations/westeurope/usages"] = {"value": []}
    found = ask(arm, "staging", settings, APPS, subscription=SUBSCRIPTION, tenant="tenant", first=False)
    assert isinstance(found.home, Missing)
    assert "404" in found.home.reason
    assert isinstance(found.environments, Missing)
    assert isinstance(found.actions, Missing)
    assert found.zones is True


def test_the_tenant_is_the_tokens_own_and_nothing_is_asked_without_a_sign_in(
    management: Management, settings: AzureSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"tid": "tenant"}).encode()).decode().rstrip("=")
    environ = {"ARM_ENDPOINT": management.url}
    asked = []
    monkeypatch.setattr(azure, "ask", lambda *_, tenant, subscription, **__: asked.append((tenant, subscription)))
    signed_in(
        "staging",
        settings,
        ComputeKind.CONTAINER_APPS,
        subscription="",
        first=True,
        environ=environ,
        token=lambda _: f"a.{claims}.b",
    )
    assert asked == []
    signed_in(
        "staging",
        settings,
        ComputeKind.CONTAINER_APPS,
        subscription="s",
        first=True,
        environ=environ,
        token=lambda _: f"a.{claims}.b",
    )
    signed_in(
        "staging",
        settings,
        ComputeKind.CONTAINER_APPS,
        subscription="s",
        first=True,
        environ=environ,
        token=lambda _: "opaque",
    )
    assert asked == [("tenant", "s"), ("", "s")]
    no = signed_in(
        "staging",
        settings,
        ComputeKind.CONTAINER_APPS,
        subscription="s",
        first=True,
        environ={"ARM_ENDPOINT": "http://a"},
    )
    assert isinstance(no, Missing)
    assert no.reason.startswith("not signed in: ARM_ENDPOINT")
