"""What the backend renders: what Kubernetes' own schemas and `restricted` take, and what a rolling update needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest

from components.compute.aks.namespace import namespace_objects
from components.compute.aks.place import Frontend
from components.compute.aks.quantities import quota_of
from components.compute.aks.rendering import job_objects, roll_out_seconds, service_objects
from components.compute.contract import Destination, Ingress, Scale
from tests.components.compute.aks.places import FRONTEND, place
from tests.components.compute.container_apps.specs import DIGEST, job, service

# The minor of the clusters, as components/azure/aks_cluster.py asks for.
KUBERNETES = "1.36"
SIGNED_IN = frozenset({Destination.DATABASE, Destination.STORES, Destination.SIGN_IN})
TRACKING = service(calls=SIGNED_IN)
GATEWAY = service(
    name="gateway", role="gateway", ingress=Ingress.PUBLIC, calls=frozenset({Destination.SERVICES}), spool_mib=0
)
PREPARE = job({"A": "1"}, calls=SIGNED_IN)
NIGHTLY = replace(PREPARE, name="nightly", schedule="30 2 * * *")


def everything() -> Mapping[str, Mapping[str, Any]]:
    here = place()
    groups = {
        "": namespace_objects(here),
        "tracking-": service_objects(TRACKING, here),
        "gateway-": service_objects(GATEWAY, here),
        "prepare-": job_objects(PREPARE, here),
        "nightly-": job_objects(NIGHTLY, here),
    }
    return {f"{start}{key}": found for start, objects in groups.items() for key, found in objects.items()}


def pods(objects: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, found in objects.items():
        spec = found.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or spec.get("template")
        if template:
            yield key, template["spec"]


@pytest.mark.parametrize("key", sorted(everything()))
def test_the_schemas_of_kubernetes_take_every_object(key: str) -> None:
    kubernetes_validate.validate(everything()[key], KUBERNETES, strict=True)


def test_the_schemas_refuse_a_misspelt_field() -> None:
    broken = {**everything()["tracking-pods"], "sepc": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def unrestricted(pod: Mapping[str, Any]) -> list[str]:
    """What the level `restricted` of Kubernetes' Pod Security Standards refuses in a pod."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    own = pod.get("securityContext", {})
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        security = container.get("securityContext", {})
        if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
            found.append("privileges")
        if security.get("capabilities", {}).get("drop") != ["ALL"] or security.get("capabilities", {}).get("add"):
            found.append("capabilities")
        if not {**own, **security}.get("runAsNonRoot") or {**own, **security}.get("runAsUser") == 0:
            found.append("root")
        if {**own, **security}.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            found.append("seccomp")
        found += ["host port" for port in container.get("ports", []) if "hostPort" in port]
    found += ["volume" for volume in pod.get("volumes", []) if not {"emptyDir", "projected"} & volume.keys()]
    return found


def test_every_pod_is_restricted_and_the_namespace_demands_it() -> None:
    found = {key: unrestricted(pod) for key, pod in pods(everything())}
    assert found == {"tracking-pods": [], "gateway-pods": [], "prepare-run": [], "nightly-run": []}
    labels = everything()["namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        (("securityContext", "runAsNonRoot"), False, "root"),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccomp"),
        (("hostNetwork",), True, "hostNetwork"),
        (("volumes",), [{"name": "spool", "hostPath": {"path": "/"}}], "volume"),
    ],
)
def test_the_check_of_restricted_notices(where: tuple[str, ...], value: object, says: str) -> None:
    pod: dict[str, Any] = dict(next(pods(service_objects(TRACKING, place())))[1])
    if len(where) == 2:
        pod[where[0]] = {**pod[where[0]], where[1]: value}
    else:
        pod[where[0]] = value
    assert says in unrestricted(pod)


