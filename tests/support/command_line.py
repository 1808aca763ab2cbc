"""The product's command line, as a user calls it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = str(Path(sys.executable).with_name("mlflow-platform"))


def mlflow_platform(*arguments: str) -> list[str]:
    """A command of the console script in this environment."""
    return [PROGRAM, *arguments]
