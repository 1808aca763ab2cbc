"""The sign-in of a workflow: its short-lived token, written to a file again and again while a command runs.

GitHub's token lives for about five minutes, an update for longer. Azure's client libraries and the engine's state
backend read the token from the file of AZURE_FEDERATED_TOKEN_FILE whenever they need it (workload identity).
Sources: GitHub Docs, "OpenID Connect reference"; Azure DevOps REST API, "Oidctoken - Create";
Learn, "Workload identity federation".
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from delivery.outcome import CommandError

AUDIENCE: Final = "api://AzureADTokenExchange"
TOKEN_FILE: Final = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - a variable's name

# What AzureCLI@2 sets with `addSpnToEnvironment` (Azure Pipelines, "AzureCLI@2").
_CLIENT_OF_CONNECTION: Final = "servicePrincipalId"
_TENANT_OF_CONNECTION: Final = "tenantId"
_SECONDS: Final = 30
_SHORTEST_WAIT: Final = 5.0
_HALF: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Request:
    """The call that answers with a new token, which stands in `field` of the answer."""

    method: str
    url: str
    bearer: str
    field: str

    def ask(self) -> str:
        """Return a new token. Raises CommandError; neither token is in its message."""
        import requests

        headers = {"Authorization": f"Bearer {self.bearer}", "Accept": "application/json"}
        try:
            answer = requests.request(self.method, self.url, headers=headers, timeout=_SECONDS)
            if answer.ok:
                return str(answer.json()[self.field])
            reason = f"{answer.status_code}"
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            reason = type(error).__name__
        raise CommandError(
            f"sign-in: the workflow's token service answered {reason}. The job needs "
            "`permissions: {id-token: write}`, and on Azure DevOps SYSTEM_ACCESSTOKEN in `env`."
        )


def request(environ: Mapping[str, str]) -> Request | None:
    """The call that the running workflow offers, None elsewhere, and where no identity of Azure is named."""
    if not _client(environ) or environ.get(TOKEN_FILE):
        return None
    if environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        return Request(
            method="GET",
            url=f"{environ['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={AUDIENCE}",
            bearer=environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""),
            field="value",
        )
    # Only a step that is given the job's token may ask for new ones.
    if environ.get("SYSTEM_ACCESSTOKEN") and environ.get("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"):
        connection = environ["AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"]
        return Request(
            method="POST",
            url=f"{environ.get('SYSTEM_OIDCREQUESTURI', '')}?api-version=7.1&serviceConnectionId={connection}",
            bearer=environ["SYSTEM_ACCESSTOKEN"],
            field="oidcToken",
        )
    return None


@dataclass(frozen=True, kw_only=True)
class TokenFile:
    """A file that always holds a token which is valid for at least half of its life."""

    path: Path
    ask: Callable[[], str]
    clock: Callable[[], float] = time.time

    def write(self) -> float:
        """Write a new token; return the seconds until the next one is due."""
        token = self.ask()
        partial = self.path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
        partial.replace(self.path)
        return max(_SHORTEST_WAIT, (_expiry(token) - self.clock()) * _HALF)

    def keep(self, wait: Callable[[float], bool]) -> None:
        """Write it again whenever it is due, until `wait`, which takes seconds, returns True.

        A service that does not answer is asked again: the previous token is valid for as long again.
        """
        due = _SHORTEST_WAIT
        while not wait(due):
            try:
                due = self.write()
            except CommandError:
                due = _SHORTEST_WAIT


@contextmanager
def signed_in(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Sign the block in as the workflow's identity, where there is one; nothing of it stays behind.

    Sets AZURE_FEDERATED_TOKEN_FILE, and for the Azure provider ARM_USE_OIDC, ARM_CLIENT_ID and ARM_TENANT_ID where they
    are absent. Raises CommandError where the service sends no token.
    """
    found, given = request(environ), _given(environ)
    if found is None and not given:
        yield
        return
    before = dict(environ)
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-sign-in-") as folder:
        file = TokenFile(path=Path(folder) / "token", ask=found.ask if found else lambda: given)
        file.write()
        ended = threading.Event()
        keeper = threading.Thread(target=file.keep, args=(ended.wait,), daemon=True)
        if found:
            keeper.start()
        environ.setdefault("AZURE_CLIENT_ID", _client(environ))
        environ.setdefault("AZURE_TENANT_ID", environ.get(_TENANT_OF_CONNECTION, ""))
        environ[TOKEN_FILE] = str(file.path)
        for name, value in _of_the_provider(environ, file.path).items():
            environ.setdefault(name, value)
        try:
            yield
        finally:
            ended.set()
            if found:
                keeper.join(_SECONDS)
            environ.clear()
            environ.update(before)


def _client(environ: Mapping[str, str]) -> str:
    """The identity that is named, or that of the service connection whose task runs this."""
    return environ.get("AZURE_CLIENT_ID") or environ.get(_CLIENT_OF_CONNECTION, "")


def _given(environ: Mapping[str, str]) -> str:
    """The token that AzureCLI@2 hands over with `addSpnToEnvironment`; empty elsewhere.

    It can be exchanged for some minutes only: enough for a command that signs in at its start and ends within the hour.
    """
    return environ.get("idToken", "") if _client(environ) and not environ.get(TOKEN_FILE) else ""


def _of_the_provider(environ: Mapping[str, str], file: Path) -> dict[str, str]:
    """The Azure provider's own names for the same (Pulumi docs, "Azure Native: installation and configuration").

    It asks GitHub's token service itself. Elsewhere it gets the file.
    """
    names = {
        "ARM_USE_OIDC": "true",
        "ARM_CLIENT_ID": environ["AZURE_CLIENT_ID"],
        "ARM_TENANT_ID": environ.get("AZURE_TENANT_ID", ""),
    }
    return names if "ACTIONS_ID_TOKEN_REQUEST_URL" in environ else {**names, "ARM_OIDC_TOKEN_FILE_PATH": str(file)}


def _expiry(token: str) -> float:
    """When a token ends, in seconds since 1970. It is not verified: Azure does that."""
    try:
        body = token.split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"sign-in: the workflow's token service sent no token: {type(error).__name__}.") from None
