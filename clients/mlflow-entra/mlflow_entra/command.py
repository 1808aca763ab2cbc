"""`mlflow-entra`: who this machine is to the platform, and a token for other programs."""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from azure.core.exceptions import AzureError

from mlflow_entra import credentials, logins, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 1: no token, and why."""
    parser = argparse.ArgumentParser(prog="mlflow-entra", description=__doc__)
    parser.add_argument(
        "command",
        choices=("login", "logout", "whoami", "token"),
        help="sign in by a code that is entered in any browser; forget that; show name and roles; print a token",
    )
    parser.add_argument(
        "--unencrypted", action="store_true", help="login: keep tokens in a plain file where there is no keyring"
    )
    given = parser.parse_args(arguments)
    command = given.command
    if command == "logout":
        if left := logins.logout(os.environ):
            print(left)
        return 0
    try:
        if command == "login":
            name = logins.login(os.environ, settings.scope(os.environ), unencrypted=given.unencrypted)
            print(f"Signed in as {name}.")
            return 0
        token = credentials.Tokens(credentials.choose(os.environ), settings.scope(os.environ)).current()
    # A ValueError is that of a setting, here or in azure-identity; an OSError that of a workflow's address for tokens.
    except (ValueError, AzureError, OSError) as error:
        print(f"mlflow-entra: {logins.explained(error)}", file=sys.stderr)
        return 1
    print(token if command == "token" else shown(claims(token)))
    return 0


def claims(token: str) -> dict[str, Any]:
    """Return what a token says. It is not verified: the server does that."""
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def shown(found: dict[str, Any]) -> str:
    """Return name, object id, tenant and roles as lines."""
    name = found.get("preferred_username") or found.get("name") or f"application {found.get('azp')}"
    none = "none in the token: those of your groups count where the platform goes by groups; else ask for one"
    roles = ", ".join(found.get("roles", ())) or none
    return f"name    {name}\nid      {found.get('oid')}\ntenant  {found.get('tid')}\nroles   {roles}"


if __name__ == "__main__":
    sys.exit(main())
