"""The entry point of the image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_runtime import cli

ROLES = ("gateway", "tracking", "registry", "artifacts", "prepare")
RUNTIME = Path(__file__).resolve().parents[2] / "runtime"


def start(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python with nothing in its environment."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env={"PYTHONPATH": str(RUNTIME)}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["nope"], ["tracking", "registry"], ["--nope"]])
def test_anything_but_a_role_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "mlflow-runtime" in capsys.readouterr().err


def test_a_wrong_role_names_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["nope"])
    message = capsys.readouterr().err
    assert all(role in message for role in ROLES)


def test_help_names_every_role(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {role}" in printed for role in ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_without_settings_every_role_ends_with_2_before_it_loads_mlflow(role: str) -> None:
    code = f"import sys; from mlflow_runtime.cli import main; print(main(['{role}']), 'mlflow' in sys.modules)"
    ended = start(code)
    assert ended.stdout.splitlines()[-1] == "2 False", ended.stdout + ended.stderr


@pytest.mark.parametrize("role", [role for role in ROLES if role != "gateway"])
def test_wrong_settings_are_one_line_of_json_with_its_level(role: str) -> None:
    ended = start(f"from mlflow_runtime.cli import main; main(['{role}'])")
    (line,) = ended.stderr.splitlines()
    found = json.loads(line)
    assert (found["level"], found["role"]) == ("ERROR", role)
    assert "is not set; it must be" in found["message"]


def test_an_error_that_ends_a_process_or_a_thread_is_one_line_of_json() -> None:
    code = (
        "import threading\n"
        "from mlflow_runtime import logs\n"
        "logs.configure('prepare')\n"
        "thread = threading.Thread(target=lambda: 1 / 0)\n"
        "thread.start()\n"
        "thread.join()\n"
        "raise RuntimeError('nobody handles it')\n"
    )
    ended = start(code)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert [line["level"] for line in lines] == ["ERROR", "ERROR"]
    assert "ZeroDivisionError" in lines[0]["exception"]
    assert "nobody handles it" in lines[1]["exception"]


def test_the_gateway_loads_no_client_of_azure_and_no_database_driver() -> None:
    heavy = "{'mlflow', 'azure', 'sqlalchemy', 'uvicorn', 'psycopg2'}"
    ended = start(
        f"import sys; from mlflow_runtime.cli import main; main(['gateway']); print({heavy} & set(sys.modules))"
    )
    assert ended.stdout.splitlines()[-1] == "set()", ended.stdout + ended.stderr


def test_prepare_ends_at_sigterm_also_as_a_containers_first_process() -> None:
    program = (
        "import os, signal\n"
        "from mlflow_runtime import cli, prepare\n"
        # What the kernel does with it for the first process of a container.
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "prepare.run = lambda env: os.kill(os.getpid(), signal.SIGTERM) or 0\n"
        "raise SystemExit(cli.main(['prepare']))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 143
