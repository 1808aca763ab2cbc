from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential
from hypothesis import given, settings
from hypothesis import strategies as st

from components.emulators import identities
from components.emulators.azure import tokens
from components.emulators.azure.entra.directory import Directory, dump
from components.emulators.azure.tokens import TokenRefused, Tokens, resource_id
from tests.support.plane import IDENTITIES, PREPARE, REGISTRY, TRACKING, Plane, eventually, get
from tests.support.ports import first_of_free_ports

VAULT = "https://vault.azure.net"
SCOPE = f"{VAULT}/.default"
PROPER = {"api-version": "2019-08-01", "resource": VAULT}


@pytest.fixture(scope="module")
def served(shared_plane: Plane) -> Plane:
    shared_plane.start_azure()
    return shared_plane


def _header(plane: Plane, identity: identities.EmulatedIdentity) -> str:
    return identities.header_file(plane.state, identity.name).read_text()


def test_a_token_is_answered_as_azure_does(served: Plane) -> None:
    status, body, headers = served.ask_token(_header(served, TRACKING), **PROPER, client_id=TRACKING.client_id)
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert body is not None
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert body == {
        "access_token": body["access_token"],
        "expires_on": str(claims["exp"]),
        "resource": VAULT,
        "token_type": "Bearer",
        "client_id": TRACKING.client_id,
    }
    assert claims["aud"] == VAULT
    assert claims["iss"] == f"https://sts.windows.net/{identities.TENANT_ID}/"
    assert (claims["appid"], claims["oid"], claims["sub"]) == (
        TRACKING.client_id,
        TRACKING.principal_id,
        TRACKING.principal_id,
    )
    assert (claims["tid"], claims["ver"]) == (identities.TENANT_ID, "1.0")
    assert claims["xms_mirid"].endswith("/userAssignedIdentities/mlflow-tracking")
    assert claims["nbf"] <= time.time() < claims["exp"]


@pytest.mark.parametrize("credential", [ManagedIdentityCredential, DefaultAzureCredential])
def test_azures_own_credentials_get_it(
    served: Plane, monkeypatch: pytest.MonkeyPatch, credential: type[ManagedIdentityCredential | DefaultAzureCredential]
) -> None:
    for name, value in served.environment(TRACKING).items():
        monkeypatch.setenv(name, value)
    chosen = {"client_id": TRACKING.client_id} if credential is ManagedIdentityCredential else {}
    token = credential(**chosen).get_token(SCOPE)  # type: ignore[arg-type]
    assert token.token == served.token(TRACKING, VAULT)["access_token"]
    assert token.expires_on > time.time()


def test_a_credential_with_the_header_of_another_identity_is_refused(
    served: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in served.environment(TRACKING).items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError), match="400, No User Assigned"):
        ManagedIdentityCredential(client_id=PREPARE.client_id).get_token(SCOPE)


@pytest.mark.parametrize("header", [None, "", "wrong"])
def test_without_a_header_of_an_identity_there_is_nothing(served: Plane, header: str | None) -> None:
    assert served.ask_token(header, **PROPER, client_id=TRACKING.client_id)[:2] == (403, None)


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        (PROPER | {"client_id": REGISTRY.client_id}, 400, "No User Assigned or Delegated Managed Identity found"),
        (PROPER | {"client_id": "unknown"}, 400, "No User Assigned or Delegated Managed Identity found"),
        (PROPER | {"mi_res_id": resource_id(PREPARE)}, 400, "No User Assigned or Delegated Managed Identity found"),
        (PROPER, 400, "Unable to load the proper Managed Identity."),
        (PROPER | {"api-version": "2017-09-01"}, 400, "api-version"),
        ({"resource": VAULT, "client_id": TRACKING.client_id}, 400, "api-version"),
        ({"api-version": "2019-08-01", "client_id": TRACKING.client_id}, 400, "resource"),
        (PROPER | {"resource": "https://example.com", "client_id": TRACKING.client_id}, 500, "An unexpected error"),
    ],
)
def test_a_wrong_request_is_refused_as_azure_does(
    served: Plane, query: dict[str, str], status: int, message: str
) -> None:
    answered, body, _ = served.ask_token(_header(served, TRACKING), **query)
    assert body is not None
    assert (answered, body["statusCode"], set(body)) == (status, status, {"statusCode", "message", "correlationId"})
    assert body["message"].startswith(message) or message in body["message"]


def test_only_get_is_allowed(served: Plane) -> None:
    query = PROPER | {"client_id": TRACKING.client_id}
    assert served.ask_token(_header(served, TRACKING), "POST", **query)[0] == 405
    assert get(f"http://127.0.0.1:{served.identity_port}/other")[0] == 404


@pytest.mark.parametrize("selector", ["principal_id", "object_id", "mi_res_id"])
def test_an_identity_can_be_named_by_its_other_ids(served: Plane, selector: str) -> None:
    value = resource_id(TRACKING) if selector == "mi_res_id" else TRACKING.principal_id
    assert served.ask_token(_header(served, TRACKING), **PROPER, **{selector: value})[0] == 200


