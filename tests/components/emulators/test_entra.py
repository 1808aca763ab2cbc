"""The emulator of Entra's sign-in, by Azure's and Microsoft's own clients, which nothing was changed in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import msal  # type: ignore[import-untyped]
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientAssertionCredential, DeviceCodeCredential

from components.emulators import certificates, identities
from components.emulators.azure.entra import device_codes
from components.emulators.azure.entra.device_codes import DeviceCodes
from components.emulators.azure.entra.directory import (
    AZURE_CLI,
    Application,
    Directory,
    Platform,
    Principal,
    dump,
    load,
)
from components.emulators.azure.entra.service import SESSION
from components.emulators.azure.http import LOOPBACK, STOP_SECONDS, Response, Server
from components.emulators.azure.managed_identity import TOKEN_EXCHANGE
from components.emulators.identities import EmulatedIdentity
from tests.support.entra import Served, click, enter_code, link, serving
from tests.support.ports import free_port

REDIRECT = "https://mlflow.example.com/access/callback"
TRACKING = EmulatedIdentity.of("test", "mlflow-tracking")
OTHER = EmulatedIdentity.of("test", "mlflow-registry")

ANNA = Principal(name="anna@example.com", roles=("team-a.Contributor",), groups=("g-1", "g-2"))
GONE = Principal(name="gone@example.com", roles=("team-a.Reader",), enabled=False)
NOBODY = Principal(name="nobody@example.com")
NOBODY_HERE = Principal(name="nobody-here@example.com").object_id
PIPELINE = Application(name="pipeline", secret="s3cret", roles=("team-a.Registrar",))
FEDERATED = Application(name="job", federated=(TRACKING.principal_id,), roles=("team-b.Contributor",))
STOPPED = Application(name="stopped", secret="s3cret", roles=("team-a.Reader",), enabled=False)
UNASSIGNED = Application(name="unassigned", secret="s3cret")
DIRECTORY = Directory(
    platform=Platform(
        redirects=(REDIRECT,), federated=(TRACKING.principal_id,), assignment_required=True, groups_claim=True
    ),
    people=(ANNA, GONE, NOBODY),
    applications=(PIPELINE, FEDERATED, STOPPED, UNASSIGNED),
)


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("entra"), DIRECTORY, lifetime=4000) as served:
        yield served


def claims(entra: Served, token: str, audience: str | None = None) -> dict[str, Any]:
    """The claims of a token, verified by the keys that are published."""
    document = requests.get(f"{entra.authority}/discovery/v2.0/keys", verify=str(entra.ca), timeout=10).json()
    keys = {each["kid"]: jwt.PyJWK(each) for each in document["keys"]}
    key = keys[jwt.get_unverified_header(token)["kid"]]
    found: dict[str, Any] = jwt.decode(
        token, key, algorithms=["RS256"], audience=audience or DIRECTORY.platform.client_id
    )
    return found


def assertion(entra: Served, identity: EmulatedIdentity = TRACKING) -> str:
    return entra.identities.issue(identity, TOKEN_EXCHANGE).value


def web(entra: Served) -> msal.ConfidentialClientApplication:
    """Microsoft's client for the platform's own sign-in: its managed identity's token in place of a secret."""
    session = requests.Session()
    # Or the machine's own bundle of certificates would come first.
    session.trust_env, session.verify = False, str(entra.ca)
    return msal.ConfidentialClientApplication(
        DIRECTORY.platform.client_id,
        authority=entra.authority,
        client_credential={"client_assertion": lambda: assertion(entra)},
        instance_discovery=False,
        http_client=session,
    )


def choose(entra: Served, flow: dict[str, Any], person: str) -> requests.Response:
    """Open the sign-in page and click on a person."""
    page = requests.get(flow["auth_uri"], verify=str(entra.ca), timeout=10)
    assert page.status_code == 200
    return click(page, person, entra.ca)


def signed_in(answer: requests.Response) -> dict[str, str]:
    """The arguments with which a browser comes back."""
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(f"{REDIRECT}?")
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def test_an_application_with_a_secret_gets_a_token_of_version_2(entra: Served) -> None:
    found = entra.credential(PIPELINE).get_token(entra.scope)
    content = claims(entra, found.token)
    assert content == {
        **{"aud": DIRECTORY.platform.client_id, "iss": f"{entra.authority}/v2.0", "tid": identities.TENANT_ID},
        **{"oid": PIPELINE.object_id, "sub": PIPELINE.object_id, "azp": PIPELINE.client_id, "azpacr": "1"},
        **{"idtyp": "app", "roles": ["team-a.Registrar"], "ver": "2.0"},
        **{name: content[name] for name in ("iat", "nbf", "exp", "uti")},
    }
    assert content["exp"] - content["iat"] == 4000
    assert content["iss"] == entra_configuration(entra)["issuer"]


