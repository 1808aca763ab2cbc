"""Large artifacts up and down at once, through the gateway and one artifacts service that the kernel holds to 512 MiB.

`python -m tests.benchmarks.large_artifacts` starts both on a data plane of its own, sends four files of 1 GiB at
once, takes them back at once, compares their checksums, and prints a row. `--stock` adds a row for MLflow's own two
routes in the place of ours. It needs root, Linux and the first version of control groups.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.plane import REPOSITORY
from tests.support.services import PUBLIC_HOST, Platform, gateway, platform

LIMIT_MIB = 512
FILES = 4
PIECE = 1 << 20
_MARK = 16
_GROUPS = Path("/sys/fs/cgroup/memory")
_STOCK = """
import sys, types
sys.modules["mlflow_runtime.artifacts.routes"] = types.SimpleNamespace(install=lambda *_: None)
"""


def mark(number: int) -> bytes:
    """What a file begins with, so that no two are the same."""
    return f"file {number}".ljust(_MARK).encode()


def send(port: int, path: str, number: int, source: Path) -> str:
    """Upload a file; the checksum of what was sent."""

    def body() -> Iterator[bytes]:
        yield mark(number)
        with source.open("rb") as file:
            file.seek(_MARK)
            while piece := file.read(PIECE):
                yield piece

    digest = hashlib.sha256()

    def noted() -> Iterator[bytes]:
        for piece in body():
            digest.update(piece)
            yield piece

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Host": PUBLIC_HOST, "Content-Length": str(source.stat().st_size)}
    connection.request("PUT", path, noted(), headers)
    answer = connection.getresponse()
    assert answer.status == 200, (answer.status, answer.read())
    return digest.hexdigest()


def take(port: int, path: str) -> str:
    """Download a file; its checksum."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path, headers={"Host": PUBLIC_HOST})
    answer = connection.getresponse()
    assert answer.status == 200, (answer.status, answer.read())
    digest = hashlib.sha256()
    while piece := answer.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


def at_once(work: Callable[[int], str]) -> tuple[list[str], float]:
    """The work for every file, and the seconds."""
    begun = time.monotonic()
    with ThreadPoolExecutor(FILES) as pool:
        return list(pool.map(work, range(FILES))), time.monotonic() - begun


@contextlib.contextmanager
def limited(mib: int) -> Iterator[Path]:
    """A control group that its processes cannot take more memory in, page cache among it."""
    group = _GROUPS / f"mlflow-large-artifacts-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(mib << 20))
        yield group
    finally:
        group.rmdir()


class Watch:
    """The most memory of a process, and the most that was in a folder, looked at ten times a second."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid, self._folder = pid, folder
        self.disk_mib = 0.0
        self._over = False

    def look(self) -> None:
        """Until `over`."""
        while not self._over:
            with contextlib.suppress(FileNotFoundError):
                files = [file.stat().st_size for file in self._folder.rglob("*") if file.is_file()]
                self.disk_mib = max(self.disk_mib, sum(files) / 2**20)
            time.sleep(0.1)

    def over(self) -> None:
        """No more."""
        self._over = True

    def peak_mib(self) -> float:
        """Since the last call."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        return peak


def row(made: Platform, folder: Path, source: Path, name: str, first: str) -> str:
    """Everything up, everything down."""
    spool, python = folder / "spool", folder / "first"
    spool.mkdir(parents=True)
    python.mkdir()
    (python / "sitecustomize.py").write_text(first)
    with limited(LIMIT_MIB) as group:
        service = made.start(
            "artifacts",
            prefix=("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"),
            MLFLOW_RUNTIME_MEMORY_MIB=str(LIMIT_MIB),
            TMPDIR=str(spool),
            PYTHONPATH=f"{python}{os.pathsep}{made.environment('artifacts')['PYTHONPATH']}",
        )
        try:
            with gateway(folder, f"127.0.0.1:{service.port}") as port, ThreadPoolExecutor(1) as beside:
                watch = Watch(service.program.process.pid, spool)
                beside.submit(watch.look)
                try:
                    root = f"/api/2.0/mlflow-artifacts/artifacts/large/{name}"
                    sent, up = at_once(lambda number: send(port, f"{root}/{number}", number, source))
                    up_mib, up_disk = watch.peak_mib(), watch.disk_mib
                    taken, down = at_once(lambda number: take(port, f"{root}/{number}"))
                    down_mib, most = watch.peak_mib(), watch.disk_mib
                finally:
                    watch.over()
                refused = int((group / "memory.failcnt").read_text())
        finally:
            service.program.kill()
    assert len(set(sent)) == FILES
    assert sent == taken
    total = FILES * source.stat().st_size / 2**20
    return (
        f"| {name} | equal | {up:.0f} s, {total / up:.0f} MiB/s, {up_mib:.0f} MiB "
        f"| {down:.0f} s, {total / down:.0f} MiB/s, {down_mib:.0f} MiB | {up_disk:.0f}, {most:.0f} MiB | {refused} |"
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.large_artifacts", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="of each file (default: %(default)s)")
    parser.add_argument("--stock", action="store_true", help="MLflow's own routes too")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="large-"))
    install = [sys.executable, str(REPOSITORY / "tools" / "azurite" / "install.py")]
    azurite = Path(subprocess.run(install, capture_output=True, text=True, check=True).stdout.strip())
    print(
        f"| {FILES} x {arguments.mib} MiB | checksums | up, memory | down, memory | disk after up, at most "
        "| times at the limit |\n|---|---|---|---|---|---|"
    )
    try:
        source = folder / "source"
        with source.open("wb") as file:
            for _ in range(arguments.mib):
                file.write(os.urandom(PIECE))
        with platform(folder, azurite) as made:
            print(row(made, folder / "ours", source, "ours", ""), flush=True)
            if arguments.stock:
                print(row(made, folder / "stock", source, "stock", _STOCK), flush=True)
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
