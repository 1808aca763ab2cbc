"""Executions against a server that answers as Azure Resource Manager does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.azure import arm
from components.azure.arm import Arm, ArmError
from components.compute.container_apps import job_execution
from components.compute.container_apps.job_execution import (
    JobExecutionError,
    Wanted,
    environment_hash,
    run_to_end,
    start,
    under_way,
)
from components.compute.container_apps.resources import JobExecutionProvider
from tests.support.arm_server import NOT_FOUND, ArmServer, Clock, client_of
from tests.support.json_server import Answer

JOB = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.App/jobs/prepare"
IMAGE = "registry.azurecr.io/mlflow@sha256:1"
ENV = {"B": "2", "A": "1"}
WANTED = Wanted(job_id=JOB, name="prepare", image=IMAGE, environment=environment_hash(ENV), timeout_seconds=60)


class FakeArm(ArmServer):
    """A job's executions. `script` gives the statuses of each one by turns, `started` start times that are known."""

    def __init__(self) -> None:
        super().__init__()
        self.executions: dict[str, list[str]] = {}
        self.templates: dict[str, dict[str, Any]] = {}
        self.started: dict[str, str] = {}
        self.script = ["Running", "Succeeded"]
        self.accepted_only = False
        self.lose_answer = False

    def add(self, statuses: list[str], image: str = IMAGE, env: dict[str, str] = ENV) -> str:
        name = f"prepare-{len(self.executions)}"
        self.executions[name] = list(statuses)
        containers = [{"image": image, "env": [{"name": key, "value": value} for key, value in env.items()]}]
        self.templates[name] = {"containers": containers}
        return name

    def starts(self) -> int:
        return sum(call.startswith("POST") for call in self.calls)

    def answer(self, method: str, path: str) -> Answer | None:
        if method == "POST" and path == f"{JOB}/start":
            name = self.add(self.script)
            if self.lose_answer:
                return None
            if self.accepted_only:
                return 202, {}, {"Location": f"{self.url}{JOB}/executions/{name}?api-version=1"}
            return 200, {"name": name, "id": f"{JOB}/executions/{name}"}, {}
        if path in (f"{JOB}/executions", f"{JOB}/older-executions"):
            # One on the first page, the others on the second.
            bodies = [self._body(name) for name in self.executions]
            if path.endswith("older-executions"):
                return 200, {"value": bodies[1:], "nextLink": ""}, {}
            return 200, {"value": bodies[:1], "nextLink": f"{self.url}{JOB}/older-executions?api-version=1"}, {}
        name = path.rpartition("/")[2]
        if name not in self.executions:
            return NOT_FOUND
        body = self._body(name)
        if len(self.executions[name]) > 1:
            self.executions[name].pop(0)
        return 200, body, {}

    def _body(self, name: str) -> dict[str, Any]:
        properties: dict[str, Any] = {"status": self.executions[name][0], "template": self.templates[name]}
        if name in self.started:
            properties["startTime"] = self.started[name]
        return {"name": name, "properties": properties}


@pytest.fixture
def azure() -> Iterator[FakeArm]:
    server = FakeArm()
    with server.serving():
        yield server


def test_an_execution_is_started_and_awaited(azure: FakeArm, client: Arm) -> None:
    azure.script = ["Processing", "Running", "Running", "Succeeded"]
    assert run_to_end(client, WANTED) == "prepare-0"
    assert azure.executions["prepare-0"] == ["Succeeded"]


def test_a_start_that_azure_only_accepts_is_followed(azure: FakeArm, client: Arm) -> None:
    azure.accepted_only = True
    assert run_to_end(client, WANTED) == "prepare-0"


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Degraded"])
def test_a_failure_says_what_still_runs_and_where_the_log_is(azure: FakeArm, client: Arm, status: str) -> None:
    azure.script = ["Running", status]
    with pytest.raises(JobExecutionError) as error:
        run_to_end(client, WANTED)
    assert f"(execution prepare-0) ended with status {status}; the previous revision still serves" in str(error.value)
    assert 'ContainerAppConsoleLogs | where ContainerGroupName startswith "prepare-0"' in str(error.value)


