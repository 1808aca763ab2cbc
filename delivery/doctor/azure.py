"""What Azure says before an `up`: subscription, resource providers, quota, offers, names and rights.

Written from the reference of Azure's REST API and not run on the real Azure. Each call is one of Azure Resource
Manager's, with the page that describes it; all of them only read.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, TypeVar

from components.azure.arm import Arm, ArmError, default_token, endpoint, token_scope
from delivery.doctor.missing import Missing
from infra import registrations
from infra.naming import Names, unique_suffix
from infra.settings.azure import AzureSettings
from infra.settings.profiles import ComputeKind

T = TypeVar("T")

PATIENCE_SECONDS: Final = 20.0
API_VERSION: Final = "2022-12-01"
"""Of subscriptions; each other call names its own."""

_CHECKED_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    # https://learn.microsoft.com/rest/api/storagerp/storage-accounts/check-name-availability
    "storage_account": ("Microsoft.Storage/storageAccounts", "2023-05-01"),
    # https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/check-name-availability
    "key_vault": ("Microsoft.KeyVault/vaults", "2023-07-01"),
    # https://learn.microsoft.com/rest/api/containerregistry/registries/check-name-availability
    "container_registry": ("Microsoft.ContainerRegistry/registries", "2023-07-01"),
    # https://learn.microsoft.com/rest/api/postgresql/name-availability/check-globally
    "database_server": ("Microsoft.DBforPostgreSQL/flexibleServers", "2024-08-01"),
}


@dataclass(frozen=True, kw_only=True)
class Azure:
    """What Azure said. `subscription` is the state's, or the configured one; `tenant` the one that is signed in to.

    `home` is the subscription's own tenant, `enabled` its state. `providers` has the registration by namespace and
    `features` that by PROVIDER/NAME, `environments` how many Container Apps environments there are and may be in the
    region, `cores` the same of cores of databases before a first `up`, of the region and of each family of sizes.
    `sizes` has the database sizes that the region offers this subscription, `zones` whether it offers a standby in
    another zone. `taken` has the globally unique names of a first `up` that are not free, with Azure's reason,
    `deleted` the vault that keeps its name. `actions` are the rights of who is signed in, each with those that it
    leaves out.
    """

    first: bool
    location: str
    subscription: str
    tenant: str
    home: str | Missing
    enabled: str | Missing
    providers: Mapping[str, str] | Missing
    features: Mapping[str, str] | Missing
    environments: tuple[int, int] | Missing
    cores: Mapping[str, tuple[int, int]] | Missing
    sizes: Sequence[str] | Missing
    zones: bool | Missing
    taken: Mapping[str, str] | Missing
    deleted: str | Missing | None
    actions: Sequence[tuple[Sequence[str], Sequence[str]]] | Missing


def signed_in(
    stack: str,
    settings: AzureSettings,
    compute: ComputeKind,
    *,
    subscription: str,
    first: bool,
    environ: Mapping[str, str] = os.environ,
    token: Callable[[str], str] = default_token,
) -> Azure | Missing:
    """Ask Azure, or return why nobody could."""
    try:
        address = endpoint(environ)
        signed = token(token_scope(address))
    except ArmError as error:
        return Missing(f"not signed in: {str(error).splitlines()[0].partition(';')[0]}")
    arm = Arm(api_version=API_VERSION, endpoint=address, token=token, patience=PATIENCE_SECONDS)
    subscription = subscription or environ.get("ARM_SUBSCRIPTION_ID", "")
    if not subscription:
        return Missing("neither the state nor the stack's file nor ARM_SUBSCRIPTION_ID names a subscription")
    return ask(arm, stack, settings, compute, subscription=subscription, tenant=_tenant(signed), first=first)


def ask(
    arm: Arm,
    stack: str,
    settings: AzureSettings,
    compute: ComputeKind,
    *,
    subscription: str,
    tenant: str,
    first: bool,
) -> Azure:
    """Ask for each fact by itself: one that Azure refuses keeps no other from being known."""
    root, place = f"/subscriptions/{subscription}", settings.location

    def get(path: str) -> Mapping[str, Any]:
        return arm.get(f"{root}{path}").body

    # https://learn.microsoft.com/rest/api/resources/subscriptions/get
    about = _had(lambda: get("?api-version=2022-12-01"))
    # https://learn.microsoft.com/rest/api/postgresql/capabilities-by-location/list
    offers = _had(
        lambda: get(f"/providers/Microsoft.DBforPostgreSQL/locations/{place}/capabilities?api-version=2024-08-01")
    )
    names = Names(stack=stack, suffix=unique_suffix(subscription, stack, settings.name_generation))
    elsewhere = compute is ComputeKind.AKS and settings.aks.existing_cluster is not None
    return Azure(
        first=first,
        location=place,
        subscription=subscription,
        tenant=tenant,
        home=_of(about, lambda found: str(found.get("tenantId", ""))),
        enabled=_of(about, lambda found: str(found.get("state", ""))),
        providers=_had(lambda: _providers(get, registrations.providers(compute, existing_cluster=elsewhere))),
        features=_had(lambda: _features(get, registrations.features(compute, existing_cluster=elsewhere))),
        environments=_had(lambda: _environments(get, place))
        if compute is ComputeKind.CONTAINER_APPS
        else Missing("a stack in a cluster has none"),
        cores=_had(lambda: _cores(get, place)) if first else {},
        sizes=_of(offers, _sizes),
        zones=_of(offers, lambda found: any(_enabled(one.get("zoneRedundantHaSupported")) for one in _listed(found))),
        taken=_had(lambda: _taken(arm, root, names)) if first else {},
        deleted=_had(lambda: _deleted(get, names.key_vault, place)) if first else None,
        actions=_had(lambda: _actions(get, "" if first else f"/resourceGroups/{names.resource_group}")),
    )


def allowed(actions: Sequence[tuple[Sequence[str], Sequence[str]]], wanted: str) -> bool:
    """Whether rights allow an action: one of them names it and does not leave it out by `notActions`."""
    return any(_matches(given, wanted) and not _matches(without, wanted) for given, without in actions)


def _matches(patterns: Sequence[str], wanted: str) -> bool:
    return any(fnmatchcase(wanted.lower(), one.lower()) for one in patterns)


Get = Callable[[str], Mapping[str, Any]]


def _providers(get: Get, names: Sequence[str]) -> dict[str, str]:
    """https://learn.microsoft.com/rest/api/resources/providers/get"""
    return {name: str(get(f"/providers/{name}?api-version=2021-04-01").get("registrationState", "")) for name in names}


