"""What a stack for users may not be without: checks of stacks with profile prod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.azure.artifact_store_args import Redundancy
from components.azure.postgres_size import HighAvailability, ServerSize, Tier
from components.mlflow.roles import Role
from infra.settings import regions
from infra.settings.azure import AzureSettings
from infra.settings.problems import Problems

if TYPE_CHECKING:
    from infra.settings.model import Settings

# Two, so that the loss of one, or of its zone, is no outage.
LEAST_REPLICAS = 2
# Two weeks: a loss is noticed after a holiday, and database and artifacts go back to the same day.
LEAST_DAYS_BACK = 14
# CIS Microsoft Azure Foundations: logs are retained for 90 days or more.
LEAST_LOG_DAYS = 90
_SERVICES = (Role.GATEWAY, Role.TRACKING, Role.REGISTRY, Role.ARTIFACTS)
_EXAMPLE_BUDGET = 1200


def survives_the_loss_of_a_replica(problems: Problems, settings: Settings) -> None:
    """Refuse a service with one replica or none."""
    for role in _SERVICES:
        replicas = settings.sizes[role].scale.minimum
        if replicas < LEAST_REPLICAS:
            field = f"{role}.minReplicas"
            remedy = problems.set(field, LEAST_REPLICAS)
            problems.note(field, replicas, f"at least {LEAST_REPLICAS} in prod", remedy)


def survives_the_loss_of_the_server(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a database without a standby, or of a size that can have none."""
    database = azure.database
    burstable = ServerSize(sku=database.sku).tier is Tier.BURSTABLE
    if burstable or database.high_availability is HighAvailability.NONE:
        problems.note(
            "database",
            f"{database.sku} with highAvailability {database.high_availability}",
            "a Standard_D... or Standard_E... sku with a standby in prod",
            problems.reset("database.sku", "database.highAvailability"),
        )


def survives_the_loss_of_a_zone(problems: Problems, azure: AzureSettings) -> None:
    """Refuse what is in one zone alone, where the region has more."""
    if not regions.has_zones(azure.location):
        return
    allowed = f"{{}} in prod, as {azure.location} has zones"
    if not azure.zone_redundant:
        problems.note("zoneRedundant", "false", allowed.format("true"), problems.remove("zoneRedundant"))
    if azure.database.high_availability is HighAvailability.SAME_ZONE:
        field, value = "database.highAvailability", str(azure.database.high_availability)
        problems.note(field, value, allowed.format(HighAvailability.ZONE_REDUNDANT), problems.remove(field))
    if azure.storage.redundancy is Redundancy.LOCAL:
        field, value = "storage.redundancy", str(azure.storage.redundancy)
        others = " or ".join(each for each in Redundancy if each is not Redundancy.LOCAL)
        problems.note(field, value, allowed.format(others), problems.remove(field))


def can_go_back(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a database or artifacts that can be restored for a few days alone."""
    for field, days in (
        ("database.backupDays", azure.database.backup_days),
        ("storage.softDeleteDays", azure.storage.soft_delete_days),
        ("storage.oldVersionsAfterDays", azure.storage.old_versions_after_days),
    ):
        if days < LEAST_DAYS_BACK:
            problems.note(field, days, f"at least {LEAST_DAYS_BACK} days in prod", problems.remove(field))


def keeps_its_logs(problems: Problems, azure: AzureSettings) -> None:
    """Refuse logs that are gone before an incident is investigated."""
    field, days = "monitoring.retentionDays", azure.monitoring.retention_days
    if days < LEAST_LOG_DAYS:
        problems.note(field, days, f"at least {LEAST_LOG_DAYS} days in prod", problems.remove(field))


def has_a_budget(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a stack whose costs nobody hears of."""
    if azure.monitoring.monthly_budget is None:
        field = "monitoring.monthlyBudget"
        problems.note(field, None, "an amount in prod, as in 1200", problems.set(field, _EXAMPLE_BUDGET))


def has_someone_on_call(problems: Problems, azure: AzureSettings) -> None:
    """Refuse alerts that reach nobody."""
    if not azure.monitoring.emails:
        field = "monitoring.emails"
        remedy = problems.set(f"{field}[0]", "oncall@example.com")
        problems.note(field, [], "at least one address in prod", remedy)


def has_a_private_registry(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a registry that the internet reaches."""
    if not azure.private_registry:
        problems.note("privateRegistry", "false", "true in prod", problems.remove("privateRegistry"))


def cannot_be_purged(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a vault whose secrets can be lost for good, also while `protect` is off."""
    if not azure.purge_protection:
        problems.note("purgeProtection", "false", "true in prod", problems.remove("purgeProtection"))
