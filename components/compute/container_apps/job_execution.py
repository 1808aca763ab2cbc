"""One execution of a Container Apps job: started or taken over, and awaited to its end.

Nothing is kept on this side. Whoever dies between the start and the end leaves an execution that the next call finds by
what it runs, so that a repeat after Ctrl-C waits for it instead of running a second one beside it. An execution that
has ended is never taken for the one that is asked for: a job must see the database as it is now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.azure.arm import Arm, ArmError

POLL_SECONDS = 5.0
# An execution that has nothing to do, or is taken over near its end, is over soon: the waits double from here.
FIRST_POLL_SECONDS = 1.0
# Beyond the job's own limit: pulling the image and scheduling.
START_SECONDS = 600

_SUCCEEDED = "Succeeded"
_UNDER_WAY = ("Running", "Processing", "Unknown")


class JobExecutionError(RuntimeError):
    """An execution failed, was stopped, or did not end in time."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be run to its end: `job_id` is the job's ARM id, `environment` the hash of what its container gets."""

    job_id: str
    name: str
    image: str
    environment: str
    timeout_seconds: int


def environment_hash(env: Mapping[str, str]) -> str:
    """One text for a set of environment variables, whatever their order. Values cannot be read from it."""
    return hashlib.sha256(json.dumps(sorted(env.items())).encode()).hexdigest()


def run_to_end(arm: Arm, wanted: Wanted) -> str:
    """Take over the execution under way of the same image and environment, or start one; wait; give its name.

    Raises JobExecutionError if it does not succeed, ArmError if Azure refuses a call.
    """
    name = under_way(arm, wanted) or start(arm, wanted)
    wait_for(arm, wanted, name)
    return name


def under_way(arm: Arm, wanted: Wanted) -> str | None:
    """The newest execution that has not ended and runs the same, if there is one."""
    same = [
        item
        for item in _executions(arm, wanted)
        if item.get("properties", {}).get("status") in _UNDER_WAY and _runs(item) == (wanted.image, wanted.environment)
    ]
    newest = max(same, key=lambda item: str(item["properties"].get("startTime", "")), default=None)
    return None if newest is None else str(newest["name"])


def start(arm: Arm, wanted: Wanted) -> str:
    """Start an execution of the job as it is defined now, and give its name."""
    try:
        answer = arm.post(f"{wanted.job_id}/start")
    except ArmError:
        # The answer may be what was lost, not the start.
        found = under_way(arm, wanted)
        if found is None:
            raise
        return found
    deadline = arm.clock() + START_SECONDS
    while "name" not in answer.body:
        location = arm.relative(answer.headers.get("location", ""))
        if location is None or arm.clock() > deadline:
            # Azure accepted the start and does not say which execution it is: it is found by what it runs.
            found = under_way(arm, wanted)
            if found is None:
                raise JobExecutionError(f"Azure accepted the start of {wanted.name} but shows no execution. {_REPEAT}")
            return found
        arm.sleep(POLL_SECONDS)
        answer = arm.get(location)
    return str(answer.body["name"])


def wait_for(arm: Arm, wanted: Wanted, execution: str) -> None:
    """Wait until the execution has ended, at most the job's own limit and the time to get going."""
    limit = wanted.timeout_seconds + START_SECONDS
    deadline = arm.clock() + limit
    pause = FIRST_POLL_SECONDS
    while True:
        status = _status(arm, wanted, execution)
        if status == _SUCCEEDED:
            return
        if status not in _UNDER_WAY:
            raise JobExecutionError(failure(wanted, execution, f"ended with status {status}"))
        if arm.clock() > deadline:
            raise JobExecutionError(failure(wanted, execution, f"is still {status} after {limit} s"))
        arm.sleep(min(pause, POLL_SECONDS))
        pause *= 2


_REPEAT = "It is safe to repeat: fix what its log says and run `up` again."


def failure(wanted: Wanted, execution: str, what: str) -> str:
    """The message: what happened, what still serves, and how to read the log."""
    return (
        f"The job {wanted.name} (execution {execution}) {what}; the previous revision still serves. Its log, in the "
        f"Log Analytics workspace:\n{log_query(execution)}\n{_REPEAT}"
    )


def log_query(execution: str) -> str:
    """The query for the lines that an execution wrote."""
    return (
        f'ContainerAppConsoleLogs | where ContainerGroupName startswith "{execution}" '
        "| order by TimeGenerated asc | project TimeGenerated, Log"
    )


def _status(arm: Arm, wanted: Wanted, execution: str) -> str:
    try:
        answer = arm.get(f"{wanted.job_id}/executions/{execution}")
    except ArmError as error:
        if error.status != 404:
            raise
        # An execution that was just started is not shown everywhere at once.
        return "Unknown"
    return str(answer.body.get("properties", {}).get("status", "Unknown"))


def _executions(arm: Arm, wanted: Wanted) -> list[Mapping[str, Any]]:
    return [one for page in arm.pages(f"{wanted.job_id}/executions") for one in page.get("value", [])]


def _runs(execution: Mapping[str, Any]) -> tuple[str, str]:
    """The image of an execution and the hash of its environment; a variable without a value counts as empty."""
    containers = execution.get("properties", {}).get("template", {}).get("containers") or [{}]
    env = {item["name"]: item.get("value") or "" for item in containers[0].get("env") or []}
    return str(containers[0].get("image", "")), environment_hash(env)
