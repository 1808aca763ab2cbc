"""Which tokens admit somebody, and that no token makes the service ask Entra often."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from mlflow_runtime.middleware.access import tokens as verification
from mlflow_runtime.middleware.access.decision import workspace_of
from mlflow_runtime.middleware.access.keys import LIFE_SECONDS, PAUSE_SECONDS, Keys, NoKeysError, parsed
from mlflow_runtime.middleware.access.roles import Part, Role
from mlflow_runtime.middleware.access.settings import AUTHORITY
from mlflow_runtime.middleware.access.tokens import Caller, TokenRefusedError, Tokens, verified
from mlflow_runtime.service.health import NotReadyError
from tests.support.entra_tokens import ACCESS, ANNA, AZURE_CLI, CLIENT, KEY_ID, TENANT, claims, key, key_set, token


def now() -> int:
    return int(time.time())


class Entra:
    """Counts how often its keys are fetched. `away` makes that fail."""

    def __init__(self, *identifiers: str) -> None:
        self.document = key_set(*identifiers)
        self.fetched = 0
        self.away = False
        self.seconds = 0.0

    def keys(self) -> Keys:
        return Keys(self._fetch, clock=lambda: self.seconds)

    def _fetch(self) -> dict[str, Any]:
        self.fetched += 1
        if self.away:
            raise OSError("Entra is away")
        return self.document


def caller(sent: str, keys: Keys | None = None) -> Caller:
    return asyncio.run(Tokens(ACCESS, keys or Entra().keys()).caller(sent))


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned() -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT', 'kid': KEY_ID})}.{part(claims('team-a.Admin'))}."


def with_the_public_key_as_secret() -> str:
    public = key().public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    # PyJWT refuses to make one; whoever forges has no such scruples.
    head = f"{part({'alg': 'HS256', 'kid': KEY_ID})}.{part(claims('team-a.Admin'))}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head.encode(), pem)
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def changed() -> str:
    head, _, signature = token("team-a.Reader").split(".")
    return f"{head}.{part(claims('team-a.Admin'))}.{signature}"


def of_another_key() -> str:
    return jwt.encode(claims("team-a.Admin"), key("foreign"), algorithm="RS256", headers={"kid": KEY_ID})


def with_own_key() -> str:
    document = key_set("foreign")["keys"][0]
    named = {"kid": KEY_ID, "jku": "https://evil.example/keys", "jwk": document, "x5u": "https://evil.example/x5u"}
    return jwt.encode(claims("team-a.Admin"), key("foreign"), algorithm="RS256", headers=named)


REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "no token at all": (lambda: "abc", "cannot be read"),
    "an API key": (lambda: "dapi-1234", "cannot be read"),
    "a changed claim": (changed, "is not signed by Entra"),
    "a foreign key": (of_another_key, "is not signed by Entra"),
    "its own key in jwk, jku and x5u": (with_own_key, "is not signed by Entra"),
    "alg none": (unsigned, "is not signed with RS256"),
    "HS256 with the public key": (with_the_public_key_as_secret, "is not signed with RS256"),
    "no key id": (lambda: jwt.encode(claims(), key(), algorithm="RS256"), "names no key"),
    "an unknown key id": (lambda: token(header={"kid": "unknown"}), "a key that this tenant does not have"),
    "expired": (lambda: token(nbf=now() - 7200, exp=now() - 90), "has expired"),
    "not yet valid": (lambda: token(nbf=now() + 600), "check the clocks of this machine"),
    "an ID token": (lambda: token(azp=None, nonce="n"), "not an ID token"),
    "another audience": (lambda: token(aud="00000003-0000-0000-c000-000000000000"), f"scope {CLIENT}/.default"),
    "two audiences": (lambda: token(aud=[CLIENT, "other"]), "is for another application"),
    "another tenant": (
        lambda: token(iss=f"{AUTHORITY}/{ANNA}/v2.0", tid=ANNA),
        "sign in to that tenant",
    ),
    "another tenant's tid": (lambda: token(tid=ANNA), "is of another tenant"),
    "an issuer of version 1": (
        lambda: token(iss=f"https://sts.windows.net/{TENANT}/", ver="1.0"),
        "version 2 tokens",
    ),
    **{
        f"no {name}": (lambda name=name: token(**{name: None}), f"lacks the claim {name}")  # type: ignore[misc]
        for name in ("iss", "aud", "tid", "exp", "nbf", "oid")
    },
    "an oid that is no text": (lambda: token(oid=["a"]), "names nobody"),
}


def test_a_good_token_says_who_and_which_roles() -> None:
    found = caller(
        token("team-a.Reader", "team-a.Contributor", "team-b.Admin", "elsewhere.Admin", "x", "default.Chief")
    )
    assert (found.oid, found.name, found.application) == (ANNA, "anna@example.com", AZURE_CLI)
    assert found.roles == {"team-a": Role.CONTRIBUTOR, "team-b": Role.ADMIN}


def test_the_platforms_admin_is_admin_everywhere_and_an_application_has_a_name_too() -> None:
    found = caller(token("Platform.Admin", preferred_username=None))
    assert found.roles == dict.fromkeys(ACCESS.workspaces, Role.ADMIN)
    assert found.name == f"application {AZURE_CLI}"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_token_that_is_not_entras_for_this_platform_is_refused(name: str) -> None:
    make, words = REFUSED[name]
    sent = make()
    with pytest.raises(TokenRefusedError, match=words) as raised:
        caller(sent)
    assert sent.split(".")[-1] not in str(raised.value) or not sent.split(".")[-1]


def test_clocks_may_differ_by_a_minute() -> None:
    assert caller(token(nbf=now() + 45)).oid == ANNA
    assert caller(token(nbf=now() - 3600, exp=now() - 30)).oid == ANNA


def test_a_token_that_was_seen_ends_when_it_says() -> None:
    seconds = float(now())
    tokens = Tokens(ACCESS, Entra().keys(), clock=lambda: seconds)
    sent = token(exp=now() + 600)
    assert asyncio.run(tokens.caller(sent)).oid == ANNA
    seconds += 661
    with pytest.raises(TokenRefusedError, match="has expired"):
        asyncio.run(tokens.caller(sent))


def test_memory_has_a_bound_however_many_tokens_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_KEPT", 3)
    tokens = Tokens(ACCESS, Entra().keys())

    async def ask() -> list[str]:
        sent = [token(uti=str(number)) for number in range(5)]
        return [(await tokens.caller(one)).oid for one in [*sent, *sent]]

    assert asyncio.run(ask()) == [ANNA] * 10
    assert len(tokens._seen) == 3


def test_a_member_reads_what_is_shared_and_no_more() -> None:
    access = replace(ACCESS, shares={"team-a": ("team-b",), "default": ("team-a",)})

    def caller(*values: str) -> Caller:
        return verified(token(*values), parsed(key_set())[KEY_ID], access)

    found = caller("team-b.Admin")
    assert found.roles == {"team-b": Role.ADMIN, "team-a": Role.READER}
    assert found.shared == {"team-a"}
    # A client that names no workspace works in the caller's own.
    assert workspace_of(found, "") == "team-b"
    both = caller("team-b.Reader", "team-a.Registrar")
    assert both.roles == {"team-b": Role.READER, "team-a": Role.REGISTRAR, "default": Role.READER}
    assert caller("team-c.Admin").roles == {}
    assert caller("Platform.Admin").shared == frozenset()


def test_a_member_reads_what_is_shared_of_another_team_and_no_more() -> None:
    access = replace(
        ACCESS,
        shares={"default": ("team-b",)},
        shared_models={("team-a", "churn"): ("team-b",), ("default", "x"): ("team-b",), ("team-b", "y"): ("team-a",)},
        shared_artifacts={("team-a", "12"): ("team-b", "default"), ("team-b", "7"): ("default",)},
    )

    def parts(*values: str) -> Mapping[str, Part]:
        return verified(token(*values), parsed(key_set())[KEY_ID], access).parts

    # By a role of the caller's own: not by the one in default, which is shared too, and which it may read whole.
    assert parts("team-b.Reader") == {"team-a": Part(models=("churn",), experiments=("12",))}
    assert parts("team-a.Admin", "team-b.Reader") == {}
    assert parts("default.Reader") == {"team-a": Part(experiments=("12",)), "team-b": Part(experiments=("7",))}
    assert parts("Platform.Admin") == {}


@pytest.mark.parametrize("claim", [{"hasgroups": True}, {"_claim_names": {"groups": "src1"}}])
def test_who_is_in_too_many_groups_reads_that(claim: dict[str, Any]) -> None:
    sent = token("team-a.Admin", **claim)
    assert caller(sent).roles == {"team-a": Role.ADMIN}
    by_groups = Tokens(replace(ACCESS, groups={"g-1": ("team-b.Registrar",)}), Entra().keys())
    with pytest.raises(TokenRefusedError, match="in more than Entra writes into one; use app roles"):
        asyncio.run(by_groups.caller(sent))


def test_groups_stand_for_roles_where_they_are_mapped() -> None:
    access = replace(ACCESS, groups={"g-1": ("team-b.Registrar",)})
    sent = token("team-a.Admin", groups=["g-1", "g-2"])
    assert asyncio.run(Tokens(access, Entra().keys()).caller(sent)).roles == {"team-b": Role.REGISTRAR}


def test_invented_key_ids_make_no_storm_of_requests() -> None:
    entra = Entra()
    keys = entra.keys()
    assert caller(token(), keys).oid == ANNA
    for number in range(50):
        entra.seconds += 1
        with pytest.raises(TokenRefusedError):
            caller(token(header={"kid": f"unknown-{number % 3}"}), keys)
    assert entra.fetched == 1 + 50 // PAUSE_SECONDS


def test_a_new_key_is_found() -> None:
    entra = Entra()
    keys = entra.keys()
    assert caller(token(), keys).oid == ANNA
    entra.document = key_set(KEY_ID, "key-2")
    entra.seconds += PAUSE_SECONDS
    assert caller(token(header={"kid": "key-2"}), keys).oid == ANNA


def test_a_key_for_encryption_verifies_no_token() -> None:
    entra = Entra(KEY_ID, "key-2")
    entra.document["keys"][1]["use"] = "enc"
    keys = entra.keys()
    assert caller(token(), keys).oid == ANNA
    with pytest.raises(TokenRefusedError, match="a key that this tenant does not have"):
        caller(token(header={"kid": "key-2"}), keys)


def test_without_entra_known_and_new_tokens_go_on() -> None:
    entra = Entra()
    keys = entra.keys()
    assert caller(token(), keys).oid == ANNA
    entra.away = True
    for _ in range(3):
        entra.seconds += LIFE_SECONDS
        assert caller(token(uti=str(entra.seconds)), keys).oid == ANNA


def test_a_replica_that_never_had_keys_is_not_ready_and_judges_nobody() -> None:
    entra = Entra()
    entra.away = True
    keys = entra.keys()
    with pytest.raises(NotReadyError, match="Entra is away"):
        keys.probe()
    with pytest.raises(NoKeysError, match="Entra is away"):
        caller(token(), keys)
    entra.away = False
    entra.seconds += 1
    assert keys.probe() is None
    assert caller(token(), keys).oid == ANNA


@pytest.mark.parametrize(
    "document", [{}, [], {"keys": None}, {"keys": [1, {"kty": "EC"}, {"kty": "RSA", "kid": "a"}]}, {"keys": [{}]}]
)
def test_a_key_set_without_a_usable_key_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="no RSA signing key"):
        parsed(document)
