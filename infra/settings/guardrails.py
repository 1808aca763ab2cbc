"""What is possible and still refused: the checks of several fields. They run inside the program, so no flag of a
command avoids them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pulumi

from components.azure import postgres_size
from components.azure.identity import FederatedSubject
from components.azure.postgres_size import HighAvailability, ServerSize, Tier
from components.compute.container_apps import rendering
from components.mlflow.connections import Budget, budget
from components.mlflow.roles import Role
from components.mlflow.topology import Size
from infra.naming import Names
from infra.settings import ports
from infra.settings.azure import AccessControl, AzureSettings, Exposure, GithubSettings
from infra.settings.ports import LocalPort
from infra.settings.problems import Problems, path
from infra.settings.profiles import ComputeKind, ProfileName

if TYPE_CHECKING:
    from infra.settings.model import Settings

# Names of resources are made of it, and no type of Azure takes a hyphen at the end or two in a row everywhere.
_STACK_NAME = re.compile(r"(?!.*--)[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_AVAILABLE = (ComputeKind.LOCAL, ComputeKind.CONTAINER_APPS)
RESERVED_TAGS = ("owner", "cost-center", "data-classification", "environment", "managed-by", "application", "stack")
"""The tags that the program writes."""
# Microsoft Learn, "Use tags to organize your Azure resources": private DNS zones take 15 tags, the least of all types.
_MOST_EXTRA_TAGS = 8
# Two, so that the loss of one, or of its zone, is no outage.
_LEAST_REPLICAS_IN_PROD = 2
# max_connections of the local stack's server, and PostgreSQL's default of superuser_reserved_connections.
LOCAL_CONNECTIONS = 400
LOCAL_RESERVED = 3
_github = FederatedSubject.github_environment
_ALWAYS_UP = (Role.GATEWAY, Role.TRACKING)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A database server: its connections, the reserved ones among them, and the key that raises the replicas.

    `rolling` says whether an `up` starts successors beside the replicas that it replaces. On one machine it does not:
    a service with connections is replaced in place, each replica on its own port.
    """

    name: str
    connections: int
    reserved: int
    replicas_key: str
    rolling: bool


_LOCAL_SERVER = Server(
    name="the local PostgreSQL",
    connections=LOCAL_CONNECTIONS,
    reserved=LOCAL_RESERVED,
    replicas_key="minReplicas",
    rolling=False,
)


def _server_of_azure(sku: str) -> Server:
    most, reserved = postgres_size.max_connections(sku), postgres_size.RESERVED_CONNECTIONS
    return Server(name=sku, connections=most, reserved=reserved, replicas_key="maxReplicas", rolling=True)


def check(problems: Problems, settings: Settings) -> None:
    """Record every rule that the settings break."""
    _stack_has_a_usable_name(problems, settings)
    _compute_fits_the_profile(problems, settings.profile, settings.compute)
    if settings.compute is ComputeKind.CONTAINER_APPS:
        _sizes_of_container_apps(problems, settings.sizes)
    azure = settings.azure
    if azure is None:
        _replicas_have_ports(problems, settings.sizes)
        _connections_suffice(problems, settings, _LOCAL_SERVER)
        return
    _tags_are_free(problems, azure.tags.extra)
    _database_exists(problems, azure)
    _tiers_are_in_order(problems, azure)
    _budget_is_whole(problems, azure)
    if azure.github is not None:
        _workflows_can_sign_in(problems, azure.github)
    _public_needs_access_control(problems, azure)
    _public_clients_reach_no_blob(problems, azure)
    _client_networks_have_names(problems, azure)
    _protection_is_whole(problems, azure)
    _connections_suffice(problems, settings, _server_of_azure(azure.database.sku))
    if settings.profile is ProfileName.PROD:
        _prod_survives_a_loss(problems, settings.sizes, azure)


