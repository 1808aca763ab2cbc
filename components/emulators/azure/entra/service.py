"""The HTTP side of Entra's sign-in: discovery, keys, the page on which a person is chosen, and tokens.

Beside Entra's own paths, POST /emulator/rotate makes a new signing key.
"""

from __future__ import annotations

import datetime
import html
import uuid
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

from components.emulators.azure.entra import device_codes
from components.emulators.azure.entra.directory import Directory
from components.emulators.azure.entra.grants import Grants
from components.emulators.azure.entra.refused import GrantRefused
from components.emulators.azure.entra.signing import SigningKeys
from components.emulators.azure.http import Request, Response
from components.emulators.azure.tokens import Tokens

ROTATE = "/emulator/rotate"
CHOICE = "emulator_user"
"""The argument of the authorize endpoint that a click on a person adds."""

SESSION = "emulator_session"
"""The cookie by which a browser is signed in here. It counts where an application asks to be answered silently."""


class Entra:
    """Serves a directory at `origin`, such as https://127.0.0.1:8443."""

    def __init__(self, directory: Directory, origin: str, keys: SigningKeys, assertions: Tokens, lifetime: int) -> None:
        self._directory = directory
        self._keys = keys
        self._base = f"{origin}/{directory.tenant_id}"
        self._issuer = f"{self._base}/v2.0"
        self._grants = Grants(directory, self._issuer, keys, assertions, lifetime)

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        if (request.method, request.path) == ("POST", ROTATE):
            self._keys.rotate()
            return Response(204)
        tenant, _, rest = request.path.lstrip("/").partition("/")
        if tenant.lower() != self._directory.tenant_id:
            text = f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
            return _refused(GrantRefused(90002, "invalid_request", text))
        match request.method, rest:
            case "GET", "v2.0/.well-known/openid-configuration":
                return Response(200, self._configuration())
            case "GET", "discovery/v2.0/keys":
                return Response(200, self._keys.document(self._issuer))
            case "GET", "oauth2/v2.0/authorize":
                return self._authorize(request.query, _session(request))
            case "GET", "oauth2/v2.0/logout":
                return _with_session(_page("<p>You are signed out.</p>", 200), "")
            case "POST", "oauth2/v2.0/token":
                return self._token(request)
            case "POST", "oauth2/v2.0/devicecode":
                return self._device(request)
            case "GET", "oauth2/deviceauth":
                return self._enter(request.query)
        return Response(404)

    def _configuration(self) -> dict[str, object]:
        return {
            "issuer": self._issuer,
            "authorization_endpoint": f"{self._base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self._base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{self._base}/oauth2/v2.0/devicecode",
            "end_session_endpoint": f"{self._base}/oauth2/v2.0/logout",
            "jwks_uri": f"{self._base}/discovery/v2.0/keys",
            "response_modes_supported": ["query"],
            "response_types_supported": ["code"],
            "scopes_supported": ["openid", "profile", "offline_access"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        }

    def _token(self, request: Request) -> Response:
        try:
            return Response(200, self._grants.token(_form(request)))
        except GrantRefused as refused:
            return _refused(refused)

    def _device(self, request: Request) -> Response:
        try:
            device_code, user_code = self._grants.begin_device(_form(request))
        except GrantRefused as refused:
            return _refused(refused)
        page = f"{self._base}/oauth2/deviceauth"
        return Response(
            200,
            {
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": page,
                "expires_in": device_codes.SECONDS,
                "interval": device_codes.INTERVAL_SECONDS,
                "message": f"To sign in, use a web browser to open the page {page} and enter the code {user_code} to "
                "authenticate.",
            },
        )

    def _enter(self, asked: Mapping[str, str]) -> Response:
        """The page on which a person enters a code, and then chooses who to be."""
        code, chosen = asked.get("otc", ""), asked.get(CHOICE)
        if not code:
            return _page('<form><label>Code <input name="otc" autofocus></label> <button>Next</button></form>', 200)
        if chosen is None and self._grants.waits(code):
            return self._choice(asked)
        try:
            self._grants.enter(code, self._directory.person(chosen or ""))
        except GrantRefused as refused:
            return _problem(f"AADSTS{refused.number}: {refused}")
        return _page("<p>You can close this window.</p>", 200)

    def _authorize(self, asked: Mapping[str, str], session: str | None) -> Response:
        platform = self._directory.platform
        # Before these two are right, nothing is sent to the address that the request names.
        if asked.get("client_id", "").lower() != platform.client_id:
            return _problem("AADSTS700016: The application was not found in the directory.")
        if asked.get("redirect_uri") not in platform.redirects:
            return _problem("AADSTS50011: The redirect URI does not match those of the application.")
        if asked.get("response_type") != "code":
            return _back(asked, {"error": "unsupported_response_type"})
        silent = asked.get("prompt") == "none"
        known = session if self._directory.person(session or "") else None
        chosen = asked.get(CHOICE, known if silent else None)
        if chosen is None and silent:
            text = "AADSTS50058: A silent sign-in request was sent but no user is signed in."
            return _back(asked, {"error": "login_required", "error_description": text})
        if chosen is None:
            return self._choice(asked)
        person = self._directory.person(chosen)
        if person is None:
            return _back(asked, {"error": "access_denied", "error_description": "AADSTS65004: User declined."})
        try:
            return _with_session(_back(asked, {"code": self._grants.code(person, asked)}), chosen)
        except GrantRefused as refused:
            return _problem(f"AADSTS{refused.number}: {refused}")

    def _choice(self, asked: Mapping[str, str]) -> Response:
        entries = [(each.name, each.object_id) for each in self._directory.people] + [("Cancel", "")]
        links = "".join(
            f'<li><a href="?{html.escape(urlencode({**asked, CHOICE: value}))}">{html.escape(name)}</a></li>'
            for name, value in entries
        )
        return _page(f"<p>Sign in as</p><ul>{links}</ul>", 200)


def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


def _session(request: Request) -> str | None:
    # Not parsed as a whole: other programs of this host set cookies too, in whatever form.
    pairs = (each.strip().partition("=") for each in request.headers.get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == SESSION), None)


def _with_session(answer: Response, person: str) -> Response:
    """Return an answer that signs a browser in as a person by object id, and out where that is empty."""
    life = "" if person else "; Max-Age=0"
    # As Entra's own: other sites' pages have it sent from a frame.
    cookie = f"{SESSION}={person}; Path=/; Secure; HttpOnly; SameSite=None{life}"
    return replace(answer, headers={**answer.headers, "Set-Cookie": cookie})


def _back(asked: Mapping[str, str], answer: dict[str, str]) -> Response:
    state = {"state": asked["state"]} if "state" in asked else {}
    return Response(302, headers={"Location": f"{asked['redirect_uri']}?{urlencode({**answer, **state})}"})


def _problem(text: str) -> Response:
    return _page(f"<p>{html.escape(text)}</p>", 400)


def _page(content: str, status: int) -> Response:
    body = f"<!doctype html><title>Sign in (emulator)</title>{content}"
    return Response(status, body, media_type="text/html; charset=utf-8")


def _refused(refused: GrantRefused) -> Response:
    trace = str(uuid.uuid4())
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    body = {
        "error": refused.error,
        "error_description": f"AADSTS{refused.number}: {refused} Trace ID: {trace} Timestamp: {now}",
        "error_codes": [refused.number],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": trace,
    }
    return Response(refused.status, body)
