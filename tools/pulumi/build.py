"""The engine built from Go modules, for machines that reach a module proxy but not the official download site.

Two modules, because the command line is published with its newest versions and the Python language host only with an
older one that still serves it: it ignores `virtualenv` in Pulumi.yaml, so the environment's `bin` must come first on
PATH, and it cannot serve `--policy-pack`. go.mod and go.sum pin every module by version and content.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tools import cache, golang
from tools.pulumi.kinds import FILES, MODULES, Engine, pinned_version, platform_name, version_of
from tools.steps import Report, ToolError

_SDK = "github.com/pulumi/pulumi/sdk/v3"
_VERSION_VARIABLE = f"{_SDK}/go/common/version.Version"
_ENGINE = MODULES / "engine"
_LANGUAGE = MODULES / "language"
_SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")
_REMEDY = (
    "Check that Go reaches a module proxy (GOPROXY), then call this again: what was fetched is kept. Or install Pulumi "
    "yourself and put it on PATH."
)


def cached() -> Engine:
    """Where the built engine is, or would be, in the cache."""
    version = pinned_version()
    recipe: list[str | bytes] = [*golang.pins([_ENGINE, _LANGUAGE]), *golang.RECIPE, platform_name(), *_SCRIPTS]
    directory = cache.root() / "pulumi" / f"{version}-{cache.digest(recipe)}"
    return Engine(directory=directory, version=version, source="build")


def provide(report: Report) -> Engine:
    """The built engine, made unless it is cached: five to ten minutes on two cores. Raises `ToolError`."""
    engine = cached()
    cache.ensure(engine.directory, lambda staging: _build(staging, report), essential=FILES, report=report)
    return engine


def _build(staging: Path, report: Report) -> None:
    version = pinned_version()
    report(f"building Pulumi {version} from source, once; some minutes, and 5 GB of disk meanwhile")
    go = golang.toolchain([_ENGINE, _LANGUAGE], report)
    variables = {_VERSION_VARIABLE: f"v{version}"}
    for program in (
        golang.Program(
            module=_LANGUAGE,
            package=f"{_SDK}/python/cmd/pulumi-language-python",
            binary="pulumi-language-python",
            variables=variables,
        ),
        golang.Program(
            module=_ENGINE, package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", binary="pulumi", variables=variables
        ),
    ):
        go.compile(program, staging, report, remedy=_REMEDY)
    sdk = go.source(_ENGINE, _SDK)
    for script in _SCRIPTS:
        target = staging / Path(script).name
        shutil.copyfile(sdk / script, target)
        target.chmod(0o755)
    built = version_of(staging / "pulumi")
    if built != version:
        raise ToolError(f"the built engine says that it is version {built}, not {version}; go.mod and recipe disagree")
    go.discard(report)
