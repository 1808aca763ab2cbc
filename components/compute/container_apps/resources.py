"""A job's execution and a service's readiness as Pulumi sees them: dynamic resources around plain functions.

Providers are pickled into the state by reference, so their code is here and in `job_execution` and `revision`, and
what they hold is nothing. The state holds ids, names, the image and a hash of the environment: no value of a variable,
no token and no endpoint, which is that of the process that makes the calls.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from components.azure.arm import Arm, ArmError
from components.compute.container_apps import job_execution, revision
from components.compute.dynamic import Provider

_API_VERSION = "2025-01-01"


class JobExecutionProvider(Provider):
    """An execution that ended well. It runs again when the job, the image or the environment changes, and only then.

    There is nothing to read and nothing to delete: Azure forgets executions by itself, and with the job.
    """

    errors = (job_execution.JobExecutionError, ArmError)

    # What a job is run again for. Another time limit is not a reason.
    _REASONS = ("jobId", "image", "environment")

    def create(self, props: dict[str, Any]) -> CreateResult:
        ran = self._run(props)
        return CreateResult(f"{props['jobId']}/executions/{ran['execution']}", ran)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._run(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=any(olds.get(key) != news.get(key) for key in self._REASONS))

    def _run(self, props: dict[str, Any]) -> dict[str, Any]:
        wanted = job_execution.Wanted(
            job_id=props["jobId"],
            name=props["jobName"],
            image=props["image"],
            environment=props["environment"],
            timeout_seconds=int(props["timeoutSeconds"]),
        )
        with self.message_only():
            return props | {"execution": job_execution.run_to_end(Arm(api_version=_API_VERSION), wanted)}


class RevisionReadyProvider(Provider):
    """An app whose latest revision was ready. It is looked at again when the app has another revision, and only then.

    The name of the revision is the app's own output: it stands in the state and stays while nothing changes, so that a
    preview without a change shows none; and each write that makes a revision changes it, whatever the cause. A look
    that failed is not in the state and is repeated by the next `up`. There is nothing to delete.
    """

    errors = (revision.RevisionNotReadyError, ArmError)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["appId"], self._wait(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._wait(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        # Its id is the app's.
        replaces = ["appId"] if olds.get("appId") != news.get("appId") else []
        return DiffResult(changes=bool(replaces) or olds.get("revision") != news.get("revision"), replaces=replaces)

    def _wait(self, props: dict[str, Any]) -> dict[str, Any]:
        wanted = revision.Wanted(
            app_id=props["appId"],
            start_seconds=int(props["startSeconds"]),
            scales_to_zero=bool(props["scalesToZero"]),
        )
        with self.message_only():
            return props | {"ready": revision.wait_until_ready(Arm(api_version=_API_VERSION), wanted)}


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
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "jobId": job_id,
            "jobName": name,
            "image": image,
            "environment": environment,
            "timeoutSeconds": timeout_seconds,
            "execution": None,
        }
        super().__init__(JobExecutionProvider(), name, inputs, opts)


class RevisionReady(Resource, name="RevisionReady", module="container_apps"):
    """A container app's `revision` that is ready, which Azure's answer to a write does not tell.

    `ready` is the name of the revision that was ready: another one than `revision` if the app was changed meanwhile.
    """

    ready: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        app_id: pulumi.Input[str],
        revision: pulumi.Input[str],
        start_seconds: int,
        scales_to_zero: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "appId": app_id,
            "revision": revision,
            "startSeconds": start_seconds,
            "scalesToZero": scales_to_zero,
            "ready": None,
        }
        super().__init__(RevisionReadyProvider(), name, inputs, opts)
