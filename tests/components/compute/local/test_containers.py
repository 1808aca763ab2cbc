"""What podman is asked for, by a stand-in that notes it; real containers are in tests/delivery/image/test_stack.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.compute.local import containers, processes
from components.compute.local.containers import ContainerError, Image, Limits
from components.compute.local.launch import Process, command_line, environment
from components.compute.local.layout import Layout
from components.compute.local.processes import ProcessError, ProcessGroup

LABELS = {"org.mlflow.version": "3.17.2", "org.opencontainers.image.revision": "abc"}
INSPECTED = [{"Id": "0" * 64, "Labels": LABELS}]


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A podman that writes its arguments into the file that is given, a call a line, and knows one image."""
    calls, folder = tmp_path / "calls", tmp_path / "bin"
    folder.mkdir()
    program = folder / "podman"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\ncase "$1 $2 $3" in\n'
        f"'image inspect known') echo '{json.dumps(INSPECTED)}';;\n"
        "'image inspect '*) echo 'Error: no such image' >&2; exit 125;;\n'ps '*) echo one; echo two;;\nesac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return calls


@pytest.fixture
def process(tmp_path: Path) -> Process:
    header = tmp_path / "header"
    header.write_text("very-private\n")
    layout = Layout(tmp_path / "state")
    layout.processes.mkdir(parents=True)
    return Process(
        root=str(layout.root),
        name="tracking-2",
        command=["tracking"],
        env={
            "PORT": "5531",
            "DATABASE": "postgresql://there",
            "SSL_CERT_FILE": "/ca.pem",
            "REQUESTS_CA_BUNDLE": "/ca.pem",
        },
        spool="/some/spool",
        image="sha256:" + "0" * 64,
        identity_header=str(header),
        limits=Limits(cpu=0.5, memory_mib=1024),
    )


def test_a_container_has_its_limits_its_mounts_and_no_rights(podman: Path, process: Process) -> None:
    line = command_line(process)
    assert line[-2:] == ["sha256:" + "0" * 64, "tracking"]
    for option in (
        *("--rm", "--pull=never", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"),
        *("--network=host", "--memory=1024m", "--cpus=0.5", "--volume=/some/spool:/spool:U", "--http-proxy=false"),
    ):
        assert option in line
    assert [part for part in line if "/ca.pem" in part] == ["--volume=/ca.pem:/ca.pem:ro"]


def test_no_value_is_on_the_command_line_and_each_is_in_podmans_environment(podman: Path, process: Process) -> None:
    line, values = command_line(process), environment(process)
    names = [part.removeprefix("--env=") for part in line if part.startswith("--env=")]
    assert names == ["DATABASE", "IDENTITY_HEADER", "PORT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
    assert not any("very-private" in part or "postgresql" in part for part in line)
    assert (values["IDENTITY_HEADER"], values["DATABASE"]) == ("very-private", "postgresql://there")


def test_what_a_killed_podman_left_is_removed_with_its_volumes_before_a_start(podman: Path, process: Process) -> None:
    command_line(process)
    name = containers.container_name(Path(process.root), "tracking-2")
    assert podman.read_text().splitlines() == [f"rm --force --volumes --ignore --time=10 {name}"]


def test_without_limits_there_is_no_podman(podman: Path, process: Process) -> None:
    assert command_line(replace(process, command=["/bin/true"], limits=None)) == ["/bin/true"]
    assert not podman.exists()


def test_containers_of_two_stacks_have_two_names(tmp_path: Path) -> None:
    assert containers.container_name(tmp_path / "a", "x") != containers.container_name(tmp_path / "b", "x")


def test_all_of_a_stack_are_removed(podman: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    containers.remove_all(tmp_path)
    listed, removed = podman.read_text().splitlines()
    assert "--filter label=mlflow-platform.stack=" in listed
    assert removed == "rm --force --volumes --ignore --time=0 one two"
    monkeypatch.setenv("PATH", "/nowhere")
    containers.remove_all(tmp_path)


def test_a_reference_is_resolved_to_an_id(podman: Path) -> None:
    assert containers.find_image("known") == Image(identifier="sha256:" + "0" * 64, mlflow="3.17.2", revision="abc")


def test_an_image_that_is_not_here_is_refused(podman: Path) -> None:
    with pytest.raises(ContainerError, match=r"image 'other' is not on this machine \(no such image\); `make image`"):
        containers.find_image("other")


def test_without_podman_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ContainerError, match=r"no podman on PATH.*tools/containers\.sh.*working tree"):
        containers.find_image("known")


@pytest.mark.parametrize("missing", LABELS)
@pytest.mark.parametrize("none", [False, True])
def test_an_image_without_the_runtimes_labels_is_refused(missing: str, none: bool) -> None:
    labels = None if none else {name: value for name, value in LABELS.items() if name != missing}
    with pytest.raises(ContainerError, match=rf"image 'x' has no label .*{missing}"):
        containers.described("x", [{"Id": "0", "Labels": labels}])


def group(root: Path, **changes: Any) -> ProcessGroup:
    described = ProcessGroup(
        root=str(root),
        name="web",
        command=["tracking"],
        env={},
        ports=[1],
        priority=1,
        image="sha256:0",
        limits=Limits(cpu=0.25, memory_mib=512),
    )
    return replace(described, **changes)


def test_a_group_comes_back_from_pulumis_floats_and_what_is_written_is_what_is_launched(tmp_path: Path) -> None:
    given = group(tmp_path)
    props = json.loads(json.dumps(given.__dict__ | {"limits": {"cpu": 0.25, "memory_mib": 512.0}, "ports": [1.0]}))
    assert ProcessGroup.of(props) == given
    file = tmp_path / "web.json"
    file.write_text(json.dumps(given.document("web", 1)))
    read = Process.read(file)
    assert (read.image, read.limits, read.command) == ("sha256:0", given.limits, ["tracking"])


def test_a_container_that_stays_is_said(tmp_path: Path, podman: Path) -> None:
    layout = Layout(tmp_path)
    layout.processes.mkdir()
    layout.container_pid("web").touch()
    (tmp_path / "bin" / "podman").write_text("#!/bin/sh\necho 'Error: device busy' >&2; exit 1\n")
    with pytest.raises(ProcessError, match=r"podman did not remove mlflow-platform-.*-web: device busy"):
        processes.remove(group(tmp_path))
