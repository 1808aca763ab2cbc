"""The graph of the backend and of its environment: what is made, from what, after what."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.azure.arm import ArmError
from components.azure.container_apps_environment import ContainerAppsEnvironment, ContainerAppsEnvironmentArgs
from components.compute.container_apps.job_execution import environment_hash
from components.compute.contract import Ingress, Scale
from components.mlflow.roles import Role
from tests.components.compute.container_apps.specs import COMPUTED, DIGEST, GROUP, REVISION, compute, job, service
from tests.support import arm, recorder
from tests.support.recorder import UNKNOWN, Graph, record

pytestmark = pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])


@pytest.fixture(autouse=True)
def _identities_are_answered_as_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Azure does; the recorder gives a preview its inputs back, where they are a list."""
    echo = recorder._Azure.new_resource

    def answer(self: Any, args: Any) -> Any:
        name, state = echo(self, args)
        return name, {**state, **(COMPUTED.get(args.typ, {}))}

    monkeypatch.setattr(recorder._Azure, "new_resource", answer)


class Parent(pulumi.ComponentResource):
    def __init__(self) -> None:
        super().__init__("test:test:Parent", "parent")


def services(preview: bool, **changes: Any) -> Graph:
    def program() -> None:
        parent, backend = Parent(), compute()
        prepare = backend.run_job(job({"X": "secret-looking"}), parent=parent)
        tracking = backend.run_service(service(**changes), parent=parent, depends_on=prepare.resources)
        backend.run_service(service(name="gateway", role=Role.GATEWAY), parent=parent, depends_on=tracking.resources)

    return record(program, preview=preview, computed={**COMPUTED, **REVISION})


def environment(preview: bool, **changes: Any) -> Graph:
    values: dict[str, Any] = {
        "environment_name": "cae-mlflow-dev",
        "location": "westeurope",
        "resource_group_name": "rg",
        "tags": {"owner": "team"},
        "subnet_id": f"{GROUP}/Microsoft.Network/virtualNetworks/n/subnets/apps",
        "network_id": f"{GROUP}/Microsoft.Network/virtualNetworks/n",
        "workspace_id": f"{GROUP}/Microsoft.OperationalInsights/workspaces/w",
    }
    computed = {
        "azure-native:app:ManagedEnvironment": {"defaultDomain": "red.azurecontainerapps.io", "staticIp": "10.0.0.9"}
    }
    return record(
        lambda: ContainerAppsEnvironment("apps", ContainerAppsEnvironmentArgs(**(values | changes))),
        preview=preview,
        computed=computed,
    )


def test_an_app_runs_the_digest_as_its_identity_and_rolls_when_ready(preview: bool) -> None:
    app = services(preview).inputs("tracking")
    assert app["configuration"]["activeRevisionsMode"] == "Single"
    assert app["configuration"]["registries"][0]["identity"] in app["identity"]["userAssignedIdentities"]
    assert app["identity"]["type"] == "UserAssigned"
    container = app["template"]["containers"][0]
    assert container["image"] == f"registry.azurecr.io/mlflow-platform@{DIGEST}"
    assert {item["name"]: item["value"] for item in container["env"]} == {
        "A": "1",
        "B": "2",
        "DRAIN_SECONDS": "4",
        "PORT": "5000",
        "TMPDIR": "/spool",
    }
    assert container["volumeMounts"] == [{"volumeName": "spool", "mountPath": "/spool"}]
    assert app["template"]["volumes"] == [{"name": "spool", "storageType": "EmptyDir"}]
    assert app["template"]["scale"]["rules"][0]["http"]["metadata"] == {"concurrentRequests": "7"}
    assert app["template"]["terminationGracePeriodSeconds"] == 40


@pytest.mark.parametrize(("ingress", "external"), [(Ingress.INTERNAL, False), (Ingress.PUBLIC, True)])
def test_ingress(preview: bool, ingress: Ingress, external: bool) -> None:
    given = services(preview, ingress=ingress).inputs("tracking")["configuration"]["ingress"]
    assert (given["external"], given["allowInsecure"], given["targetPort"]) == (external, False, 5000)


def test_without_ingress_there_is_no_rule_on_requests(preview: bool) -> None:
    app = services(preview, ingress=Ingress.NONE).inputs("tracking")
    assert "ingress" not in app["configuration"]
    assert "rules" not in app["template"]["scale"]


