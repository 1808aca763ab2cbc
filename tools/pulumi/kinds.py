"""What every way to a Pulumi engine shares: the pinned version, the files of an engine, and its description."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from tools.steps import ToolError, output

MODULES = Path(__file__).resolve().parent
"""Holds engine/ and language/, the Go modules that pin what is built."""

OLDEST = (3, 200, 0)
"""The oldest engine that the program is used with; the project file demands the same."""

FILES = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-resource-pulumi-python")
"""The command line, its Python language host with the script it starts, and the provider of dynamic resources."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A usable engine: the folder to put first on PATH, its version, and where it came from."""

    directory: Path
    version: str
    source: str


def pinned_version() -> str:
    """Version of the engine that is downloaded or built, as the Go module pins it; without a leading v."""
    required = re.search(r"github\.com/pulumi/pulumi/pkg/v3 v(\S+)", (MODULES / "engine" / "go.mod").read_text())
    if required is None:
        raise ToolError(f"{MODULES / 'engine' / 'go.mod'} does not require github.com/pulumi/pulumi/pkg/v3")
    return required[1]


def platform_name() -> str:
    """`linux-x64`, `darwin-arm64`, …: the platform as Pulumi's archives name it."""
    machine = platform.machine().lower()
    return (
        f"{platform.system().lower()}-{ {'x86_64': 'x64', 'amd64': 'x64', 'aarch64': 'arm64'}.get(machine, machine) }"
    )


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The version that a line such as `v3.274.1` states, or None if it states none."""
    found = _VERSION.fullmatch(text.split("-")[0].split("+")[0].strip())
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def version_of(pulumi: Path) -> str:
    """What `pulumi version` answers, without the leading v. Raises `ToolError` if it does not run or answers oddly."""
    environment = os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "1"}
    answer = output([pulumi, "version"], env=environment, seconds=30)
    if parse_version(answer) is None:
        raise ToolError(f"`{pulumi} version` answers {answer[:80]!r}, which is not a version")
    return answer.removeprefix("v")