def entra_configuration(entra: Served) -> dict[str, Any]:
    address = f"{entra.authority}/v2.0/.well-known/openid-configuration"
    found: dict[str, Any] = requests.get(address, verify=str(entra.ca), timeout=10).json()
    return found


def federated(entra: Served, application: Application, identity: EmulatedIdentity) -> ClientAssertionCredential:
    return ClientAssertionCredential(
        DIRECTORY.tenant_id,
        application.client_id,
        lambda: assertion(entra, identity),
        authority=entra.origin,
        disable_instance_discovery=True,
        connection_verify=str(entra.ca),
    )


def test_a_managed_identity_signs_in_as_the_application_that_trusts_it(entra: Served) -> None:
    found = federated(entra, FEDERATED, TRACKING).get_token(entra.scope)
    assert claims(entra, found.token)["roles"] == ["team-b.Contributor"]
    with pytest.raises(ClientAuthenticationError, match="AADSTS700213: No matching federated identity"):
        federated(entra, FEDERATED, OTHER).get_token(entra.scope)


@pytest.mark.parametrize(
    ("application", "secret", "scope", "number"),
    [
        (PIPELINE, "wrong", None, "AADSTS7000215"),
        (FEDERATED, "guessed", None, "AADSTS7000215"),
        (STOPPED, None, None, "AADSTS7000112"),
        (UNASSIGNED, None, None, "AADSTS501051"),
        (Application(name="unknown", secret="s"), None, None, "AADSTS700016"),
        (PIPELINE, None, "https://vault.azure.net/.default", "AADSTS500011"),
    ],
)
def test_what_gets_no_token(
    entra: Served, application: Application, secret: str | None, scope: str | None, number: str
) -> None:
    with pytest.raises(ClientAuthenticationError, match=number):
        entra.credential(application, secret).get_token(scope or entra.scope)


def test_a_person_signs_in_by_code_with_pkce(entra: Served) -> None:
    client = web(entra)
    flow = client.initiate_auth_code_flow([entra.scope], redirect_uri=REDIRECT)
    back = signed_in(choose(entra, flow, ANNA.name))
    found = client.acquire_token_by_auth_code_flow(flow, back)
    assert "error" not in found, found
    content = claims(entra, found["access_token"])
    assert (content["preferred_username"], content["oid"]) == (ANNA.name, ANNA.object_id)
    assert (content["roles"], content["groups"]) == (["team-a.Contributor"], ["g-1", "g-2"])
    assert content["azp"] == DIRECTORY.platform.client_id
    assert found["id_token_claims"]["oid"] == ANNA.object_id
    assert "azp" not in claims(entra, found["id_token"])

    # A code is good once, and with its own verifier.
    again = web(entra).acquire_token_by_auth_code_flow(flow, back)
    assert again["error_codes"] == [54005]
    other = {**client.initiate_auth_code_flow([entra.scope], redirect_uri=REDIRECT)}
    back = signed_in(choose(entra, other, ANNA.name))
    stolen = client.acquire_token_by_auth_code_flow({**other, "code_verifier": "x" * 43}, back)
    assert stolen["error_codes"] == [501481]


def test_a_browser_that_is_signed_in_gets_a_code_without_a_question(entra: Served) -> None:
    browser, client = requests.Session(), web(entra)
    browser.trust_env, browser.verify = False, str(entra.ca)

    def silent() -> dict[str, str]:
        flow = client.initiate_auth_code_flow([entra.scope], redirect_uri=REDIRECT, prompt="none")
        back = signed_in(browser.get(flow["auth_uri"], allow_redirects=False, timeout=10))
        found: dict[str, str] = client.acquire_token_by_auth_code_flow(flow, back)
        return found

    assert silent()["error"] == "login_required"
    # A person who is not in this directory: it was started with others.
    browser.cookies.set(SESSION, NOBODY_HERE, domain=LOOPBACK)
    assert silent()["error"] == "login_required"
    # A cookie of another program of this host.
    browser.cookies.set("preferences", '{"theme": "dark"}', domain=LOOPBACK)
    page = browser.get(client.initiate_auth_code_flow([entra.scope], redirect_uri=REDIRECT)["auth_uri"], timeout=10)
    browser.get(link(page, ANNA.name), allow_redirects=False, timeout=10)
    assert claims(entra, silent()["access_token"])["oid"] == ANNA.object_id
    assert browser.get(entra_configuration(entra)["end_session_endpoint"], timeout=10).status_code == 200
    assert silent()["error"] == "login_required"


