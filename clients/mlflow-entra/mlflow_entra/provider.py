"""What MLflow's client calls: the provider behind MLFLOW_TRACKING_AUTH=entra."""

from __future__ import annotations

import os
import warnings
from urllib.parse import urlsplit

import requests
from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider

from mlflow_entra import credentials, settings
from mlflow_entra.credentials import Tokens


class EntraAuth(requests.auth.AuthBase):
    """Adds a token to a request for the tracking server, and to no other."""

    def __init__(self, tokens: Tokens, tracking_uri: str) -> None:
        self._tokens = tokens
        self._tracking_uri = tracking_uri

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = str(request.url)
        if settings.may_carry(url, self._tracking_uri):
            request.headers["Authorization"] = f"Bearer {self._tokens.current()}"
        else:
            _warn(url, self._tracking_uri)
        return request


class EntraAuthProvider(RequestAuthProvider):  # type: ignore[misc]  # MLflow publishes no types
    """One for the process. It finds its identity at the first request."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    def get_name(self) -> str:
        """Return the value of MLFLOW_TRACKING_AUTH."""
        return "entra"

    def get_auth(self) -> EntraAuth:
        """Return what signs requests. Raises SettingsError."""
        from mlflow.tracking import get_tracking_uri

        self._tokens = self._tokens or Tokens(credentials.choose(os.environ), settings.scope(os.environ))
        return EntraAuth(self._tokens, get_tracking_uri())


def _warn(url: str, tracking_uri: str) -> None:
    """Say that a request goes out without a token: its server would only answer that nobody is signed in."""
    parts = urlsplit(url)
    server = f"{parts.scheme}://{parts.netloc}"
    warnings.warn(
        f"The request to {server} carries no token, since the tracking server is {tracking_uri}. If the token is for "
        f"{server}, run: export {settings.TRACKING_URI}={server}, or call mlflow.set_tracking_uri({server!r}).",
        stacklevel=2,
    )
