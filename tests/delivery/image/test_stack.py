"""A whole local stack from the image: up, interrupted, killed in parts, and gone without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.emulators import identities
from components.mlflow.roles import SERVICES, Role
from delivery.image.programs import find
from delivery.local.configuration import REPOSITORY
from tests.delivery.image.conftest import Built
from tests.support import warm
from tests.support.local_stack import RunningStack, eventually

IN_CONTAINERS = (*SERVICES, "tracking-2")
# The gateway is the one role that is not Python. Podman is the same in front of all of them.
ROLES_KILLED, PODMANS_KILLED = ("gateway", "tracking"), ("artifacts", "registry")


def ran(program: str, *arguments: str) -> str:
    line = [str(find(program)), *arguments]
    return subprocess.run(line, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def containers() -> set[str]:
    return set(ran("podman", "ps", "--all", "--format", "{{.Names}}").split())


def volumes() -> set[str]:
    return set(ran("podman", "volume", "ls", "--quiet").split())


@pytest.fixture(scope="module")
def image(built: Built) -> Iterator[str]:
    """A tag of the image with a volume, as any image may declare one: each container has one without a name."""
    tag = f"localhost/mlflow-platform-test:{os.getpid()}"
    container = ran("buildah", "from", "--pull-never", built.identifier)
    try:
        ran("buildah", "config", "--volume=/unused", container)
        ran("buildah", "commit", "--quiet", container, tag)
    finally:
        ran("buildah", "rm", container)
    yield tag
    ran("podman", "rmi", "--force", tag)


@pytest.fixture(scope="module")
def before() -> tuple[set[str], set[str]]:
    """The containers and volumes that are not the stack's."""
    return containers(), volumes()


@pytest.fixture(scope="module")
def contained(
    tmp_path_factory: pytest.TempPathFactory, before: tuple[set[str], set[str]], image: str
) -> Iterator[RunningStack]:
    stack = RunningStack.configured(tmp_path_factory.mktemp("contained"))
    yield stack
    stack.run("destroy", "--yes")


def role_pid(stack: RunningStack, process: str) -> int:
    """The role in the container of a process; the process itself is podman."""
    return int(stack.local.layout.container_pid(process).read_text())


def test_an_up_that_is_interrupted_leaves_nothing_after_down(
    contained: RunningStack, image: str, before: tuple[set[str], set[str]]
) -> None:
    line = contained.command("up", "--no-smoke", "--image", image)
    first = subprocess.Popen(
        line,
        cwd=REPOSITORY,
        env=os.environ | warm.COLD,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    # Podman itself is asked once: each of its answers takes a fifth of a second of a processor.
    eventually(contained.local.layout.container_pid("tracking").exists, 180, "the start of tracking's container")
    assert any(name.endswith("-tracking") for name in containers() - before[0])
    os.killpg(first.pid, signal.SIGINT)
    said = first.communicate(timeout=120)[0].decode()
    assert first.returncode == 130, said
    done = contained.run("down")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (containers(), volumes()) == before


def test_up_from_the_image_passes_the_smoke_and_says_what_runs(contained: RunningStack, image: str) -> None:
    done = contained.run("up", "--image", image)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke passed" in done.stdout
    assert contained.url in done.stdout.splitlines()[-1]
    identifier = ran("podman", "image", "inspect", "--format", "{{.Id}}", image)
    assert f"From image sha256:{identifier}: MLflow" in done.stdout
    rows = json.loads(contained.run("status", "--json").stdout)["processes"]
    images = {row["name"]: row["image"] for row in rows}
    assert {name for name, one in images.items() if one} == set(IN_CONTAINERS)
    assert {images[name] for name in IN_CONTAINERS} == {f"sha256:{identifier}"}
    assert f"image {identifier[:12]}" in contained.run("status").stdout


def test_containers_have_the_limits_of_their_specs_and_no_secret_on_a_command_line(contained: RunningStack) -> None:
    header = identities.header_file(contained.local.layout.data, "mlflow-tracking").read_text().strip()
    lines = [" ".join(psutil.Process(contained.pid(name)).cmdline()) for name in IN_CONTAINERS]
    assert all("podman run" in line for line in lines)
    assert header.encode() in Path(f"/proc/{role_pid(contained, 'tracking')}/environ").read_bytes()
    assert not [line for line in lines if header in line]
    (name,) = (name for name in containers() if name.endswith("-tracking"))
    shown = ran("podman", "inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}", name)
    assert shown == f"{1024 << 20} {500_000_000}"


def test_up_again_changes_nothing_and_a_tag_that_moves_is_a_change(
    contained: RunningStack, built: Built, image: str
) -> None:
    identifier = ran("podman", "image", "inspect", "--format", "{{.Id}}", image)
    same = contained.pulumi("preview", "--expect-no-changes")
    assert same.returncode == 0, same.stdout + same.stderr
    ran("podman", "tag", built.identifier, image)
    try:
        moved = contained.pulumi("preview", "--json")
    finally:
        ran("podman", "tag", identifier, image)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    steps = json.loads(moved.stdout)["steps"]
    changed = {step["urn"].rpartition("::")[2] for step in steps if step["op"] not in ("same", "read")}
    assert changed == {*Role}


def test_a_killed_role_and_a_killed_podman_come_back(
    contained: RunningStack, before: tuple[set[str], set[str]]
) -> None:
    """The container of a killed podman goes on and holds the port until the next one starts."""
    names = (*ROLES_KILLED, *PODMANS_KILLED)
    killed = {name: (role_pid(contained, name), contained.pid(name)) for name in names}
    for name in ROLES_KILLED:
        os.kill(killed[name][0], signal.SIGKILL)
    for name in PODMANS_KILLED:
        os.kill(killed[name][1], signal.SIGKILL)
    eventually(
        lambda: all(role_pid(contained, name) != role for name, (role, _) in killed.items()), what="a new role of each"
    )
    assert all(contained.pid(name) != podman for name, (_, podman) in killed.items())
    eventually(contained.healthy, what="health")
    assert len(containers() - before[0]) == len(volumes() - before[1]) == len(IN_CONTAINERS)


def test_destroy_leaves_no_container_no_volume_and_no_process(
    contained: RunningStack, before: tuple[set[str], set[str]]
) -> None:
    pids = [role_pid(contained, name) for name in IN_CONTAINERS] + list(contained.supervisor.pids().values())
    # A role in a container stops by itself when it is asked to.
    for name in ("gateway", "tracking-2", "artifacts"):
        contained.supervisor.stop_process(name)
        assert f"stopped: {name} (exit status 0)" in (contained.local.layout.logs / "supervisord.log").read_text()
    # supervisord had to kill this podman, or somebody else did just now: its container is nobody's.
    os.kill(contained.pid("registry"), signal.SIGKILL)
    done = contained.run("destroy", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (containers(), volumes()) == before
    eventually(lambda: not [pid for pid in pids if psutil.pid_exists(pid)], 10, "the end of every process")
