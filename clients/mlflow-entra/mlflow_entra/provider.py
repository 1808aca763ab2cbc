"""What MLflow's client calls: the provider behind MLFLOW_TRACKING_AUTH=entra."""

from __future__ import annotations

import os
from typing import Any

import requests
from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider

from mlflow_entra import credentials, settings


class EntraAuth(requests.auth.AuthBase):
    """Adds a token to a request for the tracking server, and to no other.

    The credential keeps its token in memory and renews it minutes before it ends.
    """

    def __init__(self, credential: Any, scope: str, tracking_uri: str) -> None:
        self._credential = credential
        self._scope = scope
        self._tracking_uri = tracking_uri

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if settings.may_carry(str(request.url), self._tracking_uri):
            request.headers["Authorization"] = f"Bearer {self._credential.get_token(self._scope).token}"
        return request


class EntraAuthProvider(RequestAuthProvider):  # type: ignore[misc]  # MLflow publishes no types
    """One for the process. It finds its identity at the first request."""

    def __init__(self) -> None:
        self._credential: Any = None

    def get_name(self) -> str:
        """Return the value of MLFLOW_TRACKING_AUTH."""
        return "entra"

    def get_auth(self) -> EntraAuth:
        """Return what signs requests. Raises SettingsError."""
        from mlflow.tracking import get_tracking_uri

        scope = settings.scope(os.environ)
        self._credential = self._credential or credentials.choose(os.environ)
        return EntraAuth(self._credential, scope, get_tracking_uri())
