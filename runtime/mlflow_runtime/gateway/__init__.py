"""The gateway role: Caddy with a configuration made from the environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from mlflow_runtime.environment import SettingsError
from mlflow_runtime.gateway import caddy
from mlflow_runtime.gateway.config import render
from mlflow_runtime.gateway.settings import CertificateError, Tls, from_environment

__all__ = ["run"]


def run(env: Mapping[str, str]) -> int:
    """Become the gateway that `env` describes; comes back only if that cannot be.

    Gives 2 for wrong settings and 1 for a Caddy that is missing or refuses the configuration, or for no certificate to
    start with, after saying why on standard error.
    """
    try:
        settings = from_environment(env)
        program = caddy.find()
        certificates = None if settings.tls is None else _certificates(settings.tls)
        config = render(settings, certificates)
        caddy.validate(program, config, env)
        return caddy.execute(program, config, env)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except (caddy.CaddyError, CertificateError) as error:
        print(error, file=sys.stderr)
        return 1


def _certificates(tls: Tls) -> str:
    """Start what Caddy gets its certificate from; return its URL. Raises CertificateError."""
    # Azure's clients take a second and tens of MiB, which a gateway behind somebody else's TLS needs not.
    from mlflow_runtime import logs
    from mlflow_runtime.azure import secrets
    from mlflow_runtime.gateway import certificate_source

    logs.configure("gateway")
    return certificate_source.serve(tls, secrets.client(tls.vault_url))
