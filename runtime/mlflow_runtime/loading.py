"""How a role loads MLflow: which variables it sets before, and without a look for garbage among what stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

BEFORE_MLFLOW: Final[Mapping[str, str]] = {
    # Else MLflow gives its loggers a handler of their own, which writes plain text.
    "MLFLOW_CONFIGURE_LOGGING": "false",
    # Else it writes an id of the installation below the home folder, and reports to its makers.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}
"""The variables of MLflow that a role sets before it imports MLflow, which reads them then."""


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while modules are imported in the block, and never among what is there at its end.

    MLflow's 340,000 objects are looked through again and again while it is imported, a third of a service's start in
    processor time, and in each full collection while it serves: 0.4 s in which no request is answered.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
