"""What Azure answers about the subscription, its region, and the rights of who is signed in."""

from __future__ import annotations

import re
from typing import Final

from components.azure.postgres_size import HighAvailability
from delivery.doctor.azure import allowed
from delivery.doctor.checks.check import Finding, Result, azure_settings, failed, ok, some
from delivery.doctor.facts import Facts
from delivery.doctor.missing import Missing, MissingError, known


def signed_in(facts: Facts) -> Finding:
    if isinstance(facts.azure, Missing):
        return Finding(result=Result.NOT_CHECKED, what=facts.azure.reason, remedies=["az login"])
    return ok(f"tenant {facts.azure.tenant or 'unknown'}")


def subscription(facts: Facts) -> Finding:
    azure = known(facts.azure)
    home = known(azure.home)
    if azure.tenant and home != azure.tenant:
        return failed(
            f"{azure.subscription} is of tenant {home}, signed in to {azure.tenant}", f"az login --tenant {home}"
        )
    if azure.enabled != "Enabled":
        return failed(f"{azure.subscription} is {azure.enabled}", "az account list --all --output table")
    return ok(f"{azure.subscription} of tenant {home}")


def providers(facts: Facts) -> Finding:
    azure = known(facts.azure)
    found, features = known(azure.providers), known(azure.features)
    missing = [name for name, state in {**found, **features}.items() if state != "Registered"]
    if missing:
        return failed(f"{some(missing)} not registered", *map(_register, missing))
    return ok(f"all {len(found) + len(features)} are registered")


def _register(name: str) -> str:
    provider, _, feature = name.partition("/")
    if not feature:
        return f"az provider register --namespace {provider} --wait"
    # It takes minutes; the provider passes it on at its own registration.
    return f"az feature register --namespace {provider} --name {feature}"


def environments(facts: Facts) -> Finding:
    azure = known(facts.azure)
    used, limit = known(azure.environments)
    said = f"{used} of {limit} in {azure.location}"
    if azure.first and used >= limit:
        return failed(
            f"{said}: no more can be made", f"az containerapp list-usages --location {azure.location} --output table"
        )
    return ok(said)


def database(facts: Facts) -> Finding:
    azure, wanted = known(facts.azure), azure_settings(facts)
    show = f"az postgres flexible-server list-skus --location {azure.location} --output table"
    if wanted.database.sku not in known(azure.sizes):
        return failed(f"{azure.location} does not offer {wanted.database.sku} to this subscription", show)
    if wanted.database.high_availability is HighAvailability.ZONE_REDUNDANT and azure.zones is False:
        return failed(f"{azure.location} offers no standby in another zone", show)
    return ok(f"{azure.location} offers {wanted.database.sku}")


def cores(facts: Facts) -> Finding:
    """A standby has as many cores as the server."""
    azure, wanted = known(facts.azure), azure_settings(facts).database
    if not azure.first:
        return ok("taken by an earlier up")
    servers = 1 if wanted.high_availability is HighAvailability.NONE else 2
    needed = servers * size(wanted.sku)[1]
    quotas = known(azure.cores)
    for name in ("cores", family(wanted.sku)):
        used, limit = quotas.get(name.lower(), (0, needed))
        if limit - used < needed:
            return failed(
                f"{name}: {used} of {limit} are taken in {azure.location}, and {needed} more are needed. Ask for quota "
                "of Azure Database for PostgreSQL, or take a smaller `database.sku`",
                f"az postgres flexible-server list-skus --location {azure.location} --output table",
            )
    return ok(f"{needed} are free in {azure.location}")


def family(sku: str) -> str:
    """Return the name that Azure counts a size's cores by: standardDDSv5Family of Standard_D2ds_v5."""
    letter, _, suffix, version = size(sku)
    return "standardBSFamily" if letter == "B" else f"standard{letter}{suffix.upper()}{version}Family"


def size(sku: str) -> tuple[str, int, str, str]:
    """Return family, cores, suffix and version in the name of a size. Raises MissingError for another name."""
    found = _SIZE.fullmatch(sku)
    if found is None:
        raise MissingError(f"the cores of {sku} are not known")
    return found[1], int(found[2]), found[3], found[4] or ""


_SIZE: Final = re.compile(r"Standard_([BDE])([0-9]+)([a-z]*)(?:_(v[0-9]+))?")


def names(facts: Facts) -> Finding:
    azure = known(facts.azure)
    deleted, taken = known(azure.deleted), known(azure.taken)
    if deleted:
        return failed(
            f"{deleted} is a deleted vault that keeps its name",
            f"az keyvault recover --name {deleted} --location {azure.location}",
        )
    if taken:
        return failed(
            some([f"{name} ({why})" for name, why in taken.items()]),
            f"pulumi config set nameGeneration two -s {facts.stack}",
        )
    return ok("free" if azure.first else "made by an earlier up")


def rights(facts: Facts) -> Finding:
    azure = known(facts.azure)
    # Of every stack, whatever runs its services.
    wanted = ["Microsoft.DBforPostgreSQL/flexibleServers/write"]
    if azure.first:
        wanted += [
            "Microsoft.Resources/subscriptions/resourceGroups/write",
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/locks/write",
        ]
    missing = [one for one in wanted if not allowed(known(azure.actions), one)]
    if missing:
        return failed(
            f"{some(missing)} not allowed",
            "az role assignment list --include-inherited --all --output table "
            '--assignee "$(az ad signed-in-user show --query id --output tsv)"',
        )
    return ok("those of a first up" if azure.first else "those of a later up")
