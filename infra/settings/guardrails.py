"""The checks of several fields: what is impossible, and by RULES what is possible and still refused.

They run inside the program, so no flag of a command avoids them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pulumi

from components.azure import postgres_size
from components.azure.identity import FederatedSubject
from components.compute.container_apps import rendering
from components.mlflow.connections import Budget, budget
from components.mlflow.roles import Role
from components.mlflow.topology import Size
from infra.naming import Names
from infra.settings import ports, production, regions
from infra.settings.azure import AccessControl, AzureSettings, Exposure, GithubSettings
from infra.settings.ports import LocalPort
from infra.settings.problems import Problems, path
from infra.settings.profiles import ComputeKind, ProfileName
from infra.settings.rules import Rule, Scope, on_azure

if TYPE_CHECKING:
    from infra.settings.model import Settings

# Names of resources are made of it, and no type of Azure takes a hyphen at the end or two in a row everywhere.
_STACK_NAME = re.compile(r"(?!.*--)[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_AVAILABLE = (ComputeKind.LOCAL, ComputeKind.CONTAINER_APPS)
RESERVED_TAGS = ("owner", "cost-center", "data-classification", "environment", "managed-by", "application", "stack")
"""The tags that the program writes."""
# Microsoft Learn, "Use tags to organize your Azure resources": private DNS zones take 15 tags, the least of all types.
_MOST_EXTRA_TAGS = 8
# max_connections of the local stack's server, and PostgreSQL's default of superuser_reserved_connections.
LOCAL_CONNECTIONS = 400
LOCAL_RESERVED = 3
_github = FederatedSubject.github_environment
# That of 10.0.0.0/8, the widest private range. In a wider one there are addresses of the internet.
_WIDEST_PREFIX = 8
# From the least to the most that a stack is protected.
_STRICTNESS = (ProfileName.LOCAL, ProfileName.DEV, ProfileName.STAGING, ProfileName.PROD)


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
    _possible(problems, settings)
    for rule in RULES:
        if rule.applies(settings):
            with problems.refused_by(rule.id, rule.link):
                rule.check(problems, settings)


def _possible(problems: Problems, settings: Settings) -> None:
    azure = settings.azure
    if azure is None:
        _replicas_have_ports(problems, settings.sizes)
        return
    _tags_are_free(problems, azure.tags.extra)
    _database_exists(problems, azure)
    _tiers_are_in_order(problems, azure)
    _budget_is_whole(problems, azure)
    if azure.github is not None:
        _workflows_can_sign_in(problems, azure.github)
    _client_networks_have_names(problems, azure)


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


def _connections_suffice(problems: Problems, settings: Settings) -> None:
    """One server holds both databases."""
    server = _LOCAL_SERVER if settings.azure is None else _server_of_azure(settings.azure.database.sku)
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


def _profile_is_the_names(problems: Problems, settings: Settings) -> None:
    """A stack that is called prod, or prod-eu, has what prod promises."""
    stack = settings.stack
    named = next((each for each in _STRICTNESS if stack == each or stack.startswith(f"{each}-")), None)
    if named in (ProfileName.STAGING, ProfileName.PROD) and _weaker(settings.profile, named):
        allowed = f"{named}, or a stricter profile, for a stack named {stack}"
        problems.note("profile", str(settings.profile), allowed, problems.set("profile", named))


def _weaker(profile: ProfileName, than: ProfileName) -> bool:
    return _STRICTNESS.index(profile) < _STRICTNESS.index(than)


def _clients_are_few(problems: Problems, azure: AzureSettings) -> None:
    """Ranges together, since two halves are everything too."""
    ranges = azure.network.client_ranges
    joined = ipaddress.collapse_addresses(ipaddress.IPv4Network(each) for each in ranges)
    if wide := [str(each) for each in joined if each.prefixlen < _WIDEST_PREFIX]:
        field = "network.clientRanges"
        allowed = f"ranges of the network and its peers, none wider than /{_WIDEST_PREFIX}, also together"
        problems.note(field, ", ".join(wide), allowed, problems.remove(field))


def _region_is_no_misspelling(problems: Problems, azure: AzureSettings) -> None:
    if (meant := regions.meant_by(azure.location)) is not None:
        allowed = f"a region of Azure, as in {meant}"
        problems.note("location", azure.location, allowed, problems.set("location", meant))


def _repository_is_this_one(problems: Problems, settings: Settings) -> None:
    """Names of repositories do not differ by case on GitHub."""
    github = settings.azure.github if settings.azure else None
    if github is not None and settings.checkout and github.repository.lower() != settings.checkout.lower():
        field = "github.repository"
        allowed = f"{settings.checkout}, whose workflow runs this program"
        problems.note(field, github.repository, allowed, problems.set(field, settings.checkout))


def _environments_are_the_stacks(problems: Problems, settings: Settings) -> None:
    github = settings.azure.github if settings.azure else None
    if github is None:
        return
    own = {name for each in (settings.stack, settings.profile) for name in _environments(each)}
    others = {name for profile in ProfileName for name in _environments(profile)} - own
    for key, environment in (
        ("deployEnvironment", github.deploy_environment),
        ("previewEnvironment", github.preview_environment),
    ):
        if environment.lower() in others:
            field = f"github.{key}"
            allowed = f"an environment of this stack's own, as in {settings.stack}"
            problems.note(field, environment, allowed, problems.remove(field))


def _environments(stack: str) -> tuple[str, str]:
    return stack, f"{stack}-preview"


RULES: tuple[Rule, ...] = (
    Rule(
        id="public-without-access-control",
        scope=Scope.AZURE,
        refuses="`ingress: public` with `access: none`",
        reason="Anybody on the internet could read and write all data.",
        remedy="Set `ingress` to internal.",
        source="Microsoft cloud security benchmark, NS-2",
        check=on_azure(_public_needs_access_control),
    ),
    Rule(
        id="public-clients-at-the-account",
        scope=Scope.AZURE,
        refuses="`storage.clientsReachBlob` with `ingress: public`",
        reason="Clients on the internet do not reach the private endpoint of the account: uploads would fail.",
        remedy="Set `storage.clientsReachBlob` to false, or `ingress` to internal.",
        source="[Operations](operations.md#large-artifacts)",
        check=on_azure(_public_clients_reach_no_blob),
    ),
    Rule(
        id="clients-from-everywhere",
        scope=Scope.AZURE,
        refuses="`network.clientRanges` that are wider than /8, each or together",
        reason="Such a range has addresses of the internet in it, and would admit them once the gateway is public.",
        remedy="Name the ranges of the clients, or remove the key: then the network and its peers may call.",
        source="CIS Microsoft Azure Foundations, networking: no ingress from 0.0.0.0/0",
        check=on_azure(_clients_are_few),
    ),
    Rule(
        id="misspelt-region",
        scope=Scope.AZURE,
        refuses="a `location` that is no region, and nearly the name of one",
        reason="Azure refuses it in the middle of the first `up`.",
        remedy="Correct the name.",
        source='Microsoft Learn, "List of Azure regions"',
        check=on_azure(_region_is_no_misspelling),
    ),
    Rule(
        id="protection-without-purge-protection",
        scope=Scope.AZURE,
        refuses="`protect` without `purgeProtection`",
        reason="A deleted vault could be purged, with the key that encrypts values in the database.",
        remedy="Set `purgeProtection` to true, which Azure never revokes, or `protect` to false.",
        source="CIS Microsoft Azure Foundations, Key Vault: recoverable",
        check=on_azure(_protection_is_whole),
    ),
    Rule(
        id="weaker-profile-than-its-name",
        scope=Scope.EVERY,
        refuses="a stack named prod or staging, also as in prod-eu, with the profile of a lesser stack",
        reason="Who reads the name relies on locks, standby, backups and private access that are not there.",
        remedy="Set `profile` to the one that the name says, or rename the stack.",
        source="[Configuration](configuration.md): what each profile has",
        check=_profile_is_the_names,
    ),
    Rule(
        id="another-repository-deploys",
        scope=Scope.AZURE,
        refuses="`github.repository` other than the repository whose workflow runs the program",
        reason="Workflows of that repository could deploy the stack, and so come to all its data.",
        remedy="Set `github.repository` to this repository. To move a stack, run an `up` by hand.",
        source='GitHub Docs, "Security hardening with OpenID Connect"',
        check=_repository_is_this_one,
    ),
    Rule(
        id="environment-of-another-stack",
        scope=Scope.AZURE,
        refuses="`github.deployEnvironment` or `previewEnvironment` with the name of another profile's stack",
        reason="Jobs with the lesser approval of the other environment could deploy this stack.",
        remedy="Remove the key: the stack's name is the default.",
        source='GitHub Docs, "Managing environments for deployment"',
        check=_environments_are_the_stacks,
    ),
    Rule(
        id="connections-rolling",
        scope=Scope.EVERY,
        refuses="more connections than the database server takes in the middle of a rolling update",
        reason="The server refuses connects beyond its limit, and every service on it answers errors.",
        remedy="Lower `limits.databasePool` or `maxReplicas`, or choose a larger `database.sku`.",
        source="[Operations](operations.md#too-many-connections)",
        check=_connections_suffice,
    ),
    Rule(
        id="prod-replicas",
        scope=Scope.PROD,
        refuses=f"fewer than {production.LEAST_REPLICAS} replicas of a service",
        reason="The loss of a replica, or of its zone, would be an outage.",
        remedy="Raise `minReplicas`.",
        source="Azure Well-Architected Framework, reliability: redundancy",
        check=production.survives_the_loss_of_a_replica,
    ),
    Rule(
        id="prod-database",
        scope=Scope.PROD,
        refuses="a burstable `database.sku`, or a database without a standby",
        reason="The loss of the server would be an outage until it is restored; burstable sizes can have no standby.",
        remedy="Choose a Standard_D... or Standard_E... sku with a standby.",
        source='Microsoft Learn, "Compute options in Azure Database for PostgreSQL"',
        check=on_azure(production.survives_the_loss_of_the_server),
    ),
    Rule(
        id="prod-zones",
        scope=Scope.PROD,
        refuses="`zoneRedundant: false`, a standby in the same zone, or artifacts in one zone, in a region with zones",
        reason="The loss of a zone would stop the service, or lose artifacts.",
        remedy="Remove the key: the profile spreads over zones.",
        source="Azure Well-Architected Framework, reliability: availability zones; Azure Verified Modules, storage",
        check=on_azure(production.survives_the_loss_of_a_zone),
    ),
    Rule(
        id="prod-way-back",
        scope=Scope.PROD,
        refuses=f"backups, deleted artifacts or old versions that last fewer than {production.LEAST_DAYS_BACK} days",
        reason="A loss, or an attacker's overwriting, is often noticed after more than a week.",
        remedy="Raise the number of days, or remove the key.",
        source='Azure Verified Modules, PostgreSQL; Microsoft Learn, "Data protection overview"',
        check=on_azure(production.can_go_back),
    ),
    Rule(
        id="prod-logs",
        scope=Scope.PROD,
        refuses=f"`monitoring.retentionDays` below {production.LEAST_LOG_DAYS}",
        reason="An incident is often investigated weeks after it began.",
        remedy="Raise `monitoring.retentionDays`, or remove the key.",
        source="CIS Microsoft Azure Foundations, logging",
        check=on_azure(production.keeps_its_logs),
    ),
    Rule(
        id="prod-budget",
        scope=Scope.PROD,
        refuses="no `monitoring.monthlyBudget`",
        reason="Nobody would hear of a cost that runs away before the bill.",
        remedy="Set `monitoring.monthlyBudget`, with the addresses that it notifies.",
        source="FinOps Framework, budgeting",
        check=on_azure(production.has_a_budget),
    ),
    Rule(
        id="prod-on-call",
        scope=Scope.PROD,
        refuses="no address in `monitoring.emails`",
        reason="Alerts would reach nobody.",
        remedy="Name at least one address.",
        source="Azure Well-Architected Framework, operational excellence: alerting",
        check=on_azure(production.has_someone_on_call),
    ),
    Rule(
        id="prod-private-registry",
        scope=Scope.PROD,
        refuses="`privateRegistry: false`",
        reason="Whoever gets hold of a token could pull and push images from anywhere.",
        remedy="Remove the key.",
        source="Azure Policy, container registries should disable public network access",
        check=on_azure(production.has_a_private_registry),
    ),
    Rule(
        id="prod-purge-protection",
        scope=Scope.PROD,
        refuses="`purgeProtection: false`, also while `protect` is off",
        reason="A deleted vault could be purged, with the key that encrypts values in the database.",
        remedy="Remove the key.",
        source="CIS Microsoft Azure Foundations, Key Vault: recoverable",
        check=on_azure(production.cannot_be_purged),
    ),
)
"""What is possible and still refused, in the order of the messages. docs/guardrails.md is written from it."""
