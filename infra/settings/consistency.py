"""Checks of several fields: values that contradict each other, this version, or what Azure has."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from components.azure.aks_node_pool import NodePool
from components.azure.artifact_store_args import Redundancy
from components.azure.identity import FederatedSubject
from components.azure.network_plan import AKS_SUBNETS, SubnetRole, plan
from components.azure.postgres_size import HighAvailability
from components.compute.container_apps import rendering
from components.mlflow.access import DEFAULT_WORKSPACE, PLATFORM_ADMIN, RESERVED_WORKSPACES
from components.mlflow.roles import Role
from components.mlflow.runtime_contract import CONTRACT
from components.mlflow.topology import Size
from infra.naming import Names
from infra.rights import SECRETS
from infra.settings import ports, regions, secret_texts
from infra.settings.access import EXAMPLE_ID, AccessMode
from infra.settings.aks import ExistingClusterSettings
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
_OF_OWN_CLUSTER = (
    *("kubernetesVersion", "generation", "nodeSize", "minNodes", "maxNodes", "systemNodes"),
    *("uptimeSla", "authorizedRanges", "administrators"),
)
_ENVIRONMENT = re.compile(r"[!-~]([ -~]*[!-~])?")
_github = FederatedSubject.github_environment


def check(problems: Problems, settings: Settings) -> None:
    """Record every value that cannot be together with another, with this version, or with Azure."""
    _stack_has_a_usable_name(problems, settings)
    _compute_fits_the_profile(problems, settings.profile, settings.compute)
    if settings.compute is ComputeKind.CONTAINER_APPS:
        _sizes_of_container_apps(problems, settings.sizes)
    _access_is_whole(problems, settings)
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
    _client_ranges_are_apart(problems, azure)
    if settings.compute is ComputeKind.AKS:
        _cluster_holds_the_services(problems, azure, settings.sizes)


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


def _stack_has_a_usable_name(problems: Problems, settings: Settings) -> None:
    stack, remedy = settings.stack, problems.rename("mlflow")
    if not _STACK_NAME.fullmatch(stack):
        allowed = "1 to 20 lower-case letters, digits and single '-', a letter first and no '-' last"
        problems.note("stack", stack, allowed, remedy)
    elif settings.azure is not None:
        # Stacks whose names Azure would refuse in one of the resources' names.
        problems.built("stack", stack, remedy, lambda: Names(stack=stack, suffix="aaaaa"))


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
            partial(rendering.check_size, role, cpu=size.cpu, memory_mib=size.memory_mib, spool_mib=size.spool_mib),
        )


def _replicas_have_ports(problems: Problems, sizes: Mapping[Role, Size]) -> None:
    """On one machine a service has a fixed number of replicas, each with a port of its own."""
    for role, size in sizes.items():
        most, replicas = len(ports.OFFSETS[LocalPort(role.value)]), size.scale.minimum
        if not 1 <= replicas <= most:
            field = f"{role}.minReplicas"
            remedy = problems.set(field, min(max(replicas, 1), most))
            problems.note(field, replicas, f"1 to {most} with compute local", remedy)


def _access_is_whole(problems: Problems, settings: Settings) -> None:
    """Record what is missing of access control, and what decides nothing."""
    access, teams = settings.access, settings.teams
    ids = {"access.tenantId": access.tenant_id, "access.clientId": access.client_id}
    if access.mode is AccessMode.NONE:
        given: dict[str, object] = {
            **ids,
            "access.groups": access.groups,
            "access.blocked": access.blocked,
            "access.contact": access.contact,
            "teams": teams,
            "shares": settings.shares,
        }
        for field, value in given.items():
            if value:
                problems.note(field, value, "only with access.mode entra", problems.remove(field))
        return
    for field, identifier in ids.items():
        if settings.azure is None and identifier is not None:
            allowed = "only on Azure, as a stack on one machine has an Entra of its own"
            problems.note(field, identifier, allowed, problems.remove(field))
        if settings.azure is not None and identifier is None:
            allowed = "a GUID with access.mode entra, that of docs/access.md#the-registration"
            problems.note(field, identifier, allowed, problems.set(field, EXAMPLE_ID))
    _each_fits(problems, "teams", teams, _not_the_platforms_own)
    _each_fits(problems, "access.blocked", access.blocked)
    known = (DEFAULT_WORKSPACE, *teams)
    _shares_name_teams(problems, settings.shares, known)
    _groups_name_teams(problems, access.groups, known)


def _not_the_platforms_own(team: str) -> str | None:
    own = (DEFAULT_WORKSPACE, *RESERVED_WORKSPACES)
    return f"another name, as {team} is the platform's own" if team in own else None


def _shares_name_teams(problems: Problems, shares: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
    for team, readers in shares.items():
        field = path("shares", team)
        if team not in known:
            problems.note(field, list(readers), f"one of {', '.join(known)} as the team", problems.remove(field))
            continue
        others = [each for each in known if each != team]
        allowed = f"other teams of the stack: {', '.join(others) or 'there are none'}"
        _each_fits(problems, field, readers, partial(_unless_in, others, allowed))


def _unless_in(known: Sequence[str], allowed: str, value: str) -> str | None:
    return None if value in known else allowed


def _groups_name_teams(problems: Problems, groups: Mapping[str, Sequence[str]], known: Sequence[str]) -> None:
    allowed = f"roles in the workspaces {', '.join(known)}"
    for group, roles in groups.items():
        _each_fits(problems, path("access", "groups", group), roles, partial(_role_in, known, allowed))


def _role_in(known: Sequence[str], allowed: str, role: str) -> str | None:
    return None if role == PLATFORM_ADMIN else _unless_in(known, allowed, role.rpartition(".")[0])


def _each_fits(
    problems: Problems, field: str, values: Sequence[str], allowed: Callable[[str], str | None] = lambda _: None
) -> None:
    """Record each item of a list that an earlier one equals, or for which `allowed` has words."""
    for index, value in enumerate(values):
        words = "each of them once" if value in values[:index] else allowed(value)
        if words is not None:
            item = f"{field}[{index}]"
            problems.note(item, value, words, problems.remove(item))


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


def _cluster_holds_the_services(problems: Problems, azure: AzureSettings, sizes: Mapping[Role, Size]) -> None:
    chosen = azure.aks
    if chosen.existing_cluster is not None:
        _existing_cluster_is_its_owners(problems)
        _existing_cluster_reaches_the_data(problems, azure, chosen.existing_cluster)
    else:
        _own_cluster_holds_the_services(problems, azure, sizes)
    if chosen.certificate is not None and any(chosen.certificate in named for named in SECRETS.values()):
        field = "aks.certificate"
        allowed = (
            "the name of a certificate: this is a secret of the services, and the gateway may read its certificate"
        )
        problems.note(field, chosen.certificate, allowed, problems.remove(field))
    if azure.exposure is Exposure.PUBLIC:
        allowed = "internal with compute aks, whose load balancer has an address of the network alone"
        problems.note("ingress", str(azure.exposure), allowed, problems.remove("ingress"))
    if azure.bootstrapped_by is not None:
        allowed = (
            "no bootstrapped stack with compute aks: a cluster's issuer is known when it is there, and deploy may not "
            "let its pods act as identities of another group"
        )
        problems.note("bootstrappedBy", azure.bootstrapped_by, allowed, problems.set("compute", "container_apps"))


def _own_cluster_holds_the_services(problems: Problems, azure: AzureSettings, sizes: Mapping[Role, Size]) -> None:
    chosen = azure.aks
    problems.built(
        "network.cidr",
        azure.network.cidr,
        problems.reset("network.cidr"),
        lambda: plan(azure.network.cidr, AKS_SUBNETS),
    )
    most = _most_nodes(chosen.system_nodes)
    if chosen.min_nodes > chosen.max_nodes:
        fits = chosen.min_nodes <= most
        remedy = problems.set("aks.maxNodes", chosen.min_nodes) if fits else problems.remove("aks.minNodes")
        problems.note("aks.minNodes", chosen.min_nodes, f"at most maxNodes, {chosen.max_nodes}", remedy)
    if chosen.max_nodes > most:
        allowed = f"at most {most}, which have addresses in the nodes' subnet, a third more in an upgrade"
        problems.note("aks.maxNodes", chosen.max_nodes, allowed, problems.set("aks.maxNodes", most))
    for role, size in sizes.items():
        problems.built(
            role.value,
            f"{size.cpu:g} cores, {size.memory_mib} MiB",
            problems.reset(*(f"{role}.{key}" for key in ("cpu", "memoryMib"))),
            partial(NodePool(name="any", vm_size=chosen.node_size).check_pod, cpu=size.cpu, memory_mib=size.memory_mib),
        )


def _most_nodes(system_nodes: int) -> int:
    """Return how many nodes for the services the subnet holds beside those of the system, which may be one more.

    Azure keeps five addresses of a subnet, and an upgrade adds a third of the nodes of each pool.
    """
    addresses = (1 << (32 - AKS_SUBNETS[SubnetRole.AKS_NODES])) - 5
    of_system = math.ceil((system_nodes + 1) * 4 / 3) if system_nodes else 0
    return (addresses - of_system) * 3 // 4


def _existing_cluster_is_its_owners(problems: Problems) -> None:
    """Record what a stack cannot choose of a cluster that it does not create."""
    for field in (f"aks.{key}" for key in _OF_OWN_CLUSTER):
        if problems.given(field):
            allowed = "no such setting beside aks.existingCluster, whose owner decides on it"
            problems.note(field, "given", allowed, problems.remove(field))


def _existing_cluster_reaches_the_data(
    problems: Problems, azure: AzureSettings, existing: ExistingClusterSettings
) -> None:
    """Record what keeps the nodes of another owner's cluster from the data: no peer, or addresses of the stack."""
    field, network = "aks.existingCluster", ipaddress.IPv4Network(azure.network.cidr)
    if not azure.network.client_networks:
        allowed = "the network of aks.existingCluster, which is peered and resolves the private names"
        example = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Network/virtualNetworks/NAME"
        remedy = problems.set("network.clientNetworks[0]", example)
        problems.note("network.clientNetworks", [], allowed, remedy)
    theirs = {"nodeRange": existing.node_range, "gatewayAddress": existing.gateway_address}
    ranges = {key: ipaddress.IPv4Network(given) for key, given in theirs.items()}
    for key in (key for key, taken in ranges.items() if taken.overlaps(network)):
        allowed = f"addresses outside of network.cidr, {network}, as peered networks share none"
        # To remove it would create a cluster.
        other = _apart(network, [*ranges.values()])
        command = f" by `{problems.set('network.cidr', other)}`" if other else ", network.cidr"
        problems.note(f"{field}.{key}", theirs[key], allowed, f"correct it, or give the stack another network{command}")