def test_each_identity_has_a_header_of_its_own_that_only_its_owner_reads(served: Plane) -> None:
    files = [identities.header_file(served.state, identity.name) for identity in IDENTITIES]
    assert len({path.read_text() for path in files}) == len(IDENTITIES)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_no_token_and_no_header_is_logged(served: Plane) -> None:
    token = served.token(TRACKING, VAULT)["access_token"]
    log = served.programs[0].log.read_text()
    assert "token for https://vault.azure.net handed to mlflow-tracking" in log
    assert token not in log
    assert _header(served, TRACKING) not in log


def test_all_holders_get_the_same_token_also_after_a_kill(plane: Plane) -> None:
    program = plane.start_azure()
    before = plane.token(TRACKING)
    assert plane.token(TRACKING, "https://ossrdbms-aad.database.windows.net/")["access_token"] == before["access_token"]
    assert plane.token(REGISTRY)["access_token"] != before["access_token"]
    headers = _header(plane, TRACKING)
    program.kill()
    plane.start_azure()
    assert plane.token(TRACKING) == before
    assert _header(plane, TRACKING) == headers


def test_it_stops_cleanly(plane: Plane) -> None:
    assert plane.start_azure().stop(signal.SIGTERM) == 0


def test_the_program_serves_entra_where_a_port_is_given(plane: Plane) -> None:
    port = first_of_free_ports(1)
    ports = ("--identity-port", str(plane.identity_port), "--vault-port", str(plane.vault_port))
    others = ("--postgres-port", "3", "--postgres-sockets", "x", "--entra-port", str(port))
    known = {"IDENTITIES": identities.dump(IDENTITIES), "DIRECTORY": dump(Directory())}
    program = plane.start("azure", *ports, *others, **known)
    address = f"https://127.0.0.1:{port}/{identities.TENANT_ID}/v2.0"
    found = eventually(
        lambda: program.up() and get(f"{address}/.well-known/openid-configuration", ca=plane.ca), "Entra"
    )
    assert found
    assert (found[1] or {}).get("issuer") == address


def test_a_taken_port_is_a_clear_error(served: Plane) -> None:
    second = Plane(served.folder, served.base_port)
    program = second.start_azure(ready=False)
    assert program.exit_code() == 1
    assert re.search(rf"Cannot listen on 127.0.0.1:{served.identity_port} .*choose another", program.log.read_text())


@pytest.mark.parametrize(("lifetime", "config"), [(1, "{}"), (3600, "{}"), (3600, '{"identities": [{"name": "x"}]}')])
def test_bad_settings_are_refused_before_anything_listens(plane: Plane, lifetime: int, config: str) -> None:
    ports = ("--identity-port", "1", "--vault-port", "2", "--postgres-port", "3", "--postgres-sockets", "x")
    program = plane.start("azure", "--lifetime", str(lifetime), *ports, IDENTITIES=config)
    assert program.exit_code() == 1
    assert "Cannot listen" not in program.log.read_text()


def test_without_identities_it_says_what_to_give(plane: Plane) -> None:
    ports = ("--identity-port", "1", "--vault-port", "2", "--postgres-port", "3", "--postgres-sockets", "x")
    program = plane.start("azure", *ports)
    assert program.exit_code() == 1
    assert "set the environment variable IDENTITIES" in program.log.read_text()


@pytest.fixture(scope="module")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("key")
    Tokens(folder, 3600)
    return folder


@settings(max_examples=60)
@given(lifetime=st.integers(2, 7200), now=st.integers(1_700_000_000, 2_000_000_000), later=st.integers(0, 7200))
def test_a_token_is_valid_when_handed_out_and_renewed_before_its_end(
    key_folder: Path, lifetime: int, now: int, later: int
) -> None:
    issuer = Tokens(key_folder, lifetime)
    margin = max(1, min(lifetime // 4, tokens.RENEWAL_SECONDS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: now)
        first = issuer.issue(TRACKING, VAULT)
        patch.setattr("time.time", lambda: now + later)
        second = issuer.issue(TRACKING, VAULT)
    assert margin < first.expires_on - now <= lifetime
    # Until it is near its end, everybody gets that one; from then on another one.
    assert (second == first) == (first.expires_on - (now + later) > margin)


def test_a_token_of_another_key_or_time_or_audience_is_refused(tmp_path: Path, key_folder: Path) -> None:
    issuer = Tokens(key_folder, 3600)
    good = issuer.issue(TRACKING, VAULT).value
    assert issuer.check(good, VAULT)["oid"] == TRACKING.principal_id
    with pytest.raises(
        TokenRefused, match=r"AKV10022: Invalid audience\. Expected https://vault\.azure\.net, found: x"
    ):
        issuer.check(issuer.issue(TRACKING, "x").value, VAULT)
    with pytest.raises(TokenRefused, match="AKV10046"):
        issuer.check(Tokens(tmp_path, 3600).issue(TRACKING, VAULT).value, VAULT)
    with pytest.raises(TokenRefused, match="AKV10000"):
        issuer.check("nonsense", VAULT)
    unsigned = jwt.encode(jwt.decode(good, options={"verify_signature": False}), None, algorithm="none")  # type: ignore[arg-type]
    with pytest.raises(TokenRefused):
        issuer.check(unsigned, VAULT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: 1_700_000_000)
        old = issuer.issue(TRACKING, VAULT).value
    with pytest.raises(TokenRefused, match="TokenExpired"):
        issuer.check(old, VAULT)
