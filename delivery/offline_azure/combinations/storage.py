"""Microsoft.Storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from delivery.offline_azure.combinations.rule import Problem, ip_range
from delivery.offline_azure.limits import at

_MOST_DAYS: Final = 99_999


def account(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Storage account overview" (kinds and redundancy), "SFTP support for Azure Blob Storage",
    "Configure Azure Storage firewalls": an IP rule is public, and a single address or at most a /30."""
    kind, sku = str(inputs.get("kind")), str((inputs.get("sku") or {}).get("name"))
    premium = sku.startswith("Premium")
    kinds = {"BlockBlobStorage": premium, "FileStorage": premium or "V2_" in sku, "BlobStorage": not premium}
    if not kinds.get(kind, True) or ("GZRS" in sku and kind != "StorageV2"):
        yield "InvalidAccountType", f"The account kind '{kind}' does not go with the SKU '{sku}'."
    if inputs.get("isSftpEnabled") is True and inputs.get("isHnsEnabled") is not True:
        yield "InvalidRequestPropertyValue", "'isSftpEnabled' needs the hierarchical namespace ('isHnsEnabled')."
    if inputs.get("enableNfsV3") is True and inputs.get("isHnsEnabled") is not True:
        yield "InvalidRequestPropertyValue", "'enableNfsV3' needs the hierarchical namespace ('isHnsEnabled')."
    for value in at(inputs, "networkRuleSet.ipRules[].iPAddressOrRange"):
        found = ip_range(value)
        if found is None or found.is_private or ("/" in str(value) and found.prefixlen > 30):
            message = f"The following IP address or range is not valid in network ACL: {value}."
            yield "InvalidValuesForRequestParameters", message


def blob_service(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn: "Point-in-time restore for block blobs", "CORS support for Azure Storage"."""
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        given = inputs.get(policy) or {}
        if given.get("enabled") is True and "days" not in given:
            yield "InvalidRequestPropertyValue", f"'{policy}.days' is required when it is enabled."
    kept = inputs.get("deleteRetentionPolicy") or {}
    restore = inputs.get("restorePolicy") or {}
    needed = [
        inputs.get("isVersioningEnabled"),
        (inputs.get("changeFeed") or {}).get("enabled"),
        kept.get("enabled"),
    ]
    if restore.get("enabled") is True and (needed != [True] * 3 or restore.get("days", 0) >= kept.get("days", 0)):
        message = "A restore policy needs versioning, the change feed, and soft delete for more days than its own."
        yield "InvalidRequestPropertyValue", message
    if kept.get("allowPermanentDelete") is True and restore.get("enabled") is True:
        yield "InvalidRequestPropertyValue", "'allowPermanentDelete' and a restore policy exclude each other."
    if len(list(at(inputs, "cors.corsRules[]"))) > 5:
        yield "InvalidRequestPropertyValue", "A service has at most 5 CORS rules."


def lifecycle_policy(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Microsoft Learn, "Azure Blob Storage lifecycle management overview": rules, names, filters, actions."""
    rules = list(at(inputs, "policy.rules[]"))
    names = [rule.get("name") for rule in rules]
    if not rules or len(rules) > 100 or len(set(names)) < len(names):
        yield "InvalidRequestPropertyValue", "A lifecycle policy has 1 to 100 rules of different names."
    for rule in rules:
        definition = rule.get("definition") or {}
        actions = definition.get("actions") or {}
        if not any(actions.get(part) for part in ("baseBlob", "snapshot", "version")):
            yield "InvalidRequestPropertyValue", f"The rule '{rule.get('name')}' has no action."
        if len((definition.get("filters") or {}).get("prefixMatch") or []) > 10:
            yield "InvalidRequestPropertyValue", f"The rule '{rule.get('name')}' has more than 10 prefixes."
        for age in (value for action in actions.values() for value in _ages(action)):
            if not 0 <= age <= _MOST_DAYS:
                message = f"The rule '{rule.get('name')}' has {age} days; allowed: 0 to {_MOST_DAYS}."
                yield "InvalidRequestPropertyValue", message
        tiers = ("tierToCool", "tierToCold", "tierToArchive", "delete")
        base = actions.get("baseBlob") or {}
        ages = [(base.get(tier) or {}).get("daysAfterModificationGreaterThan") for tier in tiers]
        given = [age for age in ages if age is not None]
        if given != sorted(given):
            yield "InvalidRequestPropertyValue", f"The rule '{rule.get('name')}' moves blobs back to a warmer tier."


def _ages(action: Any) -> Iterator[float]:
    """Yield the days in the parts of an action."""
    for part in action.values() if isinstance(action, Mapping) else ():
        for value in part.values() if isinstance(part, Mapping) else ():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield value
