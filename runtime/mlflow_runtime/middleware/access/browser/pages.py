"""The pages that a person sees instead of MLflow's, each with the next step, and their scripts. Pure."""

from __future__ import annotations

import html
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import HTMLResponse, Response

from mlflow_runtime.middleware.access.tokens import Caller
from mlflow_runtime.request_id import current

SIGN_IN: Final = "/access/sign-in"
SIGN_OUT: Final = "/access/sign-out"

_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    # Nothing of these pages comes from elsewhere, and nobody frames them but the page that renews a session.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'",
}
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1rem;color:#1f2933}"
    "h1{font-size:1.4rem}.id{color:#627d98;font-size:.85rem}table{border-spacing:0 .2rem}td{padding-right:1.5rem}"
    "button,a.button{font:inherit;padding:.4rem 1rem;border:1px solid #0b69a3;border-radius:4px;background:#0b69a3;"
    "color:#fff;text-decoration:none;cursor:pointer}"
)

SCRIPTS: Final[Mapping[str, str]] = {
    # The part of an address behind # is never sent, and the browser alone can take it along.
    "/access/go.js": """
"use strict";
const page = location.pathname + location.search + location.hash;
location.replace("/access/sign-in?return=" + encodeURIComponent(page));
""",
    "/access/done.js": """
"use strict";
if (window.opener) window.close();
""",
    # Offers to sign in again beside the page, which stays as it is, before the session ends.
    "/access/session.js": """
"use strict";
(() => {
  const fresh = () => document.cookie.split("; ").includes("__Host-access-fresh=1");
  let bar = null, tried = false;
  const quietly = () => {
    const frame = document.createElement("iframe");
    frame.hidden = true;
    frame.src = "/access/sign-in?silent=1&return=/access/done";
    document.body.append(frame);
    setTimeout(() => frame.remove(), 20000);
  };
  const offer = () => {
    bar = document.createElement("div");
    bar.id = "access-sign-in-again";
    bar.setAttribute("role", "alert");
    bar.style.cssText = "position:fixed;z-index:99999;left:0;right:0;bottom:0;padding:8px 16px;" +
      "background:#fff3c4;color:#1f2933;border-top:1px solid #f0b429;font:14px system-ui,sans-serif";
    bar.append("Your sign-in ends soon; what you typed stays. ");
    const button = document.createElement("button");
    button.textContent = "Sign in again";
    button.onclick = () => window.open("/access/sign-in?return=/access/done", "access", "popup,width=520,height=680");
    bar.append(button);
    document.body.append(bar);
  };
  const look = () => {
    if (fresh()) { tried = false; if (bar) { bar.remove(); bar = null; } return; }
    if (!tried) { tried = true; quietly(); return; }
    if (!bar) offer();
  };
  setInterval(look, 5000);
})();
""",
}


def answer(
    title: str, text: str, *, status: int, more: str = "", script: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return a page. `title` and `text` are plain, `more` is HTML, `script` the address of one of SCRIPTS."""
    found = current()
    identifier = f'<p class="id">Request {html.escape(found)}</p>' if found else ""
    tag = f'<script src="{script}" defer></script>' if script else ""
    body = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style>{tag}</head><body><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"
        f"{more}{identifier}</body></html>"
    )
    return HTMLResponse(body, status, {**_HEADERS, **(headers or {})})


def signing_in(status: int, headers: Mapping[str, str]) -> Response:
    """Lead to the sign-in, which remembers the page."""
    more = f'<p><a class="button" href="{SIGN_IN}">Sign in</a></p>'
    text = "You are led to the sign-in of your company."
    return answer("Sign in", text, status=status, more=more, script="/access/go.js", headers=headers)


def refused(status: int, message: str, *, signed_in: bool) -> Response:
    """Say why a page is not shown, and offer the way on."""
    title = "Not available at present" if status >= 500 else "No access"
    # Who has a session that counts no more needs another one, not the same page again.
    way, words = (SIGN_IN, "Sign in again") if status == HTTPStatus.UNAUTHORIZED else ("/", "Try again")
    again = f'<p><a class="button" href="{way}">{words}</a></p>'
    return answer(title, message, status=status, more=_sign_out_form() if signed_in else again)


def failed(status: int, title: str, text: str) -> Response:
    """Say why a sign-in did not come to its end."""
    return answer(title, text, status=status, more=f'<p><a class="button" href="{SIGN_IN}">Sign in again</a></p>')


def account(caller: Caller) -> Response:
    """Show who is signed in, with which roles."""
    rows = "".join(
        f"<tr><td>{html.escape(workspace)}</td><td>{role.title}</td></tr>"
        for workspace, role in sorted(caller.roles.items())
    )
    more = f'<table>{rows}</table><p><a href="/">To MLflow</a></p>{_sign_out_form()}'
    return answer(caller.name, "You are signed in, with these roles in workspaces:", status=200, more=more)


def signed_out(logout: str) -> Response:
    """Say that the session is over here, and how to end Entra's."""
    more = (
        f'<p><a class="button" href="{SIGN_IN}">Sign in</a></p>'
        f'<p><a href="{html.escape(logout)}">Sign out of your company account too</a></p>'
    )
    text = "This browser has no session of the platform any more. Your company account may still be signed in."
    return answer("Signed out", text, status=200, more=more)


def done(text: str) -> Response:
    """Close the window that was opened to sign in again."""
    return answer("Done", text, status=200, script="/access/done.js")


def _sign_out_form() -> str:
    return f'<form method="post" action="{SIGN_OUT}"><button>Sign out</button></form>'