def _features(get: Get, names: Sequence[str]) -> dict[str, str]:
    """https://learn.microsoft.com/rest/api/resources/features/get"""
    found = {}
    for name in names:
        provider, _, feature = name.partition("/")
        path = f"/providers/Microsoft.Features/providers/{provider}/features/{feature}?api-version=2021-07-01"
        found[name] = str(get(path).get("properties", {}).get("state", ""))
    return found


def _environments(get: Get, place: str) -> tuple[int, int]:
    """https://learn.microsoft.com/rest/api/containerapps/usages/list"""
    usages = _listed(get(f"/providers/Microsoft.App/locations/{place}/usages?api-version=2024-03-01"))
    for one in usages:
        if one.get("name", {}).get("value") == "ManagedEnvironmentCount":
            return int(one["currentValue"]), int(one["limit"])
    raise ArmError("Azure names no quota of Container Apps environments in this region")


def _cores(get: Get, place: str) -> dict[str, tuple[int, int]]:
    """https://learn.microsoft.com/rest/api/postgresql/quota-usages/list"""
    path = f"/providers/Microsoft.DBforPostgreSQL/locations/{place}/resourceType/flexibleServers/usages"
    usages = _listed(get(f"{path}?api-version=2024-11-01-preview"))
    return {str(one["name"]["value"]).lower(): (int(one["currentValue"]), int(one["limit"])) for one in usages}


def _sizes(offers: Mapping[str, Any]) -> list[str]:
    skus = [
        sku
        for one in _listed(offers)
        if not _enabled(one.get("restricted"))
        for edition in one.get("supportedServerEditions") or ()
        for sku in edition.get("supportedServerSkus") or ()
    ]
    return sorted({str(sku.get("name", "")) for sku in skus})


def _taken(arm: Arm, root: str, names: Names) -> dict[str, str]:
    found = {}
    for field, (kind, version) in _CHECKED_NAMES.items():
        name = str(getattr(names, field))
        path = f"{root}/providers/{kind.partition('/')[0]}/checkNameAvailability?api-version={version}"
        answer = arm.post(path, {"name": name, "type": kind}).body
        if answer.get("nameAvailable") is False:
            found[name] = str(answer.get("message") or answer.get("reason") or "taken")
    return found


def _deleted(get: Get, vault: str, place: str) -> str | None:
    """https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/get-deleted"""
    try:
        get(f"/providers/Microsoft.KeyVault/locations/{place}/deletedVaults/{vault}?api-version=2023-07-01")
    except ArmError as error:
        if error.status == 404:
            return None
        raise
    return vault


def _actions(get: Get, group: str) -> list[tuple[list[str], list[str]]]:
    """https://learn.microsoft.com/rest/api/authorization/permissions/list-for-resource-group"""
    found = _listed(get(f"{group}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"))
    return [(list(one.get("actions") or ()), list(one.get("notActions") or ())) for one in found]


def _listed(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(body.get("value") or ())


def _enabled(value: object) -> bool:
    return str(value).lower() in ("enabled", "true")


def _of(body: Mapping[str, Any] | Missing, read: Callable[[Mapping[str, Any]], T]) -> T | Missing:
    return body if isinstance(body, Missing) else read(body)


def _had(ask: Callable[[], T]) -> T | Missing:
    try:
        return ask()
    except (ArmError, KeyError, TypeError, ValueError) as error:
        return Missing(str(error).splitlines()[0])


def _tenant(token: str) -> str:
    """The tenant of an access token, which says it in a claim; nothing is verified, Azure does that."""
    try:
        part = token.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))).get("tid", ""))
    except (IndexError, ValueError):
        return ""