@pytest.mark.parametrize(("person", "words"), [(GONE, "AADSTS50057"), (NOBODY, "AADSTS50105")])
def test_who_may_not_sign_in_is_shown_why(entra: Served, person: Principal, words: str) -> None:
    flow = web(entra).initiate_auth_code_flow([entra.scope], redirect_uri=REDIRECT)
    answer = choose(entra, flow, person.name)
    assert (answer.status_code, words in answer.text) == (400, True)


def test_who_cancels_comes_back_without_a_code(entra: Served) -> None:
    flow = web(entra).initiate_auth_code_flow([entra.scope], redirect_uri=REDIRECT)
    back = signed_in(choose(entra, flow, "Cancel"))
    assert (back["error"], back["state"]) == ("access_denied", flow["state"])


@pytest.mark.parametrize("change", [{"redirect_uri": "https://evil.example/"}, {"client_id": ANNA.object_id}])
def test_nobody_is_sent_to_an_address_that_is_not_registered(entra: Served, change: dict[str, str]) -> None:
    sent = {"client_id": DIRECTORY.platform.client_id, "redirect_uri": REDIRECT, "response_type": "code", **change}
    answer = requests.get(
        f"{entra.authority}/oauth2/v2.0/authorize",
        params=sent,
        verify=str(entra.ca),
        timeout=10,
        allow_redirects=False,
    )
    assert (answer.status_code, "Location" in answer.headers) == (400, False)


def test_a_person_signs_in_by_a_code_that_is_entered_elsewhere(entra: Served) -> None:
    def shown(page: str, code: str, _: datetime) -> None:
        assert enter_code(page, "BCDFGHJKL", ANNA.name, entra.ca).status_code == 400
        assert enter_code(page, code.lower(), ANNA.name, entra.ca).status_code == 200
        # It is entered once.
        assert enter_code(page, code, GONE.name, entra.ca).status_code == 400

    credential = DeviceCodeCredential(
        tenant_id=DIRECTORY.tenant_id,
        authority=entra.origin,
        disable_instance_discovery=True,
        connection_verify=str(entra.ca),
        prompt_callback=shown,
    )
    record = credential.authenticate(scopes=[entra.scope])
    assert (record.username, record.tenant_id) == (ANNA.name, DIRECTORY.tenant_id)
    assert record.home_account_id == f"{ANNA.object_id}.{DIRECTORY.tenant_id}"
    content = claims(entra, credential.get_token(entra.scope).token)
    assert (content["oid"], content["azp"], content["scp"]) == (ANNA.object_id, AZURE_CLI, "access")
    assert (content["roles"], content["azpacr"]) == (["team-a.Contributor"], "0")


def public(entra: Served, client_id: str = AZURE_CLI) -> msal.PublicClientApplication:
    """Microsoft's client for a program of a person's own."""
    session = requests.Session()
    session.trust_env, session.verify = False, str(entra.ca)
    return msal.PublicClientApplication(
        client_id, authority=entra.authority, instance_discovery=False, http_client=session
    )


def test_a_person_stays_signed_in_by_a_refresh_token(entra: Served) -> None:
    client = public(entra)
    flow = client.initiate_device_flow([entra.scope])
    enter_code(flow["verification_uri"], flow["user_code"], ANNA.name, entra.ca)
    first = client.acquire_token_by_device_flow(flow)
    assert first["id_token_claims"]["aud"] == AZURE_CLI
    other = public(entra, FEDERATED.client_id).acquire_token_by_refresh_token(first["refresh_token"], [entra.scope])
    elsewhere = client.acquire_token_by_refresh_token(first["refresh_token"], ["https://vault.azure.net/.default"])
    assert (other["error_codes"], elsewhere["error_codes"]) == ([70000], [500011])
    again = client.acquire_token_silent([entra.scope], client.get_accounts()[0], force_refresh=True)
    assert again["access_token"] != first["access_token"]
    assert claims(entra, again["access_token"])["oid"] == ANNA.object_id
    # A refresh token is good until it is replaced.
    replaced = client.acquire_token_by_refresh_token(first["refresh_token"], [entra.scope])
    assert replaced["error_codes"] == [70000]
    # A device code is good once.
    assert client.acquire_token_by_device_flow(flow)["error_codes"] == [70018]


