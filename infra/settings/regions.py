"""The regions of Azure, to notice a misspelt name and to ask only for what a region has.

Sources on Microsoft Learn: "List of Azure regions" (names, and which have availability zones and a paired region),
"Azure region pairs and nonpaired regions", "Compare Azure Government and global Azure" and "Azure in China" (their
regions, and that they are clouds of their own). A region that is newer than this table is accepted, and taken for one
with zones and a pair.
"""

from __future__ import annotations

import difflib
import string


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WITH_ZONES = _names(
    """
    australiaeast austriaeast belgiumcentral brazilsouth canadacentral centralindia centralus chilecentral chinanorth3
    denmarkeast eastasia eastus eastus2 francecentral germanywestcentral indonesiacentral israelcentral italynorth
    japaneast japanwest koreacentral malaysiawest mexicocentral newzealandnorth northeurope norwayeast polandcentral
    qatarcentral southafricanorth southcentralus southeastasia spaincentral swedencentral switzerlandnorth uaenorth
    uksouth usgovvirginia westeurope westus2 westus3
    """
)
_WITHOUT_ZONES = _names(
    """
    australiacentral australiacentral2 australiasoutheast brazilsoutheast canadaeast chinaeast chinaeast2 chinaeast3
    chinanorth chinanorth2 francesouth germanynorth jioindiacentral jioindiawest koreasouth northcentralus norwaywest
    southafricawest southindia swedensouth switzerlandwest uaecentral ukwest usgovarizona usgovtexas westcentralus
    westindia westus
    """
)
_WITHOUT_PAIR = _names(
    """
    austriaeast belgiumcentral chilecentral denmarkeast indonesiacentral israelcentral italynorth malaysiawest
    mexicocentral newzealandnorth polandcentral qatarcentral spaincentral
    """
)
# Also of regions that are newer than the table.
_OTHER_CLOUDS = ("china", "usgov", "usdod")
KNOWN = _WITH_ZONES | _WITHOUT_ZONES
# Of 1, where equal names have 1: one wrong letter in a name of ten, or one that is missing.
_MISSPELT = 0.88


def has_zones(region: str) -> bool:
    """Whether the region has availability zones."""
    return region not in _WITHOUT_ZONES


def has_pair(region: str) -> bool:
    """Whether the region has a paired one, to which copies and backups go."""
    return region not in _WITHOUT_PAIR


def in_public_cloud(region: str) -> bool:
    """Whether the region is of the public cloud. `global` is the place of resources that belong to none."""
    return region != "global" and not region.startswith(_OTHER_CLOUDS)


def meant_by(region: str) -> str | None:
    """Return the known region that an unknown name is a misspelling of, None for a known or a quite different name.

    A name that differs in its number alone, as eastus3 does, may be a new region.
    """
    if region in KNOWN:
        return None
    if region.rstrip(string.digits) in {known.rstrip(string.digits) for known in KNOWN}:
        return None
    return next(iter(difflib.get_close_matches(region, sorted(KNOWN), n=1, cutoff=_MISSPELT)), None)
