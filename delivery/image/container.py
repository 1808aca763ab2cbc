"""Run one role from the image with podman, as the platform does: nothing is writable but the spool.

For this machine's stack and for tests. The container has the machine's network, because the data plane listens on
127.0.0.1, and no right but those of an ordinary process. Its environment is this process's own, passed by name: no
value is on a command line, which every user of the machine can read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.compute.local.containers import CONFINED, SPOOL, authorities
from delivery.image.programs import find
from tools.steps import ToolError

USER_ID = 10001
# The machine's, not the role's: the image sets its own.
_OF_THE_MACHINE = frozenset(
    ("HOME", "LANG", "LC_ALL", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHLVL", "TMPDIR", "USER", "_")
)
_OF_ITS_PYTHON = ("PYTHON", "VIRTUAL_ENV")


def command(
    image: str, arguments: Sequence[str], environ: Mapping[str, str], *, name: str | None = None, memory_mib: int = 1024
) -> list[str]:
    """The command line of `podman run` for `mlflow-runtime ARGUMENTS` with the role's variables of `environ`.

    `image` is an id or a reference that this machine has. TMPDIR is the spool if it is given, else the spool is in
    memory. Files that variables name are mounted where they are. `name` replaces an earlier container of that name.
    """
    passed = [key for key in environ if key not in _OF_THE_MACHINE and not key.startswith(_OF_ITS_PYTHON)]
    files = authorities(environ)
    if hidden := [file for file in files if not _others_read(file)]:
        raise ToolError(f"{', '.join(hidden)}: the role's user {USER_ID} may not read it; let it (chmod o+r)")
    spool = environ.get("TMPDIR")
    mounted = ["--volume", f"{spool}:{SPOOL}"] if spool else ["--tmpfs", f"{SPOOL}:rw,size=256m,mode=1777"]
    return [
        str(find("podman")),
        "run",
        *CONFINED,
        "--log-driver=none",
        f"--memory={memory_mib}m",
        *([f"--name={name}", "--replace"] if name else []),
        *mounted,
        *(f"--volume={file}:{file}:ro" for file in files),
        *(f"--env={key}" for key in sorted(passed)),
        image,
        *arguments,
    ]


def replace_this_process(image: str, arguments: Sequence[str], *, name: str | None, memory_mib: int) -> None:
    """Become podman, which hands signals to the role; its exit code is the role's. Does not return.

    Without a `name` a service is named by its role and port. The spool is given to the role's user, and the files of
    authorities that variables name are made readable for others: what they say is public. Both need root.
    """
    spool = os.environ.get("TMPDIR")
    if os.geteuid() == 0:
        if spool:
            os.chown(Path(spool), USER_ID, USER_ID)
        for file in authorities(os.environ):
            if not _others_read(file):
                Path(file).chmod(0o644)
    if name is None and arguments and os.environ.get("PORT"):
        # Of a role that was killed, podman leaves the container, and it holds the port.
        name = f"mlflow-runtime-{arguments[0]}-{os.environ['PORT']}"
    started = command(image, arguments, os.environ, name=name, memory_mib=memory_mib)
    os.execv(started[0], started)  # noqa: S606 - there is no shell


def _others_read(file: str) -> bool:
    return bool(Path(file).stat().st_mode & stat.S_IROTH)
