"""A prepare run as a process of its own: `python -m tests.runtime.prepare.prepare_process PORT TRACKING REGISTRY`."""

from __future__ import annotations

import logging
import sys

from mlflow_runtime.prepare.steps import StepFailed, prepare
from tests.runtime.prepare.settings_for import settings_for
from tests.support.servers import KeyVault

if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    port, tracking, registry = sys.argv[1:]
    try:
        prepare(settings_for(int(port), tracking, registry), KeyVault().client)
    except StepFailed as error:
        print(error)
        sys.exit(1)
