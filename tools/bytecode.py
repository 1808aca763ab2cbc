"""The bytecode of an environment's packages: compiled once on a machine, and linked into every later environment.

A compiled file names the time and size of its source, and Python takes it for no other source. uv links one file of its
cache into each environment, so what one environment has compiled is good for all. Where uv copies, each compiles its
own. Whatever is missing is compiled on import, as ever.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tools import cache
from tools.steps import Report, output, run

# A module that this Python cannot read is left to its import, which says why: debugpy has some of Python 2.
_COMPILE = """
import compileall, py_compile, re, sys
mode = py_compile.PycInvalidationMode.TIMESTAMP
compileall.compile_dir(sys.argv[2], quiet=2, workers=0, rx=re.compile(sys.argv[1]), invalidation_mode=mode)
"""
_SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
_PROGRAM = ("infra", "components")
_AZURE = "pulumi_azure_native"
_MOST_KEPT = 3
"""How many sets of packages are remembered, the last used ones: each has about 200 MB."""


def provide(checkout: Path, venv: Path, report: Report) -> None:
    """Have the packages in `venv` compiled, but for what nothing imports."""
    python = venv / "bin" / "python"
    site = Path(output([python, "-I", "-c", _SITE]).strip())
    tag = f"cpython-{site.parent.name.removeprefix('python').replace('.', '')}"
    unused = _unused(checkout)
    packages = dict(_packages(site))
    kept = cache.root() / "bytecode" / cache.digest([tag, unused, *packages])
    with contextlib.suppress(OSError):  # such as two file systems
        if cache.is_whole(kept):
            _link(kept, site, tag)
            os.utime(kept)
            return
    run(
        [python, "-I", "-c", _COMPILE, rf"^{re.escape(str(site))}/(?:{unused})", site],
        doing="compiling the packages",
        report=report,
        remedy="The last lines say what this Python cannot do.",
    )
    if packages and all(packages.values()):
        with contextlib.suppress(OSError):
            cache.ensure(kept, lambda staging: _link(site, staging, tag), essential=(), report=report)
            _forget(kept.parent)


def _unused(checkout: Path) -> str:
    """Return the pattern of modules that nothing imports, below the packages' folder: half of all.

    They are the packages' own tests, and what this checkout does not use of azure-native.
    """
    sources = (file.read_text() for part in _PROGRAM for file in sorted((checkout / part).rglob("*.py")))
    imports = re.findall(rf"^from {_AZURE} import ([\w, ]+)", "\n".join(sources), re.MULTILINE)
    used = {name for line in imports for name in re.findall(r"(\w+)(?: as \w+)?", line)}
    return rf"(?:.*/)?tests?/|{_AZURE}/(?!(?:{'|'.join(sorted(used))})/)[^/]+/"


def _packages(site: Path) -> Iterator[tuple[str, bool]]:
    """Yield each locked package with the time of its files, and whether they are links into uv's cache."""
    for file in sorted(site.glob("*.dist-info/METADATA")):
        if not (file.parent / "direct_url.json").exists():  # a package of this checkout has it
            found = file.stat()
            yield f"{file.parent.name} {found.st_mtime_ns}", found.st_nlink > 1


def _link(source: Path, target: Path, tag: str) -> None:
    """Link what Python compiled in `source` and `target` lacks. pytest's own files beside it stay."""
    for folder in source.rglob("__pycache__"):
        there = target / folder.relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for file in folder.glob(f"*.{tag}.pyc"):
            with contextlib.suppress(FileExistsError):
                os.link(file, there / file.name)


def _forget(folder: Path) -> None:
    kept = sorted(folder.glob("[!.]*"), key=lambda each: each.stat().st_mtime)  # not what another call is making
    for old in kept[:-_MOST_KEPT]:
        cache.remove(old)
