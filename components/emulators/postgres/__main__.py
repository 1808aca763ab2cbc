"""Run the PostgreSQL server of the local stack in the foreground, in place of this process.

    python -m components.emulators.postgres --state DIR --sockets DIR --port N --administrator ROLE:OBJECT_ID

Before the server accepts anybody, its data directory is made when missing, and the roles and functions for Entra
identities are brought up to date without a server running. Stop it with SIGINT.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from components.emulators import durable
from components.emulators.identities import TENANT_ID
from components.emulators.postgres import binaries
from components.emulators.postgres.account import account
from components.emulators.postgres.cluster import AlreadyRunning, Cluster, environment
from components.emulators.postgres.entra import Administrator, bootstrap


def main(arguments: list[str]) -> NoReturn:
    """Become the server, or exit with the reason why that cannot be."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        command = _prepare(options)
    except (OSError, RuntimeError, ValueError, AlreadyRunning) as error:
        logging.error("%s", error)
        sys.exit(1)
    sys.stderr.flush()
    os.execve(command[0], command, environment())  # noqa: S606


def _prepare(options: argparse.Namespace) -> list[str]:
    administrator = Administrator.parse(options.administrator)
    programs = binaries()
    root = durable.folder(options.state.resolve() / "postgres")
    sockets: Path = options.sockets.absolute()
    durable.folder(sockets.parent)
    reached = (root, sockets, programs / "postgres", programs.parent / "share" / "postgres.bki")
    cluster = Cluster(root, sockets, programs, account(reached))
    cluster.prepare_sockets(options.port)
    cluster.account.own(root)
    cluster.take()
    cluster.initialise()
    cluster.write_access_rules()
    # Single-user mode: there is no moment in which a client meets a server that is not ready for it.
    cluster.run(
        "postgres",
        *("--single", "-j", "-D", str(cluster.data), "-c", "exit_on_error=on", "-c", "log_min_messages=warning"),
        "postgres",
        stdin=bootstrap(administrator, TENANT_ID),
    )
    logging.info("PostgreSQL starts on port %s, superuser over %s", options.port, sockets)
    return cluster.server_command(options.port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="components.emulators.postgres", description="PostgreSQL of the local stack.")
    parser.add_argument("--state", type=Path, required=True, help="folder of the stack's data plane")
    parser.add_argument("--sockets", type=Path, required=True, help="folder for the private socket, with a short path")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--administrator", required=True, help="the Entra administrator, as ROLE:OBJECT_ID")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
