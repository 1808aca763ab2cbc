"""The prepare role: a job that runs to its end before any service of a new image starts.

It makes what the services need and may not make themselves: databases, roles with least privilege, secrets, and the
schema that this image's MLflow expects. It serves nothing and listens on no port.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from mlflow_runtime import logs
from mlflow_runtime.environment import SettingsError
from mlflow_runtime.loading import BEFORE_MLFLOW, loading
from mlflow_runtime.prepare.settings import read

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(env: Mapping[str, str]) -> int:
    """Run the job with the settings in `env`. Exit code: 0 done, 1 a step failed, 2 the settings are wrong.

    Every failure logs a line of level ERROR, which the alert on a failed prepare looks for.
    """
    logs.configure("prepare")
    try:
        settings = read(env)
    except SettingsError as error:
        _log.error("%s", error)
        return 2
    os.environ.update(BEFORE_MLFLOW)
    # Late, because importing MLflow takes seconds that a wrong setting need not wait for.
    with loading():
        from mlflow_runtime.azure.secrets import client
        from mlflow_runtime.prepare.steps import StepFailed, prepare

    try:
        prepare(settings, lambda: client(settings.key_vault_url))
    except StepFailed as error:
        _log.error("prepare: %s", error)
        return 1
    return 0
