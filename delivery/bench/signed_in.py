"""An Entra beside the stack, so that replicas with access control have tokens to verify, and a token for the load."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from components.emulators import certificates
from components.emulators.azure.entra.directory import Application, Directory
from components.emulators.azure.entra.service import Entra
from components.emulators.azure.entra.signing import SigningKeys
from components.emulators.azure.http import LOOPBACK, Server
from components.emulators.azure.tokens import Tokens
from components.mlflow.access import DEFAULT_WORKSPACE, AccessControl

TOKEN_SECONDS: Final = 3600
"""Of Entra's own tokens: longer than a run."""

_TIMEOUT: Final = 30


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """What a service is given to let in nobody without a token, and the headers of who has one."""

    access: AccessControl
    headers: Mapping[str, str]


@contextlib.contextmanager
def entra(state: Path, port: int) -> Iterator[SignedIn]:
    """Serve an Entra on a port while the block runs, trusted as everything of the data plane in folder `state` is.

    Its one application may log in the workspace `default`, in which everything is that is written without access
    control: both kinds of replicas serve one database.
    """
    application = Application(name="bench", roles=(f"{DEFAULT_WORKSPACE}.Registrar",), secret=secrets.token_urlsafe(32))
    directory = Directory(applications=(application,))
    tls, origin = certificates.ensure(state), f"https://{LOOPBACK}:{port}"
    service = Entra(directory, origin, SigningKeys(state / "entra"), Tokens(state, TOKEN_SECONDS), TOKEN_SECONDS)
    server = Server(port, service.answer, tls)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        access = AccessControl(tenant_id=directory.tenant_id, client_id=directory.platform.client_id, authority=origin)
        yield SignedIn(
            access=access, headers={"Authorization": f"Bearer {_token(access, application, str(tls.bundle))}"}
        )
    finally:
        server.stop()
        thread.join(_TIMEOUT)


def _token(access: AccessControl, application: Application, bundle: str) -> str:
    """Return a token of the application. Its answer, which would keep the connection open, is not kept."""
    answer = requests.post(
        f"{access.authority}/{access.tenant_id}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": application.client_id,
            "client_secret": application.secret,
            "scope": f"{access.client_id}/.default",
        },
        timeout=_TIMEOUT,
        verify=bundle,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])
