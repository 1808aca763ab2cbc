"""Take out of the base what a running service has no use for: `harden.py`, in the build's last stage only.

Installers (pip, ensurepip, setuptools, uv), because nothing is installed after the build; and the rights of setuid and
setgid programs, because no role changes its user.
"""

from __future__ import annotations

import os
import shutil
import stat
import sysconfig
from pathlib import Path

_INSTALLERS = ("pip", "pip-*", "ensurepip", "setuptools", "setuptools-*", "wheel", "wheel-*", "pkg_resources", "uv")
_PROGRAMS = ("pip", "pip3*", "easy_install*", "uv", "uvx")
_SKIPPED = ("/proc", "/sys", "/dev", "/run", "/stage", "/opt/mlflow")


def main() -> None:
    """Change the root file system of this build step."""
    import_paths = {sysconfig.get_path("stdlib"), "/usr/lib/python3"}
    for library in [Path(path) for path in import_paths if path]:
        for place in (library, library / "site-packages", library / "dist-packages"):
            for name in _INSTALLERS:
                for found in place.glob(name):
                    _remove(found)
    for folder in ("/usr/local/bin", "/usr/bin", "/bin"):
        for name in _PROGRAMS:
            for found in Path(folder).glob(name):
                _remove(found)
    for directory, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if str(Path(directory, name)) not in _SKIPPED]
        for name in files:
            _lower(Path(directory, name))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lower(path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


if __name__ == "__main__":
    main()
