"""One stack from nothing to nothing: up, up again, changes beside clients, drift, down, up, destroy.

The tests build on each other. Every process of MLflow is replaced once while clients that repeat nothing are at work.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from delivery.local.configuration import REPOSITORY
from tests.benchmarks.rolling import CLIENTS, replaced_beside_clients, replicas
from tests.support import warm
from tests.support.client_package import installed
from tests.support.command_line import mlflow_platform
from tests.support.entra import enter_code
from tests.support.local_stack import RunningStack, eventually

SERVICES = ("tracking", "tracking-2", "registry", "artifacts", "gateway")
NO_CHANGES, CHANGES = 0, 7


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    stack = RunningStack.configured(tmp_path_factory.mktemp("lifecycle"))
    # A lone replica is replaced with a gap, and one that gets a second is replaced for its time to drain.
    stack.configure(**replicas(2))
    yield stack
    stack.run("destroy", "--yes")


def pids(stack: RunningStack) -> dict[str, int]:
    return stack.supervisor.pids()


@pytest.mark.parametrize("offset", [30, 5], ids=["tracking", "the gateway's metrics"])
def test_a_port_that_is_taken_is_said_before_anything_is_made(own_stack: RunningStack, offset: int) -> None:
    port = own_stack.local.port + offset
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        done = own_stack.run("up", "--no-smoke")
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken by" in done.stdout + done.stderr
    assert "pulumi config set" in done.stdout + done.stderr
    assert not own_stack.supervisor.alive()


def test_bad_configuration_is_said_whole_before_anything_is_made(own_stack: RunningStack) -> None:
    good = own_stack.config_file.read_text()
    own_stack.configure(tracking={"minReplicas": 5, "maxReplicas": 2}, registry={"cpus": 1}, nonsense="x")
    try:
        done = own_stack.run("up", "--no-smoke")
    finally:
        own_stack.config_file.write_text(good)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    for field in ("tracking.minReplicas: 5", "registry.cpus: 1", "nonsense: 'x'"):
        assert field in said
    assert "Traceback" not in said
    assert not own_stack.supervisor.alive()


def test_interrupted_in_the_middle_up_goes_on_the_next_time(own_stack: RunningStack) -> None:
    first = subprocess.Popen(
        own_stack.command("up", "--no-smoke"),
        cwd=REPOSITORY,
        env=os.environ | warm.COLD,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    eventually(lambda: (own_stack.local.layout.processes / "tracking.json").exists(), 120, "the start of tracking")
    second = own_stack.run("up", "--no-smoke")
    assert second.returncode == 3
    assert "Another command works on this stack (pid" in second.stderr
    os.killpg(first.pid, signal.SIGINT)
    said = first.communicate(timeout=120)[0].decode()
    assert first.returncode == 130, said
    own_stack.up()
    assert own_stack.healthy()


def test_up_again_changes_nothing(own_stack: RunningStack) -> None:
    before = pids(own_stack)
    own_stack.up()
    assert pids(own_stack) == before
    preview = own_stack.pulumi("preview", "--expect-no-changes")
    assert preview.returncode == NO_CHANGES, preview.stdout + preview.stderr


def test_the_smoke_passes_and_leaves_nothing(own_stack: RunningStack) -> None:
    smoke = own_stack.run("smoke")
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    experiments = own_stack.call("experiments/search", {"max_results": 100})["experiments"]
    assert [experiment["name"] for experiment in experiments] == ["Default"]
    assert own_stack.call("registered-models/search?max_results=100").get("registered_models", []) == []


def test_a_changed_setting_restarts_only_the_gateway_and_loses_nothing(own_stack: RunningStack) -> None:
    prepared = _prepare_log(own_stack)
    replaced, outcomes = replaced_beside_clients(own_stack, CLIENTS, limits={"maxArtifactMib": 20})
    assert replaced == {"gateway"}
    too_large = own_stack.ask("/api/2.0/mlflow-artifacts/artifacts/a.bin", method="PUT", data=bytes((20 << 20) + 1))
    assert too_large.status == 413
    assert _prepare_log(own_stack) == prepared, "prepare runs only when its inputs changed"
    assert [(one.name, one.lost) for one in outcomes if one.lost] == []
    (mlflows,) = (one for one in outcomes if one.name == "MLflow's client")
    assert mlflows.failed == []
    # A system's listening sockets do not hand their waiting connections over, so one that repeats nothing may see a
    # connection end before its answer; but somebody always listens.
    assert not [failure for one in outcomes for failure in one.failed if "refused" in failure]


def test_a_roll_out_of_all_services_fails_no_request_and_loses_nothing(own_stack: RunningStack) -> None:
    replaced, outcomes = replaced_beside_clients(own_stack, CLIENTS, limits={"maxInFlight": 100, "maxArtifactMib": 20})
    assert replaced == {f"{role}{suffix}" for role in replicas(2) for suffix in ("", "-2")}
    assert [(one.name, one.failed, one.lost) for one in outcomes if one.failed or one.lost] == []
    assert all(one.acknowledged > 20 for one in outcomes), outcomes


def test_down_stops_everything_and_up_brings_the_same_runs_back(own_stack: RunningStack) -> None:
    experiment = own_stack.call("experiments/create", {"name": f"kept-{uuid.uuid4()}"})["experiment_id"]
    run = own_stack.call("runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/kept.txt"
    assert own_stack.ask(artifact, method="PUT", data=b"kept").status == 200
    before = pids(own_stack)
    assert own_stack.run("down").returncode == 0
    assert own_stack.run("status").returncode == 1
    eventually(lambda: not [pid for pid in before.values() if Path(f"/proc/{pid}").exists()], 10, "the end of all")
    own_stack.configure(registry=replicas(1)["registry"])  # only the roll-out needs a second one
    own_stack.up()
    assert pids(own_stack).keys() == before.keys() - {"registry-2"}
    assert own_stack.call(f"runs/get?run_id={run}")["run"]["info"]["run_id"] == run
    assert own_stack.ask(artifact).content == b"kept"


def test_status_as_a_document_names_every_process(own_stack: RunningStack) -> None:
    document = json.loads(own_stack.run("status", "--json").stdout)
    assert document["healthy"] is True
    assert {row["name"] for row in document["processes"]} >= {*SERVICES, "postgres", "blobs", "azure"}


def test_a_stopped_process_is_drift_and_a_killed_engine_blocks_neither_its_repair_nor_more_replicas(
    own_stack: RunningStack,
) -> None:
    own_stack.supervisor.stop_process("registry")
    refresh = own_stack.pulumi("refresh", "--preview-only", "--expect-no-changes", "--diff")
    assert refresh.returncode == CHANGES
    assert re.search(r'registry *: "running" => "stopped"', refresh.stdout), refresh.stdout
    before = pids(own_stack)
    # Of a service without a database: five replicas with one would need a smaller pool.
    own_stack.configure(artifacts={"minReplicas": 3, "maxReplicas": 3})
    update = subprocess.Popen(
        own_stack.command("up", "--no-smoke"),
        cwd=REPOSITORY,
        env=os.environ | warm.COLD,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    locks = own_stack.local.backend / ".pulumi" / "locks"
    eventually(lambda: any(locks.rglob("*.json")), 60, "the engine's lock")
    (engine,) = (child for child in psutil.Process(update.pid).children() if child.name() == "pulumi")
    # Its plugins are in process groups of their own, and would notice its end only minutes later.
    engine.suspend()
    plugins = [child for child in engine.children(recursive=True) if child.name().startswith("pulumi-")]
    os.killpg(update.pid, signal.SIGKILL)
    update.wait()
    for plugin in plugins:
        with contextlib.suppress(psutil.NoSuchProcess):
            plugin.kill()
    psutil.wait_procs([engine, *plugins], timeout=10)
    assert any(locks.rglob("*.json")), "the killed engine left its lock"
    own_stack.up()
    assert own_stack.healthy()
    after = pids(own_stack)
    assert {name for name in before if before[name] != after[name]} == {"gateway"}
    assert after.keys() - before.keys() == {"artifacts-3", "registry"}
    assert own_stack.pulumi("refresh", "--preview-only", "--expect-no-changes").returncode == NO_CHANGES


def test_access_control_is_turned_on_and_a_pipeline_passes_the_smoke(own_stack: RunningStack) -> None:
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert own_stack.ask(search).status == 200
    own_stack.configure(artifacts=replicas(1)["artifacts"])  # only the drift needs more
    done = own_stack.run("up", "--no-smoke", "--access", "entra")
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_stack.ask(search).status == 401
    signed_in = {"Authorization": f"Bearer {own_stack.run('token').stdout.strip()}", "X-MLFLOW-WORKSPACE": "team-a"}
    assert own_stack.ask(search, headers=signed_in).status == 200
    assert own_stack.ask(search, headers={**signed_in, "X-MLFLOW-WORKSPACE": "team-c"}).status == 403
    smoke = own_stack.run("smoke", "--quick")
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    listed = own_stack.run("quotas", "--json")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert {each["team"] for each in json.loads(listed.stdout)} == {"default", "team-a", "team-b"}
    recorded = json.loads(own_stack.run("audit", "--workspace", "default", "--most", "1000", "--json").stdout)
    assert {"POST /api/2.0/mlflow/experiments/create", "POST /api/2.0/mlflow/runs/create"} <= {
        each["route"] for each in recorded
    }


def test_a_person_signs_in_by_a_code_and_passes_the_smoke(own_stack: RunningStack, tmp_path: Path) -> None:
    person = "registrar@team-a.example.com"
    exported = dict(re.findall(r"^export (\w+)='?([^'\n]*)", own_stack.run("token", "--exports").stdout, re.MULTILINE))
    ca, home = Path(exported["REQUESTS_CA_BUNDLE"]), {"HOME": str(tmp_path), "PYTHONPATH": str(installed(tmp_path))}
    env = {**exported, **home, "PATH": os.environ["PATH"], "MLFLOW_WORKSPACE": "team-a"}
    client = [sys.executable, "-m", "mlflow_entra.command"]
    login = [*client, "login", "--unencrypted"]
    with subprocess.Popen(login, env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as signing_in:
        assert signing_in.stdout is not None
        try:
            asked = re.fullmatch(r".* open (\S+) in .* code (\S+)\n", signing_in.stdout.readline())
            assert asked is not None
            assert enter_code(asked[1], asked[2], person, ca).status_code == 200
            assert (signing_in.stdout.read(), signing_in.wait()) == (f"Signed in as {person}.\n", 0)
        finally:
            # It waits for the code for a quarter of an hour. Nothing happens where it has ended.
            signing_in.terminate()
    command = mlflow_platform("smoke", own_stack.url, "--quick")
    smoke = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert smoke.returncode == 0, smoke.stdout + smoke.stderr
    recorded = json.loads(own_stack.run("audit", "--workspace", "team-a", "--most", "1000", "--json").stdout)
    assert {"POST /api/2.0/mlflow/runs/create", "POST /api/2.0/mlflow/registered-models/create"} <= {
        each["route"] for each in recorded if each["caller"] == person
    }
    cache = json.loads((tmp_path / ".IdentityService" / "mlflow-entra.nocae").read_text())
    kinds = ("AccessToken", "IdToken", "RefreshToken")
    tokens = [each["secret"] for kind in kinds for each in cache[kind].values()]
    assert len(tokens) >= len(kinds)
    # A token is found by its signature, or as a whole where it has none.
    secrets = {each.rpartition(".")[2] for each in tokens} | {asked[2]}
    folders = (own_stack.local.layout.logs, own_stack.local.backend)
    files = [path for each in folders for path in each.rglob("*") if path.is_file()]
    texts = {path: path.read_text(errors="replace") for path in files}
    assert any(person in text for text in texts.values())
    assert [path for path, text in texts.items() if any(secret in text for secret in secrets)] == []


def test_destroy_asks_first_and_then_leaves_nothing(own_stack: RunningStack) -> None:
    refused = own_stack.run("destroy")
    assert refused.returncode == 1
    assert own_stack.healthy()
    before = pids(own_stack)
    done = own_stack.run("destroy", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: not [pid for pid in before.values() if Path(f"/proc/{pid}").exists()], 1, "the end of all")
    assert not own_stack.local.layout.data.exists()
    assert not own_stack.local.layout.sockets.exists()


def _prepare_log(stack: RunningStack) -> str:
    return (stack.local.layout.logs / "prepare.log").read_text()
