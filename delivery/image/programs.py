"""The programs that build an image, and their common options. Standard library only."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools.steps import ToolError

_INSTALL = "tools/containers.sh installs it from Debian's packages"


def find(name: str) -> Path:
    """A program on PATH or in the system's own folders, which Debian leaves out of a user's PATH."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))
    if found is None:
        raise ToolError(f"there is no `{name}` on this machine: {_INSTALL}")
    return Path(found)
