"""What the people who run a stack hear of."""

from __future__ import annotations

from infra.settings.azure import AzureSettings
from infra.settings.problems import Problems

# CIS Microsoft Azure Foundations: logs are retained for 90 days or more.
LEAST_LOG_DAYS = 90
_EXAMPLE_BUDGET = 1200


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
