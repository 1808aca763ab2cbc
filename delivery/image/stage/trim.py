"""Take out of installed packages what no role reads, and compile the rest: `trim.py FOLDER`, in the build only.

Out go tests, type stubs, C sources and headers, source maps, and what the installer noted about this machine. Each
package's RECORD loses the lines of removed files, so that the rest can still be checked against it. Bytecode is
compiled here, because a read-only root cannot get it later, and in the form that is not checked against its source: it
holds no time, so two builds make the same.
"""

from __future__ import annotations

import compileall
import csv
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

_FOLDERS = ("tests", "__pycache__")
_SUFFIXES = (".pyi", ".pyx", ".pxd", ".c", ".h", ".cpp", ".hpp", ".map", ".a", ".lib")
_NOTES = ("direct_url.json", "uv_cache.json", "REQUESTED", ".lock", ".gitignore", "CACHEDIR.TAG")
_STUBS = "-stubs"
_FOR_SHELLS = ("activate", "deactivate", "pydoc")


def main(folder: Path) -> None:
    """Trim and compile everything below `folder`; a virtual environment gets the path of /opt/mlflow-runtime."""
    for directory, folders, files in os.walk(folder):
        here = Path(directory)
        for name in [name for name in folders if name in _FOLDERS or name.endswith(_STUBS)]:
            shutil.rmtree(here / name)
            folders.remove(name)
        for name in files:
            if name.endswith(_SUFFIXES) or name in _NOTES or (here.name == "bin" and name.startswith(_FOR_SHELLS)):
                (here / name).unlink()
    for record in sorted(folder.rglob("*.dist-info/RECORD")):
        _keep_true(record)
    for packages in sorted(folder.glob("lib/python*/site-packages")):
        (packages / "mlflow-runtime.pth").write_text("/opt/mlflow-runtime\n")
    _compile(folder)


def _keep_true(record: Path) -> None:
    """Drop the lines of files that are gone."""
    root = record.parents[1]
    with record.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row and (root / row[0]).exists()]
    with record.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(sorted(rows))


def _compile(folder: Path) -> None:
    """In one process and in order: what marshal writes depends on what the process compiled before."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, __file__, "--compile", str(folder)]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)
        return
    for source in sorted(folder.rglob("*.py")):
        # Templates and sources for other Pythons do not compile; nothing imports them.
        compileall.compile_file(source, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    if sys.argv[1] == "--compile":
        _compile(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
