"""Each role from the image, with a read-only root and without rights."""

from __future__ import annotations

import json
import subprocess

import pytest

from delivery.image.container import command
from tests.delivery.image.conftest import Built


def in_container(built: Built, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a container like a role's."""
    line = command(built.identifier, ["-c", code], {})
    line.insert(line.index(built.identifier), "--entrypoint=python")
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("role", ["gateway", "tracking", "registry", "artifacts", "prepare"])
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
