from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg2
import pytest

from components.emulators import postgres
from components.emulators.postgres.account import open_to_all
from tests.support.plane import Plane

NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = ("setpriv", "--reuid", str(NOBODY.pw_uid), "--regid", str(NOBODY.pw_gid), "--clear-groups")
# What root may in a container, unless it is given more.
CONTAINER = (
    "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service"
    ",+sys_chroot,+kill,+audit_write"
)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to switch to another user")


@root_only
def test_the_user_that_runs_the_server_is_no_superuser_by_that(plane: Plane) -> None:
    if not open_to_all(Path(psycopg2.__file__)):
        pytest.skip("another user cannot read this environment")
    plane.start_postgres()
    plane.folder.chmod(0o755)
    connect = f"import psycopg2; psycopg2.connect(host={str(plane.sockets)!r}, port={plane.postgres_port}, "
    attempt = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", f"{connect}user='postgres', dbname='postgres')"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert psutil.Process(plane.programs[0].process.pid).uids().real == NOBODY.pw_uid
    assert 'Peer authentication failed for user "postgres"' in attempt.stderr


@root_only
def test_as_root_it_works_in_a_folder_that_nobody_else_can_enter(plane: Plane) -> None:
    closed = plane.folder / "closed"
    closed.mkdir(mode=0o700)
    packages = closed / "site"
    installed = postgres.binaries().parents[1]
    for folder in (installed, installed.with_suffix(".libs")):
        shutil.copytree(folder, packages / folder.name)
    prefix = ("setpriv", "--bounding-set", CONTAINER, "--")
    inner = Plane(closed, plane.base_port, plane.programs, python_path=packages, prefix=prefix)
    program = inner.start_postgres()
    server = psutil.Process(program.process.pid)
    assert server.exe().startswith(str(packages))
    assert server.uids().real == NOBODY.pw_uid
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    program.kill()
    inner.start_postgres()


@root_only
@pytest.mark.parametrize(("closed", "capability"), [(None, 0), ("state", 2), ("sockets", 2)])
def test_as_root_the_server_has_a_capability_only_where_it_needs_one(
    plane: Plane, closed: str | None, capability: int
) -> None:
    if not open_to_all(postgres.binaries() / "postgres"):
        pytest.skip("another user cannot read this environment")
    for folder in (plane.folder, plane.state, plane.sockets.parent / "sockets"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    plane.sockets_folder = plane.folder / "sockets" / "pg"
    if closed is not None:
        {"state": plane.state, "sockets": plane.sockets.parent}[closed].chmod(0o700)
    program = plane.start_postgres()
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    found = {name: int(value, 16) for name, value in re.findall(r"^Cap(Prm|Eff|Amb):\s(\w+)", status, re.MULTILINE)}
    assert found == {"Prm": capability, "Eff": capability, "Amb": capability}


@root_only
def test_as_an_ordinary_user_it_needs_no_privilege(plane: Plane) -> None:
    if not open_to_all(postgres.binaries() / "postgres"):
        pytest.skip("another user cannot read this environment")
    os.chown(plane.folder, NOBODY.pw_uid, NOBODY.pw_gid)
    plane.prefix = (*AS_NOBODY, "--no-new-privs", "--bounding-set=-all", "--")
    program = plane.start_postgres()
    assert psutil.Process(program.process.pid).uids().real == NOBODY.pw_uid
    program.kill()
    plane.start_postgres()


def test_whether_others_can_reach_a_path(tmp_path: Path) -> None:
    base = Path("/tmp") if tmp_path.is_relative_to("/tmp") else tmp_path.parents[-2]
    folder = base / f"reach-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    try:
        file = folder / "file"
        file.write_text("")
        folder.chmod(0o755)
        file.chmod(0o644)
        assert open_to_all(file)
        file.chmod(0o640)
        assert not open_to_all(file)
        file.chmod(0o644)
        folder.chmod(0o700)
        assert not open_to_all(file)
    finally:
        shutil.rmtree(folder)
