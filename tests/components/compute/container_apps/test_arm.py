"""Where Azure Resource Manager is, and which token goes there."""

from __future__ import annotations

import pytest

from components.compute.container_apps.arm import Arm, ArmError, endpoint, token_scope


@pytest.mark.parametrize(
    ("given", "used", "scope"),
    [
        ("", "https://management.azure.com", "https://management.azure.com/.default"),
        (
            "https://management.usgovcloudapi.net/",
            "https://management.usgovcloudapi.net",
            "https://management.usgovcloudapi.net/.default",
        ),
        ("http://127.0.0.1:8443", "http://127.0.0.1:8443", "https://management.azure.com/.default"),
        ("http://localhost:8443/", "http://localhost:8443", "https://management.azure.com/.default"),
        ("https://localhost", "https://localhost", "https://management.azure.com/.default"),
    ],
)
def test_the_environment_names_the_cloud(given: str, used: str, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_ENDPOINT", given)
    assert Arm().endpoint == endpoint() == used
    assert token_scope(used) == scope


def test_without_the_variable_it_is_the_public_cloud() -> None:
    assert endpoint({}) == "https://management.azure.com"


@pytest.mark.parametrize(
    "given",
    [
        "http://management.azure.com",
        "http://localhost.example",
        "http://localhost@example.com",
        "http://127.0.0.1.example:80",
        "ftp://localhost",
        "management.azure.com",
        "https://",
        "https://[",
    ],
)
def test_an_endpoint_in_clear_text_is_refused(given: str) -> None:
    with pytest.raises(ArmError, match=r"ARM_ENDPOINT: .* clear text; allowed: https://HOST, .* localhost; unset it"):
        endpoint({"ARM_ENDPOINT": given})
