"""What Container Insights would write into Log Analytics of a cluster's objects and of its containers' lines.

Sources: Microsoft Learn, "Azure Monitor Logs reference" (columns) and "Container Insights log schema" (ContainerLogV2:
a line that is JSON becomes an object; containerd splits one above 16 KiB); Microsoft's repository Docker-Provider,
`source/plugins/ruby`: in_kube_podinventory.rb, in_kube_nodes.rb, in_kube_events.rb (warnings alone, each once, with the
time of its creation); Learn, "Deployment and HPA metrics with Container insights" (names and tags of InsightsMetrics).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Row = Mapping[str, object]
Object = Mapping[str, Any]

LONGEST_LINE = 16 * 1024
CLUSTER = "aks-mlflow-dev-blue"
_STATE = {"Namespace": "container.azm.ms/kubestate", "Origin": "container.azm.ms"}


def log_rows(namespace: str, container: str, pod: str, at: datetime, text: str) -> list[Row]:
    """Return the rows of ContainerLogV2 that one line becomes."""
    parts = [text[start : start + LONGEST_LINE] for start in range(0, len(text), LONGEST_LINE)] or [""]
    common = {"TimeGenerated": at, "ContainerName": container, "PodName": pod, "PodNamespace": namespace}
    return [{**common, "LogSource": "stdout", "LogMessage": _message(part)} for part in parts]


def _message(text: str) -> str:
    """The JSON of the column's value."""
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    return json.dumps(found if isinstance(found, dict) else text)


def pod_rows(pod: Object, at: datetime) -> list[Row]:
    """Return the rows of KubePodInventory: one a container, or one for a pod that has none yet."""
    metadata, status = pod["metadata"], pod["status"]
    owner = (metadata.get("ownerReferences") or [{}])[0]
    common: Row = {
        "TimeGenerated": at,
        "ClusterName": CLUSTER,
        "Name": metadata["name"],
        "Namespace": metadata["namespace"],
        "PodCreationTimeStamp": time(metadata["creationTimestamp"]),
        "PodStatus": "Terminating" if metadata.get("deletionTimestamp") else status["phase"],
        "Computer": pod["spec"].get("nodeName", ""),
        "ControllerName": owner.get("name", ""),
    }
    containers = status.get("containerStatuses", [])
    return [{**common, **_container(metadata["uid"], container)} for container in containers] or [common]


def _container(uid: str, status: Object) -> Row:
    ((state, details),) = status["state"].items()
    last = status.get("lastState", {})
    ended: Mapping[str, Any] = {}
    if len(last) == 1:
        ((name, found),) = last.items()
        if {"reason", "startedAt", "finishedAt"} <= found.keys():
            ended = {"lastState": name, **{key: found[key] for key in ("reason", "startedAt", "finishedAt")}}
    return {
        "ContainerName": f"{uid}/{status['name']}",
        "ContainerRestartCount": status["restartCount"],
        "ContainerStatus": state,
        "ContainerStatusReason": "" if state == "running" else details.get("reason", ""),
        "ContainerLastStatus": json.dumps(ended),
    }


def node_rows(node: Object, at: datetime) -> list[Row]:
    """Return the row of KubeNodeInventory: its status is the names of all conditions that hold."""
    conditions = [each["type"] for each in node["status"].get("conditions", []) if each["status"] == "True"]
    row = {
        "TimeGenerated": at,
        "ClusterName": CLUSTER,
        "Computer": node["metadata"]["name"],
        "Labels": json.dumps([node["metadata"].get("labels", {})]),
        "Status": ",".join(conditions),
    }
    return [row]


def event_rows(events: Sequence[Object]) -> list[Row]:
    """Return the rows of KubeEvents, as the agent is set up without further configuration: of warnings alone."""
    return [
        {
            "TimeGenerated": time(event["metadata"]["creationTimestamp"]),
            "ClusterName": CLUSTER,
            "ObjectKind": event["involvedObject"]["kind"],
            "Namespace": event["involvedObject"].get("namespace", ""),
            "Name": event["involvedObject"]["name"],
            "Reason": event["reason"],
            "Message": event["message"],
            "KubeEventType": event["type"],
            "Count": event.get("count"),
            "Computer": event.get("source", {}).get("host", ""),
        }
        for event in events
        if event["type"] != "Normal"
    ]


def deployment_rows(deployment: Object, at: datetime) -> list[Row]:
    """Return the row of InsightsMetrics for a Deployment."""
    metadata, status = deployment["metadata"], deployment["status"]
    tags = {
        "deployment": metadata["name"],
        "k8sNamespace": metadata["namespace"],
        "spec_replicas": deployment["spec"]["replicas"],
        "status_replicas_available": status.get("availableReplicas", 0),
        "status_replicas_updated": status.get("updatedReplicas", 0),
    }
    return [_metric("kube_deployment_status_replicas_ready", status.get("readyReplicas", 0), tags, at)]


def scaler_rows(scaler: Object, at: datetime) -> list[Row]:
    """Return the row of InsightsMetrics for a HorizontalPodAutoscaler."""
    spec, status = scaler["spec"], scaler["status"]
    tags = {
        "hpa": scaler["metadata"]["name"],
        "k8sNamespace": scaler["metadata"]["namespace"],
        "targetKind": spec["scaleTargetRef"]["kind"],
        "targetName": spec["scaleTargetRef"]["name"],
        "spec_min_replicas": spec["minReplicas"],
        "spec_max_replicas": spec["maxReplicas"],
        "status_desired_replicas": status.get("desiredReplicas", 0),
    }
    return [_metric("kube_hpa_status_current_replicas", status.get("currentReplicas", 0), tags, at)]


def _metric(name: str, value: float, tags: Mapping[str, object], at: datetime) -> Row:
    return {"TimeGenerated": at, "Name": name, "Val": float(value), "Tags": json.dumps(tags), **_STATE}


def time(stamp: str) -> datetime:
    """Return the API server's time as the tables hold it: in UTC, without saying so."""
    return datetime.fromisoformat(stamp).replace(tzinfo=None)
