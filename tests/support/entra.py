"""Entra's sign-in of the emulator, served over TLS from a thread of the test's own process."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from azure.identity import ClientSecretCredential

from components.emulators import certificates
from components.emulators.azure.entra.directory import Application, Directory
from components.emulators.azure.entra.service import Entra
from components.emulators.azure.entra.signing import SigningKeys
from components.emulators.azure.http import LOOPBACK, Request, Response, Server
from components.emulators.azure.tokens import Tokens
from tests.support import issued
from tests.support.ports import first_of_free_ports

_SECRET = ("access_token", "id_token", "refresh_token", "device_code")


@dataclass(frozen=True)
class Served:
    """A directory that is served at `origin`; `ca` is what its clients trust."""

    directory: Directory
    origin: str
    ca: Path
    keys: SigningKeys
    identities: Tokens

    @property
    def authority(self) -> str:
        """The address of the tenant."""
        return f"{self.origin}/{self.directory.tenant_id}"

    @property
    def scope(self) -> str:
        """What a client asks for."""
        return f"{self.directory.platform.client_id}/.default"

    def credential(self, application: Application, secret: str | None = None) -> ClientSecretCredential:
        """Azure's own client for an application with a secret, by default the right one."""
        return ClientSecretCredential(
            self.directory.tenant_id,
            application.client_id,
            secret or str(application.secret),
            authority=self.origin,
            disable_instance_discovery=True,
            connection_verify=str(self.ca),
        )

    def token(self, application: Application) -> str:
        """Return a token of an application."""
        return self.credential(application).get_token(self.scope).token


@contextmanager
def serving(state: Path, directory: Directory, lifetime: int = 3600) -> Iterator[Served]:
    """Serve a directory on a free port. `state` may be that of a data plane: its managed identities are then known."""
    port = first_of_free_ports(1)
    tls = certificates.ensure(state)
    keys, identities = SigningKeys(state / "entra"), Tokens(state, lifetime)
    served = Served(directory, f"https://{LOOPBACK}:{port}", tls.bundle, keys, identities)
    entra = Entra(directory, served.origin, keys, identities, lifetime)

    def answer(request: Request) -> Response:
        given = entra.answer(request)
        issued.note(_secrets(given))
        return given

    server = Server(port, answer, tls)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.stop()
        thread.join(10)


def link(page: requests.Response, name: str) -> str:
    """Return where a click on a person, or on Cancel, leads from a page of the emulator."""
    found = re.search(rf'href="([^"]+)">{re.escape(name)}<', page.text)
    assert found is not None, page.text
    return urljoin(page.url, html.unescape(found[1]))


def click(page: requests.Response, name: str, ca: Path) -> requests.Response:
    """Click on a person, or on Cancel, on a page of the emulator."""
    return requests.get(link(page, name), verify=str(ca), timeout=10, allow_redirects=False)


def enter_code(page: str, code: str, name: str, ca: Path) -> requests.Response:
    """Enter the code of a device on the page that its message names, and sign in as somebody."""
    found = requests.get(page, params={"otc": code}, verify=str(ca), timeout=10)
    return click(found, name, ca) if found.ok else found


def _secrets(given: Response) -> Iterator[str]:
    """Yield the tokens and the code of an answer."""
    if isinstance(given.body, dict):
        yield from (str(given.body[name]) for name in _SECRET if name in given.body)
    yield from parse_qs(urlsplit((given.headers or {}).get("Location", "")).query).get("code", ())
