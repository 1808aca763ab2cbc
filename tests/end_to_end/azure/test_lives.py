"""The lives of dev, staging and prod by the real engine against the offline Azure: first `up`, changes, destroy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components.mlflow.roles import Role
from delivery.offline_azure.running import NO_CHANGES_EXPECTED, must
from tests.end_to_end.azure.living import IMAGE, SLOW, Cloud, FirstUp, done, failed, only, steps
from tests.support.arm import needs_schemas
from tests.support.stacks import STACKS, waived

pytestmark = [needs_schemas, SLOW]
PROTECTED = ("staging", "prod")
ROLLED = {"prepare-job", *Role}


@pytest.mark.parametrize("stack", STACKS)
def test_a_life(first_up: Callable[[str], FirstUp], living: Callable[[str], Cloud], stack: str) -> None:
    """What the stacks' files make different."""
    previewed = first_up(stack).previewed
    cloud = living(stack)
    product, azure = cloud.stack(stack), cloud.azure
    assert set(previewed.values()) == {"create"}
    of_azure = [name for name in previewed if not name.startswith(("mlflow-platform-", "default_"))]
    assert 0 < len(azure.resources) < len(of_azure)
    must(product.refresh("--expect-no-changes", "--diff"))

    # A failover swaps the server's zones, and its disk grows by itself: nothing to do.
    azure.change(
        only(azure, "dbforpostgresql:Server"),
        availabilityZone="3",
        highAvailability={"standbyAvailabilityZone": "1"},
        storage={"storageSizeGB": 1024},
    )
    must(product.preview("--refresh", "--expect-no-changes", "--diff"))

    if stack in PROTECTED:
        there = len(azure.resources)
        # As a person does it, with the preview that comes first.
        assert "cannot be deleted" in failed(product.run("destroy", "--yes"))
        assert len(azure.resources) == there
        must(product.run("config", "set", "protect", "false"))
        product.configure(waivers=waived("prod-protected") if stack == "prod" else None)

    # Another image: prepare runs, then every service rolls. Nothing of the data changes, but for the locks.
    product.configure(image=IMAGE)
    rolled = done(product.up())
    unprotected = {name for name in rolled if name.endswith("-lock")}
    assert bool(unprotected) == (stack in PROTECTED)
    assert {rolled.pop(name) for name in unprotected} <= {"deleted"}
    assert rolled.keys() >= ROLLED
    assert {name.removesuffix("-ready") for name in rolled} <= ROLLED
    if stack == "staging":
        # On again, by the profile: the locks come back.
        must(product.run("config", "rm", "protect"))
        again = steps(product.preview("--json"))
        assert {name for name, step in again.items() if step == "create"} == unprotected
        must(product.run("config", "set", "protect", "false"))
    must(product.run("destroy", "--yes") if stack == "staging" else product.destroy())
    assert azure.resources == {}
    must(product.run("stack", "rm", "--yes", "--preserve-config"))


def test_a_change_is_previewed_and_done_and_touches_nothing_else(living: Callable[[str], Cloud]) -> None:
    """Alike in every stack, so in one of them."""
    cloud = living("dev")
    product, azure = cloud.stack("dev"), cloud.azure
    product.configure(image=IMAGE)
    rolled = steps(product.preview("--json"))
    assert rolled.keys() >= ROLLED
    assert done(product.up()).keys() == rolled.keys()

    # Somebody opens the account in the portal.
    azure.change(only(azure, "storage:StorageAccount"), publicNetworkAccess="Enabled")
    drifted = product.refresh("--expect-no-changes", "--diff")
    assert drifted.code == NO_CHANGES_EXPECTED, drifted.text
    assert "publicNetworkAccess" in drifted.text

    # One setting: what it touches and nothing else, of the last `up` nothing either. A new revision is waited for.
    product.configure(tracking={"concurrency": 7})
    assert steps(product.preview("--json")) == {"tracking": "update", "tracking-ready": "update"}
    assert done(product.up("--refresh")) == dict.fromkeys(("tracking", "tracking-ready", "store-account"), "updated")
    must(product.refresh("--expect-no-changes"))


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"network": {"cidr": "10.99.0.0/24"}}, "NetcfgSubnetRangeOutsideVnet"),
    ({"database": {"highAvailability": "same-zone"}}, "HighAvailabilityModeChangeNotAllowed"),
    ({"database": {"geoBackup": True}}, "PropertyChangeNotAllowed"),
)


def test_what_azure_does_not_change_passes_the_preview_and_fails_the_up(living: Callable[[str], Cloud]) -> None:
    # In prod the guardrails refuse most of these changes before Azure does.
    product = living("staging").stack("staging")
    product.configure(database={"highAvailability": "zone-redundant"})
    must(product.up())
    before = product.values
    for change, code in REFUSED:
        product.configure(**change)
        must(product.preview())
        assert f'Code="{code}"' in failed(product.up())
        product.configure(**dict.fromkeys(change))
        product.configure(**{key: before[key] for key in change if key in before})
    must(product.up())
    must(product.preview("--refresh", "--expect-no-changes"))
