from __future__ import annotations

import datetime
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

from components.emulators.identities import TENANT_ID, EmulatedIdentity
from tests.support.plane import PREPARE, REGISTRY, TRACKING, Plane

VAULT = "https://vault.azure.net"


@pytest.fixture(scope="module")
def served(shared_plane: Plane) -> Plane:
    shared_plane.start_azure()
    return shared_plane


@contextmanager
def _client(plane: Plane, identity: EmulatedIdentity) -> Iterator[SecretClient]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in plane.environment(identity).items():
            patch.setenv(name, value)
        credential = ManagedIdentityCredential(client_id=identity.client_id)
        with SecretClient(plane.vault_url, credential, verify_challenge_resource=False, retry_total=0) as client:
            yield client


def _raw(
    plane: Plane, method: str, path: str, identity: EmulatedIdentity | None = PREPARE, **options: Any
) -> requests.Response:
    headers = {}
    if identity is not None:
        headers["Authorization"] = f"Bearer {plane.token(identity, VAULT)['access_token']}"
    query = options.pop("params", {"api-version": "7.6"})
    url = f"{plane.vault_url}{path}"
    return requests.request(method, url, params=query, headers=headers, verify=str(plane.ca), timeout=30, **options)


def test_secrets_are_set_read_versioned_and_listed(served: Plane) -> None:
    with _client(served, PREPARE) as client:
        first = client.set_secret("listed-one", "1", content_type="text/plain", tags={"a": "b"})
        second = client.set_secret("listed-one", "2")
        assert client.get_secret("listed-one").value == "2"
        assert client.get_secret("LISTED-ONE", first.properties.version).value == "1"
        assert [item.version for item in client.list_properties_of_secret_versions("listed-one")] == [
            first.properties.version,
            second.properties.version,
        ]
        listed = {item.name: item for item in client.list_properties_of_secrets()}
        assert listed["listed-one"].version is None
        assert list(client.list_properties_of_secret_versions("absent")) == []
    properties = first.properties
    assert (properties.content_type, properties.tags, properties.enabled) == ("text/plain", {"a": "b"}, True)
    assert (properties.recovery_level, properties.recoverable_days) == ("Recoverable+Purgeable", 90)
    assert first.id == f"{served.vault_url}/secrets/listed-one/{properties.version}"
    assert properties.created_on == properties.updated_on


