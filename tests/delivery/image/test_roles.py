"""Every role from the image, with a read-only root, without rights and with a memory limit, passing the smoke."""

from __future__ import annotations

import functools
import json
import signal
import subprocess

import pytest

from delivery.image.container import command
from delivery.image.programs import find
from tests.delivery.image.conftest import Built
from tests.delivery.image.containers import ImagePlatform
from tests.support.command_line import mlflow_platform
from tests.support.plane import REPOSITORY, eventually
from tests.support.ports import first_of_free_ports
from tests.support.services import Service

SERVICES = ("tracking", "registry", "artifacts")


def podman(*arguments: str) -> str:
    line = [str(find("podman")), *arguments]
    return str(subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout)


def in_container(built: Built, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a container like a role's."""
    line = command(built.identifier, ["-c", code], {})
    line.insert(line.index(built.identifier), "--entrypoint=python")
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("role", ["gateway", *SERVICES, "prepare"])
def test_a_role_without_settings_says_all_that_it_needs(built: Built, role: str) -> None:
    done = subprocess.run(
        command(built.identifier, [role], {}), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done
    assert "cannot start with these settings" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_only_the_spool_can_be_written(built: Built) -> None:
    code = (
        "import os, pathlib, json\n"
        "def writes(folder):\n"
        "    try:\n"
        "        pathlib.Path(folder, 'x').write_text('x'); return True\n"
        "    except OSError: return False\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "rights = [line.split()[1] for line in status.splitlines() if line.startswith('CapEff')]\n"
        "folders = ['/', '/tmp', '/opt/mlflow', '/var/tmp', '/etc', os.environ['TMPDIR']]\n"
        "print(json.dumps([os.getuid(), os.getgid(), rights, {f: writes(f) for f in folders}]))\n"
    )
    done = in_container(built, code)
    assert done.returncode == 0, done.stderr
    user, group, rights, written = json.loads(done.stdout)
    assert (user, group, rights) == (10001, 10001, ["0000000000000000"])
    assert [folder for folder, could in written.items() if could] == ["/spool"]


def test_the_smoke_passes_through_containers(platform: ImagePlatform) -> None:
    prepared = platform.prepare()
    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    base = first_of_free_ports(3)
    ports = {role: base + number for number, role in enumerate(SERVICES)}
    services = [platform.start(role, port) for role, port in ports.items()]
    upstreams = {f"MLFLOW_RUNTIME_{role.upper()}_UPSTREAMS": f"127.0.0.1:{port}" for role, port in ports.items()}
    gateway = platform.start("gateway", platform.port, **upstreams)

    for service in services:
        eventually(functools.partial(_is_ready, service), f"{service.role} ready, see its log")
    eventually(lambda: gateway.program.up() and gateway.ask("/ready").status == 200, "the gateway")
    smoke = mlflow_platform("smoke", platform.url, "--json")
    done = subprocess.run(smoke, cwd=REPOSITORY, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + "".join(service.log for service in services)

    for service in (*services, gateway):
        assert service.program.stop(signal.SIGTERM) == 0, (
            f"{service.role} did not stop as it was asked to: {service.log}"
        )


def _is_ready(service: Service) -> bool:
    return service.program.up() and service.ready().status == 200
