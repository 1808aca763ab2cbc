"""Where the engine is, and the variables by which it finds a state and this checkout's Python."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from delivery.outcome import CommandError
from tools.pulumi.engine import at_hand
from tools.steps import Report, ToolError

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_INSTALLER: Final = REPOSITORY / "tools" / "pulumi" / "engine.py"


@cache
def engine_directory() -> Path:
    """Return the folder of a working `pulumi`; install it if there is none yet. The installer says what it does.

    The installer, a process of its own, is asked only where there is none. Raises CommandError if it cannot be
    installed.
    """
    said: list[str] = []
    with contextlib.suppress(ToolError):  # the installer fails with the same reason and prints it
        if there := at_hand(os.environ.get("PULUMI_ENGINE") or "auto", said.append):
            for line in said:
                Report("pulumi")(line)
            return there.directory
    found = subprocess.run([sys.executable, str(_INSTALLER)], check=False, stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:
        raise CommandError("pulumi: no engine could be installed; the reason is above.")
    return Path(found.stdout.strip().splitlines()[-1])


def search_path(environ: Mapping[str, str] = os.environ) -> str:
    """Return a PATH on which this checkout's Python and the engine come first."""
    return os.pathsep.join([str(Path(sys.executable).parent), str(engine_directory()), environ.get("PATH", "")])


def users_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the user's environment, in which `pulumi` and this checkout's Python are found."""
    return {**environ, "PATH": search_path(environ)}


def file_backend(*, home: Path, state: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of an engine that keeps its state in the folder `state` and everything else in `home`.

    The passphrase is empty on purpose: neither the configuration nor the state of such a stack holds a secret.
    """
    return {
        "PATH": search_path(environ),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": file_url(state),
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
    }


def file_url(state: Path) -> str:
    """Return the URL of a state in a folder.

    The engine replaces each file at once, but for the file of its metadata, if it writes one. It reads no state whose
    metadata a kill has cut off (gocloud.dev, blob/fileblob/attrs.go).
    """
    return f"file://{state}?metadata=skip"


def state_file(state: Path, project: str, stack: str) -> Path:
    """Return where a file backend keeps a stack. The file exists if the stack does."""
    return state / ".pulumi" / "stacks" / project / f"{stack}.json"


def shell(exports: Mapping[str, str]) -> str:
    """Return the variables as lines for a POSIX shell's `eval`."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items())
