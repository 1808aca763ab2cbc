"""What a real API server admits of a stack's objects, and who refuses which corrupted one."""

from __future__ import annotations

import copy
import enum
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from components.compute.aks.namespace import namespace_objects
from components.compute.aks.rendering import job_objects, service_objects
from tests.components.compute.aks.places import place
from tests.components.compute.aks.test_objects import GATEWAY, NIGHTLY, PREPARE, TRACKING, pods
from tests.components.compute.container_apps.specs import IMAGE
from tests.support.kubernetes.control_plane import ControlPlane
from tests.support.waiting import until

pytestmark = [pytest.mark.kubernetes, pytest.mark.core, pytest.mark.timeout(600)]

HERE = place(namespace="mlflow-closed")
Object = dict[str, Any]
Change = Callable[[Object], None]


@pytest.fixture(scope="module")
def closed(kubernetes: ControlPlane) -> Iterator[ControlPlane]:
    """The namespace of a stack with its accounts and the gateway's address, without pods; its policies are in force."""
    kubernetes.apply(*namespace_objects(HERE).values())
    for objects in (service_objects(TRACKING, HERE), service_objects(GATEWAY, HERE), job_objects(PREPARE, HERE)):
        kubernetes.apply(objects["account"])
    kubernetes.apply(service_objects(GATEWAY, HERE)["address"])
    tagged = json.dumps(_corrupted(POD, _image("registry.azurecr.io/mlflow-platform:latest")))
    until(lambda: "each by its digest" in _answer(kubernetes, tagged), "the policies are in force", 60)
    yield kubernetes
    kubernetes.kubectl("delete", "namespace", HERE.namespace, "--wait=false")


