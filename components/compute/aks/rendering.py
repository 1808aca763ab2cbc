"""Specs as objects of Kubernetes. Pure: plain dictionaries, by the kind of the object.

Sources: Kubernetes, "Pod Security Standards" (restricted), "Pod Topology Spread Constraints", "Configure Liveness,
Readiness and Startup Probes", "Handling retriable and non-retriable pod failures with Pod failure policy", "Unhealthy
Pod Eviction Policy", "Horizontal Pod Autoscaling"; Microsoft Learn, "Use Microsoft Entra Workload ID with AKS"
(audience, variables), "Use an internal load balancer with AKS" (annotations).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.compute.aks.labels import labels, pod_labels, selector
from components.compute.aks.network import policy_of
from components.compute.aks.place import Frontend, Place
from components.compute.aks.quantities import cores, least, mebibytes, requested
from components.compute.contract import Destination, Ingress, JobSpec, Probe, Scale, ServiceSpec, Upstream

COMMAND = "mlflow-runtime"
SPOOL_PATH = "/spool"
HTTPS = 443

# The token that a pod exchanges for one of its identity; Azure's own webhook would mount it by the same name.
_TOKEN_FOLDER = "/var/run/secrets/azure/tokens"  # noqa: S105 - a folder
_TOKEN_FILE = "azure-identity-token"  # noqa: S105 - a file's name
_AUDIENCE = "api://AzureADTokenExchange"
_TOKEN_SECONDS = 3600

_USER = 10001  # of the image
# HOME of the image, whose root is read only, and what a program writes beside artifacts. A service refuses what its
# spool has no room for; a pod above the volume's limit is ended by its node.
_BESIDE_SPOOL_MIB = 64
_LOGS_MIB = 256
# Azure's load balancer asks a node every five seconds, and takes it out after two answers without a ready pod.
_BALANCER_SECONDS = 20
# Scheduling, a new node for it, and pulling the image.
PULL_SECONDS = 600
# Twice what a service takes on a quiet node.
USUAL_START_SECONDS = 20
_MIN_READY_SECONDS = 10
_CPU_PERCENT = 70
_RETRIES = 3
_HISTORY = 3

Object = Mapping[str, Any]
"""One object as the API server takes it. Its values may be outputs."""


def service_objects(spec: ServiceSpec, place: Place) -> Mapping[str, Object]:
    """Every object of a service, by the end of its resource's name, in the order of creation.

    The address comes after the pods: the provider waits until it leads to one.
    """
    scaled = spec.scale.maximum > least(spec.scale)
    return {
        "account": _account(spec, place),
        "network": policy_of(spec, place),
        "budget": _budget(spec, place),
        "pods": _deployment(spec, place),
        "address": _service(spec, place),
        **({"scaler": _scaler(spec, place)} if scaled else {}),
    }


def job_objects(spec: JobSpec, place: Place) -> Mapping[str, Object]:
    """Every object of a job, by the end of its resource's name, in the order of creation."""
    return {
        "account": _account(spec, place),
        "network": policy_of(spec, place),
        "run": _job(spec, place) if spec.schedule is None else _scheduled(spec, place, spec.schedule),
    }


def start_seconds(spec: ServiceSpec) -> int:
    """How long a new pod may take until it is ready."""
    return spec.probes.startup.period * spec.probes.startup.failures + PULL_SECONDS


def roll_out_seconds(spec: ServiceSpec) -> int:
    """How long a whole roll-out may take: one pod with all of its patience, and as many as there can be in turn.

    One that makes no progress is given up before that, when the cluster says so.
    """
    # On nodes that are full a new pod waits until a previous one has drained.
    each = USUAL_START_SECONDS + _MIN_READY_SECONDS + spec.grace_seconds
    return start_seconds(spec) + max(least(spec.scale), spec.scale.maximum) * each


@dataclass(frozen=True, kw_only=True)
class ClusterAddresses:
    """Where the services of a namespace listen: one address each, which leads to ready pods alone."""

    namespace: str

    def upstream(self, name: str, port: int, scale: Scale) -> Upstream:
        """Return the service's address in the cluster."""
        del scale
        return Upstream(addresses=[f"{name}.{self.namespace}.svc.cluster.local:{port}"], watched=True)


def _metadata(spec: ServiceSpec | JobSpec, place: Place, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name or spec.name, "namespace": place.namespace, "labels": labels(spec), **more}


