"""The local stack's resources, as Pulumi sees them: dynamic resources around `processes` and `jobs`.

Providers are pickled into the state by reference, so their code is here and in plain functions, and what they hold is
nothing. The state holds their inputs and a status: no secret is among them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from components.compute.dynamic import Provider
from components.compute.local import containers, jobs, processes
from components.compute.local.containers import ContainerError
from components.compute.local.layout import Layout
from components.compute.local.supervisor import Supervisor, SupervisorError


class SupervisorProvider(Provider):
    """A running supervisord under `root`."""

    errors = (SupervisorError, ContainerError)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["root"], self._start(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._start(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaces = ["root"] if olds["root"] != news["root"] else []
        return DiffResult(
            changes=bool(replaces) or not Supervisor(Layout(Path(news["root"]))).alive(),
            replaces=replaces,
            delete_before_replace=True,
        )

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        alive = Supervisor(Layout(Path(props["root"]))).alive()
        return ReadResult(id_, props | {"status": processes.RUNNING if alive else processes.STOPPED})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        with self.message_only():
            Supervisor(Layout(Path(props["root"]))).shutdown()
            containers.remove_all(Path(props["root"]))

    def _start(self, props: dict[str, Any]) -> dict[str, Any]:
        with self.message_only():
            Supervisor(Layout(Path(props["root"]))).start()
        return props | {"status": processes.RUNNING}


class ProcessGroupProvider(Provider):
    """Running processes. A stopped or altered one is a difference, whatever the recorded state says."""

    errors = (processes.ProcessError, SupervisorError)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        if _has_unknowns(news):
            return CheckResult(news, [])
        conflicts = processes.port_conflicts(processes.ProcessGroup.of(news))
        advice = "choose other ports with `pulumi config set --path local.portBase 6500 -s local`, or end what holds it"
        return CheckResult(news, [CheckFailure("ports", f"{conflict}; {advice}.") for conflict in conflicts])

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["name"], self._apply(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._apply(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        replaces = [key for key in ("root", "name") if olds[key] != news[key]]
        changes = bool(replaces) or _has_unknowns(news) or _inputs(olds) != _inputs(news)
        return DiffResult(
            changes=changes or _status(news) != _all_running(news), replaces=replaces, delete_before_replace=True
        )

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        return ReadResult(id_, props | {"status": _status(props)})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        processes.remove(processes.ProcessGroup.of(props))

    def _apply(self, props: dict[str, Any]) -> dict[str, Any]:
        with self.message_only():
            processes.apply(processes.ProcessGroup.of(props))
        return props | {"status": _all_running(props)}


class JobProvider(Provider):
    """A command that was run to its end with these inputs. It runs again when they change, and only then."""

    errors = (jobs.JobError,)

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult(props["name"], self._run(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(self._run(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        fields = [field.name for field in dataclasses.fields(jobs.Job)]
        return DiffResult(changes=any(olds.get(key) != news.get(key) for key in fields))

    def _run(self, props: dict[str, Any]) -> dict[str, Any]:
        with self.message_only():
            jobs.run(jobs.Job.of(props))
        return props


class SupervisorDaemon(Resource, name="SupervisorDaemon", module="local"):
    """The stack's supervisord. Deleting it stops every process of the stack; data stays."""

    status: pulumi.Output[str]

    def __init__(self, name: str, root: Path, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(SupervisorProvider(), name, {"root": str(root), "status": None}, opts)


class RunningGroup(Resource, name="ProcessGroup", module="local"):
    """Processes under the supervisor. `status` says of each replica that it runs."""

    status: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, group: processes.ProcessGroup, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(ProcessGroupProvider(), name, {**dataclasses.asdict(group), "status": None}, opts)


class JobRun(Resource, name="JobRun", module="local"):
    """One finished run of a command."""

    def __init__(self, name: str, job: jobs.Job, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(JobProvider(), name, dataclasses.asdict(job), opts)


def _inputs(props: dict[str, Any]) -> dict[str, Any]:
    return dataclasses.asdict(processes.ProcessGroup.of(props))


def _status(props: dict[str, Any]) -> dict[str, str]:
    return processes.status(processes.ProcessGroup.of(props))


def _all_running(props: dict[str, Any]) -> dict[str, str]:
    return dict.fromkeys(processes.ProcessGroup.of(props).replicas(), processes.RUNNING)


def _has_unknowns(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_unknowns(item) for item in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(_has_unknowns(item) for item in value)
    return bool(value == pulumi.runtime.rpc.UNKNOWN)
