"""What each type of resource costs, against amounts that were worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pulumi.runtime.rpc import UNKNOWN

from components.compute.aks.objects import token
from components.compute.aks.place import Frontend
from components.compute.aks.rendering import service_objects
from components.compute.contract import Scale
from delivery.cost import prices
from delivery.cost.catalogue import FREE, RULES, Group
from delivery.cost.estimate import Estimate, estimate
from delivery.cost.load import IDLE, Load
from delivery.cost.resources import Resource
from tests.components.compute.aks.places import place
from tests.components.compute.aks.test_objects import GATEWAY, TRACKING, everything
from tests.components.compute.container_apps.specs import service

NOBODY = Load()
BUSY = Load(
    active_hours=100,
    scale=0.5,
    requests=3,
    log_gb=10,
    blob_gb=1000,
    private_gb=50,
    outbound_gb=20,
    vault_operations=50_000,
    job_runs=10,
    job_minutes=3,
)


def priced(kind: str, inputs: dict[str, Any], idle: Load = NOBODY, load: Load = BUSY) -> Estimate:
    return estimate([Resource(type=f"azure-native:{kind}", name="it", inputs=inputs)], idle, load)


def reason(kind: str, inputs: dict[str, Any]) -> str:
    """Why it has no price; it is then in no line."""
    found = priced(kind, inputs)
    assert found.lines == []
    assert found.free == []
    [one] = found.not_priced
    return one.reason


def app(fewest: int | None, most: int | None, *, external: bool = False, **more: Any) -> dict[str, Any]:
    scale = {"minReplicas": fewest, "maxReplicas": most}
    return {
        "template": {
            "containers": [{"name": "it", "resources": {"cpu": 0.5, "memory": "1Gi"}}],
            "scale": {key: value for key, value in scale.items() if value is not None},
        },
        "configuration": {"ingress": {"external": external}},
        **more,
    }


NAT = {"networkProfile": {"outboundType": "userAssignedNATGateway"}}


def pool(cores: int, fewest: int, most: int) -> dict[str, Any]:
    size = f"Standard_D{cores}ads_v5"
    return {"vmSize": size, "enableAutoScaling": True, "count": fewest, "minCount": fewest, "maxCount": most}


def test_replicas_that_nobody_uses_are_idle() -> None:
    # 2 replicas of 0.5 cores and 1 GiB for 730 hours of 3,600 s: 2,628,000 vCPU-s and 5,256,000 GiB-s at 0.000003.
    found = priced("app:ContainerApp", app(2, 6))
    assert found.idle_usd == pytest.approx(2_628_000 * 0.000003 + 5_256_000 * 0.000003)
    assert found.idle_usd == pytest.approx(23.652)


def test_replicas_at_work_are_active_and_more() -> None:
    # 100 hours with 2 + half of 4 = 4 replicas: 720,000 vCPU-s at 0.000024, 1,440,000 GiB-s at 0.000003;
    # 630 hours with 2: 2,268,000 vCPU-s and 4,536,000 GiB-s at 0.000003.
    assert priced("app:ContainerApp", app(2, 6)).load_usd == pytest.approx(17.28 + 4.32 + 6.804 + 13.608)


def test_an_app_that_scales_to_zero_costs_nothing_until_it_is_used() -> None:
    found = priced("app:ContainerApp", app(0, 2))
    assert found.idle_usd == 0
    # 1 replica for 100 hours: 180,000 vCPU-s at 0.000024 and 360,000 GiB-s at 0.000003.
    assert found.load_usd == pytest.approx(4.32 + 1.08)
    assert [line.what for line in found.lines] == ["vCPU, active", "memory"]


def test_an_app_at_work_has_a_replica_whatever_the_share() -> None:
    found = priced("app:ContainerApp", app(0, 2), load=Load(active_hours=100, scale=0))
    assert found.load_usd == pytest.approx(5.40)


def test_container_apps_own_defaults_hold_where_the_template_says_nothing() -> None:
    found = priced("app:ContainerApp", app(None, None))
    assert found.idle_usd == 0
    assert found.load_usd == pytest.approx(5 * 5.40)


def test_requests_are_billed_where_they_come_from_outside() -> None:
    inside = priced("app:ContainerApp", app(0, 2)).load_usd
    # 3 million requests, each of which writes 490 + 350 bytes and twice 500 of columns: 5.52 GB at 2.76.
    logs = 5.52 * 2.76
    assert priced("app:ContainerApp", app(0, 2, external=True)).load_usd == pytest.approx(inside + 3 * 0.40 + logs)


def test_lines_of_metrics_are_billed_for_every_replica_that_is_up_and_only_where_they_are_written() -> None:
    silent = app(2, 6)
    talking = app(2, 6)
    talking["template"]["containers"][0]["env"] = [
        {"name": "PORT", "value": "8080"},
        {"name": "MLFLOW_RUNTIME_METRICS_SECONDS", "value": "30"},
    ]
    # Idle: 2 replicas for 730 hours, 120 lines an hour of 2,400 bytes: 0.42048 GB. At load 4 of them for 100 hours, and
    # 2 for the other 630.
    found, without = priced("app:ContainerApp", talking), priced("app:ContainerApp", silent)
    assert found.idle_usd - without.idle_usd == pytest.approx(0.42048 * 2.76)
    assert found.load_usd - without.load_usd == pytest.approx((4 * 100 + 2 * 630) * 120 * 2400 / 1e9 * 2.76)
    assert [line.group for line in found.lines if line.what == "logs of metrics"] == [Group.MONITORING]
    talking["template"]["containers"][0]["env"][1]["value"] = UNKNOWN
    assert reason("app:ContainerApp", talking) == "value is not given or not known"


def test_every_container_of_a_replica_counts() -> None:
    one, two = app(1, 1), app(1, 1)
    two["template"]["containers"] *= 2
    assert priced("app:ContainerApp", two).idle_usd == pytest.approx(2 * priced("app:ContainerApp", one).idle_usd)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        (app(1, 1, workloadProfileName="D4"), "workload profile D4"),
        ({"template": UNKNOWN}, "template.containers"),
        ({"template": {"containers": [{"resources": {"cpu": UNKNOWN, "memory": "1Gi"}}]}}, "resources.cpu"),
        ({"template": {"containers": [{"resources": {"cpu": 1, "memory": "512Mi"}}]}}, "512Mi"),
        ({"template": {"containers": []}}, "template.containers"),
    ],
)
def test_an_app_of_unknown_size_has_no_price(inputs: dict[str, Any], why: str) -> None:
    assert why in reason("app:ContainerApp", inputs)


def test_a_job_costs_its_runs() -> None:
    found = priced("app:Job", app(None, None))
    # 10 runs of 180 s: 900 vCPU-s at 0.000024 and 1,800 GiB-s at 0.000003.
    assert found.idle_usd == 0
    assert found.load_usd == pytest.approx(0.0216 + 0.0054)


@pytest.mark.parametrize(("internal", "addresses"), [(True, 1), (False, 2)])
def test_an_environment_in_a_network_brings_a_load_balancer_and_addresses(internal: bool, addresses: int) -> None:
    profile = {"name": "Consumption", "workloadProfileType": "Consumption"}
    found = priced(
        "app:ManagedEnvironment",
        {
            "vnetConfiguration": {"infrastructureSubnetId": UNKNOWN, "internal": internal},
            "workloadProfiles": [profile],
        },
    )
    assert found.idle_usd == found.load_usd == pytest.approx(730 * (0.025 + addresses * 0.005))


def test_an_environment_without_a_network_is_free_and_a_dedicated_one_has_no_price() -> None:
    assert [one.resource for one in priced("app:ManagedEnvironment", {}).free] == ["it"]
    assert "D4" in reason("app:ManagedEnvironment", {"workloadProfiles": [{"workloadProfileType": "D4"}]})


def server(sku: str, mode: str | None = None, gib: int = 64) -> dict[str, Any]:
    availability = {} if mode is None else {"highAvailability": {"mode": mode}}
    return {"sku": {"name": sku}, "storage": {"storageSizeGB": gib}, **availability}


@pytest.mark.parametrize(
    ("sku", "compute"),
    [
        ("Standard_B1ms", 14.527),
        ("Standard_D2s_v3", 142.35),
        ("Standard_D2ds_v5", 142.35),
        ("Standard_D8ds_v5", 569.40),
    ],
)
@pytest.mark.parametrize("mode", [None, "Disabled"])
def test_a_database_costs_its_size_and_its_storage(sku: str, compute: float, mode: str | None) -> None:
    found = priced("dbforpostgresql:Server", server(sku, mode))
    assert found.idle_usd == found.load_usd == pytest.approx(compute + 64 * 0.138)


@pytest.mark.parametrize("mode", ["SameZone", "ZoneRedundant"])
def test_high_availability_doubles_a_database(mode: str) -> None:
    single = priced("dbforpostgresql:Server", server("Standard_D2ds_v5"))
    double = priced("dbforpostgresql:Server", server("Standard_D2ds_v5", mode))
    assert double.idle_usd == pytest.approx(2 * single.idle_usd) == pytest.approx(2 * (142.35 + 8.832))
    assert "with its standby" in double.lines[0].what


@pytest.mark.parametrize("sku", ["Standard_E2ds_v5", "Standard_D2ads_v5", "Standard_B4ms", "nonsense"])
def test_a_size_without_a_price_is_said(sku: str) -> None:
    assert f"size {sku}" in reason("dbforpostgresql:Server", server(sku))


def test_a_database_of_unknown_size_storage_or_availability_has_no_price() -> None:
    assert "sku.name" in reason("dbforpostgresql:Server", server(UNKNOWN))
    assert "storage.storageSizeGB" in reason("dbforpostgresql:Server", {"sku": {"name": "Standard_B1ms"}})
    unknown = server("Standard_D2ds_v5") | {"highAvailability": UNKNOWN}
    assert "highAvailability.mode" in reason("dbforpostgresql:Server", unknown)


@pytest.mark.parametrize(
    ("kind", "inputs", "idle", "load"),
    [
        ("storage:StorageAccount", {"sku": {"name": "Standard_LRS"}}, 0, 22.0),
        ("storage:StorageAccount", {"sku": {"name": "Standard_ZRS"}}, 0, 27.5),
        ("storage:StorageAccount", {"sku": {"name": "Standard_GZRS"}}, 0, 49.5),
        ("containerregistry:Registry", {"sku": {"name": "Basic"}}, 5.08, 5.08),
        ("containerregistry:Registry", {"sku": {"name": "Premium"}}, 50.70, 50.70),
        ("keyvault:Vault", {}, 0, 0.15),
        ("network:PrivateEndpoint", {}, 7.30, 7.80),
        ("privatedns:PrivateZone", {}, 0.50, 0.50),
        ("network:NatGateway", {"sku": {"name": "Standard"}}, 32.85, 33.75),
        ("network:PublicIPAddress", {"sku": {"name": "Standard"}}, 3.65, 3.65),
        ("operationalinsights:Workspace", {"retentionInDays": 30}, 0, 27.60),
        ("monitor:MetricAlert", {"scopes": ["a"], "criteria": {"allOf": [{}, {}]}}, 0.20, 0.20),
        ("monitor:ScheduledQueryRule", {"evaluationFrequency": "PT5M"}, 1.50, 1.50),
        ("monitor:ScheduledQueryRule", {"evaluationFrequency": "PT5M", "enabled": False}, 0, 0),
        # A load balancer for the way out, and its address.
        ("containerservice:ManagedCluster", {"sku": {"tier": "Standard"}}, 73 + 18.25 + 3.65, 73 + 18.25 + 3.65),
        ("containerservice:ManagedCluster", {"sku": {"tier": "Free"}, **NAT}, 0, 0),
        # Two nodes at 0.103 an hour, and half of the way to three for 100 hours: one more.
        ("containerservice:ManagedCluster", {"agentPoolProfiles": [pool(2, 2, 3)], **NAT}, 150.38, 160.68),
        ("containerservice:AgentPool", pool(4, 1, 3), 150.38, 170.98),
        ("containerservice:AgentPool", {"vmSize": "Standard_D2ads_v5", "count": 2}, 150.38, 150.38),
        # 25 rows of 1,000 bytes for 43,800 minutes: 1.095 GB.
        ("monitor:DataCollectionRule", {}, 3.02, 3.02),
    ],
)
def test_fixed_prices_and_volumes(kind: str, inputs: dict[str, Any], idle: float, load: float) -> None:
    found = priced(kind, inputs)
    assert found.idle_usd == pytest.approx(idle, abs=0.005)
    assert found.load_usd == pytest.approx(load, abs=0.005)


def in_cluster(kind: str, inputs: Mapping[str, Any]) -> Estimate:
    return estimate([Resource(type=f"kubernetes:{kind}", name="it", inputs=inputs)], NOBODY, BUSY)


def test_the_address_of_a_gateway_in_a_cluster_is_a_load_balancer_at_which_requests_are_counted() -> None:
    address = service_objects(GATEWAY, place())["address"]
    found = in_cluster("core/v1:Service", address)
    # 3 million requests write 5.52 GB, as in Container Apps.
    assert found.idle_usd == pytest.approx(18.25)
    assert found.load_usd == pytest.approx(18.25 + 5.52 * 2.76)
    public = service_objects(GATEWAY, place(frontend=Frontend(host="mlflow.example.com", public=True)))["address"]
    assert in_cluster("core/v1:Service", public).idle_usd == pytest.approx(18.25 + 3.65)
    assert in_cluster("core/v1:Service", service_objects(TRACKING, place())["address"]).lines == []


def test_pods_cost_their_lines_of_metrics_and_everything_else_its_nodes() -> None:
    deployment = service_objects(service(scale=Scale(minimum=2, maximum=3)), place())["pods"]
    assert in_cluster("apps/v1:Deployment", deployment).lines == []
    talking = service(env={"MLFLOW_RUNTIME_METRICS_SECONDS": "60"}, scale=Scale(minimum=2, maximum=3))
    # 2 replicas for 43,800 minutes, 2,400 bytes each.
    found = in_cluster("apps/v1:Deployment", service_objects(talking, place())["pods"])
    assert found.idle_usd == found.load_usd == pytest.approx(2 * 43_800 * 2400 / 1e9 * 2.76)


@pytest.mark.parametrize("key", sorted(everything()))
def test_every_object_of_a_stack_in_a_cluster_is_priced_or_free(key: str) -> None:
    made = everything()[key]
    found = estimate([Resource(type=token(made), name=key, inputs=made)], NOBODY, BUSY)
    assert found.not_priced == []


def test_logs_that_are_kept_longer_cost_more() -> None:
    # 90 days are 59 more than the 31 included, 1.94 months of 30.4 days: 10 GB at 0.10 for each of them.
    found = priced("operationalinsights:Workspace", {"retentionInDays": 90})
    assert found.load_usd == pytest.approx(27.60 + 1.94, abs=0.005)
    assert priced("operationalinsights:Workspace", {"retentionInDays": 90}, idle=IDLE).idle_usd > 2.76


@pytest.mark.parametrize(
    ("kind", "inputs", "why"),
    [
        ("storage:StorageAccount", {"sku": {"name": "Premium_LRS"}}, "Premium_LRS"),
        ("storage:StorageAccount", {}, "sku.name"),
        ("containerregistry:Registry", {"sku": {"name": UNKNOWN}}, "sku.name"),
        ("network:PublicIPAddress", {}, "Basic"),
        ("monitor:MetricAlert", {"scopes": ["a"], "criteria": UNKNOWN}, "criteria.allOf"),
        ("monitor:ScheduledQueryRule", {"evaluationFrequency": "PT1M"}, "PT1M"),
        ("containerservice:ManagedCluster", {"agentPoolProfiles": [{"vmSize": "x"}]}, "vmSize x"),
        ("containerservice:ManagedCluster", {"agentPoolProfiles": UNKNOWN}, "agentPoolProfiles"),
        ("containerservice:AgentPool", {"vmSize": "Standard_D2s_v5"}, "vmSize Standard_D2s_v5"),
        ("containerservice:AgentPool", {**pool(2, 1, 2), "maxCount": UNKNOWN}, "maxCount"),
        ("cache:Redis", {}, "this type"),
    ],
)
def test_what_has_no_price_is_said_and_never_counted_as_nothing(kind: str, inputs: dict[str, Any], why: str) -> None:
    assert why in reason(kind, inputs)


def test_a_secret_input_is_not_taken_for_a_missing_one() -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x"}
    assert "retentionInDays" in reason("operationalinsights:Workspace", {"retentionInDays": secret})


@pytest.mark.parametrize("kind", FREE)
def test_what_is_free_is_listed_with_its_reason(kind: str) -> None:
    found = estimate([Resource(type=kind, name="it", inputs={})], NOBODY, BUSY)
    assert found.lines == []
    assert found.not_priced == []
    assert [(one.type, one.reason) for one in found.free] == [(kind, FREE[kind])]


def test_no_type_is_both_free_and_priced_and_every_group_has_some() -> None:
    assert not RULES.keys() & FREE.keys()
    assert {group for group, _ in RULES.values()} == set(Group)


def test_every_price_is_of_a_page_and_only_a_free_tier_costs_nothing() -> None:
    tables = [value for value in vars(prices).values() if isinstance(value, dict)]
    single = [value for value in vars(prices).values() if isinstance(value, prices.Price)]
    every = [price for table in tables for price in table.values() if isinstance(price, prices.Price)] + single
    assert len(every) > 25
    assert all(price.unit and price.page for price in every)
    assert [price for price in every if price.usd <= 0] == [prices.KUBERNETES_TIER["Free"]]


@pytest.mark.parametrize(
    "wrong",
    [{"active_hours": 731}, {"scale": 1.1}, {"log_gb": -1}, {"requests": float("nan")}, {"blob_gb": float("inf")}],
)
def test_an_impossible_load_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}: .*allowed: 0"):
        Load(**wrong)
