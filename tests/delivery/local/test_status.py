"""What `status` shows: a table for a person, lines for a pipe, a document for a program."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from delivery.local import status
from delivery.local.configuration import LocalStack
from delivery.outcome import ExitCode

STACK = LocalStack(Path("Pulumi.local.yaml"), Path("state"), 5500)
READY = {"name": "tracking", "state": "RUNNING", "ready": True, "pid": 12, "port": 5530, "image": None}
STOPPED = {
    "name": "gateway",
    "state": "STOPPED",
    "ready": False,
    "pid": None,
    "port": 5500,
    "image": "sha256:" + "ab" * 32,
}


@pytest.fixture(params=[False, True], ids=["pipe", "terminal"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    is_terminal = bool(request.param)
    monkeypatch.setattr(status, "interactive", lambda: is_terminal)
    return is_terminal


def shown(rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, *, as_json: bool = False) -> int:
    monkeypatch.setattr(status, "processes", lambda _: rows)
    return status.show(STACK, as_json=as_json)


def test_a_process_that_is_not_ready_is_named_and_fails(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown([STOPPED, READY], monkeypatch) == ExitCode.FAILED
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    if terminal:
        assert lines[:3] == [
            "process state ready pid port image",
            "gateway STOPPED NOT READY - 5500 abababababab",
            "tracking RUNNING ready 12 5530 -",
        ]
    else:
        assert lines[:2] == [
            "gateway STOPPED NOT READY pid - port 5500 image abababababab",
            "tracking RUNNING ready pid 12 port 5530",
        ]
    assert lines[-1] == "http://127.0.0.1:5500 is NOT healthy: see `make logs`"


def test_a_stack_whose_processes_are_all_ready_is_healthy(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown([READY], monkeypatch) == ExitCode.DONE
    assert capsys.readouterr().out.splitlines()[-1] == "http://127.0.0.1:5500 is healthy"


def test_a_document_is_the_same_on_a_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown([STOPPED, READY], monkeypatch, as_json=True) == ExitCode.FAILED
    assert json.loads(capsys.readouterr().out) == {
        "url": "http://127.0.0.1:5500",
        "healthy": False,
        "processes": [STOPPED, READY],
    }


def test_a_stack_without_processes_is_not_healthy(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown([], monkeypatch) == ExitCode.FAILED
    assert "`make up` brings it up" in capsys.readouterr().out


@pytest.mark.parametrize("ready", [True, False])
def test_a_process_without_a_port_is_ready_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ready: bool
) -> None:
    file, process = tmp_path / "sweep.ready", tmp_path / "sweep.json"
    process.write_text(json.dumps({"name": "sweep", "env": {"READY_FILE": str(file)}, "ready": None, "image": "1"}))
    if ready:
        file.touch()
    monkeypatch.setattr(status, "running", lambda _: SimpleNamespace(pid=7))
    row = status._row(process, "RUNNING", 7)
    assert (row["ready"], row["port"]) == (ready, None)
    assert shown([row], monkeypatch) == (ExitCode.DONE if ready else ExitCode.FAILED)
