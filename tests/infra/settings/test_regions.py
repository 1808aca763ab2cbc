"""Each region of Azure with each profile: what it lacks is refused with a remedy that works, all else passes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.settings import bootstrap, regions
from infra.settings.model import SettingsError, parse
from tests.support.stacks import STACKS, configuration

NEEDS_ZONES = {"dev": set[str](), "staging": {"zoneRedundant", "storage.redundancy"}}
NEEDS_ZONES["prod"] = {*NEEDS_ZONES["staging"], "database.highAvailability"}
NEEDS_PAIR = {"dev": set[str](), "staging": set[str](), "prod": {"database.geoBackup", "storage.redundancy"}}
OTHER_CLOUDS = {
    *("chinaeast", "chinaeast2", "chinaeast3", "chinanorth", "chinanorth2", "chinanorth3"),
    *("usgovarizona", "usgovtexas", "usgovvirginia"),
}
_SET = re.compile(r"pulumi config set --path (\S+) (\S+) -s \w+")


def refused(values: dict[str, Any], stack: str) -> dict[str, str]:
    """The remedies of what is refused, by field."""
    try:
        parse(values, stack)
    except SettingsError as error:
        return {problem.field: problem.remedy for problem in error.problems}
    return {}


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_region_lacks_is_refused_and_the_remedies_work(stack: str) -> None:
    for region in sorted(regions.KNOWN - OTHER_CLOUDS):
        values = configuration(stack, location=region)
        remedies = refused(values, stack)
        expected = set() if regions.has_zones(region) else NEEDS_ZONES[stack]
        assert remedies.keys() == expected | (set() if regions.has_pair(region) else NEEDS_PAIR[stack]), region
        for remedy in remedies.values():
            found = _SET.fullmatch(remedy)
            assert found is not None, remedy
            key, _, inner = found[1].partition(".")
            values[key] = {**values.get(key, {}), inner: found[2]} if inner else found[2]
        assert refused(values, stack) == {}, region


@pytest.mark.parametrize("region", [*sorted(OTHER_CLOUDS), "chinanorth4", "usdodeast", "global"])
def test_another_cloud_and_no_region_are_refused(region: str) -> None:
    for stack in ("dev", "prod"):
        assert refused(configuration(stack, location=region), stack)["location"].endswith(
            "location westeurope -s " + stack
        )
    with pytest.raises(
        SettingsError, match=f"location: '{region}' is not allowed; allowed: a region of Azure's public"
    ):
        bootstrap.parse(configuration("bootstrap", location=region), "bootstrap")


@pytest.mark.parametrize(
    ("region", "zones", "pair"),
    [("westeurope", True, True), ("westus", False, True), ("qatarcentral", True, False), ("eastus9", True, True)],
)
def test_what_regions_have(region: str, zones: bool, pair: bool) -> None:
    assert (regions.has_zones(region), regions.has_pair(region)) == (zones, pair)