def test_waiting_has_an_end_and_a_repeat_takes_the_execution_over(azure: FakeArm, client: Arm) -> None:
    azure.script = ["Running"]
    with pytest.raises(JobExecutionError, match="is still Running after 660 s"):
        run_to_end(client, WANTED)
    azure.executions["prepare-0"] = ["Running", "Succeeded"]
    assert run_to_end(client, WANTED) == "prepare-0"
    assert azure.starts() == 1


def test_after_an_interrupt_the_running_execution_is_taken_over(azure: FakeArm, client: Arm, clock: Clock) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    azure.script = ["Running", "Running", "Succeeded"]
    dying = client_of(azure, clock, sleep=interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_to_end(dying, WANTED)
    assert run_to_end(client, WANTED) == "prepare-0"
    assert azure.starts() == 1


def test_a_start_whose_answer_was_lost_is_found(azure: FakeArm, client: Arm) -> None:
    azure.lose_answer = True
    assert run_to_end(client, WANTED) == "prepare-0"
    assert azure.starts() == 1


def test_only_the_same_that_still_runs_is_taken_over(azure: FakeArm, client: Arm) -> None:
    azure.add(["Succeeded"])
    azure.add(["Running"], image="registry.azurecr.io/mlflow@sha256:2")
    azure.add(["Running"], env={"A": "other"})
    assert under_way(client, WANTED) is None
    assert start(client, WANTED) == "prepare-3"


@pytest.mark.parametrize("newest", [0, 1, 2])
def test_of_several_that_run_the_same_the_newest_is_taken_over(azure: FakeArm, client: Arm, newest: int) -> None:
    names = [azure.add(["Running"]) for _ in range(3)]
    azure.started = {name: f"2026-11-29T10:0{number}:00+00:00" for number, name in enumerate(names)}
    azure.started[names[newest]] = "2026-11-30T01:00:00+00:00"
    assert under_way(client, WANTED) == names[newest]


@pytest.mark.parametrize("status", [409, 429, 503])
def test_a_refusal_in_passing_is_waited_for_as_long_as_azure_says(
    azure: FakeArm, client: Arm, clock: Clock, status: int
) -> None:
    azure.refusals = [("POST", status, {"Retry-After": "17"})]
    assert run_to_end(client, WANTED) == "prepare-0"
    assert clock.slept[0] == 17
    assert azure.starts() == 2


def test_patience_has_an_end(azure: FakeArm, client: Arm) -> None:
    azure.refusals = [("POST", 429, {"Retry-After": "200"})] * 9
    with pytest.raises(ArmError, match=r"POST .*/start: 429 E429 not now"):
        start(client, WANTED)
    assert azure.starts() == 2


def test_a_final_refusal_is_reported_at_once(azure: FakeArm, client: Arm, clock: Clock) -> None:
    azure.refusals = [("POST", 403, {})]
    with pytest.raises(ArmError, match="403 E403"):
        start(client, WANTED)
    assert clock.slept == []


def test_the_resource_asks_where_the_environment_says_and_keeps_no_endpoint(
    azure: FakeArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm, "default_token", lambda _: "token")
    monkeypatch.setattr(job_execution, "POLL_SECONDS", 0.0)
    monkeypatch.setenv("ARM_ENDPOINT", azure.url)
    props = {"jobId": JOB, "jobName": "prepare", "image": IMAGE, "environment": "e", "timeoutSeconds": 60.0}
    made = JobExecutionProvider().create(props)
    assert (made.id, made.outs) == (f"{JOB}/executions/prepare-0", props | {"execution": "prepare-0"})


def test_it_runs_again_only_for_another_job_image_or_environment() -> None:
    inputs = {"jobId": JOB, "image": IMAGE, "environment": "e", "timeoutSeconds": 60.0}
    diff = JobExecutionProvider().diff
    assert not diff("id", inputs | {"execution": "prepare-0"}, inputs | {"timeoutSeconds": 90.0}).changes
    for key in ("jobId", "image", "environment"):
        assert diff("id", inputs, inputs | {key: "other"}).changes


def test_a_hash_depends_on_every_value_and_on_no_order() -> None:
    assert environment_hash({"A": "1", "B": "2"}) == environment_hash({"B": "2", "A": "1"})
    assert environment_hash({"A": "1", "B": "2"}) != environment_hash({"A": "12", "B": ""})