def _answer(kubernetes: ControlPlane, given: str) -> str:
    """What the API server says to an object that it is asked to create, and does not."""
    words = ("create", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-")
    try:
        return kubernetes.kubectl(*words, given=given)
    except AssertionError as refused:
        return str(refused)


def everything() -> Mapping[str, Mapping[str, Any]]:
    """Every object of a namespace, of services and of jobs. The gateway's address is there already."""
    groups = {
        "tracking": service_objects(TRACKING, HERE),
        "gateway": {key: made for key, made in service_objects(GATEWAY, HERE).items() if key != "address"},
        "prepare": job_objects(PREPARE, HERE),
        "nightly": job_objects(NIGHTLY, HERE),
    }
    return {f"{name}-{key}": made for name, objects in groups.items() for key, made in objects.items()}


def test_every_object_is_admitted_without_a_warning(closed: ControlPlane) -> None:
    """A Deployment whose pods break `restricted` is admitted with a warning, and its pods are not."""
    said = {key: _answer(closed, json.dumps(made)) for key, made in everything().items() if not key.endswith("account")}
    assert {key: text for key, text in said.items() if "created" not in text} == {}


def test_every_pod_is_admitted_under_restricted(closed: ControlPlane) -> None:
    found = dict(pods(everything()))
    said = {key: _answer(closed, json.dumps(_pod(spec))) for key, spec in found.items() if key != "nightly-run"}
    assert len(said) == 3
    assert {key: text for key, text in said.items() if "created" not in text} == {}


def test_the_api_server_knows_every_field_of_the_policies(closed: ControlPlane) -> None:
    for key in ("images", "addresses"):
        policy = ("validatingadmissionpolicy", f"{HERE.namespace}-{key}")
        until(lambda: "typeChecking" in closed.get(*policy).get("status", {}), f"{key} is checked")  # noqa: B023
        assert closed.get(*policy)["status"]["typeChecking"] == {}


class By(enum.StrEnum):
    """Who refuses an object, by what is in its answer."""

    SCHEMA = "strict decoding error|cannot be handled as a"
    VALIDATION = "is invalid"
    POD_SECURITY = 'violates PodSecurity "restricted:latest"'
    POLICY = "ValidatingAdmissionPolicy 'mlflow-closed-(images|addresses)'"
    QUOTA = "exceeded quota: workloads"
    # Its default for a container without a limit is below what the container asks for.
    LIMIT_RANGE = "must be less than or equal to (cpu|memory) limit"
    ACCOUNTS = "error looking up service account"


def _pod(spec: Mapping[str, Any]) -> Object:
    metadata = {"name": "one", "namespace": HERE.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(spec)}


POD = _pod(service_objects(TRACKING, HERE)["pods"]["spec"]["template"]["spec"])
DEPLOYMENT = service_objects(TRACKING, HERE)["pods"]
SCALER = service_objects(TRACKING, HERE)["scaler"]
BUDGET = service_objects(TRACKING, HERE)["budget"]
NETWORK = service_objects(TRACKING, HERE)["network"]
CRON = job_objects(NIGHTLY, HERE)["run"]
ADDRESS = {**service_objects(GATEWAY, HERE)["address"]}


def _corrupted(rendered: Mapping[str, Any], change: Change) -> Object:
    made = copy.deepcopy(dict(rendered))
    change(made)
    return made


def _container(**changes: Any) -> Change:
    return lambda pod: pod["spec"]["containers"][0].update(changes)


def _security(**changes: Any) -> Change:
    return lambda pod: pod["spec"]["containers"][0]["securityContext"].update(changes)


def _spec(**changes: Any) -> Change:
    return lambda made: made["spec"].update(changes)


def _image(name: str) -> Change:
    return _container(image=name)


def _second_container(image: str) -> Change:
    def change(pod: Object) -> None:
        first = pod["spec"]["containers"][0]
        pod["spec"]["initContainers"] = [{**first, "name": "early", "image": image, "ports": []}]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            pod["spec"]["initContainers"][0].pop(probe, None)

    return change


def _public(address: Object) -> None:
    address["metadata"] = {**address["metadata"], "name": "public", "annotations": {}}


def _another(address: Object) -> None:
    address["metadata"]["name"] = "another"


OTHER = str(IMAGE.reference).replace("registry", "other")
CORRUPTED: Mapping[str, tuple[Mapping[str, Any], Change, By]] = {
    "host port": (POD, _container(ports=[{"containerPort": 5000, "hostPort": 5000}]), By.POD_SECURITY),
    "root": (POD, _security(runAsUser=0), By.POD_SECURITY),
    "escalation": (POD, _security(allowPrivilegeEscalation=True), By.POD_SECURITY),
    "privileged": (POD, _security(privileged=True, allowPrivilegeEscalation=True), By.POD_SECURITY),
    "capability": (POD, _security(capabilities={"add": ["SYS_ADMIN"]}), By.POD_SECURITY),
    "seccomp": (POD, _security(seccompProfile={"type": "Unconfined"}), By.POD_SECURITY),
    "host network": (POD, _spec(hostNetwork=True), By.POD_SECURITY),
    "host processes": (POD, _spec(hostPID=True), By.POD_SECURITY),
    "host path": (
        POD,
        _spec(volumes=[{"name": n, "hostPath": {"path": "/"}} for n in ("spool", "token")]),
        By.POD_SECURITY,
    ),
    "tag": (POD, _image("registry.azurecr.io/mlflow-platform:latest"), By.POLICY),
    "other registry": (POD, _image(OTHER), By.POLICY),
    "other registry at start": (POD, _second_container(OTHER), By.POLICY),
    "public address": (ADDRESS, _public, By.POLICY),
    "too many cores": (POD, _container(resources={"requests": {"cpu": "64"}, "limits": {"cpu": "64"}}), By.QUOTA),
    "too much memory": (POD, _container(resources={"limits": {"memory": "64Gi", "cpu": "1"}}), By.QUOTA),
    "second load balancer": (ADDRESS, _another, By.QUOTA),
    "no limits": (POD, _container(resources={"requests": {"cpu": "1"}}), By.LIMIT_RANGE),
    "no account": (POD, _spec(serviceAccountName="nobody"), By.ACCOUNTS),
    "misspelt field": (DEPLOYMENT, _spec(replcas=2), By.SCHEMA),
    "text for a number": (DEPLOYMENT, _spec(replicas="two"), By.SCHEMA),
    "selector of others": (DEPLOYMENT, _spec(selector={"matchLabels": {"app": "other"}}), By.VALIDATION),
    "nothing may be missing or added": (
        DEPLOYMENT,
        _spec(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        By.VALIDATION,
    ),
    "fewest above most": (SCALER, _spec(minReplicas=9), By.VALIDATION),
    "two budgets in one": (BUDGET, _spec(minAvailable=1), By.VALIDATION),
    "no such range": (NETWORK, _spec(egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/64"}}]}]), By.VALIDATION),
    "no such time": (CRON, _spec(schedule="61 2 * * *"), By.VALIDATION),
    "no such volume": (POD, _spec(volumes=[]), By.VALIDATION),
    "name in capitals": (POD, lambda pod: pod["metadata"].update(name="One"), By.VALIDATION),
}


@pytest.mark.parametrize("name", CORRUPTED)
def test_a_corrupted_object_is_refused(name: str, closed: ControlPlane) -> None:
    rendered, change, by = CORRUPTED[name]
    with pytest.raises(AssertionError, match=by):
        closed.kubectl(
            "create",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
            given=json.dumps(_corrupted(rendered, change)),
        )


def test_every_guard_has_refused_something() -> None:
    assert {by for _, _, by in CORRUPTED.values()} == {*By}
