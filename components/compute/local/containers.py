"""Processes of the local stack in containers of one image, run by podman.

The image is one that this machine has; nothing is pulled. A container has the machine's network, because everything
listens on 127.0.0.1, a read-only root and no rights. Its environment is passed by name: no value is on a command line,
which every user of the machine can read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPOOL = "/spool"
MLFLOW_LABEL = "org.mlflow.version"
REVISION_LABEL = "org.opencontainers.image.revision"

# What a podman that was killed leaves behind gets this long to finish its requests.
LEFTOVER_SECONDS = 10
_STACK_LABEL = "mlflow-platform.stack"
_PODMAN_SECONDS = 60

CONFINED = (
    "--rm",
    "--pull=never",
    "--runtime=runc",
    "--network=host",
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--ulimit=nofile=20000:20000",
    "--ulimit=nproc=20000:20000",
)
"""Options of `podman run` for every container of the runtime's image: the machine's network, and no right."""


class ContainerError(RuntimeError):
    """An image cannot be used, or podman does not do what it is asked for. The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one container may use: cores, and MiB of memory. The spool is a folder of the machine's disk."""

    cpu: float
    memory_mib: int

    @classmethod
    def of(cls, props: Mapping[str, Any]) -> Limits:
        """From a document, whose numbers may be floats."""
        return cls(cpu=float(props["cpu"]), memory_mib=int(props["memory_mib"]))


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of this machine. `identifier` is its content's (`sha256:…`): a tag that moves names another one."""

    identifier: str
    mlflow: str
    revision: str


def find_image(reference: str) -> Image:
    """The image that a name, digest or id refers to. ContainerError if it is not here or not one of the runtime."""
    done = _podman("image", "inspect", reference)
    if done.returncode != 0:
        raise ContainerError(
            f"image {reference!r} is not on this machine ({_last_line(done.stderr)}); `make image` builds one and "
            "prints its id, `podman pull` fetches one, `podman images` shows those that are here"
        )
    return described(reference, json.loads(done.stdout))


def described(reference: str, inspected: Sequence[Mapping[str, Any]]) -> Image:
    """What `podman image inspect` printed. ContainerError where the labels of the runtime's images are missing."""
    labels = inspected[0].get("Labels") or {}
    missing = [label for label in (MLFLOW_LABEL, REVISION_LABEL) if not labels.get(label)]
    if missing:
        raise ContainerError(
            f"image {reference!r} has no label {' and no label '.join(missing)}, so it is not one of the runtime's; "
            "`make image` builds one"
        )
    identifier = str(inspected[0]["Id"])
    return Image(
        identifier=identifier if ":" in identifier else f"sha256:{identifier}",
        mlflow=str(labels[MLFLOW_LABEL]),
        revision=str(labels[REVISION_LABEL]),
    )


def container_name(root: Path, process: str) -> str:
    """The name of a process's container: unique on the machine, and the same at every start of the process."""
    return f"mlflow-platform-{_stack(root)}-{process}"


def run_command(
    *,
    image: str,
    arguments: Sequence[str],
    env: Mapping[str, str],
    limits: Limits,
    root: Path,
    process: str,
    spool: str,
    pid_file: Path,
) -> list[str]:
    """The command line of podman, which stays as long as the container and hands signals on to it.

    Of `env` only names are in it: podman's own environment must hold the values. The files that its variables of
    certificates name are mounted where they are. `pid_file` gets the pid of the role.
    """
    return [
        _program(),
        "run",
        *CONFINED,
        "--log-driver=passthrough",  # this process's own output, which supervisord writes down
        "--http-proxy=false",
        f"--memory={limits.memory_mib}m",
        f"--cpus={limits.cpu:g}",
        f"--name={container_name(root, process)}",
        f"--label={_STACK_LABEL}={_stack(root)}",
        f"--pidfile={pid_file}",
        f"--volume={spool}:{SPOOL}:U",  # U: it is given to the image's user
        *(f"--volume={file}:{file}:ro" for file in authorities(env)),
        *(f"--env={name}" for name in sorted(env)),
        image,
        *arguments,
    ]


def authorities(env: Mapping[str, str]) -> list[str]:
    """The files that variables name and that a container has to have where they are."""
    return sorted({env[key] for key in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if env.get(key)})


def remove(root: Path, process: str) -> None:
    """Remove what an earlier podman that was killed left of the process; no-op where there is nothing."""
    _remove([container_name(root, process)], LEFTOVER_SECONDS)


def remove_all(root: Path) -> None:
    """Remove every container of the stack in this folder; no-op where there is no podman."""
    if shutil.which("podman") is None:
        return
    found = _podman("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={_STACK_LABEL}={_stack(root)}")
    if found.returncode == 0 and (identifiers := found.stdout.split()):
        _remove(identifiers, 0)


def _remove(containers: Sequence[str], seconds: int) -> None:
    # With their anonymous volumes, which nobody else would ever remove.
    done = _podman("rm", "--force", "--volumes", "--ignore", f"--time={seconds}", *containers)
    if done.returncode != 0:
        raise ContainerError(f"podman did not remove {', '.join(containers)}: {_last_line(done.stderr)}")


def _podman(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [_program(), *arguments], capture_output=True, text=True, check=False, timeout=_PODMAN_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ContainerError(f"`podman {' '.join(arguments)}` did not end within {_PODMAN_SECONDS} s") from error


def _program() -> str:
    found = shutil.which("podman")
    if found is None:
        raise ContainerError(
            "there is no podman on PATH, which runs images; tools/containers.sh installs it on Debian. Without "
            "`local.image` the stack runs from the working tree"
        )
    return found


def _stack(root: Path) -> str:
    return hashlib.sha256(str(root).encode()).hexdigest()[:12]


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "").removeprefix("Error: ")
