"""ARM IDs of the azure-native types: `/subscriptions/…/resourceGroups/…/providers/TYPE/NAME`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from delivery.offline_azure import bodies
from delivery.offline_azure.type_tokens import RESOURCE_GROUP
from delivery.recover import addresses as product_addresses

SUBSCRIPTION: Final = "00000000-0000-0000-0000-00000000cafe"
TENANT: Final = "00000000-0000-0000-0000-00000000beef"

# Types without a schema: where they are and which inputs name them, parents first.
OTHERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "consumption:Budget": ("Microsoft.Consumption/budgets", ("budgetName",)),
    "costmanagement:Budget": ("Microsoft.Consumption/budgets", ("budgetName",)),
    "applicationinsights:Workbook": ("Microsoft.Insights/workbooks", ("resourceName",)),
    "applicationinsights:Component": ("Microsoft.Insights/components", ("resourceName",)),
    "network:SecurityRule": (
        "Microsoft.Network/networkSecurityGroups/securityRules",
        ("networkSecurityGroupName", "securityRuleName"),
    ),
    "privatedns:PrivateRecordSet": (
        "Microsoft.Network/privateDnsZones/A",
        ("privateZoneName", "relativeRecordSetName"),
    ),
    "app:ContainerAppsAuthConfig": (
        "Microsoft.App/containerApps/authConfigs",
        ("containerAppName", "authConfigName"),
    ),
    "app:ManagedCertificate": (
        "Microsoft.App/managedEnvironments/managedCertificates",
        ("environmentName", "managedCertificateName"),
    ),
}


def own_name(identifier: str) -> str:
    """Return the last segment of an ID."""
    return identifier.rsplit("/", 1)[-1]


def arm_type(type_token: str) -> str:
    if type_token in bodies.table():
        return str(bodies.table()[type_token]["armType"])
    short = type_token.removeprefix("azure-native:")
    module, name = short.split(":")
    return OTHERS[short][0] if short in OTHERS else f"Microsoft.{module.capitalize()}/{name[0].lower()}{name[1:]}s"


def names(type_token: str, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """The inputs that name the resource, its parents' first and its own last."""
    if type_token in bodies.table():
        own = bodies.name_argument(type_token)
        parents = (name for name in bodies.table()[type_token]["pathArgs"] if name not in {*bodies.SCOPES, own})
        return (*parents, own)
    short = type_token.removeprefix("azure-native:")
    if short in OTHERS:
        return OTHERS[short][1]
    return tuple(key for key in inputs if key.endswith("Name") and key != "resourceGroupName")[-1:] or ("name",)


def address(type_token: str, inputs: Mapping[str, Any]) -> str:
    """The resource's ID. Raises KeyError for a missing name."""
    if type_token == RESOURCE_GROUP:
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{inputs['resourceGroupName']}"
    if not bodies.AVAILABLE:
        # Without the schemas, from which names are told here, the product's own table has to do.
        return product_addresses.address(type_token, inputs, SUBSCRIPTION)
    namespace, *kinds = arm_type(type_token).split("/")
    values = [str(inputs[name]) for name in names(type_token, inputs)]
    # Azure has one blob service in an account and calls it `default`.
    values[1:1] = ["default"] * (len(kinds) - len(values))
    tail = "".join(f"/{kind}/{value}" for kind, value in zip(kinds, values, strict=True))
    scope = inputs.get("scope", inputs.get("resourceUri"))
    if scope is None:
        scope = f"/subscriptions/{SUBSCRIPTION}"
        scope += f"/resourceGroups/{inputs['resourceGroupName']}" if "resourceGroupName" in inputs else ""
    return f"/{str(scope).strip('/')}/providers/{namespace}{tail}"


def real(identifier: str) -> str:
    """The resource that must be there for this ID to be used: some parts come with, or after, what they belong to.

    A storage account has its blob service from the start. A role can be given on a secret that is not there yet.
    """
    if "/providers/" not in identifier:
        return identifier
    account = re.sub(r"/blobServices/default\Z", "", identifier, flags=re.IGNORECASE)
    return re.sub(r"(/providers/Microsoft\.KeyVault/vaults/[^/]+)/secrets/[^/]+\Z", r"\1", account, flags=re.IGNORECASE)


def parent(identifier: str) -> str | None:
    """The ID that must exist before this one, None for what hangs on the subscription."""
    head, separator, tail = identifier.rpartition("/providers/")
    if not separator:
        return None
    segments = tail.split("/")
    if len(segments) > 3:
        return real(f"{head}/providers/{'/'.join(segments[:-2])}")
    return real(head) if head.count("/") > 2 else None
