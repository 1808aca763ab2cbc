"""Checks of several fields: values that contradict each other, this version, or what Azure has."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from components.azure.artifact_store_args import Redundancy
from components.azure.federated_subject import FederatedSubject
from components.azure.postgres_size import HighAvailability
from components.compute.container_apps import replica_size
from components.mlflow.roles import Role
from components.mlflow.runtime_contract import CONTRACT
from components.mlflow.topology import Size
from infra.naming import Names
from infra.settings import access_rules, cluster_rules, ports, regions, secret_texts
from infra.settings.azure import AzureSettings, Exposure, GithubSettings, ImageSettings, TagSettings
from infra.settings.ports import LocalPort
from infra.settings.problems import Problems, path
from infra.settings.profiles import ComputeKind, ProfileName

if TYPE_CHECKING:
    from infra.settings.model import Settings

# Names of resources are made of it, and no type of Azure takes a hyphen at the end or two in a row everywhere.
_STACK_NAME = re.compile(r"(?!.*--)[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
RESERVED_TAGS = ("owner", "cost-center", "data-classification", "environment", "managed-by", "application", "stack")
"""The tags that the program writes."""
# Microsoft Learn, "Use tags to organize your Azure resources": private DNS zones take 15 tags, the least of all types.
_MOST_EXTRA_TAGS = 8
_MOST_RANGES = 4000
_RESERVED_BEGINNINGS = ("azure", "microsoft", "windows")
_ENVIRONMENT = re.compile(r"[!-~]([ -~]*[!-~])?")
_github = FederatedSubject.github_environment


def check(problems: Problems, settings: Settings) -> None:
    """Record every value that cannot be together with another, with this version, or with Azure."""
    names = _stack_has_a_usable_name(problems, settings)
    _compute_fits_the_profile(problems, settings.profile, settings.compute)
    if settings.compute is ComputeKind.CONTAINER_APPS:
        _sizes_of_container_apps(problems, settings.sizes)
    access_rules.check(problems, settings)
    azure = settings.azure
    if azure is None:
        _replicas_have_ports(problems, settings.sizes)
        return
    _release_is_whole(problems, azure.image)
    _image_fits_the_program(problems, azure.image)
    check_tags(problems, azure.tags)
    region_is_public(problems, azure.location)
    _region_has_what_is_wanted(problems, azure)
    _database_exists(problems, azure)
    _tiers_are_in_order(problems, azure)
    _budget_is_whole(problems, azure)
    if azure.github is not None:
        _workflows_can_sign_in(problems, azure.github)
        if azure.bootstrapped_by is not None:
            allowed = "only without bootstrappedBy, as the bootstrap stack makes the identities of workflows"
            problems.note("github.repository", azure.github.repository, allowed, problems.remove("github"))
    _addresses_differ(problems, azure)
    _client_networks_have_names(problems, azure)
    _ranges_are_apart(problems, "clientRanges", azure.network.client_ranges)
    _ranges_are_apart(problems, "callerRanges", azure.network.caller_ranges)
    _callers_are_elsewhere(problems, azure, settings.compute)
    if settings.compute is ComputeKind.AKS:
        cluster_rules.check(problems, azure, settings.sizes)
    _domain_is_whole(problems, azure, settings.compute)
    if settings.compute is ComputeKind.CONTAINER_APPS and names is not None:
        _certificate_is_of_the_stack(problems, azure, names)


def refuse_secrets(problems: Problems, values: Mapping[str, Any], secrets: Sequence[str]) -> None:
    """Refuse encrypted values and texts in the form of a secret, alone: the messages of other problems show values.

    Raises SettingsError.
    """
    plain = [path(*keys) for keys in secret_texts.found(values)]
    for field in dict.fromkeys([*secrets, *plain]):
        problems.note(
            field,
            "[secret]",
            "plain values, since each is passed on to Azure, where readers see it, and a preview's JSON shows it. "
            "Secrets belong in the stack's Key Vault",
            problems.remove(field),
        )
    problems.finish()


def _stack_has_a_usable_name(problems: Problems, settings: Settings) -> Names | None:
    """Return names of a stack on Azure, with a suffix that stands for its own."""
    stack, remedy = settings.stack, problems.rename("mlflow")
    if not _STACK_NAME.fullmatch(stack):
        allowed = "1 to 20 lower-case letters, digits and single '-', a letter first and no '-' last"
        problems.note("stack", stack, allowed, remedy)
    elif settings.azure is not None:
        # Stacks whose names Azure would refuse in one of the resources' names.
        return problems.built("stack", stack, remedy, lambda: Names(stack=stack, suffix="aaaaa"))
    return None


def _compute_fits_the_profile(problems: Problems, profile: ProfileName, compute: ComputeKind) -> None:
    remedy = problems.remove("compute")
    if (compute is ComputeKind.LOCAL) != (profile is ProfileName.LOCAL):
        allowed = "local with profile local, container_apps or aks with dev, staging and prod"
        problems.note("compute", str(compute), allowed, remedy)


def _sizes_of_container_apps(problems: Problems, sizes: Mapping[Role, Size]) -> None:
    for role, size in sizes.items():
        problems.built(
            role.value,
            f"{size.cpu:g} cores, {size.memory_mib} MiB, spool {size.spool_mib} MiB",
            problems.reset(*(f"{role}.{key}" for key in ("cpu", "memoryMib", "spoolMib"))),
            partial(replica_size.check, role, cpu=size.cpu, memory_mib=size.memory_mib, spool_mib=size.spool_mib),
        )


def _replicas_have_ports(problems: Problems, sizes: Mapping[Role, Size]) -> None:
    """On one machine a service has a fixed number of replicas, each with a port of its own."""
    for role, size in sizes.items():
        most, replicas = len(ports.OFFSETS[LocalPort(role.value)]), size.scale.minimum
        if not 1 <= replicas <= most:
            field = f"{role}.minReplicas"
            remedy = problems.set(field, min(max(replicas, 1), most))
            problems.note(field, replicas, f"1 to {most} with compute local", remedy)


def _release_is_whole(problems: Problems, image: ImageSettings) -> None:
    given = {key: value for key, value in image.described.items() if value is not None}
    remedy = problems.reset(*(f"image.{key}" for key in image.described))
    if image.digest is None and given:
        problems.note("image", given, "these keys only with a digest", remedy)
    elif 0 < len(given) < len(image.described):
        missing = ", ".join(key for key in image.described if key not in given)
        problems.note("image", given, f"all of {', '.join(image.described)} or none; {missing} is missing", remedy)


def _image_fits_the_program(problems: Problems, image: ImageSettings) -> None:
    """Its roles would refuse a variable of this program, or miss one."""
    if image.contract in (None, CONTRACT):
        return
    commit = image.commit or "COMMIT, the label org.opencontainers.image.revision of the image"
    problems.note(
        "image.contract",
        image.contract,
        f"{CONTRACT}, the contract of this program with the image's roles",
        f"deploy the image by the program that it is built with, `git checkout {commit} -- . ':!stacks'`, or choose an "
        f"image of contract {CONTRACT}",
    )


def check_tags(problems: Problems, tags: TagSettings) -> None:
    """Record tags that the program writes itself, that Azure refuses or that hide something from a reader.

    Source: Microsoft Learn, "Use tags to organize your Azure resources": names do not differ by case, and some
    beginnings are reserved.
    """
    extra = tags.extra
    shown = {"tags.owner": tags.owner, "tags.costCenter": tags.cost_center}
    for field, value in {**shown, **{path("tags", "extra", name): value for name, value in extra.items()}}.items():
        if not value.isprintable():
            allowed = "printable characters, none of them invisible or changing the direction of others"
            problems.note(
                field, value, allowed, problems.set(field, "".join(filter(str.isprintable, value)) or "my-team")
            )
    seen: set[str] = set()
    for name in extra:
        field = path("tags", "extra", name)
        if name.lower().startswith(_RESERVED_BEGINNINGS):
            allowed = f"names that do not begin with {', '.join(_RESERVED_BEGINNINGS)}, which Azure keeps"
            problems.note(field, extra[name], allowed, problems.remove(field))
        if name.lower() in seen:
            problems.note(field, extra[name], "names that differ by more than case", problems.remove(field))
        if secret_texts.names_secret(name):
            problems.note(
                field, "[secret]", "no secret, as every reader of a resource sees its tags", problems.remove(field)
            )
        seen.add(name.lower())
    if len(extra) > _MOST_EXTRA_TAGS:
        allowed = f"an object of at most {_MOST_EXTRA_TAGS} names and values"
        surplus = [path("tags", "extra", name) for name in [*extra][_MOST_EXTRA_TAGS:]]
        problems.note("tags.extra", dict(extra), allowed, problems.reset(*surplus))
    for name in (each for each in extra if each.lower() in RESERVED_TAGS):
        field = path("tags", "extra", name)
        problems.note(field, extra[name], "names that the program does not set itself", problems.remove(field))


def region_is_public(problems: Problems, location: str) -> None:
    """Record a region of another cloud, whose services have other addresses than the program's, and no region."""
    if not regions.in_public_cloud(location):
        allowed = "a region of Azure's public cloud, as in westeurope"
        problems.note("location", location, allowed, problems.set("location", "westeurope"))


