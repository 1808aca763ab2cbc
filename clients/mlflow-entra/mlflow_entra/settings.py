"""What the environment says: which application a token is for, which Entra gives it, and where it may go."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from urllib.parse import urlsplit

from azure.identity import AzureAuthorityHosts

AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"
CLIENT_ID = "MLFLOW_ENTRA_CLIENT_ID"
TRACKING_URI = "MLFLOW_TRACKING_URI"

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class SettingsError(ValueError):
    """The environment does not say enough. The message says what to set."""


def scope(env: Mapping[str, str]) -> str:
    """Return the scope of a token for the platform. Raises SettingsError."""
    given = env.get(CLIENT_ID, "").strip()
    try:
        # Never learned from the server: one that asks for another application's token would get it.
        return f"{uuid.UUID(given)}/.default"
    except ValueError:
        shown = f"got {given!r}" if given else "it is not set"
        raise SettingsError(
            f"{CLIENT_ID}: {shown}; expected the client id (a GUID) of the platform's application registration. Ask "
            f"whoever runs the platform, and run: export {CLIENT_ID}=..."
        ) from None


def authority(env: Mapping[str, str]) -> str:
    """Return the address of Entra, by default that of Microsoft's public cloud. Raises SettingsError."""
    given = env.get(AUTHORITY_HOST, "").strip() or AzureAuthorityHosts.AZURE_PUBLIC_CLOUD
    parts = urlsplit(given if "://" in given else f"https://{given}")
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/"):
        raise SettingsError(
            f"{AUTHORITY_HOST}: got {given!r}; expected a host such as {AzureAuthorityHosts.AZURE_PUBLIC_CLOUD}, which "
            f"is the default. Run: unset {AUTHORITY_HOST}"
        )
    return f"https://{parts.netloc.lower()}"


def may_carry(url: str, tracking_uri: str) -> bool:
    """Return whether a request to `url` may carry a token. Raises SettingsError for plain HTTP to another machine."""
    asked, own = urlsplit(url), urlsplit(tracking_uri)
    if (asked.hostname, asked.port or _port(asked.scheme)) != (own.hostname, own.port or _port(own.scheme)):
        return False
    if asked.scheme != "https" and asked.hostname not in THIS_MACHINE:
        raise SettingsError(
            f"{TRACKING_URI}: got {tracking_uri!r}; expected https://, since a token over plain HTTP can be read on "
            f"the way. Run: export {TRACKING_URI}=https://{own.netloc}"
        )
    return asked.scheme == own.scheme


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
