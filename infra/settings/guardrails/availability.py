"""What a stack survives without an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.azure.artifact_store_args import Redundancy
from components.azure.postgres_size import HighAvailability, ServerSize, Tier
from components.mlflow.roles import SERVICES
from infra.settings import regions
from infra.settings.azure import AzureSettings
from infra.settings.problems import Problems

if TYPE_CHECKING:
    from infra.settings.model import Settings

# Two, so that the loss of one, or of its zone, is no outage.
LEAST_REPLICAS = 2


def survives_the_loss_of_a_replica(problems: Problems, settings: Settings) -> None:
    """Refuse a service with one replica or none."""
    for role in SERVICES:
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