def _region_has_what_is_wanted(problems: Problems, azure: AzureSettings) -> None:
    """Record what needs zones or a paired region where there are none: Azure refuses it in the middle of an `up`.

    Sources on Microsoft Learn: "Azure Storage redundancy" (ZRS and GZRS), "High availability in Azure Database for
    PostgreSQL", "Backup and restore in Azure Database for PostgreSQL" (copies in the paired region).
    """
    location, redundancy = azure.location, azure.storage.redundancy
    if not regions.has_zones(location):
        lacks = f"as {location} has no availability zones"
        if azure.zone_redundant:
            problems.note("zoneRedundant", "true", f"false, {lacks}", problems.set("zoneRedundant", "false"))
        if azure.database.high_availability is HighAvailability.ZONE_REDUNDANT:
            field, instead = "database.highAvailability", HighAvailability.SAME_ZONE
            allowed = f"{instead} or {HighAvailability.NONE}, {lacks}"
            problems.note(field, str(azure.database.high_availability), allowed, problems.set(field, instead))
        if redundancy is not Redundancy.LOCAL:
            field = "storage.redundancy"
            problems.note(field, str(redundancy), f"{Redundancy.LOCAL}, {lacks}", problems.set(field, Redundancy.LOCAL))
    if not regions.has_pair(location):
        lacks = f"as {location} has no paired region"
        if azure.database.geo_backup:
            field = "database.geoBackup"
            problems.note(field, "true", f"false, {lacks}", problems.set(field, "false"))
        if redundancy is Redundancy.GEO_ZONE:
            field, allowed = "storage.redundancy", f"{Redundancy.ZONE} or {Redundancy.LOCAL}, {lacks}"
            problems.note(field, str(redundancy), allowed, problems.set(field, Redundancy.ZONE))


