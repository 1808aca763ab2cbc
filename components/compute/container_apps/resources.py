"""A job's execution as Pulumi sees it: a dynamic resource around `job_execution`.

The provider is pickled into the state by reference, so its code is here and in plain functions, and what it holds is
nothing. The state holds ids, the image and a hash of the environment: no value of a variable and no token.
"""

from __future__ import annotations

import sys
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components.compute.container_apps import job_execution
from components.compute.container_apps.arm import ENDPOINT, Arm, ArmError
from components.compute.container_apps.job_execution import JobExecutionError, Wanted

# What a job is run again for. Another time limit or endpoint is not a reason.
_REASONS = ("jobId", "image", "environment")


class JobExecutionProvider(ResourceProvider):
    """An execution that ended well. It runs again when the job, the image or the environment changes, and only then.

    There is nothing to read and nothing to delete: Azure forgets executions by itself, and with the job.
    """

    # A secret would hide every diff of the resource, and it holds none.
    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        ran = _run(props)
        return CreateResult(f"{props['jobId']}/executions/{ran['execution']}", ran)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(_run(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(olds.get(key) != news.get(key) for key in _REASONS))


class JobExecution(Resource, name="JobExecution", module="container_apps"):
    """One execution of a Container Apps job that succeeded. `execution` is its name, for the log."""

    execution: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        job_id: pulumi.Input[str],
        image: pulumi.Input[str],
        environment: pulumi.Input[str],
        timeout_seconds: int,
        endpoint: str = ENDPOINT,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "jobId": job_id,
            "jobName": name,
            "image": image,
            "environment": environment,
            "timeoutSeconds": timeout_seconds,
            "endpoint": endpoint,
            "execution": None,
        }
        super().__init__(JobExecutionProvider(), name, inputs, opts)


def _run(props: dict[str, Any]) -> dict[str, Any]:
    wanted = Wanted(
        job_id=props["jobId"],
        name=props["jobName"],
        image=props["image"],
        environment=props["environment"],
        timeout_seconds=int(props["timeoutSeconds"]),
    )
    try:
        return props | {"execution": job_execution.run_to_end(Arm(endpoint=props["endpoint"]), wanted)}
    except (JobExecutionError, ArmError) as error:
        # The provider's host prints a traceback with each error; what is said to a user is the message alone.
        sys.tracebacklimit = 0
        raise error from None
