"""What a stack can get back after a loss."""

from __future__ import annotations

from infra.settings.azure import AzureSettings
from infra.settings.problems import Problems

# Two weeks: a loss is noticed after a holiday, and database and artifacts go back to the same day.
LEAST_DAYS_BACK = 14


def can_go_back(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a database or artifacts that can be restored for a few days alone."""
    for field, days in (
        ("database.backupDays", azure.database.backup_days),
        ("storage.softDeleteDays", azure.storage.soft_delete_days),
        ("storage.oldVersionsAfterDays", azure.storage.old_versions_after_days),
    ):
        if days < LEAST_DAYS_BACK:
            problems.note(field, days, f"at least {LEAST_DAYS_BACK} days in prod", problems.remove(field))


def protection_is_whole(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a protected stack whose vault can be purged."""
    if azure.protect and not azure.purge_protection:
        problems.note(
            "purgeProtection",
            "false",
            "true with protect, as a deleted vault could be purged with all secrets",
            f"set protect to false, or set purgeProtection, which Azure never revokes, with "
            f"`{problems.set('purgeProtection', 'true')}`",
        )


def is_protected(problems: Problems, azure: AzureSettings) -> None:
    """Refuse data that the engine and Azure would delete."""
    if not azure.protect:
        problems.note("protect", "false", "true in prod", problems.remove("protect"))


def cannot_be_purged(problems: Problems, azure: AzureSettings) -> None:
    """Refuse a vault whose secrets can be lost for good, also while `protect` is off."""
    if not azure.purge_protection:
        problems.note("purgeProtection", "false", "true in prod", problems.remove("purgeProtection"))
