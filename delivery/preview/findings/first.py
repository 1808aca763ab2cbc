"""What a first deployment decides for good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from delivery.preview.differences import at
from delivery.preview.plan import Op, Plan, physical_name
from delivery.preview.reasons import Fixed, Found
from delivery.preview.text import Code, Phrase, listed, value

_MOVE: Final = "a second stack, and move the data"

# By the setting: the type and input that it decides, and what a later change takes. Sources on Microsoft Learn: "Backup
# and restore" of the flexible server (geo-redundancy is chosen at creation), "Key Vault soft-delete overview" (purge
# protection cannot be undone), "Container Apps environments" (zones are chosen at creation).
_FIXED: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("location", "resources:ResourceGroup", "location", _MOVE),
    ("network.cidr", "network:VirtualNetwork", "addressSpace.addressPrefixes", _MOVE),
    ("database.geoBackup", "dbforpostgresql:Server", "backup.geoRedundantBackup", "a second server, and move the data"),
    ("purgeProtection", "keyvault:Vault", "properties.enablePurgeProtection", "never"),
    ("zoneRedundant", "app:ManagedEnvironment", "zoneRedundant", "an outage, with another URL"),
)

_GLOBAL: Final = (
    "containerregistry:Registry",
    "dbforpostgresql:Server",
    "keyvault:Vault",
    "storage:StorageAccount",
)
"""Types whose names are one for the whole of Azure."""


def fixed(plan: Plan) -> Iterator[Found]:
    """The values that a later update cannot change without an outage, a second stack or a loss."""
    if not plan.empty_before:
        return
    for setting, kind, path, later in _FIXED:
        found = [at(step.new, path, None) for step in plan.of(Op.CREATE) if step.kind == kind]
        known = [one for one in found if one is not None]
        if known:
            yield Fixed(setting=Code(setting), value=_shown(known[0]), later=[later])
    names = sorted(physical_name(step.kind, step.new) for step in plan.of(Op.CREATE) if step.kind in _GLOBAL)
    if names:
        yield Fixed(
            setting="globally unique names",
            value=listed(names),
            later=[Code("nameGeneration"), ", and the data is lost"],
        )


def _shown(of: Any) -> Phrase:
    return listed([str(one) for one in of]) if isinstance(of, list) else [value(of)]
