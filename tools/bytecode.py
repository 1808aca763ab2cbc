"""The bytecode of an environment's packages: compiled once on a machine, and linked into every later environment.

A compiled file holds the time and size of its source, and Python takes it for no other. uv links one file of its cache
into each environment, so what one environment has compiled is good for all. Where uv copies, each compiles its own.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tools import cache
from tools.steps import Report, run

_PROGRAM = ("infra", "components")
_AZURE = "pulumi_azure_native"
_EDITABLE = "__editable__"


def provide(checkout: Path, venv: Path, report: Report) -> None:
    """Have the packages in `venv` compiled, but for what nothing imports: that is compiled if it is imported."""
    (site,) = venv.glob("lib/python*/site-packages")
    left_out = _left_out(checkout)
    kept = cache.root() / "bytecode" / cache.digest([site.parent.name, left_out, *_packages(site)])
    with contextlib.suppress(OSError):  # such as two file systems
        if cache.is_whole(kept):
            _link(kept, site)
            return
    within = rf"^{re.escape(str(site))}/(?:{left_out})"
    run(
        [venv / "bin" / "python", "-I", "-m", "compileall", "-qq", "-j", "0", "-x", within, site],
        doing="compiling the packages",
        report=report,
        remedy="A locked package has a module that this Python cannot read; lock another version of it.",
    )
    if any(_packages(site)):
        with contextlib.suppress(OSError):
            cache.ensure(kept, lambda staging: _link(site, staging), essential=(), report=report)


def _left_out(checkout: Path) -> str:
    """Return the pattern of modules that nothing imports, below the packages' folder: half of all.

    They are the packages' own tests, and what this checkout does not use of azure-native.
    """
    sources = (file.read_text() for part in _PROGRAM for file in sorted((checkout / part).rglob("*.py")))
    imports = re.findall(rf"^from {_AZURE} import ([\w, ]+)", "\n".join(sources), re.MULTILINE)
    used = {names.split()[0] for line in imports for names in line.split(",")}
    return rf"(?:.*/)?tests?/|{_AZURE}/(?!(?:{'|'.join(sorted(used))})/)[^/]+/"


def _packages(site: Path) -> Iterator[str]:
    """Yield each locked package whose files are links into uv's cache, with the time at which uv unpacked it there."""
    for file in sorted(site.glob("*.dist-info/METADATA")):
        found = file.stat()
        in_place = (file.parent / "direct_url.json").exists()
        if found.st_nlink > 1 and not in_place:
            yield f"{file.parent.name} {found.st_mtime_ns}"


def _link(source: Path, target: Path) -> None:
    """Give `target` the compiled files of `source` that it has not."""
    for folder in source.rglob("__pycache__"):
        there = target / folder.relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if not file.name.startswith(_EDITABLE):  # of one checkout
                with contextlib.suppress(FileExistsError):
                    os.link(file, there / file.name)