def require_tags(required: Sequence[str]) -> None:
    """From now on refuse every Azure resource that takes tags and lacks one of these, before it is registered."""

    def refuse(args: pulumi.ResourceTransformationArgs) -> None:
        # A resource class sets every property that its type has, if only to None.
        if not args.type_.startswith("azure-native:") or "tags" not in args.props:
            return
        given = args.props["tags"]
        if missing := [tag for tag in required if not (isinstance(given, Mapping) and given.get(tag))]:
            raise pulumi.RunError(
                f"{args.name} ({args.type_}): the tags {', '.join(missing)} are missing; every Azure resource carries "
                f"{', '.join(required)}; hand it the tags of infra/tags.py."
            )

    pulumi.runtime.register_stack_transformation(refuse)


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
    elif compute not in _AVAILABLE:
        problems.note("compute", str(compute), f"{', '.join(_AVAILABLE)} in this version", remedy)


def _replicas_have_ports(problems: Problems, sizes: Mapping[Role, Size]) -> None:
    """On one machine a service has a fixed number of replicas, each with a port of its own."""
    for role, size in sizes.items():
        most, replicas = len(ports.OFFSETS[LocalPort(role.value)]), size.scale.minimum
        if not 1 <= replicas <= most:
            field = f"{role}.minReplicas"
            remedy = problems.set(field, min(max(replicas, 1), most))
            problems.note(field, replicas, f"1 to {most} with compute local", remedy)


def _tags_are_free(problems: Problems, extra: Mapping[str, str]) -> None:
    if len(extra) > _MOST_EXTRA_TAGS:
        allowed = f"an object of at most {_MOST_EXTRA_TAGS} names and values"
        surplus = [path("tags", "extra", name) for name in [*extra][_MOST_EXTRA_TAGS:]]
        problems.note("tags.extra", dict(extra), allowed, problems.reset(*surplus))
    for name in extra.keys() & {*RESERVED_TAGS}:
        field = path("tags", "extra", name)
        problems.note(field, extra[name], "names that the program does not set itself", problems.remove(field))


def _database_exists(problems: Problems, azure: AzureSettings) -> None:
    """The component knows which sizes and combinations there are; here they are refused with all other problems."""
    wanted = azure.database
    fields = [f"database.{key}" for key in ("sku", "storageGib", "highAvailability")]
    shown = wanted.model_dump(mode="json", by_alias=True)
    problems.built("database", shown, problems.reset(*fields), lambda: wanted.size)


def _tiers_are_in_order(problems: Problems, azure: AzureSettings) -> None:
    days = {"coolAfterDays": azure.storage.cool_after_days, "coldAfterDays": azure.storage.cold_after_days}
    remedy = problems.reset(*(f"storage.{key}" for key in days))
    problems.built("storage", days, remedy, lambda: azure.storage.lifecycle)


def _budget_is_whole(problems: Problems, azure: AzureSettings) -> None:
    monitoring = azure.monitoring
    if monitoring.monthly_budget is not None and not monitoring.emails:
        remedy = problems.set("monitoring.emails[0]", "oncall@example.com")
        problems.note("monitoring.emails", [], "at least one address with a monthlyBudget", remedy)


def _workflows_can_sign_in(problems: Problems, github: GithubSettings) -> None:
    repository, deploy, preview = github.repository, github.deploy_environment, github.preview_environment
    environments = problems.reset("github.deployEnvironment", "github.previewEnvironment")
    name = problems.set("github.repository", "example/mlflow-platform")
    if not problems.built("github.repository", repository, name, partial(_github, repository, "any")):
        return
    for key, environment in (("deployEnvironment", deploy), ("previewEnvironment", preview)):
        field = f"github.{key}"
        problems.built(field, environment, problems.remove(field), partial(_github, "a/b", environment))
    if deploy == preview:
        allowed = "another environment than deployEnvironment, since a preview must not hold the rights of a deployment"
        problems.note("github.previewEnvironment", preview, allowed, environments)


