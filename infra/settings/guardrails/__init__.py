"""What is possible and still refused: RULES, in the order of the messages. docs/guardrails.md is written from it.

The rules run inside the program, so no flag of a command avoids them. Each subject's checks are in a module of its own.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from infra import guardrails as resource_guardrails
from infra.settings.guardrails import (
    availability,
    connections,
    deployment,
    exposure,
    names,
    operation,
    recovery,
    waivers,
)
from infra.settings.guardrails.rule import Rule, Scope, Subject, on_azure
from infra.settings.problems import Problems, path

if TYPE_CHECKING:
    from infra.settings.model import Settings

__all__ = ["RULES", "Rule", "Scope", "Subject", "check"]

RULES: tuple[Rule, ...] = (
    Rule(
        id="public-without-access-control",
        subject=Subject.EXPOSURE,
        scope=Scope.AZURE,
        refuses="`ingress: public` with access mode none",
        reason="Anybody on the internet could read and write all data.",
        remedy="Set `ingress` to internal, or `access.mode` to entra.",
        source="Microsoft cloud security benchmark, NS-2",
        check=exposure.public_needs_access_control,
        waivable=False,
    ),
    Rule(
        id="public-clients-at-the-account",
        subject=Subject.EXPOSURE,
        scope=Scope.AZURE,
        refuses="`storage.clientsReachBlob` with `ingress: public`",
        reason="Clients on the internet do not reach the private endpoint of the account: uploads would fail.",
        remedy="Set `storage.clientsReachBlob` to false, or `ingress` to internal.",
        source="[Operations](operations.md#large-artifacts)",
        check=on_azure(exposure.public_clients_reach_no_blob),
        waivable=False,
    ),
    Rule(
        id="clients-from-everywhere",
        subject=Subject.EXPOSURE,
        scope=Scope.AZURE,
        refuses="`network.clientRanges` or `network.callerRanges` with more than 1,048,576 addresses of the internet "
        "in all, those of a /12",
        reason="They would admit much of the internet: clients once the gateway is public, callers to the database.",
        remedy="Name the ranges of the clients or nodes, or remove the key: then the network and its peers may call.",
        source="CIS Microsoft Azure Foundations, networking: no ingress from 0.0.0.0/0",
        check=on_azure(exposure.clients_are_few),
    ),
    Rule(
        id="misspelt-region",
        subject=Subject.NAMES,
        scope=Scope.AZURE,
        refuses="a `location` that is no region, and nearly the name of one",
        reason="Azure refuses it in the middle of the first `up`.",
        remedy="Correct the name.",
        source='Microsoft Learn, "List of Azure regions"',
        check=on_azure(lambda problems, azure: names.region_is_no_misspelling(problems, azure.location)),
        waivable=False,
    ),
    Rule(
        id="protection-without-purge-protection",
        subject=Subject.RECOVERY,
        scope=Scope.AZURE,
        refuses="`protect` without `purgeProtection`",
        reason="A deleted vault could be purged, with the key that encrypts values in the database.",
        remedy="Set `purgeProtection` to true, which Azure never revokes, or `protect` to false.",
        source="CIS Microsoft Azure Foundations, Key Vault: recoverable",
        check=on_azure(recovery.protection_is_whole),
    ),
    Rule(
        id="weaker-profile-than-its-name",
        subject=Subject.NAMES,
        scope=Scope.EVERY,
        refuses="a stack whose name has the word prod, production, prd, live, staging, stage or stg, as in eu-prod2, "
        "with the profile of a lesser stack",
        reason="Who reads the name relies on locks, standby, backups and private access that are not there.",
        remedy="Set `profile` to the one that the name says, or rename the stack.",
        source="[Configuration](configuration.md): what each profile has",
        check=names.profile_is_the_names,
        waivable=False,
    ),
    Rule(
        id="another-repository-deploys",
        subject=Subject.DEPLOYMENT,
        scope=Scope.AZURE,
        refuses="`github.repository` other than the repository whose workflow runs the program",
        reason="Workflows of that repository could deploy the stack, and so come to all its data.",
        remedy="Set `github.repository` to this repository. To move a stack, run an `up` by hand.",
        source='GitHub Docs, "Security hardening with OpenID Connect"',
        check=deployment.deploys_itself,
        waivable=False,
    ),
    Rule(
        id="environment-of-another-stack",
        subject=Subject.DEPLOYMENT,
        scope=Scope.AZURE,
        refuses="`github.deployEnvironment` or `previewEnvironment` with the name of another profile's stack, or of "
        "the environment of another workflow",
        reason="Jobs with the lesser approval of the other environment could deploy this stack.",
        remedy="Remove the key: the stack's name is the default.",
        source='GitHub Docs, "Managing environments for deployment"',
        check=deployment.environments_are_the_stacks,
        waivable=False,
    ),
    Rule(
        id="connections-rolling",
        subject=Subject.CONNECTIONS,
        scope=Scope.EVERY,
        refuses="more connections than the database server takes in the middle of a rolling update",
        reason="The server refuses connects beyond its limit, and every service on it answers errors.",
        remedy="Lower `limits.databasePool` or `maxReplicas`, or choose a larger `database.sku`.",
        source="[Operations](operations.md#too-many-connections)",
        check=connections.connections_suffice,
    ),
    Rule(
        id="prod-replicas",
        subject=Subject.AVAILABILITY,
        scope=Scope.PROD,
        refuses=f"fewer than {availability.LEAST_REPLICAS} replicas of a service",
        reason="The loss of a replica, or of its zone, would be an outage.",
        remedy="Raise `minReplicas`.",
        source="Azure Well-Architected Framework, reliability: redundancy",
        check=availability.survives_the_loss_of_a_replica,
    ),
    Rule(
        id="prod-database",
        subject=Subject.AVAILABILITY,
        scope=Scope.PROD,
        refuses="a burstable `database.sku`, or a database without a standby",
        reason="The loss of the server would be an outage until it is restored; burstable sizes can have no standby.",
        remedy="Choose a Standard_D... or Standard_E... sku with a standby.",
        source='Microsoft Learn, "Compute options in Azure Database for PostgreSQL"',
        check=on_azure(availability.survives_the_loss_of_the_server),
    ),
    Rule(
        id="prod-zones",
        subject=Subject.AVAILABILITY,
        scope=Scope.PROD,
        refuses="`zoneRedundant: false`, a standby in the same zone, or artifacts in one zone, in a region with zones",
        reason="The loss of a zone would stop the service, or lose artifacts.",
        remedy="Remove the key: the profile spreads over zones.",
        source="Azure Well-Architected Framework, reliability: availability zones; Azure Verified Modules, storage",
        check=on_azure(availability.survives_the_loss_of_a_zone),
    ),
    Rule(
        id="prod-way-back",
        subject=Subject.RECOVERY,
        scope=Scope.PROD,
        refuses=f"backups, deleted artifacts or old versions that last fewer than {recovery.LEAST_DAYS_BACK} days",
        reason="A loss, or an attacker's overwriting, is often noticed after more than a week.",
        remedy="Raise the number of days, or remove the key.",
        source='Azure Verified Modules, PostgreSQL; Microsoft Learn, "Data protection overview"',
        check=on_azure(recovery.can_go_back),
    ),
    Rule(
        id="prod-logs",
        subject=Subject.OPERATION,
        scope=Scope.PROD,
        refuses=f"`monitoring.retentionDays` below {operation.LEAST_LOG_DAYS}",
        reason="An incident is often investigated weeks after it began.",
        remedy="Raise `monitoring.retentionDays`, or remove the key.",
        source="CIS Microsoft Azure Foundations, logging",
        check=on_azure(operation.keeps_its_logs),
    ),
    Rule(
        id="prod-budget",
        subject=Subject.OPERATION,
        scope=Scope.PROD,
        refuses="no `monitoring.monthlyBudget`",
        reason="Nobody would hear of a cost that runs away before the bill.",
        remedy="Set `monitoring.monthlyBudget`, with the addresses that it notifies.",
        source="FinOps Framework, budgeting",
        check=on_azure(operation.has_a_budget),
    ),
    Rule(
        id="prod-on-call",
        subject=Subject.OPERATION,
        scope=Scope.PROD,
        refuses="no address in `monitoring.emails`",
        reason="Alerts would reach nobody.",
        remedy="Name at least one address.",
        source="Azure Well-Architected Framework, operational excellence: alerting",
        check=on_azure(operation.has_someone_on_call),
    ),
    Rule(
        id="prod-private-registry",
        subject=Subject.EXPOSURE,
        scope=Scope.PROD,
        refuses="`privateRegistry: false`",
        reason="Whoever gets hold of a token could pull and push images from anywhere.",
        remedy="Remove the key.",
        source="Azure Policy, container registries should disable public network access",
        check=on_azure(exposure.has_a_private_registry),
    ),
    Rule(
        id="prod-internet-outbound",
        subject=Subject.EXPOSURE,
        scope=Scope.PROD,
        refuses="`network.internetOutbound: true`",
        reason="Whoever gets into a service could send data to any host.",
        remedy="Remove the key, or waive the rule while webhooks call the internet.",
        source="Microsoft cloud security benchmark, NS-2",
        check=on_azure(exposure.reaches_no_internet),
    ),
    Rule(
        id="prod-protected",
        subject=Subject.RECOVERY,
        scope=Scope.PROD,
        refuses="`protect: false`",
        reason="One wrong `up` could delete the data, and protection that is off for a day is soon forgotten.",
        remedy="Remove the key, or waive the rule for the days of a `destroy`, or of a change of rights under a lock.",
        source="Azure Verified Modules, resource locks; CIS Microsoft Azure Foundations, resource locks",
        check=on_azure(recovery.is_protected),
    ),
    Rule(
        id="prod-purge-protection",
        subject=Subject.RECOVERY,
        scope=Scope.PROD,
        refuses="`purgeProtection: false`, also while `protect` is off",
        reason="A deleted vault could be purged, with the key that encrypts values in the database.",
        remedy="Remove the key.",
        source="CIS Microsoft Azure Foundations, Key Vault: recoverable",
        check=on_azure(recovery.cannot_be_purged),
    ),
)


def check_bootstrap(problems: Problems, *, location: str, github: str | None, checkout: str) -> None:
    """Record what the rules refuse that a bootstrap stack shares with the others."""
    by_id = {rule.id: rule for rule in RULES}
    with problems.refused_by("misspelt-region", by_id["misspelt-region"].link):
        names.region_is_no_misspelling(problems, location)
    with problems.refused_by("another-repository-deploys", by_id["another-repository-deploys"].link):
        deployment.repository_is_this_one(problems, "bootstrap.github", github, checkout)


def check(problems: Problems, settings: Settings, today: date) -> None:
    """Record what each rule refuses, unless a waiver of the stack lets it pass today.

    Waivers of rules over resources are read here too, and used where the resources are looked at.
    """
    given = settings.azure.waivers if settings.azure else {}
    waivable = [rule.id for rule in (*RULES, *resource_guardrails.RULES) if rule.waivable]
    lifted = waivers.read(problems, given, waivable, today)
    for rule in RULES:
        found = problems.apart()
        if rule.applies(settings):
            with found.refused_by(rule.id, rule.link):
                rule.check(found, settings)
        if rule.id not in lifted:
            problems.add(found)
        elif not found:
            field = path("waivers", rule.id)
            problems.note(field, dict(given[rule.id]), "a guardrail that the stack breaks", problems.remove(field))
