"""Who deleted a run: from the local stack's logs, and as a query for a stack on Azure."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.audit import command
from delivery.audit.command import audit
from delivery.audit.records import Record, Wanted
from delivery.local.configuration import PROJECT, REPOSITORY
from delivery.outcome import CommandError
from delivery.pulumi.project import stack_document
from mlflow_runtime.logs import JsonFormatter
from mlflow_runtime.middleware.access.audit import LOGGER
from tests.support.stacks import ANOTHER_OWNERS, PEER

RUN = "2f7c1d0e4b3a4c5d8e9f0a1b2c3d4e5f"


def line(event: str, **fields: Any) -> str:
    """A line as a service writes it."""
    record = logging.LogRecord(LOGGER, logging.INFO, "", 0, event, None, None)
    record.fields = {"status": 200, "ids": {}, **fields}
    return JsonFormatter("tracking").format(record)


def deleted(caller: str, run: str, workspace: str = "team-a") -> str:
    route = "POST /api/2.0/mlflow/runs/delete"
    return line("changed", caller=caller, oid=f"oid-{caller}", workspace=workspace, route=route, ids={"run_id": [run]})


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """The configuration file of a local stack with logs of two replicas."""
    logs = tmp_path / "state" / "logs"
    logs.mkdir(parents=True)
    (logs / "tracking-1.log").write_text(f"no JSON, {LOGGER}\n{deleted('anna@example.com', RUN)}\n")
    # In this order: a line has the time at which it was made.
    carl = deleted("carl@example.com", f"{RUN}0")
    refused = line("refused", caller="ben@example.com", workspace="team-b", status=403, reason="role-too-low")
    (logs / "tracking-2.log").write_text(f"{carl}\n{refused}\n")
    file = tmp_path / "Pulumi.local.yaml"
    folder = json.dumps(str(tmp_path / "state"))
    file.write_text(
        f"config:\n  mlflow-platform:profile: local\n  mlflow-platform:local: {{stateDirectory: {folder}}}\n"
    )
    return file


Shown = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def shown(stack: Path, capsys: pytest.CaptureFixture[str]) -> Shown:
    def show(identifier: str = "", **options: Any) -> list[dict[str, Any]]:
        wanted = {"stack": "local", "caller": "", "workspace": "", "refused": False, "most": 50, "days": 30, **options}
        assert audit(identifier, config_file=stack, as_json=True, **wanted) == 0
        found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
        return found

    return show


def test_who_deleted_a_run(shown: Shown) -> None:
    (found,) = shown(RUN)
    assert (found["caller"], found["workspace"]) == ("anna@example.com", "team-a")
    assert found["route"] == "POST /api/2.0/mlflow/runs/delete"


@pytest.mark.parametrize(
    ("options", "callers"),
    [
        ({}, ["anna@example.com", "carl@example.com", "ben@example.com"]),
        ({"most": 1}, ["ben@example.com"]),
        ({"caller": "Anna@example.com"}, ["anna@example.com"]),
        ({"caller": "oid-carl@example.com"}, ["carl@example.com"]),
        ({"workspace": "team-b"}, ["ben@example.com"]),
        ({"refused": True}, ["ben@example.com"]),
        ({"refused": True, "workspace": "team-a"}, []),
    ],
)
def test_what_is_asked_for_is_shown_and_nothing_else(shown: Shown, options: dict[str, Any], callers: list[str]) -> None:
    assert sorted(each["caller"] for each in shown(**options)) == sorted(callers)


def test_a_log_is_read_with_its_earlier_parts(tmp_path: Path, shown: Shown) -> None:
    logs, cut = tmp_path / "state" / "logs", deleted("emil@example.com", "r2")
    (logs / "tracking-1.log.2").write_text(f"{deleted('dora@example.com', 'r1')}\n{cut[:40]}")
    (logs / "tracking-1.log.1").write_text(f"{cut[40:]}\n")
    assert [shown(run)[0]["caller"] for run in ("r1", "r2", RUN)] == [
        *("dora@example.com", "emil@example.com", "anna@example.com")
    ]


@pytest.mark.parametrize("written", [True, False], ids=["a new log", "no new log yet"])
def test_a_rotation_meanwhile_hides_no_record(
    tmp_path: Path, shown: Shown, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    log = tmp_path / "state" / "logs" / "tracking-1.log"
    (log.parent / "tracking-1.log.1").write_text(f"{deleted('dora@example.com', 'r1')}\n")
    unchanged = Path.open

    def opened(path: Path, *options: Any, **named: Any) -> Any:
        """Open a part of the log; after the first, rename all as supervisord does."""
        file = unchanged(path, *options, **named)
        if path.name.startswith(log.name) and not (log.parent / f"{log.name}.2").exists():
            (log.parent / f"{log.name}.1").rename(log.parent / f"{log.name}.2")
            log.rename(log.parent / f"{log.name}.1")
            if written:
                log.touch()
        return file

    monkeypatch.setattr(Path, "open", opened)
    callers = ["anna@example.com", "ben@example.com", "carl@example.com", "dora@example.com"]
    assert sorted(each["caller"] for each in shown()) == callers


def test_a_person_reads_a_line_for_each(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"stack": "local", "caller": "", "workspace": "", "most": 50, "days": 30}
    audit("", config_file=stack, refused=True, as_json=False, **options)
    assert "ben@example.com in team-b  403 (role-too-low)" in capsys.readouterr().out
    audit("unknown", config_file=stack, refused=False, as_json=False, **options)
    assert "Changes are recorded with access.mode entra only" in capsys.readouterr().out


def test_without_a_stack_there_is_nothing_to_read(tmp_path: Path, stack: Path) -> None:
    for log in (tmp_path / "state" / "logs").iterdir():
        log.unlink()
    with pytest.raises(CommandError, match="Run: make up"):
        audit("", config_file=stack)


def test_on_azure_the_query_is_printed_as_a_command(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"caller": "", "workspace": "team-a", "refused": False, "most": 5, "days": 7}
    assert audit(RUN, stack="dev", config_file=stack, as_json=False, **options) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("az monitor log-analytics query ")
    assert "pulumi stack output workspace_id -s dev" in printed
    assert "PodNamespace" not in printed
    assert "--timespan P7D" in printed
    assert f'tostring(line.ids) contains "\\"{RUN}\\""' in printed
    assert 'team == "team-a"' in printed


def test_a_cluster_of_another_owner_is_asked_in_its_workspace(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = stack_document(REPOSITORY, "dev")
    document["config"] |= {
        f"{PROJECT}:compute": "aks",
        f"{PROJECT}:aks": {"existingCluster": ANOTHER_OWNERS},
        f"{PROJECT}:network": {"cidr": "10.40.0.0/24", "clientNetworks": [PEER]},
    }
    monkeypatch.setattr("delivery.pulumi.project.stack_document", lambda *_: document)
    options: dict[str, Any] = {"caller": "", "workspace": "", "refused": False, "most": 5, "days": 7}
    audit("", stack="dev", config_file=stack, as_json=False, **options)
    printed = capsys.readouterr().out
    assert 'PodNamespace == "team-mlflow"' in printed
    assert f"workspace show --ids {ANOTHER_OWNERS['workspace']} " in printed


def test_a_cluster_of_the_stack_is_asked_for_its_namespace(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = stack_document(REPOSITORY, "dev")
    document["config"][f"{PROJECT}:compute"] = "aks"
    monkeypatch.setattr("delivery.pulumi.project.stack_document", lambda *_: document)
    options: dict[str, Any] = {"caller": "", "workspace": "", "refused": False, "most": 5, "days": 7}
    audit("", stack="dev", config_file=stack, as_json=False, **options)
    assert 'PodNamespace == "mlflow-dev"' in capsys.readouterr().out


def test_what_a_caller_sent_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    sent = Record(time="t", event="refused", caller="", oid="", workspace="x\x9b2J\x85", route="", status=403)
    command._show([sent])
    assert "in x\N{REPLACEMENT CHARACTER}2J\N{REPLACEMENT CHARACTER}" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "named"), [(RUN, True), (f"1/{RUN}/artifacts/a.bin", True), (f"{RUN}0", False)])
def test_a_path_names_the_run_that_it_leads_through(value: str, named: bool) -> None:
    record = Record(
        time="t",
        event="changed",
        caller="",
        oid="",
        workspace="",
        route="",
        status=200,
        ids={"artifact_path": (value,)},
    )
    assert Wanted(identifier=RUN).has(record) is named
