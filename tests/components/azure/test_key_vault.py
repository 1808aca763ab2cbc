"""The vault: what is sent to Azure, what is refused, what would replace it."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.azure.key_vault import KeyVault, KeyVaultArgs
from tests.support.recorder import TENANT_ID, UNKNOWN, Graph, record, shared
from tests.support.replacements import needs_table, replacing

REPLACED_BY = {"keyvault:Vault": {"resourceGroupName", "vaultName"}}
SUBNET = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/net/subnets/apps"
TAGS = {"environment": "test"}
WORKSPACE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w"

DEFAULTS: dict[str, Any] = {"protect": False}
MAX: dict[str, Any] = {"protect": True, "purge_protection": True, "subnet_ids": [SUBNET]}
HARDENED: dict[str, Any] = {"protect": True}
SCENARIOS = {"defaults": DEFAULTS, "max": MAX, "hardened": HARDENED}


def args(**given: Any) -> KeyVaultArgs:
    required = {
        "vault_name": "kv-mlflow-x7k2",
        "resource_group_name": "rg",
        "location": "westeurope",
        "tags": TAGS,
        "tenant_id": TENANT_ID,
        "workspace_id": WORKSPACE,
        "protect": False,
    }
    return KeyVaultArgs(**{**required, **given})


@shared
def graph_of(given: dict[str, Any], *, preview: bool = False) -> Graph:
    return record(lambda: KeyVault("it", args(**given)), preview=preview)


both = pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
scenarios = pytest.mark.parametrize("given", SCENARIOS.values(), ids=SCENARIOS.keys())


@both
@scenarios
def test_secrets_are_kept_and_given_by_roles_alone(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    properties = graph.inputs("it-vault")["properties"]
    assert properties["enableRbacAuthorization"] is True
    assert (properties["enableSoftDelete"], properties["softDeleteRetentionInDays"]) == (True, 90)
    assert properties["enablePurgeProtection"] is True
    assert not {properties[f"enabledFor{use}"] for use in ("Deployment", "DiskEncryption", "TemplateDeployment")} - {
        False
    }
    assert (properties["networkAcls"]["defaultAction"], properties["networkAcls"]["bypass"]) == ("Deny", "None")


@both
def test_protected_means_protected_and_locked(preview: bool) -> None:
    graph = graph_of(HARDENED, preview=preview)
    assert graph.options("it-vault").protect
    assert graph.inputs("it-lock")["level"] == "CanNotDelete"
    assert {"it-vault", "it-logs"} <= graph.dependencies("it-lock")


@both
@scenarios
def test_who_read_which_secret_is_logged(given: dict[str, Any], preview: bool) -> None:
    graph = graph_of(given, preview=preview)
    sent = graph.inputs("it-logs")
    assert (sent["workspaceId"], sent["logs"][0]["categoryGroup"]) == (WORKSPACE, "allLogs")
    assert sent["metrics"][0]["category"] == "AllMetrics"
    assert "it-vault" in graph.dependencies("it-logs")


def test_a_throwaway_vault_has_no_lock_and_azure_hears_nothing_of_purge_protection() -> None:
    graph = graph_of({"protect": False, "purge_protection": False})
    assert "it-lock" not in graph.names
    assert not graph.options("it-vault").protect
    assert "enablePurgeProtection" not in graph.inputs("it-vault")["properties"]


def test_it_is_reached_by_private_endpoints_or_by_the_named_subnets() -> None:
    assert graph_of(HARDENED).inputs("it-vault")["properties"]["publicNetworkAccess"] == "Disabled"
    opened = graph_of(MAX).inputs("it-vault")["properties"]
    assert opened["publicNetworkAccess"] == "Enabled"
    assert opened["networkAcls"]["virtualNetworkRules"] == [{"id": SUBNET}]
    assert opened["networkAcls"]["defaultAction"] == "Deny"


def test_outputs_are_known_after_an_up_only() -> None:
    assert graph_of(DEFAULTS).outputs("it")["url"] == "https://kv-mlflow-x7k2.vault.azure.net/"
    assert graph_of(DEFAULTS, preview=True).outputs("it")["url"] is UNKNOWN


def test_the_scope_of_a_secret_is_under_the_vault() -> None:
    seen: dict[str, Any] = {}

    def program() -> None:
        vault = KeyVault("it", args())
        pulumi.Output.all(vault.id, vault.secret_scope("crypto-kek-passphrase")).apply(
            lambda both: seen.update(vault=both[0], secret=both[1])
        )
        with pytest.raises(ValueError, match="Key Vault takes 1 to 127"):
            vault.secret_scope("a/b")

    record(program, preview=False)
    assert seen["secret"] == f"{seen['vault']}/secrets/crypto-kek-passphrase"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vault_name": "kv"}, r"vault_name: 'kv'; .* 3 to 24"),
        ({"vault_name": "1-vault"}, "a letter first"),
        ({"vault_name": "kv--mlflow"}, "single hyphens"),
        ({"vault_name": "v" * 25}, "3 to 24"),
        ({"protect": True, "purge_protection": False}, "purge_protection: False with protect=True.*Set"),
    ],
)
def test_it_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        args(**given)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)vault_name.*purge_protection"):
        args(vault_name="", protect=True, purge_protection=False)


@needs_table
@pytest.mark.parametrize("resource", REPLACED_BY)
def test_what_replaces_it_is_known(resource: str) -> None:
    assert replacing(resource) == REPLACED_BY[resource]
