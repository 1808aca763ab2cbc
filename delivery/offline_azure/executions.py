"""The executions of a Container Apps job, as Azure answers with them.

Source: REST reference, "Jobs Executions - List": an execution carries the template that it ran with.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
_RUNNING: Final = "Running"
_OF_CONTAINER: Final = ("name", "image", "command", "args", "env", "resources")

Execution = dict[str, Any]


def started(job: Mapping[str, Any], outcome: str) -> Execution:
    """Return a new execution of a job, with the job's current template."""
    name = f"{job['id'].rsplit('/', 1)[1]}-{uuid.uuid4().hex[:7]}"
    containers = job["body"].get("properties", {}).get("template", {}).get("containers") or []
    return {
        "id": f"{job['id']}/executions/{name}",
        "name": name,
        "ends": outcome,
        "looks": 0,
        "startTime": datetime.now(UTC).isoformat(),
        "template": {
            "containers": [{key: one[key] for key in _OF_CONTAINER if key in one} for one in containers],
            "initContainers": [],
        },
    }


def of_job(executions: Mapping[str, Execution], job: str) -> list[Execution]:
    """Return the executions of one job, the newest first."""
    own = [one for key, one in executions.items() if key.startswith(f"{job.lower()}/executions/")]
    return sorted(own, key=lambda one: str(one["startTime"]), reverse=True)


def answer(execution: Execution) -> dict[str, Any]:
    """Return the answer to a GET. An execution runs until the second GET of it."""
    properties: dict[str, Any] = {
        "status": execution["ends"] if execution["looks"] > 1 else _RUNNING,
        "startTime": execution["startTime"],
        "template": execution["template"],
    }
    if properties["status"] != _RUNNING:
        properties["endTime"] = datetime.now(UTC).isoformat()
    return {
        "id": execution["id"],
        "name": execution["name"],
        "type": "Microsoft.App/jobs/executions",
        "properties": properties,
    }
