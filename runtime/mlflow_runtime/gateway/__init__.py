"""The gateway role: Caddy with a configuration made from the environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from mlflow_runtime.environment import SettingsError
from mlflow_runtime.gateway import caddy
from mlflow_runtime.gateway.config import render
from mlflow_runtime.gateway.settings import from_environment

__all__ = ["run"]


def run(env: Mapping[str, str]) -> int:
    """Become the gateway that `env` describes; comes back only if that cannot be.

    Gives 2 for wrong settings and 1 for a Caddy that is missing or refuses the configuration, after saying why on
    standard error.
    """
    try:
        config = render(from_environment(env))
        program = caddy.find()
        caddy.validate(program, config, env)
        return caddy.execute(program, config, env)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except caddy.CaddyError as error:
        print(error, file=sys.stderr)
        return 1