def test_the_body_is_azures(served: Plane) -> None:
    answer = _raw(served, "PUT", "/secrets/shape", json={"value": "v"})
    body = answer.json()
    version = body["id"].rpartition("/")[2]
    created = body["attributes"]["created"]
    assert body == {
        "value": "v",
        "id": f"{served.vault_url}/secrets/shape/{version}",
        "attributes": {
            "enabled": True,
            "created": created,
            "updated": created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
    }
    assert _raw(served, "GET", "/secrets/shape/").json() == body
    versions = _raw(served, "GET", "/secrets/shape/versions").json()
    assert versions["nextLink"] is None
    assert [set(item) for item in versions["value"]] == [{"id", "attributes"}]


def test_attributes_are_changed_and_a_disabled_secret_is_not_given(served: Plane) -> None:
    moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    with _client(served, PREPARE) as client:
        client.set_secret("switched", "v", tags={"kept": "yes"})
        changed = client.update_secret_properties("switched", enabled=False, expires_on=moment, not_before=moment)
        assert (changed.enabled, changed.expires_on, changed.not_before) == (False, moment, moment)
        assert changed.tags == {"kept": "yes"}
        with pytest.raises(HttpResponseError, match="Operation get is not allowed on a disabled secret") as caught:
            client.get_secret("switched")
        assert caught.value.status_code == 403
        client.update_secret_properties("switched", enabled=True)
        assert client.get_secret("switched").value == "v"
    assert json.loads(caught.value.response.text())["error"]["innererror"] == {"code": "SecretDisabled"}  # type: ignore[union-attr]


def test_soft_delete_recover_and_purge(served: Plane) -> None:
    with _client(served, PREPARE) as client:
        original = client.set_secret("softly", "v")
        deleted = client.begin_delete_secret("softly").result()
        assert deleted.recovery_id == f"{served.vault_url}/deletedsecrets/softly"
        assert deleted.deleted_date is not None
        assert deleted.scheduled_purge_date == deleted.deleted_date + datetime.timedelta(days=90)
        assert client.get_deleted_secret("softly").id == original.id
        assert "softly" in [item.name for item in client.list_deleted_secrets()]
        assert "softly" not in [item.name for item in client.list_properties_of_secrets()]
        with pytest.raises(ResourceNotFoundError, match="If you recently deleted this secret"):
            client.get_secret("softly")
        with pytest.raises(ResourceExistsError, match="deleted but recoverable state") as conflict:
            client.set_secret("softly", "again")
        assert conflict.value.error is not None
        assert json.loads(conflict.value.response.text())["error"]["innererror"] == {  # type: ignore[union-attr]
            "code": "ObjectIsDeletedButRecoverable"
        }
        client.begin_recover_deleted_secret("softly").wait()
        assert client.get_secret("softly").value == "v"
        client.begin_delete_secret("softly").wait()
        client.purge_deleted_secret("softly")
        with pytest.raises(ResourceNotFoundError, match="Deleted Secret not found: softly"):
            client.get_deleted_secret("softly")
        assert client.set_secret("softly", "new").value == "new"


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("GET", "/secrets/absent", 404, "SecretNotFound", "A secret with (name/id) absent was not found"),
        ("GET", "/secrets/absent/0123", 404, "SecretNotFound", "(name/id) absent/0123 was not"),
        ("DELETE", "/secrets/absent", 404, "SecretNotFound", "(name/id) absent was not"),
        ("POST", "/deletedsecrets/absent/recover", 404, "SecretNotFound", "Deleted Secret not found: absent"),
        ("DELETE", "/deletedsecrets/absent", 404, "SecretNotFound", "Deleted Secret not found: absent"),
        ("GET", "/secrets/bad_name", 400, "BadParameter", "The request URI contains an invalid name: bad_name"),
        ("POST", "/secrets/some", 405, "MethodNotAllowed", "POST"),
        ("GET", "/elsewhere", 404, "NotFound", "/elsewhere"),
    ],
)
def test_errors_are_azures(served: Plane, method: str, path: str, status: int, code: str, message: str) -> None:
    answer = _raw(served, method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert message in error["message"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"api-version": "7.99"}, "The specified version (7.99) is not recognized."),
        ({}, "api-version must be specified"),
    ],
)
def test_an_unknown_api_version_is_refused(served: Plane, query: dict[str, str], message: str) -> None:
    answer = _raw(served, "GET", "/secrets", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"value": 1}',
        b'{"value": "v", "attributes": {"enabled": "yes"}}',
        b'{"value": "v", "tags": 1}',
    ],
)
def test_a_bad_body_is_refused_and_changes_nothing(served: Plane, body: bytes) -> None:
    assert _raw(served, "PUT", "/secrets/never", data=body).status_code == 400
    assert _raw(served, "GET", "/secrets/never").status_code == 404


def test_a_value_has_a_largest_size(served: Plane) -> None:
    assert _raw(served, "PUT", "/secrets/large", json={"value": "x" * 25 * 1024}).status_code == 200
    assert _raw(served, "PUT", "/secrets/large", json={"value": "x" * (25 * 1024 + 1)}).status_code == 400
    assert _raw(served, "PUT", "/secrets/large", data=b"x" * (1024 * 1024 + 1)).status_code == 413


def test_a_body_may_come_in_chunks_up_to_the_same_limit(served: Plane) -> None:
    assert _raw(served, "PUT", "/secrets/chunked", data=iter([b'{"value":', b' "v"}'])).json()["value"] == "v"
    assert _raw(served, "PUT", "/secrets/chunked", data=iter([b"x" * 1024] * 1025)).status_code == 413


