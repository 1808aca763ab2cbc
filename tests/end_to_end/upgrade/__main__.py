"""Upgrade from old versions of MLflow for real, and print the figures.

    python -m tests.end_to_end.upgrade [VERSION ...]

Each VERSION (2.22.4 and 3.10.1 unless named) gets an environment in the project's cache, 900 MB; no other than the
package index is needed. About a minute each. Ends with 1 at the first thing that fails, is lost or cannot be read.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.end_to_end.upgrade.old_mlflow import environment_of
from tests.end_to_end.upgrade.upgrading import upgrade
from tests.support.plane import REPOSITORY
from tools.steps import Report, main, output

VERSIONS = ("2.22.4", "3.10.1")


def _run(report: Report) -> None:
    installer = REPOSITORY / "tools" / "azurite" / "install.py"
    azurite = Path(output([sys.executable, installer], seconds=300))
    for version in sys.argv[1:] or VERSIONS:
        python = environment_of(version, report)
        report(f"upgrading from MLflow {version}")
        for line in upgrade(version, python, azurite):
            print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main("upgrade", _run))