def _account(spec: ServiceSpec | JobSpec, place: Place) -> Object:
    """Without a token for the API server, which no workload calls."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(spec, place),
        "automountServiceAccountToken": False,
    }


def _deployment(spec: ServiceSpec, place: Place) -> Object:
    """One pod more at a time, and none fewer: a new pod that is never ready stops the roll-out."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        # The provider's own waiting can take the previous revision's status for the new one's, and does not end when
        # the cluster says that there is no progress: RolledOut waits instead, once the controller has seen the change.
        "metadata": _metadata(spec, place, annotations={"pulumi.com/waitFor": "jsonpath={.status.observedGeneration}"}),
        "spec": {
            "replicas": least(spec.scale),
            "minReadySeconds": _MIN_READY_SECONDS,
            "progressDeadlineSeconds": start_seconds(spec),
            "revisionHistoryLimit": _HISTORY,
            "selector": selector(spec.name),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": pod_labels(spec)}, "spec": _pod_of_service(spec, place)},
        },
    }


def _pod_of_service(spec: ServiceSpec, place: Place) -> dict[str, Any]:
    behind_balancer = spec.ingress is Ingress.PUBLIC
    own = {"PORT": str(spec.port), spec.drain_variable: str(spec.drain_seconds)}
    container = {
        **_container(spec, place, own, spool_mib=spec.spool_mib),
        "ports": [{"name": "http", "containerPort": spec.port, "protocol": "TCP"}],
        "startupProbe": _probe(spec.probes.startup, tls=spec.tls),
        "livenessProbe": _probe(spec.probes.live, tls=spec.tls),
        "readinessProbe": _probe(spec.probes.ready, tls=spec.tls),
    }
    if behind_balancer:
        # Serves on, and is ready, until the balancer sends no more connections to the node.
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": _BALANCER_SECONDS}}}
    return {
        **_pod(spec, spec.spool_mib),
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": spec.grace_seconds + (_BALANCER_SECONDS if behind_balancer else 0),
        "topologySpreadConstraints": [
            _spread(spec.name, "topology.kubernetes.io/zone", strictly=False),
            # A node answers the balancer's probe by its own pods alone.
            _spread(spec.name, "kubernetes.io/hostname", strictly=behind_balancer),
        ],
        "containers": [container],
    }


