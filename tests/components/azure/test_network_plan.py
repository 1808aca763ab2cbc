"""The planner, by property: inside the range, disjoint, not moved by what comes later, clear when it is too small."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.azure.network_plan import AKS_SUBNETS, CONTAINER_APPS_SUBNETS, DEFAULT_PREFIXES, SubnetRole, plan
from infra.settings.profiles import PROFILES

sizes = st.dictionaries(st.sampled_from(list(SubnetRole)), st.integers(19, 27), min_size=1)


@given(sizes, st.integers(0, 255))
def test_subnets_are_inside_and_apart(prefixes: Mapping[SubnetRole, int], second: int) -> None:
    planned = plan(f"10.{second}.0.0/16", prefixes)
    assert {role: network.prefixlen for role, network in planned.subnets.items()} == prefixes
    assert all(network.subnet_of(planned.cidr) for network in planned.subnets.values())
    assert not any(a.overlaps(b) for a, b in itertools.combinations(planned.subnets.values(), 2))


@given(sizes, sizes, st.sampled_from(list(SubnetRole)))
def test_later_subnets_move_nothing(
    prefixes: Mapping[SubnetRole, int], more: Mapping[SubnetRole, int], last: SubnetRole
) -> None:
    order = list(SubnetRole)
    before = {role: prefix for role, prefix in prefixes.items() if order.index(role) <= order.index(last)}
    after = before | {role: prefix for role, prefix in more.items() if order.index(role) > order.index(last)}
    larger = plan("10.0.0.0/8", after).subnets
    assert {role: larger[role] for role in before} == plan("10.0.0.0/8", before).subnets


@given(sizes, st.randoms())
def test_the_order_of_asking_does_not_matter(prefixes: dict[SubnetRole, int], random: object) -> None:
    shuffled = list(prefixes.items())
    getattr(random, "shuffle")(shuffled)  # noqa: B009
    assert plan("10.0.0.0/8", dict(shuffled)) == plan("10.0.0.0/8", prefixes)


@given(sizes, st.integers(19, 29))
def test_too_small_names_the_range_the_needs_and_the_smallest_that_fits(
    prefixes: Mapping[SubnetRole, int], prefix: int
) -> None:
    try:
        plan(f"10.0.0.0/{prefix}", prefixes)
    except ValueError as error:
        message = str(error)
    else:
        assume(False)
    assert f"10.0.0.0/{prefix}" in message
    assert all(f"{role} /{size}" in message for role, size in prefixes.items())
    fits = int(re.findall(r"smallest prefix that fits is /(\d+)", message)[0])
    assert plan(f"10.0.0.0/{fits}", prefixes).subnets
    with pytest.raises(ValueError, match="too small"):
        plan(f"10.0.0.0/{fits + 1}", prefixes)


def test_the_defaults_of_container_apps_fit_a_25() -> None:
    wanted = {role: DEFAULT_PREFIXES[role] for role in list(SubnetRole)[:3]}
    assert {role.value: str(network) for role, network in plan("10.20.0.0/25", wanted).subnets.items()} == {
        "postgres": "10.20.0.0/28",
        "private-endpoints": "10.20.0.32/27",
        "container-apps": "10.20.0.64/26",
    }


# Written down from the plans of the stacks before there were subnets for AKS: in use, none of them can move.
STACKS_OF_CONTAINER_APPS = {
    "10.40.0.0/24": {
        "postgres": "10.40.0.0/28",
        "private-endpoints": "10.40.0.32/27",
        "container-apps": "10.40.0.64/26",
    },
    "10.40.1.0/24": {
        "postgres": "10.40.1.0/28",
        "private-endpoints": "10.40.1.32/27",
        "container-apps": "10.40.1.64/26",
    },
    "10.40.2.0/24": {
        "postgres": "10.40.2.0/28",
        "private-endpoints": "10.40.2.32/27",
        "container-apps": "10.40.2.64/26",
    },
}


def test_stacks_on_container_apps_have_the_ranges_that_they_have() -> None:
    cidrs = [profile.azure.network.cidr for profile in PROFILES.values() if profile.azure]
    found = {cidr: plan(cidr, CONTAINER_APPS_SUBNETS).subnets for cidr in cidrs}
    written = {cidr: {role.value: str(of) for role, of in subnets.items()} for cidr, subnets in found.items()}
    assert written == STACKS_OF_CONTAINER_APPS


def test_aks_finds_its_place_in_the_same_24_and_moves_nothing() -> None:
    planned = {role.value: str(of) for role, of in plan("10.40.0.0/24", AKS_SUBNETS).subnets.items()}
    assert planned == STACKS_OF_CONTAINER_APPS["10.40.0.0/24"] | {
        "aks-nodes": "10.40.0.128/26",
        "aks-api": "10.40.0.16/28",
        "aks-ingress": "10.40.0.192/28",
        "aks-api-second": "10.40.0.208/28",
    }


@pytest.mark.parametrize("left", SubnetRole)
def test_a_subnet_that_is_left_out_moves_no_other(left: SubnetRole) -> None:
    whole = plan("10.0.0.0/8", DEFAULT_PREFIXES).subnets
    without = plan("10.0.0.0/8", {role: size for role, size in DEFAULT_PREFIXES.items() if role is not left}).subnets
    assert without == {role: of for role, of in whole.items() if role is not left}


@pytest.mark.parametrize(
    ("cidr", "says"), [("100.64.3.0/24", "overlaps 100.64.0.0/16"), ("100.65.8.0/24", "overlaps 100.65.0.0/20")]
)
def test_a_network_with_the_addresses_of_pods_or_services_is_refused(cidr: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        plan(cidr, AKS_SUBNETS)
    # No cluster will ever call from there.
    assert plan(cidr, CONTAINER_APPS_SUBNETS).reserved.keys() == CONTAINER_APPS_SUBNETS.keys()


def test_what_a_network_can_get_is_reserved() -> None:
    reserved = plan("10.40.0.0/24", CONTAINER_APPS_SUBNETS).reserved
    assert reserved == plan("10.40.0.0/24", AKS_SUBNETS).subnets
    # Half of it has no room for nodes.
    assert SubnetRole.AKS_NODES not in plan("10.40.0.0/25", CONTAINER_APPS_SUBNETS).reserved


@pytest.mark.parametrize(
    ("cidr", "says"),
    [
        ("10.0.0.1/24", "host bits set"),
        ("ten", "no IPv4 range"),
        ("fd00::/64", "no IPv4 range"),
        ("20.1.0.0/16", "not private"),
        ("172.30.4.0/24", "overlaps 172.30.0.0/16"),
        ("100.64.0.0/10", "overlaps 100.100.0.0/17"),
    ],
)
def test_a_range_that_azure_or_a_person_could_not_use_is_refused(cidr: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        plan(cidr, DEFAULT_PREFIXES)


@pytest.mark.parametrize(
    ("role", "prefix"),
    [
        (SubnetRole.POSTGRES, 29),
        (SubnetRole.CONTAINER_APPS, 28),
        (SubnetRole.PRIVATE_ENDPOINTS, 30),
        (SubnetRole.AKS_NODES, 7),
    ],
)
def test_a_subnet_that_its_service_refuses_is_refused(role: SubnetRole, prefix: int) -> None:
    with pytest.raises(ValueError, match=f"{role}: /{prefix} was given; allowed are /8 to"):
        plan("10.0.0.0/16", {role: prefix})