def container(objects: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    ((_, pod),) = pods(objects)
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


def test_a_workload_that_signs_in_exchanges_a_token_of_its_own() -> None:
    """Without the webhook of Azure: token, audience and variables are in the object that a review sees."""
    objects = service_objects(TRACKING, place())
    env = {item["name"]: item["value"] for item in container(objects)["env"]}
    assert env["AZURE_AUTHORITY_HOST"] == "https://login.microsoftonline.com/"
    assert env["AZURE_TENANT_ID"] == "00000000-0000-0000-0000-000000000001"
    ((_, pod),) = pods(objects)
    (volume,) = (each for each in pod["volumes"] if each["name"] == "token")
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "api://AzureADTokenExchange"
    (mount,) = (each for each in container(objects)["volumeMounts"] if each["name"] == "token")
    assert env["AZURE_FEDERATED_TOKEN_FILE"] == f"{mount['mountPath']}/{source['serviceAccountToken']['path']}"
    assert pod["serviceAccountName"] == "tracking"
    assert objects["account"]["automountServiceAccountToken"] is pod["automountServiceAccountToken"] is False


def test_a_workload_that_signs_in_nowhere_has_no_token() -> None:
    objects = service_objects(GATEWAY, place())
    assert not [name for name in (item["name"] for item in container(objects)["env"]) if name.startswith("AZURE_")]
    ((_, pod),) = pods(objects)
    assert [volume["name"] for volume in pod["volumes"]] == ["spool"]


def test_a_roll_out_adds_a_pod_before_it_removes_one_and_is_bounded_in_time() -> None:
    spec = service_objects(TRACKING, place())["pods"]["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert (spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (10, 720)
    constraints = spec["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"]: each["whenUnsatisfiable"] for each in constraints} == {
        "topology.kubernetes.io/zone": "ScheduleAnyway",
        "kubernetes.io/hostname": "ScheduleAnyway",
    }


def test_a_roll_out_at_full_size_is_not_given_up() -> None:
    """Twenty pods, one after the other, each ready for ten seconds before the next one."""
    few, many = (service(scale=Scale(minimum=1, maximum=maximum)) for maximum in (1, 20))
    assert roll_out_seconds(many) - roll_out_seconds(few) >= 19 * 10
    spec = service_objects(many, place())["pods"]["spec"]
    assert roll_out_seconds(few) > spec["progressDeadlineSeconds"]


def test_a_drain_takes_one_pod_at_a_time_and_any_that_is_not_ready() -> None:
    assert service_objects(TRACKING, place())["budget"]["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": {"app.kubernetes.io/name": "tracking"}},
    }