def _pod(spec: ServiceSpec | JobSpec, spool_mib: int) -> dict[str, Any]:
    spool = {"sizeLimit": mebibytes(spool_mib + _BESIDE_SPOOL_MIB)}
    volumes: list[dict[str, Any]] = [{"name": "spool", "emptyDir": spool}]
    if Destination.SIGN_IN in spec.calls:
        token = {"path": _TOKEN_FILE, "audience": _AUDIENCE, "expirationSeconds": _TOKEN_SECONDS}
        volumes.append({"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}})
    return {
        "serviceAccountName": spec.name,
        "automountServiceAccountToken": False,
        # Variables of other services would be settings that nobody made.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes,
    }


def _container(
    spec: ServiceSpec | JobSpec, place: Place, own: Mapping[str, pulumi.Input[str]], *, spool_mib: int
) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [{"name": "spool", "mountPath": SPOOL_PATH}]
    signed_in: dict[str, pulumi.Input[str]] = {}
    if Destination.SIGN_IN in spec.calls:
        mounts.append({"name": "token", "mountPath": _TOKEN_FOLDER, "readOnly": True})
        signed_in = {
            "AZURE_TENANT_ID": place.tenant_id,
            "AZURE_AUTHORITY_HOST": place.authority,
            "AZURE_FEDERATED_TOKEN_FILE": f"{_TOKEN_FOLDER}/{_TOKEN_FILE}",
        }
    return {
        "name": spec.name,
        "image": place.image.reference,
        "imagePullPolicy": "IfNotPresent",
        "command": [COMMAND],
        "args": [str(spec.role)],
        "env": _environment({**place.environment, **spec.env, **own, **signed_in, "TMPDIR": SPOOL_PATH}),
        "resources": _resources(spec.cpu, spec.memory_mib, spool_mib + _BESIDE_SPOOL_MIB + _LOGS_MIB),
        "volumeMounts": mounts,
        # The end of the log is in the pod's status, and so in the error of an `up`.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _environment(env: Mapping[str, pulumi.Input[str]]) -> list[dict[str, pulumi.Input[str]]]:
    """In the order of the names: another order would be another pod."""
    return [{"name": name, "value": env[name]} for name in sorted(env)]


def _resources(cpu: float, memory_mib: int, disk_mib: int) -> dict[str, dict[str, str]]:
    """Half of the cores are kept free for it, all of its memory and disk: a pod over either is evicted or killed."""
    memory, disk = mebibytes(memory_mib), mebibytes(disk_mib)
    return {
        "requests": {"cpu": cores(requested(cpu)), "memory": memory, "ephemeral-storage": disk},
        "limits": {"cpu": cores(cpu), "memory": memory, "ephemeral-storage": disk},
    }


def _probe(probe: Probe, *, tls: bool) -> dict[str, Any]:
    return {
        # The kubelet trusts every certificate.
        "httpGet": {"path": probe.path, "port": "http", "scheme": "HTTPS" if tls else "HTTP"},
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
    }


def _spread(name: str, key: str, *, strictly: bool) -> dict[str, Any]:
    return {
        "topologyKey": key,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule" if strictly else "ScheduleAnyway",
        # A node that takes no such pod, as those of the system, does not count as one that lacks it.
        "nodeTaintsPolicy": "Honor",
        "labelSelector": selector(name),
        # Of one revision: in a roll-out the pods that go do not count.
        "matchLabelKeys": ["pod-template-hash"],
    }


def _service(spec: ServiceSpec, place: Place) -> Object:
    port = {"name": "http", "protocol": "TCP", "targetPort": "http"}
    found = {"apiVersion": "v1", "kind": "Service"}
    select = selector(spec.name)["matchLabels"]
    if spec.ingress is not Ingress.PUBLIC:
        return {
            **found,
            "metadata": _metadata(spec, place),
            "spec": {"type": "ClusterIP", "selector": select, "ports": [{**port, "port": spec.port}]},
        }
    return {
        **found,
        "metadata": _metadata(spec, place, annotations=_balancer(place.frontend)),
        "spec": {
            "type": "LoadBalancer",
            "selector": select,
            "ports": [{**port, "port": HTTPS}],
            # The client's own address arrives, for the log and the network policy.
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": list(place.frontend.client_ranges),
        },
    }


def _balancer(frontend: Frontend) -> dict[str, str]:
    prefix = "service.beta.kubernetes.io/azure-load-balancer"
    timeout = {f"{prefix}-tcp-idle-timeout": "30"}
    if frontend.public:
        return timeout
    return {
        f"{prefix}-internal": "true",
        f"{prefix}-internal-subnet": frontend.subnet,
        f"{prefix}-ipv4": frontend.address,
        **timeout,
    }


def _budget(spec: ServiceSpec, place: Place) -> Object:
    """One pod at a time goes by a drain. One that is not ready may always go: it would stop an upgrade for nothing."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(spec, place),
        "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": selector(spec.name)},
    }


def _scaler(spec: ServiceSpec, place: Place) -> Object:
    target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(spec, place),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec.name},
            "minReplicas": least(spec.scale),
            "maxReplicas": spec.scale.maximum,
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {"container": spec.name, "name": "cpu", "target": target},
                }
            ],
        },
    }


def _job(spec: JobSpec, place: Place) -> Object:
    """A run for each digest. It stays when it is done: one that removed itself would show as drift."""
    name = f"{spec.name}-{place.image.digest.removeprefix('sha256:')[:12]}"
    # A run that failed is replaced by the next `up`, which would wait for it in vain.
    metadata = _metadata(spec, place, name, annotations={"pulumi.com/replaceUnready": "true"})
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": _run(spec, place, _RETRIES)}


def _scheduled(spec: JobSpec, place: Place, schedule: str) -> Object:
    """A time at which the run before is not done is left out, and one that fails waits for the next time."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(spec, place),
        "spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": _HISTORY,
            "failedJobsHistoryLimit": _HISTORY,
            "jobTemplate": {"metadata": {"labels": labels(spec)}, "spec": _run(spec, place, 0)},
        },
    }


def _run(spec: JobSpec, place: Place, retries: int) -> dict[str, Any]:
    return {
        "backoffLimit": retries,
        "activeDeadlineSeconds": spec.timeout_seconds,
        # A pod that a drain ended has not failed.
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        },
        "template": {
            "metadata": {"labels": pod_labels(spec)},
            "spec": {
                **_pod(spec, 0),
                "restartPolicy": "Never",
                "containers": [_container(spec, place, {}, spool_mib=0)],
            },
        },
    }
