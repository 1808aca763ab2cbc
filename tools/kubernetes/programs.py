"""Make the programs of a real Kubernetes available and print their folders, joined for a PATH.

What there is:
  provider       Pulumi's own provider for Kubernetes, built from its Go module with a main of this checkout
  control-plane  etcd, kube-apiserver, kube-controller-manager and kube-scheduler, built from their Go modules
  kwok           nodes and pods without a machine behind them, built from its Go module, with its stages
  kube-score     a scanner of manifests, built from its Go module
  kubectl        from its wheel

Each is cached outside the checkout by its version and recipe; a second call answers at once, without network. A first
call takes about 20 minutes on two cores. `--check` builds nothing and ends with 3 where a program is missing. Progress
goes to stderr. Written for Linux and macOS; run on Linux x86-64 only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # run as a file: its own folder on the import path would hide the project's and Python's modules
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools import cache, golang, wheels
from tools.golang import Go
from tools.steps import Report, ToolError, main, output

MODULES = Path(__file__).resolve().parent
"""Holds provider/, control_plane/, kwok/ and kube_score/, the Go modules that pin what is built."""

PROVIDER_VERSION = "4.34.2"
"""What the built provider calls itself: the version of the SDK that asks for it. Its module is a little older."""

NOT_BUILT = 3
"""How `--check` ends where a program is missing."""

ETCD = "etcd"
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SCANNER = "kube-score"
"""The one program that no cluster needs."""
STAGES = ("node/fast", "node/heartbeat", "pod/general")
"""Folders of kwok's stages: what becomes of a node and of a pod, step by step."""

_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_PROVIDER_BINARY = "pulumi-resource-kubernetes"
# The provider's main embeds these two, which its module has beside a main that embeds other, generated files.
_EMBEDDED = ("schema.json", "terraform-mapping.json")
_KUBERNETES = "k8s.io/kubernetes"
_KWOK = "sigs.k8s.io/kwok"
_KUBE_SCORE = "github.com/zegl/kube-score"

# The release that Kubernetes' own module asks for: an older one, such as a wheel has, cannot report a watch's progress.
_ETCD = "go.etcd.io/etcd/server/v3"

_KUBECTL = "bin/kubectl"
_WHEEL = MODULES / "kubectl.txt"


@dataclass(frozen=True, kw_only=True)
class Programs:
    """Where the programs are, or would be, in the cache."""

    provider: Path
    """Folder of the provider, which the engine finds on PATH."""
    control_plane: Path
    """Folder of etcd and the three servers."""
    kwok: Path
    """Folder of `kwok`, with its stages below `stages/`."""
    kube_score: Path
    """Folder of `kube-score`."""
    kubectl: Path
    """The program itself."""

    @property
    def folders(self) -> list[Path]:
        """The folders for a PATH."""
        return [self.provider, self.control_plane, self.kwok, self.kube_score, self.kubectl.parent]


@dataclass(frozen=True, kw_only=True)
class _Build:
    """One cached folder that is built from a Go module."""

    directory: Path
    essential: tuple[str, ...]
    make: Callable[[Path, Go, Report], None]


def version() -> str:
    """Version of Kubernetes, without a leading v. Its minor version is the one that production runs."""
    return golang.required(MODULES / "control_plane", _KUBERNETES)


def cached() -> Programs:
    """Where the programs are, or would be, in the cache."""
    builds = _builds()
    return Programs(
        provider=builds["provider"].directory,
        control_plane=builds["control-plane"].directory,
        kwok=builds["kwok"].directory,
        kube_score=builds[SCANNER].directory,
        kubectl=wheels.directory(_WHEEL) / _KUBECTL,
    )


def provider() -> Path | None:
    """The folder of the engine's provider for Kubernetes; None if it is not in the cache."""
    directory = _builds()["provider"].directory
    return directory if cache.is_whole(directory) else None


def missing() -> list[str]:
    """What the cache does not have whole, by its name in this module's description."""
    folders = {name: build.directory for name, build in _builds().items()}
    folders["kubectl"] = wheels.directory(_WHEEL)
    return [name for name, folder in folders.items() if not cache.is_whole(folder)]


def provide(report: Report) -> Programs:
    """The programs, each made unless it is cached. Raises `ToolError`."""
    wheels.unpacked(_WHEEL, essential=_KUBECTL, report=report)
    builds = [build for build in _builds().values() if not cache.is_whole(build.directory)]
    if builds:
        report(f"building Kubernetes {version()} from source, once; about 20 minutes, and 10 GB of disk meanwhile")
        go = golang.toolchain((MODULES / name for name in ("provider", "control_plane", "kwok", "kube_score")), report)
        for build in builds:
            _ensure(build, go, report)
        go.discard(report)
    return cached()