def test_a_caller_without_a_token_learns_how_to_sign_in(served: Plane) -> None:
    answer = _raw(served, "GET", "/secrets/any", identity=None)
    assert answer.status_code == 401
    challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT_ID}", resource="{VAULT}"'
    assert answer.headers["WWW-Authenticate"] == challenge
    assert answer.json()["error"] == {
        "code": "Unauthorized",
        "message": "AKV10000: Request is missing a Bearer or PoP token.",
    }


def test_a_token_for_another_audience_does_not_sign_in(served: Plane) -> None:
    token = served.token(PREPARE, "https://storage.azure.com")["access_token"]
    answer = requests.get(
        f"{served.vault_url}/secrets?api-version=7.6",
        headers={"Authorization": f"Bearer {token}"},
        verify=str(served.ca),
        timeout=30,
    )
    assert answer.status_code == 401
    assert "AKV10022: Invalid audience" in answer.json()["error"]["message"]
    assert "WWW-Authenticate" in answer.headers


def test_a_service_reads_its_own_secrets_and_no_more(served: Plane) -> None:
    with _client(served, PREPARE) as client:
        for name in ("webhook-encryption-key", "crypto-kek-passphrase", "of-nobody"):
            client.set_secret(name, f"value of {name}")
    with _client(served, REGISTRY) as client:
        assert client.get_secret("webhook-encryption-key").value == "value of webhook-encryption-key"
        for refused in (
            lambda: client.get_secret("crypto-kek-passphrase"),
            lambda: client.get_secret("of-nobody"),
            lambda: client.get_secret("absent"),
            lambda: client.set_secret("webhook-encryption-key", "v"),
            lambda: client.update_secret_properties("webhook-encryption-key", enabled=False),
            lambda: client.begin_delete_secret("webhook-encryption-key"),
            lambda: client.purge_deleted_secret("webhook-encryption-key"),
            lambda: list(client.list_properties_of_secrets()),
        ):
            with pytest.raises(HttpResponseError, match="Caller is not authorized to perform action") as caught:
                refused()
            assert caught.value.status_code == 403
            assert caught.value.response is not None
            error = json.loads(caught.value.response.text())["error"]
            assert (error["code"], error["innererror"]) == ("Forbidden", {"code": "ForbiddenByRbac"})
            assert f"oid={REGISTRY.principal_id}" in error["message"]
    with _client(served, TRACKING) as client:
        assert client.get_secret("crypto-kek-passphrase").value == "value of crypto-kek-passphrase"


def test_a_client_that_does_not_trust_the_ca_is_not_served(served: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    with _client(served, PREPARE) as client:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
            client.get_secret("any")


def test_secrets_survive_a_kill_and_are_private_on_disk(plane: Plane) -> None:
    program = plane.start_azure()
    with _client(plane, PREPARE) as client:
        client.set_secret("kept", "v1")
        client.set_secret("gone", "v")
        client.begin_delete_secret("gone").result()
    program.kill()
    assert {path.stat().st_mode & 0o777 for path in (plane.state / "vault").iterdir()} == {0o600}
    program = plane.start_azure()
    with _client(plane, PREPARE) as client:
        assert client.get_secret("kept").value == "v1"
        assert client.get_deleted_secret("gone").name == "gone"
    assert program.stop(signal.SIGTERM) == 0
    assert "v1" not in program.log.read_text()


def test_a_client_that_says_nothing_holds_up_nobody(served: Plane) -> None:
    with socket.create_connection(("127.0.0.1", served.vault_port)):
        assert _raw(served, "GET", "/secrets").status_code == 200


def test_a_client_outlives_its_token(plane: Plane) -> None:
    plane.start_azure(lifetime=2)
    with _client(plane, PREPARE) as client:
        client.set_secret("kept", "v")
        seen = {plane.token(PREPARE, VAULT)["access_token"]}
        while len(seen) < 3:
            assert client.get_secret("kept").value == "v"
            seen.add(plane.token(PREPARE, VAULT)["access_token"])
            time.sleep(0.05)
