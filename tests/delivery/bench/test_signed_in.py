"""The Entra of a bench: its token is one that a replica with its settings takes."""

from __future__ import annotations

from pathlib import Path

import jwt
import requests

from components.emulators import certificates
from delivery.bench.signed_in import entra
from tests.support.ports import free_port


def test_the_token_is_for_the_replicas_of_the_same_settings(tmp_path: Path) -> None:
    with entra(tmp_path, free_port()) as found:
        settings = found.access.settings()
        bundle = str(certificates.ensure(tmp_path).bundle)
        base = f"{settings['ACCESS_AUTHORITY']}/{settings['ACCESS_TENANT_ID']}"
        keys = requests.get(f"{base}/discovery/v2.0/keys", timeout=30, verify=bundle).json()["keys"]
    token = found.headers["Authorization"].removeprefix("Bearer ")
    (key,) = [each for each in keys if each["kid"] == jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, jwt.PyJWK(key), algorithms=["RS256"], audience=settings["ACCESS_CLIENT_ID"], issuer=f"{base}/v2.0"
    )
    assert claims["roles"] == ["default.Registrar"]
    # A replica with them serves what one without access control wrote.
    assert (settings["ACCESS_MODE"], "ACCESS_TEAMS" in settings) == ("entra", False)
