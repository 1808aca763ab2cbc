"""One sign-in: what goes to Entra, what the browser keeps meanwhile, and what comes back.

Source: Microsoft Learn, "Microsoft identity platform and OAuth 2.0 authorization code flow". The replica that gets the
answer need not be the one that began: the browser brings what was kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlencode

from mlflow_runtime.addresses import is_loopback
from mlflow_runtime.middleware.access.settings import Access

SECONDS: Final = 600
"""How long a person has to sign in."""

CALLBACK: Final = "/access/callback"
OWN: Final = "/access"
DONE: Final = f"{OWN}/done"
"""Where a sign-in ends that an open page asked for, to go on with its work."""

_NAME_CHARACTERS: Final = 8
_LONGEST_PATH: Final = 1500
_LONGEST_COOKIE: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What the browser keeps of a sign-in.

    `state` comes back with the answer and ties it to this browser, `nonce` ties the ID token to it, and `verifier`
    makes the code worthless to whoever else gets hold of it. `path` is the page that was asked for.
    """

    state: str
    nonce: str
    verifier: str
    path: str


def started(path: str) -> Flow:
    """Return a new sign-in for a page."""
    return Flow(
        state=secrets.token_urlsafe(24),
        nonce=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        path=own_path(path),
    )


def own_path(path: str) -> str:
    """Return a path of this host to return to; `/` in place of what may lead elsewhere, or back into a sign-in."""
    own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and path.isascii()
    under_way = path.startswith(OWN) and path != DONE
    return path if own and not under_way and len(path) <= _LONGEST_PATH else "/"


def packed(flow: Flow) -> str:
    """Return a sign-in as the value of a cookie."""
    return base64.urlsafe_b64encode(json.dumps(asdict(flow)).encode()).decode().rstrip("=")


def unpacked(value: str) -> Flow | None:
    """Return the sign-in of a cookie, None for anything else."""
    if len(value) > _LONGEST_COOKIE:
        return None
    try:
        found: Any = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        flow = Flow(**{name: str(text) for name, text in found.items()})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    return flow if flow.state and flow.verifier and flow.nonce and flow.path == own_path(flow.path) else None


def name(state: str) -> str:
    """Return the part of a state that tells the sign-ins of a browser apart."""
    return state[:_NAME_CHARACTERS]


def matches(flow: Flow, state: str) -> bool:
    """Return whether an answer belongs to the sign-in that this browser began."""
    return hmac.compare_digest(*(text.encode("utf-8", "surrogatepass") for text in (flow.state, state)))


def redirect_uri(host: str) -> str:
    """Return where Entra sends the browser back. `host` is a Host header that is served."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return f"{'http' if is_loopback(name.strip('[]')) else 'https'}://{host}{CALLBACK}"


def authorize_url(access: Access, flow: Flow, redirect: str, *, silent: bool) -> str:
    """Return Entra's address to which the browser goes. A silent one asks nothing of the person."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).decode().rstrip("=")
    asked: Mapping[str, str] = {
        "client_id": access.client_id,
        "response_type": "code",
        "response_mode": "query",
        "redirect_uri": redirect,
        "scope": scope(access),
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **({"prompt": "none"} if silent else {}),
    }
    return f"{access.authority}/{access.tenant_id}/oauth2/v2.0/authorize?{urlencode(asked)}"


def scope(access: Access) -> str:
    """Return the scopes of a sign-in: who it is, and a token for the platform."""
    return f"openid profile {access.client_id}/.default"