def _apart(network: ipaddress.IPv4Network, taken: Sequence[ipaddress.IPv4Network]) -> ipaddress.IPv4Network | None:
    """Return a private range of a network's size that shares no address with it or with those taken, if one is left."""
    of_size = (ipaddress.IPv4Network((f"10.{second}.0.0", network.prefixlen), strict=False) for second in range(256))
    return next((each for each in of_size if not any(each.overlaps(other) for other in (network, *taken))), None)


def _client_ranges_are_apart(problems: Problems, azure: AzureSettings) -> None:
    """Record ranges that Azure refuses together (Microsoft Learn, "Azure subscription limits": 4,000 in a rule)."""
    field, given = "network.clientRanges", [*map(ipaddress.IPv4Network, azure.network.client_ranges)]
    if len(given) > _MOST_RANGES:
        remedy = "join neighbouring ranges into wider ones"
        problems.note(field, f"{len(given)} ranges", f"at most {_MOST_RANGES}", remedy)
    # One of two that overlap contains the other.
    widest: ipaddress.IPv4Network | None = None
    contained: dict[int, ipaddress.IPv4Network] = {}
    for index, each in sorted(enumerate(given), key=lambda one: one[1]):
        if widest is not None and each.subnet_of(widest):
            contained[index] = widest
        else:
            widest = each
    for index, wider in contained.items():
        within = path("network", "clientRanges", index)
        allowed = f"ranges that do not overlap, and {wider} is given too"
        problems.note(within, str(given[index]), allowed, problems.remove(within))


def _client_networks_have_names(problems: Problems, azure: AzureSettings) -> None:
    """Links are named after them."""
    given = azure.network.client_networks
    if len(azure.network.clients_by_name) < len(given):
        field = "network.clientNetworks"
        problems.note(field, list(given), "networks with different names", problems.remove(field))