def _public_needs_access_control(problems: Problems, azure: AzureSettings) -> None:
    if azure.exposure is Exposure.PUBLIC and azure.access is AccessControl.NONE:
        problems.note(
            "ingress",
            str(azure.exposure),
            "internal as long as there is no access control (access: none), since anybody on the internet could read "
            "and write all data",
            problems.set("ingress", Exposure.INTERNAL),
        )


def _public_clients_reach_no_blob(problems: Problems, azure: AzureSettings) -> None:
    if azure.exposure is Exposure.PUBLIC and azure.storage.clients_reach_blob:
        field = "storage.clientsReachBlob"
        problems.note(
            field,
            "true",
            "false with a public gateway, whose clients do not reach the account's private endpoint",
            f"set ingress to internal, or run `{problems.set(field, 'false')}`",
        )


def _client_networks_have_names(problems: Problems, azure: AzureSettings) -> None:
    """Links are named after them."""
    given = azure.network.client_networks
    if len(azure.network.clients_by_name) < len(given):
        field = "network.clientNetworks"
        problems.note(field, list(given), "networks with different names", problems.remove(field))


def _protection_is_whole(problems: Problems, azure: AzureSettings) -> None:
    if azure.protect and not azure.purge_protection:
        problems.note(
            "purgeProtection",
            "false",
            "true with protect, as a deleted vault could be purged with all secrets",
            f"set protect to false, or set purgeProtection, which Azure never revokes, with "
            f"`{problems.set('purgeProtection', 'true')}`",
        )


def _prod_survives_a_loss(problems: Problems, sizes: Mapping[Role, Size], azure: AzureSettings) -> None:
    for role in _ALWAYS_UP:
        replicas = sizes[role].scale.minimum
        if replicas < _LEAST_REPLICAS_IN_PROD:
            field = f"{role}.minReplicas"
            remedy = problems.set(field, _LEAST_REPLICAS_IN_PROD)
            problems.note(field, replicas, f"at least {_LEAST_REPLICAS_IN_PROD} in prod", remedy)
    database = azure.database
    burstable = ServerSize(sku=database.sku).tier is Tier.BURSTABLE
    if burstable or database.high_availability is HighAvailability.NONE:
        problems.note(
            "database",
            f"{database.sku} with highAvailability {database.high_availability}",
            "a Standard_D... or Standard_E... sku with a standby in prod",
            problems.reset("database.sku", "database.highAvailability"),
        )


def _connections_suffice(problems: Problems, settings: Settings, server: Server) -> None:
    """One server holds both databases."""
    needed = budget(settings.sizes, settings.limits.database_pool, rolling=server.rolling)
    available = server.connections - server.reserved
    if needed.total <= available:
        return
    field, largest = "limits.databasePool", needed.largest_pool(available)
    problems.note(
        field,
        needed.pool,
        f"{'none with so many replicas' if largest is None else f'at most {largest}'}, as the services may open "
        f"{needed.arithmetic()}, and {server.name} takes {server.connections} - {server.reserved} reserved = "
        f"{available}",
        problems.set(field, largest) if largest is not None else _fewer_replicas(problems, needed, server, available),
    )


def _fewer_replicas(problems: Problems, needed: Budget, server: Server, available: int) -> str:
    """Fewer of the service that has the most: as many as the smallest pool leaves room for."""
    role = max(needed.replicas, key=lambda each: needed.replicas[each])
    command = problems.set(f"{role}.{server.replicas_key}", needed.most_replicas(role, available))
    return f"choose a larger database.sku, or lower {server.replicas_key} of tracking or registry: `{command}`"


def _sizes_of_container_apps(problems: Problems, sizes: Mapping[Role, Size]) -> None:
    for role, size in sizes.items():
        problems.built(
            role.value,
            f"{size.cpu:g} cores, {size.memory_mib} MiB, spool {size.spool_mib} MiB",
            problems.reset(*(f"{role}.{key}" for key in ("cpu", "memoryMib", "spoolMib"))),
            partial(rendering.check_size, role, cpu=size.cpu, memory_mib=size.memory_mib, spool_mib=size.spool_mib),
        )