@pytest.mark.parametrize(("person", "number"), [(GONE, 50057), (NOBODY, 50105)])
def test_a_code_signs_nobody_in_who_may_not(entra: Served, person: Principal, number: int) -> None:
    flow = public(entra).initiate_device_flow([entra.scope])
    answer = enter_code(flow["verification_uri"], flow["user_code"], person.name, entra.ca)
    assert (answer.status_code, f"AADSTS{number}" in answer.text) == (400, True)
    # It waits for somebody who may.
    waiting = public(entra).acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
    assert waiting["error"] == "authorization_pending"


def test_a_code_is_declined(entra: Served) -> None:
    flow = public(entra).initiate_device_flow([entra.scope])
    page, code = flow["verification_uri"], flow["user_code"]
    assert enter_code(page, code, "Cancel", entra.ca).status_code == 200
    assert enter_code(page, code, ANNA.name, entra.ca).status_code == 400
    assert public(entra).acquire_token_by_device_flow(flow)["error"] == "authorization_declined"


def test_a_code_that_nobody_entered_in_time_is_over(entra: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = public(entra).initiate_device_flow([entra.scope])
    monkeypatch.setattr(device_codes, "SECONDS", 0)
    assert enter_code(flow["verification_uri"], flow["user_code"], ANNA.name, entra.ca).status_code == 400
    ended = [public(entra).acquire_token_by_device_flow(flow, exit_condition=lambda _: True) for _ in range(2)]
    assert [each["error"] for each in ended] == ["expired_token", "bad_verification_code"]


def test_codes_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = DeviceCodes()
    first, _ = codes.begin(AZURE_CLI, "")
    monkeypatch.setattr(device_codes, "SECONDS", 0)
    second, _ = codes.begin(AZURE_CLI, "")
    assert set(codes._begun) == {second} != {first}


def test_a_code_is_for_applications_that_need_no_consent_and_for_the_platform(entra: Served) -> None:
    unknown = public(entra, FEDERATED.client_id).initiate_device_flow([entra.scope])
    elsewhere = public(entra).initiate_device_flow(["https://vault.azure.net/.default"])
    assert (unknown["error_codes"], elsewhere["error_codes"]) == ([65001], [500011])


def test_another_tenant_is_not_here(entra: Served) -> None:
    address = f"{entra.origin}/{ANNA.object_id}/v2.0/.well-known/openid-configuration"
    answer = requests.get(address, verify=str(entra.ca), timeout=10)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])


def test_after_a_rotation_tokens_of_the_key_before_are_still_verified(entra: Served) -> None:
    before = entra.token(PIPELINE)
    assert requests.post(f"{entra.origin}/emulator/rotate", verify=str(entra.ca), timeout=10).status_code == 204
    after = entra.token(PIPELINE)
    kids = [jwt.get_unverified_header(token)["kid"] for token in (before, after)]
    assert len(set(kids)) == 2
    assert all(claims(entra, token)["oid"] == PIPELINE.object_id for token in (before, after))
    entra.keys.rotate()
    with pytest.raises(KeyError):
        claims(entra, before)


def test_a_server_ends_although_a_client_keeps_its_connection(tmp_path: Path) -> None:
    tls = certificates.ensure(tmp_path)
    port = free_port()
    server = Server(port, lambda _: Response(204), tls)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with requests.Session() as session:
        assert session.get(f"https://{LOOPBACK}:{port}/", verify=str(tls.bundle), timeout=10).status_code == 204
        server.stop()
        thread.join(5 * STOP_SECONDS)
        assert not thread.is_alive()


def test_a_directory_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert load(dump(DIRECTORY)) == DIRECTORY
    with pytest.raises(ValueError, match="DIRECTORY: "):
        load('{"platform": {}, "people": [{"name": "a", "shoe": 42}], "applications": []}')
