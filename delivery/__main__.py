"""`python -m delivery` is `mlflow-platform`."""

from __future__ import annotations

from delivery.cli import main

main()