@pytest.mark.parametrize(
    ("minimum", "maximum", "replicas", "scaled"),
    [(0, 1, 1, None), (0, 2, 1, (1, 2)), (3, 3, 3, None), (2, 6, 2, (2, 6))],
)
def test_replicas_are_the_specs_and_a_scaler_is_where_they_can_change(
    minimum: int, maximum: int, replicas: int, scaled: tuple[int, int] | None
) -> None:
    """No replica at all is not Kubernetes': nothing would start the first one."""
    objects = service_objects(service(scale=Scale(minimum=minimum, maximum=maximum)), place())
    assert objects["pods"]["spec"]["replicas"] == replicas
    scaler = objects.get("scaler")
    assert (scaler and (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"])) == scaled


def test_a_selector_names_the_workload_alone() -> None:
    """It can never be changed; so it holds nothing that might."""
    changed = service(role="registry", ingress=Ingress.PUBLIC, calls=SIGNED_IN, cpu=2, memory_mib=4096)
    for spec in (TRACKING, changed):
        assert service_objects(spec, place())["pods"]["spec"]["selector"] == {
            "matchLabels": {"app.kubernetes.io/name": "tracking"}
        }


def test_a_gateway_serves_on_until_the_balancer_has_taken_it_out() -> None:
    objects = service_objects(GATEWAY, place())
    assert container(objects)["lifecycle"] == {"preStop": {"sleep": {"seconds": 20}}}
    ((_, pod),) = pods(objects)
    assert pod["terminationGracePeriodSeconds"] == GATEWAY.grace_seconds + 20
    assert "lifecycle" not in container(service_objects(TRACKING, place()))
    # Two gateways on one node would be one of the balancer's targets.
    assert [each["whenUnsatisfiable"] for each in pod["topologySpreadConstraints"]][1] == "DoNotSchedule"
    # Else a node of the system's, which takes no gateway, would keep a second one from every other node.
    assert {each["nodeTaintsPolicy"] for each in pod["topologySpreadConstraints"]} == {"Honor"}


def test_the_gateways_address_is_known_before_it_is_there() -> None:
    address = service_objects(GATEWAY, place())["address"]
    prefix = "service.beta.kubernetes.io/azure-load-balancer"
    assert address["metadata"]["annotations"] == {
        f"{prefix}-internal": "true",
        f"{prefix}-internal-subnet": "aks-ingress",
        f"{prefix}-ipv4": "10.40.0.196",
        f"{prefix}-tcp-idle-timeout": "30",
    }
    assert address["spec"]["loadBalancerSourceRanges"] == ["10.9.0.0/24", "10.10.0.0/16"]
    assert address["spec"]["externalTrafficPolicy"] == "Local"
    public = place(frontend=Frontend(host="mlflow.example.com", public=True))
    annotations = service_objects(GATEWAY, public)["address"]["metadata"]["annotations"]
    assert [*annotations] == [f"{prefix}-tcp-idle-timeout"]


def test_a_job_has_the_name_of_its_digest_and_tells_why_it_failed() -> None:
    run = job_objects(PREPARE, place())["run"]
    assert run["metadata"]["name"] == f"prepare-{DIGEST.removeprefix('sha256:')[:12]}"
    assert run["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    assert (run["spec"]["backoffLimit"], run["spec"]["activeDeadlineSeconds"]) == (3, PREPARE.timeout_seconds)
    # One that goes by itself would show as a change.
    assert "ttlSecondsAfterFinished" not in run["spec"]
    assert container({"run": run})["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_a_scheduled_job_runs_one_at_a_time_in_utc() -> None:
    spec = job_objects(NIGHTLY, place())["run"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("30 2 * * *", "Etc/UTC", "Forbid")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0


def test_the_quota_has_room_for_a_roll_out_at_full_size() -> None:
    quota = quota_of([TRACKING, GATEWAY], [PREPARE])
    # Three replicas of each service and as many that drain, half of their cores kept free; one pod of the job.
    assert (quota.pods, quota.memory_mib) == (13, 13 * 1024)
    assert quota.cpu == pytest.approx(6 * 0.25 + 6 * 0.25 + 0.25)


def test_admission_asks_for_digests_and_for_private_addresses() -> None:
    """Each policy is for one kind: the API server warns of an expression that another kind has no field for."""
    found = everything()
    ((images, addresses)) = (found[key]["spec"] for key in ("images", "addresses"))
    (image,) = (each["expression"] for each in images["validations"])
    assert image.count("c.image.startsWith('registry.azurecr.io/')") == 3
    assert all(f"object.spec.{field}.all" in image for field in ("containers", "initContainers", "ephemeralContainers"))
    assert "azure-load-balancer-internal" in addresses["validations"][0]["expression"]
    matched = [each["matchConstraints"]["resourceRules"][0]["resources"] for each in (images, addresses)]
    assert matched == [["pods", "pods/ephemeralcontainers"], ["services"]]
    for key in ("images", "addresses"):
        binding = found[f"{key}-binding"]["spec"]
        assert (binding["policyName"], binding["validationActions"]) == (f"mlflow-dev-{key}", ["Deny"])
        assert binding["matchResources"]["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": "mlflow-dev"
        }
    public = namespace_objects(place(frontend=Frontend(host="mlflow.example.com", public=True)))
    assert "images" in public
    assert "addresses" not in public


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"namespace": "MLflow"}, "Place.namespace: got 'MLflow'"),
        ({"database": "10.40.0.0/8"}, "Place.database: '10.40.0.0/8' is no IPv4 range"),
        ({"stores": "endpoints"}, "Place.stores: 'endpoints' is no IPv4 range"),
    ],
)
def test_a_place_that_could_not_be_is_refused(changes: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        place(**changes)


def test_a_frontend_is_private_with_an_address_or_public_without() -> None:
    with pytest.raises(ValueError, match=r"Frontend\.address, subnet"):
        replace(FRONTEND, public=True)
    with pytest.raises(ValueError, match=r"Frontend\.address, subnet"):
        Frontend(host="mlflow.example.com")
    with pytest.raises(ValueError, match="is no IPv4 address or range"):
        replace(FRONTEND, clients=("everybody",))