def _ensure(build: _Build, go: Go, report: Report) -> None:
    cache.ensure(
        build.directory, lambda staging: build.make(staging, go, report), essential=build.essential, report=report
    )


def _builds() -> dict[str, _Build]:
    """What is built, the quickest first: an interrupted call has then made the most."""
    kwok = golang.required(MODULES / "kwok", _KWOK)
    kube_score = golang.required(MODULES / "kube_score", _KUBE_SCORE)
    return {
        SCANNER: _Build(directory=_directory("kube_score", kube_score), essential=(SCANNER,), make=_make_kube_score),
        "kwok": _Build(directory=_directory("kwok", kwok, *STAGES), essential=("kwok",), make=_make_kwok),
        "control-plane": _Build(
            directory=_directory("control_plane", version()), essential=(ETCD, *SERVERS), make=_make_control_plane
        ),
        "provider": _Build(
            directory=_directory("provider", PROVIDER_VERSION, (MODULES / "provider" / "main.go").read_bytes()),
            essential=(_PROVIDER_BINARY,),
            make=_make_provider,
        ),
    }


def _directory(module: str, version: str, *recipe: str | bytes) -> Path:
    machine = (sys.platform, os.uname().machine)
    digest = cache.digest([*golang.pins([MODULES / module]), *golang.RECIPE, *machine, version, *recipe])
    return cache.root() / "kubernetes" / f"{module}-{version}-{digest}"


def _make_kwok(staging: Path, go: Go, report: Report) -> None:
    module = MODULES / "kwok"
    go.compile(golang.Program(module=module, package=f"{_KWOK}/cmd/kwok", binary="kwok"), staging, report)
    for folder in STAGES:
        target = staging / "stages" / folder
        target.mkdir(parents=True)
        for file in (go.source(module, _KWOK) / "kustomize" / "stage" / folder).glob("*.yaml"):
            if file.name != "kustomization.yaml":
                shutil.copyfile(file, target / file.name)


def _make_kube_score(staging: Path, go: Go, report: Report) -> None:
    module = MODULES / "kube_score"
    go.compile(golang.Program(module=module, package=f"{_KUBE_SCORE}/cmd/kube-score", binary=SCANNER), staging, report)


def _make_control_plane(staging: Path, go: Go, report: Report) -> None:
    module = MODULES / "control_plane"
    go.compile(golang.Program(module=module, package=_ETCD, binary=ETCD), staging, report)
    major, minor, _ = version().split(".")
    # Without them a server calls itself v0.0.0, and clients take it for one that can do nothing.
    said = {"gitVersion": f"v{version()}", "gitMajor": major, "gitMinor": minor}
    variables = {f"k8s.io/component-base/version.{name}": value for name, value in said.items()}
    for server in SERVERS:
        package = f"{_KUBERNETES}/cmd/{server}"
        program = golang.Program(module=module, package=package, binary=server, variables=variables)
        go.compile(program, staging, report)
        built = output([staging / server, "--version"])
        if built != f"Kubernetes v{version()}":
            raise ToolError(f"the built {server} says that it is {built}, not v{version()}; go.mod and recipe disagree")


def _make_provider(staging: Path, go: Go, report: Report) -> None:
    module = staging / "source"
    shutil.copytree(MODULES / "provider", module)
    documents = go.fetch(module, _PROVIDER, report) / "cmd" / _PROVIDER_BINARY
    for name in _EMBEDDED:
        shutil.copyfile(documents / name, module / name)
    schema = json.loads((module / "schema.json").read_text())
    (module / "schema.json").write_text(json.dumps({**schema, "version": PROVIDER_VERSION}))
    variables = {f"{_PROVIDER}/pkg/version.Version": PROVIDER_VERSION}
    program = golang.Program(module=module, package=".", binary=_PROVIDER_BINARY, variables=variables)
    go.compile(program, staging, report)
    cache.remove(module)


def _run(report: Report) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="build nothing; end with 3 where a program is missing")
    if parser.parse_args().check and (names := missing()):
        said = f"kubernetes: not in the cache: {', '.join(names)}. Build them: python tools/kubernetes/programs.py"
        print(said, file=sys.stderr)
        sys.exit(NOT_BUILT)
    print(os.pathsep.join(map(str, provide(report).folders)))


if __name__ == "__main__":
    sys.exit(main("kubernetes", _run))
