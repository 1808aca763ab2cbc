"""Run the managed identity endpoint (HTTP), the Key Vault and Entra (HTTPS) of the local stack in one process.

    python -m components.emulators.azure --state DIR --identity-port N --vault-port N
        --postgres-sockets DIR --postgres-port N [--entra-port N] [--lifetime SECONDS]

The environment variable IDENTITIES is the JSON of components.emulators.identities.dump. With `--entra-port` Entra's
sign-in is served too (HTTPS), for the people and applications of the environment variable DIRECTORY, the JSON of
components.emulators.azure.entra.directory.dump.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from components.emulators import certificates, identities
from components.emulators.azure.database import DatabaseSignIns
from components.emulators.azure.entra import directory
from components.emulators.azure.entra.service import Entra
from components.emulators.azure.entra.signing import SigningKeys
from components.emulators.azure.http import LOOPBACK, Server
from components.emulators.azure.key_vault import KeyVault
from components.emulators.azure.managed_identity import DATABASE, ManagedIdentityEndpoint, identity_headers
from components.emulators.azure.tokens import Tokens
from components.emulators.azure.vault import Vault

VAULT_NAME = "local"


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    state: Path = options.state.resolve()
    try:
        known = identities.load(identities.configuration())
        tokens = Tokens(state, options.lifetime)
        sign_ins = DatabaseSignIns(options.postgres_sockets.resolve(), options.postgres_port)
        vault = Vault(state / "vault" / f"{VAULT_NAME}.json", f"https://{LOOPBACK}:{options.vault_port}")
        serving = threading.Event()
        endpoint = ManagedIdentityEndpoint(identity_headers(state, known), tokens, sign_ins.admit, serving.is_set)
        tls = certificates.ensure(state)
        servers = [
            Server(options.identity_port, endpoint.answer),
            Server(options.vault_port, KeyVault(VAULT_NAME, vault, tokens, known).answer, tls),
        ]
        if options.entra_port is not None:
            servers.append(Server(options.entra_port, _entra(options, state, tokens).answer, tls))
    except (OSError, ValueError, KeyError) as error:
        logging.error("%s", error)
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=sign_ins.retry_forever, daemon=True).start()
    serving.set()
    logging.info("managed identity on port %s, key vault on port %s", options.identity_port, options.vault_port)
    sign_ins.restore((identity, tokens.issue(identity, DATABASE)) for identity in known)
    stop.wait()
    return 0


def _entra(options: argparse.Namespace, state: Path, tokens: Tokens) -> Entra:
    tenant = directory.load(directory.configuration())
    keys = SigningKeys(state / "entra")
    return Entra(tenant, f"https://{LOOPBACK}:{options.entra_port}", keys, tokens, options.lifetime)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="components.emulators.azure", description="Managed identity and Key Vault.")
    parser.add_argument("--state", type=Path, required=True, help="folder of the stack's data plane")
    parser.add_argument("--identity-port", type=int, required=True)
    parser.add_argument("--vault-port", type=int, required=True)
    parser.add_argument("--postgres-sockets", type=Path, required=True, help="folder of PostgreSQL's private socket")
    parser.add_argument("--postgres-port", type=int, required=True)
    parser.add_argument("--entra-port", type=int, help="where Entra's sign-in is served (default: it is not)")
    parser.add_argument("--lifetime", type=int, default=3600, help="life of a token in seconds (default 3600)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