def _database_exists(problems: Problems, azure: AzureSettings) -> None:
    """The component knows which sizes and combinations there are; here they are refused with all other problems."""
    wanted = azure.database
    fields = [f"database.{key}" for key in ("sku", "storageGib", "highAvailability")]
    shown = wanted.model_dump(mode="json", by_alias=True)
    problems.built("database", shown, problems.reset(*fields), lambda: wanted.size)


def _tiers_are_in_order(problems: Problems, azure: AzureSettings) -> None:
    cool, cold = azure.storage.cool_after_days, azure.storage.cold_after_days
    remedy = problems.reset("storage.coolAfterDays", "storage.coldAfterDays")
    if cool is not None and cold is not None and cold <= cool:
        problems.note("storage.coldAfterDays", cold, f"more than coolAfterDays, {cool}", remedy)


def _budget_is_whole(problems: Problems, azure: AzureSettings) -> None:
    monitoring = azure.monitoring
    if monitoring.monthly_budget is not None and not monitoring.emails:
        remedy = problems.set("monitoring.emails[0]", "oncall@example.com")
        problems.note("monitoring.emails", [], "at least one address with a monthlyBudget", remedy)


def _addresses_differ(problems: Problems, azure: AzureSettings) -> None:
    """Record addresses that Azure refuses together, and the budget's own limit.

    Sources on Microsoft Learn: "Azure Monitor service limits" (1,000 e-mail receivers in an action group), "Tutorial:
    Create and manage budgets" (50 addresses of a notification).
    """
    field, emails = "monitoring.emails", azure.monitoring.emails
    most = 1000 if azure.monitoring.monthly_budget is None else 50
    for index, email in enumerate(emails):
        if email.lower() in (earlier.lower() for earlier in emails[:index]):
            again = f"{field}[{index}]"
            problems.note(again, email, "addresses that differ by more than case", problems.remove(again))
    if len(emails) > most:
        remedy = "give the address of a distribution list instead"
        problems.note(field, f"{len(emails)} addresses", f"at most {most}", remedy)


def _workflows_can_sign_in(problems: Problems, github: GithubSettings) -> None:
    repository, deploy, preview = github.repository, github.deploy_environment, github.preview_environment
    environments = problems.reset("github.deployEnvironment", "github.previewEnvironment")
    name = problems.set("github.repository", "example/mlflow-platform")
    if not problems.built("github.repository", repository, name, partial(_github, repository, "any")):
        return
    for key, environment in (("deployEnvironment", deploy), ("previewEnvironment", preview)):
        field = f"github.{key}"
        named = problems.built(field, environment, problems.remove(field), partial(_github, "a/b", environment))
        if named and not _ENVIRONMENT.fullmatch(environment):
            allowed = "ASCII characters, no space first or last: other letters look like these and are another name"
            problems.note(field, environment, allowed, problems.remove(field))
    if deploy.lower() == preview.lower():
        allowed = "another environment than deployEnvironment, since a preview must not hold the rights of a deployment"
        problems.note("github.previewEnvironment", preview, allowed, environments)