def test_services_wait_for_the_jobs_end_and_its_state_holds_no_value(preview: bool) -> None:
    graph = services(preview)
    assert "prepare" in graph.dependencies("tracking")
    assert "prepare-job" in graph.dependencies("prepare")
    inputs = graph.inputs("prepare")
    assert inputs["environment"] == environment_hash({"X": "secret-looking"})
    assert "secret-looking" not in str({key: value for key, value in inputs.items() if key != "__provider"})
    assert (inputs["jobId"] is UNKNOWN) == preview
    assert {graph.options(name).parent for name in graph.names if name != "parent"} == {"parent"}
    assert "endpoint" not in inputs


def test_what_follows_a_service_waits_until_its_revision_is_ready(preview: bool) -> None:
    graph = services(preview)
    assert "tracking" in graph.dependencies("tracking-ready")
    assert {"tracking", "tracking-ready"} <= graph.dependencies("gateway")
    inputs = graph.inputs("tracking-ready")
    assert inputs["startSeconds"] == 120
    assert inputs["scalesToZero"] is False
    # The app's own name of its revision: no difference while the app has none, unknown while a revision is to be made.
    assert inputs["revision"] == (UNKNOWN if preview else "ca-tracking-dev--0000001")
    assert (inputs["appId"] is UNKNOWN) == preview


def test_a_service_that_may_have_no_replica_is_ready_without_one(preview: bool) -> None:
    graph = services(preview, scale=Scale(minimum=0, maximum=1))
    assert graph.inputs("tracking-ready")["scalesToZero"] is True


def test_an_address_is_given_when_the_service_is_ready(preview: bool) -> None:
    def program() -> None:
        made = compute().run_service(service(ingress=Ingress.PUBLIC), parent=Parent())
        pulumi.CustomResource("test:test:Reader", "reader", {"url": made.url})

    graph = record(program, preview=preview, computed={**COMPUTED, **REVISION})
    assert "tracking-ready" in graph.dependencies("reader")
    address = "https://ca-tracking-dev.red.westeurope.azurecontainerapps.io"
    assert graph.inputs("reader")["url"] == (UNKNOWN if preview else address)


def test_an_endpoint_in_clear_text_is_refused_before_anything_is_made(
    preview: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARM_ENDPOINT", "http://management.example")
    with pytest.raises(ArmError, match=r"ARM_ENDPOINT: 'http://management\.example' would carry tokens in clear text"):
        compute()


def test_an_internal_environment_is_closed_and_found_by_the_network(preview: bool) -> None:
    graph = environment(preview, zone_redundant=True)
    made = graph.inputs("apps-environment")
    assert made["vnetConfiguration"]["internal"] is True
    assert made["publicNetworkAccess"] == "Disabled"
    assert made["zoneRedundant"] is True
    assert made["peerTrafficConfiguration"]["encryption"]["enabled"] is True
    assert made["appLogsConfiguration"] == {"destination": "azure-monitor"}
    assert graph.inputs("apps-zone-apps")["relativeRecordSetName"] == "*"
    assert set(graph.outputs("apps")) == {"id", "default_domain", "static_ip"}
    assert all(graph.options(name).parent == "apps" for name in graph.names if name != "apps")


def test_a_public_environment_has_no_private_zone(preview: bool) -> None:
    graph = environment(preview, internal=False)
    assert graph.names == ["apps", "apps-environment", "apps-logs"]
    assert graph.inputs("apps-environment")["publicNetworkAccess"] == "Enabled"


@arm.needs_schemas
def test_azure_takes_every_body(preview: bool) -> None:
    for graph in (services(preview), services(preview, ingress=Ingress.NONE, spool_mib=0), environment(preview)):
        for name in graph.names:
            # The schemas' table does not know private record sets.
            if graph.type(name).startswith("azure-native:") and name != "apps-zone-apps":
                assert arm.violations(graph.type(name), graph.inputs(name)) == [], name


def test_the_gateway_finds_a_service_by_its_internal_name_over_tls(preview: bool) -> None:
    found: list[str] = []

    def program() -> None:
        upstream = compute().upstream("tracking", 5000, Scale(minimum=0, maximum=1))
        assert upstream.tls
        pulumi.Output.from_input(upstream.addresses[0]).apply(found.append)

    record(program, preview=preview)
    assert found == ["ca-tracking-dev.internal.red.westeurope.azurecontainerapps.io:443"]


@pytest.mark.parametrize("name", ["x", "Upper", "a--b", "a-", "1a", "a" * 33])
def test_a_name_that_azure_would_refuse(preview: bool, name: str) -> None:
    with pytest.raises(ValueError, match=r"names\[tracking\]"):
        compute(names={"tracking": name})
