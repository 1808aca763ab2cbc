"""Roles in containers of the image, on the data plane of the runtime's own tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from delivery.image.container import USER_ID, command
from tests.support.plane import Plane, Program
from tests.support.ports import first_of_free_ports
from tests.support.role_environment import given
from tests.support.services import Platform, Service, eventually

MEMORY_MIB = {"gateway": 256, "tracking": 768, "registry": 768, "artifacts": 512, "prepare": 768}


@dataclass
class ImagePlatform:
    """Starts roles from an image. `hosts` is the address of the gateway, which the services must know."""

    image: str
    data: Platform
    port: int
    services: list[Service] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def started(cls, folder: Path, azurite: Path, image: str) -> Iterator[ImagePlatform]:
        """With databases and a container, and no service."""
        made = cls(image, Platform(Plane(folder, first_of_free_ports(4)), azurite), first_of_free_ports(1))
        try:
            made.data.plane.start_postgres(ready=False)
            made.data.plane.start_azurite(azurite)
            made.data.start_azure()
            # Of no use to others, being below a folder of this user's, until it is mounted for the container's user.
            made.data.plane.ca.chmod(0o644)
            eventually(lambda: made.data.blob_container().create_container(), "container made")
            yield made
        finally:
            made.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> subprocess.CompletedProcess[str]:
        """Run prepare to its end."""
        environment = self.environment("prepare")
        line = command(self.image, ["prepare"], environment, memory_mib=MEMORY_MIB["prepare"])
        return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def start(self, role: str, port: int, **variables: str) -> Service:
        """Start a role; it is not ready yet."""
        environment = self.environment(role) | {"PORT": str(port)} | variables
        log = self.data.plane.folder / f"{role}.log"
        name = f"mlflow-test-{role}-{port}"
        line = command(self.image, [role], environment, name=name, memory_mib=MEMORY_MIB[role])
        with log.open("wb") as output:
            process = subprocess.Popen(
                line, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        service = Service(role, port, Program(process, log))
        self.services.append(service)
        return service

    def environment(self, role: str) -> dict[str, str]:
        """The variables of a role, and a spool that its user may write, as a platform mounts one."""
        spool = self.data.plane.folder / f"{role}-spool"
        spool.mkdir(mode=0o700, exist_ok=True)
        os.chown(spool, USER_ID, USER_ID)
        own: Mapping[str, str] = given("gateway") if role == "gateway" else self.data.environment(role)
        common = {"PATH": os.environ["PATH"], "TMPDIR": str(spool)}
        if role == "prepare":
            return {**own, **common}
        return {**own, **common, "MLFLOW_RUNTIME_PUBLIC_HOSTS": f"127.0.0.1:{self.port}"}

    def stop(self) -> None:
        """End the containers, then the data plane."""
        for service in self.services:
            if service.program.process.poll() is None:
                service.program.process.send_signal(signal.SIGTERM)
        for service in self.services:
            try:
                service.program.process.wait(20)
            except subprocess.TimeoutExpired:
                service.program.kill()
        self.data.stop()
