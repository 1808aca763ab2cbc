"""The way to Entra and back, step by step, each step by another replica; what a browser may do with a session."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from starlette.responses import HTMLResponse
from starlette.types import Message

from mlflow_runtime.middleware.access import audit
from mlflow_runtime.middleware.access.browser import cookies, exchange, flow, pages
from mlflow_runtime.middleware.access.browser.exchange import AwayError, CodeRefusedError, Granted
from mlflow_runtime.middleware.access.browser.flow import Flow
from mlflow_runtime.middleware.access.browser.page_script import PageScript
from mlflow_runtime.middleware.access.browser.sign_in import SignIn
from mlflow_runtime.middleware.access.gate import Gate
from mlflow_runtime.middleware.access.keys import Keys
from mlflow_runtime.middleware.access.tokens import Tokens
from mlflow_runtime.middleware.head_limit import HeadLimit
from tests.support.asgi import scope
from tests.support.entra_tokens import ACCESS, ANNA, AZURE_CLI, TENANT, key_set, token

HOST = "mlflow.example.com"
CODE = "the-code"
GET_RUN = "/api/2.0/mlflow/runs/get"
BLOCKED = "bbbbbbbb-0000-0000-0000-00000000000b"
NAVIGATE = {"sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site"}
OWN = {"sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}


@dataclass
class Entra:
    """Redeems a code once, as Entra does, for tokens with these claims."""

    roles: tuple[str, ...] = ("team-a.Contributor",)
    changes: Mapping[str, Any] = field(default_factory=dict)
    nonce: str | None = None
    raises: Exception | None = None
    redeemed: set[str] = field(default_factory=set)
    verifiers: list[str] = field(default_factory=list)

    def redeem(self, code: str, found: Flow, redirect: str) -> Granted:
        assert redirect == f"https://{HOST}/access/callback"
        if self.raises is not None:
            raise self.raises
        if code in self.redeemed:
            raise CodeRefusedError("AADSTS54005: OAuth2 Authorization code was already redeemed.")
        self.redeemed.add(code)
        self.verifiers.append(found.verifier)
        identity = token(nonce=self.nonce or found.nonce, azp=None)
        return Granted(access_token=token(*self.roles, **self.changes), id_token=identity)


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    text: str

    @property
    def location(self) -> str:
        return next(value for name, value in self.headers if name == "location")


@dataclass
class Person:
    """A browser: it keeps cookies, and each of its requests goes to a new replica."""

    entra: Entra = field(default_factory=Entra)
    kept: dict[str, str] = field(default_factory=dict)

    def open(self, path: str, method: str = "GET", headers: Mapping[str, str] = NAVIGATE, host: str = HOST) -> Answer:
        access = replace(ACCESS, blocked=frozenset({BLOCKED}))
        tokens = Tokens(access, Keys(key_set))

        async def mlflow(asked: Any, receive: Any, send: Any) -> None:
            # As Flask answers for a file.
            headers = {"etag": '"of the file"', "last-modified": "Sun, 29 Nov 2026 00:00:00 GMT"}
            kept = any(name == b"if-none-match" for name, _ in asked["headers"])
            page = HTMLResponse("<html><head></head>MLflow</html>", 304 if kept else 200, headers)
            await page(asked, receive, send)

        gate = Gate(PageScript(mlflow), access, tokens, lambda method, path: f"{method} {path}")
        app = HeadLimit(SignIn(gate, access, tokens, [HOST, "localhost:5500"], self.entra.redeem))
        target = urlsplit(path)
        cookie = "; ".join(f"{name}={value}" for name, value in self.kept.items())
        sent = {"host": host, **headers, **({"cookie": cookie} if cookie else {})}
        asked = scope(target.path, method, [(name.encode(), value.encode()) for name, value in sent.items()])
        asked["query_string"] = target.query.encode()
        return self._answer(app, asked)

    def _answer(self, app: Any, asked: Any) -> Answer:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        asyncio.run(app(asked, receive, send))
        headers = [(name.decode(), value.decode()) for name, value in messages[0]["headers"]]
        for name, value in headers:
            if name == "set-cookie":
                self._keep(value)
        body = b"".join(message.get("body", b"") for message in messages).decode()
        return Answer(messages[0]["status"], headers, body)

    def _keep(self, value: str) -> None:
        pair, *attributes = value.split("; ")
        assert {"Path=/", "Secure", "SameSite=Lax"} <= {*attributes}
        name, _, content = pair.partition("=")
        if "Max-Age=0" in attributes:
            self.kept.pop(name, None)
        else:
            assert ("HttpOnly" in attributes) == (name != cookies.FRESH)
            self.kept[name] = content

    @property
    def under_way(self) -> list[str]:
        """The cookies of the sign-ins that were begun and did not end."""
        return [name for name in self.kept if name.startswith(cookies.FLOW)]

    def asked(self, path: str = "/") -> Mapping[str, str]:
        """What Entra is asked when this browser begins to sign in."""
        url = self.open(f"/access/sign-in?{urlencode({'return': path})}").location
        assert url.startswith(f"{ACCESS.authority}/{TENANT}/oauth2/v2.0/authorize?")
        return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}

    def back(self, **answer: str) -> Answer:
        return self.open(f"/access/callback?{urlencode(answer)}")

    def sign_in(self, path: str = "/") -> Answer:
        return self.back(code=CODE, state=self.asked(path)["state"])


def test_signing_in_works_whichever_replica_answers() -> None:
    person = Person()
    first = person.open("/")
    assert (first.status, "/access/go.js" in first.text) == (401, True)
    asked = person.asked("/?workspace=team-a#/experiments/1")
    assert asked["redirect_uri"] == f"https://{HOST}/access/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert "client_secret" not in asked
    done = person.back(code=CODE, state=asked["state"])
    assert (done.status, done.location) == (303, "/?workspace=team-a#/experiments/1")
    assert person.under_way == []
    page = person.open("/")
    assert (page.status, "/access/session.js" in page.text) == (200, True)
    shown = person.open("/access")
    assert "anna@example.com" in shown.text
    assert "Contributor" in shown.text
    current = json.loads(person.open("/ajax-api/2.0/mlflow/users/current", headers=OWN).text)
    assert (current["user"]["username"], current["is_basic_auth"]) == ("anna@example.com", False)
    assert person.open("/access/sign-out", "POST", OWN).status == 200
    assert person.kept == {}
    assert person.open("/").status == 401


@pytest.mark.parametrize(("role", "everywhere"), [("team-a.Admin", False), ("Platform.Admin", True)])
def test_the_page_offers_what_concerns_all_teams_to_the_admin_of_all(role: str, everywhere: bool) -> None:
    person = Person(Entra(roles=(role,)))
    person.sign_in()
    current = json.loads(person.open("/ajax-api/2.0/mlflow/users/current", headers=OWN).text)
    assert current["user"]["is_admin"] is everywhere


@pytest.mark.parametrize(("oid", "status"), [(ANNA, 303), ("99999999-0000-0000-0000-000000000009", 403)])
def test_an_open_page_goes_on_under_the_same_name_alone(oid: str, status: int) -> None:
    person = Person()
    person.sign_in()
    before = cookies.session(person.kept)
    person.entra = Entra(changes={"oid": oid, "exp": 2**33})
    assert person.sign_in("/access/done").status == status
    assert (cookies.session(person.kept) != before) is (status == 303)
    # Whoever begins on a page of its own may be somebody else.
    person.entra = Entra(changes={"oid": oid})
    assert person.sign_in().status == 303


def test_a_session_that_counts_no_more_leads_to_another_one() -> None:
    person = Person()
    for value in cookies.begin(token("team-a.Reader", aud="another"), 600):
        person._keep(value)
    page = person.open("/")
    assert (page.status, 'href="/access/sign-in"' in page.text) == (401, True)


def test_a_browser_takes_no_page_without_the_script_for_the_present_one() -> None:
    person = Person()
    person.sign_in()
    asked = {**NAVIGATE, "if-none-match": '"of the file"', "if-modified-since": "Sun, 29 Nov 2026 00:00:00 GMT"}
    page = person.open("/", headers=asked)
    assert (page.status, "/access/session.js" in page.text) == (200, True)
    assert not {"etag", "last-modified"} & {name for name, _ in page.headers}


def test_a_token_of_many_groups_is_kept_in_pieces() -> None:
    person = Person(Entra(changes={"groups": [f"{number:036}" for number in range(150)]}))
    person.sign_in()
    assert len([name for name in person.kept if name.startswith(f"{cookies.SESSION}-")]) > 1
    assert max(map(len, person.kept.values())) <= 3800
    assert person.open("/").status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "evil", ""),
        *("/\n/evil.example", "/\t/evil.example", "/access/sign-in", "/access/callback?code=1", f"/{'x' * 2000}"),
    ],
)
def test_a_sign_in_returns_to_own_pages_only(path: str) -> None:
    assert Person().sign_in(path).location == "/"
    with_forged_cookie = Person()
    state = with_forged_cookie.asked()["state"]
    (name,) = with_forged_cookie.under_way
    kept = flow.unpacked(with_forged_cookie.kept[name])
    assert kept is not None
    forged = Flow(state=kept.state, nonce=kept.nonce, verifier=kept.verifier, path=path)
    with_forged_cookie.kept[name] = flow.packed(forged)
    assert with_forged_cookie.back(code=CODE, state=state).status == (303 if path == "/" else 400)


def test_nobody_is_signed_in_by_another_browsers_answer() -> None:
    attacker, victim = Person(), Person()
    stolen = attacker.asked()["state"]
    assert victim.back(code=CODE, state=stolen).status == 400
    victim.asked()
    assert victim.back(code=CODE, state=stolen).status == 400
    assert victim.entra.redeemed == set()
    assert not cookies.session(victim.kept)


def test_tabs_of_a_browser_sign_in_at_the_same_time() -> None:
    person = Person()
    states = [person.asked(f"/#/{tab}")["state"] for tab in range(3)]
    # In whatever order they come back.
    for tab in (2, 0, 1):
        done = person.back(code=f"code-{tab}", state=states[tab])
        assert (done.status, done.location) == (303, f"/#/{tab}")
    assert person.under_way == []
    # The same answer once more, and one with the state of another tab, come to nothing.
    before = dict(person.kept)
    last = person.asked()["state"]
    for state in (states[2], states[0], last[:8] + states[0][8:]):
        assert person.back(code="stolen", state=state).status == 400
    assert "stolen" not in person.entra.redeemed
    assert cookies.session(person.kept) == cookies.session(before)


def test_a_browser_keeps_few_sign_ins_and_the_latest_of_them() -> None:
    person = Person()
    states = [person.asked(f"/{'x' * 1400}")["state"] for _ in range(20)]
    assert len(person.under_way) == 8
    assert sum(len(person.kept[name]) for name in person.under_way) < 20 * 1024
    assert [person.back(code=str(at), state=states[at]).status for at in (0, 11, 12, 19)] == [400, 400, 303, 303]
    assert len(person.under_way) == 6
    person.open("/access/sign-out", "POST", OWN)
    assert person.kept == {}


def test_more_tabs_than_a_request_has_room_for_end_their_sign_ins() -> None:
    together = Person()
    for _ in range(40):
        person = Person()
        person.asked(f"/{'x' * 1400}")
        together.kept |= person.kept
    assert (together.open("/").status, together.kept) == (431, {})
    assert together.sign_in().status == 303


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [
        (record.getMessage(), getattr(record, "fields", {})) for record in caplog.records if record.name == audit.LOGGER
    ]


WHO = {"caller": "anna@example.com", "oid": ANNA, "application": AZURE_CLI, "ids": {}}
CALLBACK, SIGN_OUT = "GET /access/callback", "POST /access/sign-out"


def test_a_sign_in_and_a_sign_out_are_in_the_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    person = Person()
    state = person.asked()["state"]
    person.back(code=CODE, state=state, session_id="of-entra")
    session = cookies.session(person.kept)
    person.open("/access/sign-out", "POST", NAVIGATE)
    person.open("/access/sign-out", "POST", OWN)
    person.open("/access/sign-out", "POST", OWN)
    assert lines(caplog) == [
        ("signed-in", {**WHO, "route": CALLBACK, "status": 303}),
        ("refused", {"route": SIGN_OUT, "ids": {}, "status": 403, "reason": "other-site"}),
        ("signed-out", {**WHO, "route": SIGN_OUT, "status": 200}),
    ]
    written = json.dumps(lines(caplog)) + caplog.text
    assert not [secret for secret in (CODE, state, session, "of-entra") if secret in written]


@pytest.mark.parametrize(
    ("entra", "answer", "status", "reason", "known"),
    [
        (Entra(), {"state": "of another browser", "code": CODE}, 400, "sign-in-not-begun", False),
        (Entra(), {"error": "access_denied"}, 403, "sign-in-by-entra", False),
        (Entra(), {"error": "server_error"}, 503, "sign-in-away", False),
        (Entra(raises=CodeRefusedError("AADSTS70008")), {"code": CODE}, 400, "sign-in-code", False),
        (Entra(raises=AwayError("Entra does not answer")), {"code": CODE}, 503, "sign-in-away", False),
        (Entra(changes={"tid": "x"}), {"code": CODE}, 403, "sign-in-token", False),
        (Entra(nonce="another"), {"code": CODE}, 403, "sign-in-token", False),
        (Entra(changes={"oid": BLOCKED}), {"code": CODE}, 403, "blocked", True),
    ],
)
def test_a_refused_sign_in_is_in_the_record_with_its_reason(
    entra: Entra, answer: dict[str, str], status: int, reason: str, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    person = Person(entra)
    assert person.back(**{"state": person.asked()["state"], **answer}).status == status
    who = {**WHO, "oid": BLOCKED} if known else {"ids": {}}
    assert lines(caplog) == [("refused", {**who, "route": CALLBACK, "status": status, "reason": reason})]
    # Entra did not redeem the code if it was away: the same answer may come again.
    assert len(person.under_way) == (1 if status == 503 or reason == "sign-in-not-begun" else 0)
    assert not cookies.session(person.kept)
    assert CODE not in json.dumps(lines(caplog))


def test_who_is_blocked_reads_that_and_is_in_the_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    person = Person()
    for value in cookies.begin(token("team-a.Admin", oid=BLOCKED), 600):
        person._keep(value)
    page = person.open("/access")
    assert (page.status, "is blocked on this platform" in page.text, pages.SIGN_OUT in page.text) == (403, True, True)
    assert "Admin" not in page.text
    assert lines(caplog) == [
        ("refused", {**WHO, "oid": BLOCKED, "route": "GET /access", "status": 403, "reason": "blocked"})
    ]


@pytest.mark.parametrize(
    "kept", ["[" * 3000, '{"state": "\\ud800", "nonce": "n", "verifier": "v", "path": "/"}', "x" * 9000]
)
def test_a_forged_cookie_of_a_sign_in_is_refused(kept: str) -> None:
    person = Person()
    person.kept[f"{cookies.FLOW}-s"] = base64.urlsafe_b64encode(kept.encode()).decode().rstrip("=")
    assert person.back(code=CODE, state="s").status == 400
    assert person.entra.redeemed == set()


def test_who_comes_without_an_account_keeps_nobody_waiting() -> None:
    ends, waiting = threading.Event(), threading.Barrier(9)

    def redeem(code: str, found: Flow, redirect: str) -> Granted:
        waiting.wait(30)
        ends.wait(30)
        raise CodeRefusedError("AADSTS70008: expired")

    async def all_at_once() -> list[int]:
        app = SignIn(HTMLResponse(""), ACCESS, Tokens(ACCESS, Keys(key_set)), [HOST], redeem)
        begun = flow.started("/")
        kept = f"{cookies.FLOW}-{flow.name(begun.state)}={flow.packed(begun)}"
        headers = [(b"host", HOST.encode()), (b"cookie", kept.encode())]
        asked = scope(flow.CALLBACK, "GET", headers)
        asked["query_string"] = urlencode({"code": CODE, "state": begun.state}).encode()
        slow = [asyncio.create_task(_status(app, asked)) for _ in range(8)]
        await asyncio.to_thread(waiting.wait, 30)
        one_more = await _status(app, asked)
        ends.set()
        return [one_more, *[await each for each in slow]]

    assert asyncio.run(all_at_once()) == [503, *[400] * 8]


async def _status(app: Any, asked: Any) -> int:
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    await app(asked, receive, send)
    return statuses[0]


def test_a_code_is_good_once_and_in_its_own_browser() -> None:
    person = Person()
    asked = person.asked()
    before = dict(person.kept)
    assert person.back(code=CODE, state=asked["state"]).status == 303
    (verifier,) = person.entra.verifiers
    digest = hashlib.sha256(verifier.encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    again = Person(person.entra, before).back(code=CODE, state=asked["state"])
    assert (again.status, "already redeemed" in again.text) == (400, True)


@pytest.mark.parametrize(
    ("entra", "status", "words"),
    [
        (Entra(nonce="another"), 403, "belongs to another sign-in"),
        (Entra(raises=AwayError("Entra does not answer: timed out")), 503, "Try again in a minute"),
        (Entra(raises=CodeRefusedError("AADSTS70008: expired")), 400, "Entra did not take the answer"),
        (Entra(changes={"tid": "x"}), 403, f"is of another tenant; sign in to {TENANT}"),
        (Entra(changes={"nbf": 2**40}), 403, "is not valid yet; check the clocks of this machine and of the"),
        (Entra(changes={"azp": None}), 403, "send an access token, not an ID token"),
    ],
)
def test_a_sign_in_that_fails_has_a_page_with_the_next_step(entra: Entra, status: int, words: str) -> None:
    person = Person(entra)
    answer = person.sign_in()
    assert (answer.status, words in answer.text) == (status, True), answer.text
    assert "ml-platform@example.com" in answer.text or status == 400
    assert 'href="/access/sign-in"' in answer.text
    assert not cookies.session(person.kept)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ({"error": "access_denied", "error_description": "AADSTS50020: <b>of another tenant</b>"}, 403, "&lt;b&gt;of"),
        ({"error": "temporarily_unavailable"}, 503, "not available at present"),
        ({"error": "login_required"}, 200, "Entra asks you to sign in"),
    ],
)
def test_what_entra_refuses_is_said(error: dict[str, str], status: int, words: str) -> None:
    person = Person()
    answer = person.back(state=person.asked()["state"], **error)
    assert (answer.status, words in answer.text) == (status, True), answer.text


def test_an_unknown_host_begins_no_sign_in() -> None:
    assert Person().open("/access/sign-in", host="evil.example").status == 400


def test_a_person_without_a_role_reads_where_to_ask() -> None:
    person = Person(Entra(roles=()))
    assert person.sign_in().status == 303
    page = person.open("/")
    assert (page.status, "ml-platform@example.com" in page.text, pages.SIGN_OUT in page.text) == (403, True, True)


@pytest.mark.parametrize(
    ("headers", "method", "path", "status"),
    [
        (OWN, "GET", GET_RUN, 200),
        (NAVIGATE, "GET", GET_RUN, 200),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"}, "GET", GET_RUN, 403),
        ({}, "GET", GET_RUN, 403),
        (OWN, "POST", "/api/2.0/mlflow/runs/create", 200),
        (NAVIGATE, "POST", "/api/2.0/mlflow/runs/create", 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, "POST", "/api/2.0/mlflow/runs/create", 403),
        ({}, "POST", "/api/2.0/mlflow/runs/create", 403),
        # Its GET asks a model, which costs.
        (NAVIGATE, "GET", "/api/2.0/mlflow/gateway-proxy", 403),
        ({**OWN, "authorization": "Bearer x"}, "GET", GET_RUN, 401),
    ],
)
def test_a_session_serves_the_platforms_own_pages(
    headers: Mapping[str, str], method: str, path: str, status: int
) -> None:
    person = Person()
    person.sign_in()
    assert person.open(path, method, headers).status == status


def test_no_other_site_signs_anybody_out() -> None:
    person = Person()
    person.sign_in()
    assert person.open("/access/sign-out", "POST", NAVIGATE).status == 403
    assert person.open("/").status == 200


def test_an_address_of_this_machine_needs_no_https() -> None:
    assert flow.redirect_uri("localhost:5500") == "http://localhost:5500/access/callback"
    assert flow.redirect_uri("127.0.0.1:5500") == "http://127.0.0.1:5500/access/callback"
    assert flow.redirect_uri("[::1]:5500") == "http://[::1]:5500/access/callback"
    assert flow.redirect_uri(HOST) == f"https://{HOST}/access/callback"


def test_a_pod_proves_itself_by_its_account_and_not_by_a_token_that_was_exchanged_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entra refuses the other one: AADSTS700222."""
    file = tmp_path / "token"
    file.write_text("of the account\n")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    asked: list[Mapping[str, str]] = []

    def posted(_: str, form: Mapping[str, str]) -> Mapping[str, str]:
        asked.append(form)
        return {"access_token": "a", "id_token": "b"}

    monkeypatch.setattr(exchange, "_posted", posted)
    redeem = exchange.with_entra(ACCESS)
    begun = flow.started("/")
    assert redeem("code", begun, "https://h/access/callback").access_token == "a"
    assert asked[0]["client_assertion"] == "of the account"
    file.unlink()
    with pytest.raises(AwayError, match="no token"):
        redeem("code", begun, "https://h/access/callback")