def _domain_is_whole(problems: Problems, azure: AzureSettings, compute: ComputeKind) -> None:
    """Record a name where nothing takes it, and a certificate of no name."""
    given = {"domain.host": azure.domain.host, "domain.certificate": azure.domain.certificate}
    for field, value in given.items():
        if value is not None and compute is not ComputeKind.CONTAINER_APPS:
            allowed = "only with compute container_apps, as a cluster's gateway has aks.host"
            problems.note(field, value, allowed, problems.remove(field))
        elif field == "domain.certificate" and value is not None and azure.domain.host is None:
            problems.note(field, value, "only with domain.host, the name that it is for", problems.remove(field))


def _certificate_is_of_the_stack(problems: Problems, azure: AzureSettings, names: Names) -> None:
    """Record a certificate that Azure would not bind: of another environment, or one that it could not renew.

    Azure issues and renews a managed one over the internet alone (Microsoft Learn, "Custom domain names and free
    managed certificates in Azure Container Apps").
    """
    field, certificate = "domain.certificate", azure.domain.certificate
    if certificate is None or azure.domain.host is None:
        return
    own = f"/resourceGroups/{names.resource_group}/providers/Microsoft.App/managedEnvironments/{names.environment}/"
    # Azure reads ids in either case.
    if own.casefold() not in certificate.casefold():
        allowed = f"a certificate of the stack's own environment, whose id contains {own}"
        problems.note(field, certificate, allowed, problems.remove(field))
    elif "/managedCertificates/" in certificate and azure.exposure is not Exposure.PUBLIC:
        allowed = "a certificate from a Key Vault, as Azure issues and renews its own only for ingress public"
        problems.note(field, certificate, allowed, problems.remove(field))


def _ranges_are_apart(problems: Problems, key: str, ranges: Sequence[str]) -> None:
    """Record ranges that Azure refuses together (Microsoft Learn, "Azure subscription limits": 4,000 in a rule)."""
    field, given = f"network.{key}", [*map(ipaddress.IPv4Network, ranges)]
    if len(given) > _MOST_RANGES:
        remedy = "join neighbouring ranges into wider ones"
        problems.note(field, f"{len(given)} ranges", f"at most {_MOST_RANGES}", remedy)
    for index, wider in _contained(given).items():
        within = path("network", key, index)
        allowed = f"ranges that do not overlap, and {wider} is given too"
        problems.note(within, str(given[index]), allowed, problems.remove(within))


def _contained(given: Sequence[ipaddress.IPv4Network]) -> dict[int, ipaddress.IPv4Network]:
    """Return which ranges are within another one, by their place. One of two that overlap contains the other."""
    widest: ipaddress.IPv4Network | None = None
    found: dict[int, ipaddress.IPv4Network] = {}
    for index, each in sorted(enumerate(given), key=lambda one: one[1]):
        if widest is not None and each.subnet_of(widest):
            found[index] = widest
        else:
            widest = each
    return found


def _callers_are_elsewhere(problems: Problems, azure: AzureSettings, compute: ComputeKind) -> None:
    """Record ranges of nodes in the stack's network, which has rules of its own, and those that are let in anyway."""
    taken = {"network.cidr": ipaddress.IPv4Network(azure.network.cidr)}
    if compute is ComputeKind.AKS and azure.aks.existing_cluster is not None:
        taken["aks.existingCluster.nodeRange"] = ipaddress.IPv4Network(azure.aks.existing_cluster.node_range)
    given = [*map(ipaddress.IPv4Network, azure.network.caller_ranges)]
    # What is within another one is removed for that.
    for index in sorted({*range(len(given))} - _contained(given).keys()):
        if overlapped := [f"{key}, {each}" for key, each in taken.items() if given[index].overlaps(each)]:
            field = path("network", "callerRanges", index)
            allowed = f"ranges that do not overlap {' or '.join(overlapped)}"
            problems.note(field, str(given[index]), allowed, problems.remove(field))


def _client_networks_have_names(problems: Problems, azure: AzureSettings) -> None:
    """Links are named after them."""
    given = azure.network.client_networks
    if len(azure.network.clients_by_name) < len(given):
        field = "network.clientNetworks"
        problems.note(field, list(given), "networks with different names", problems.remove(field))
