"""A person's sign-in by a code, for a machine without a browser and without `az`.

azure-identity keeps the tokens, encrypted where the machine can; here is only whose they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from azure.identity import AuthenticationRecord, DeviceCodeCredential, TokenCachePersistenceOptions

from mlflow_entra import settings

_CACHE = "mlflow-entra"
_ANY_TENANT = "organizations"


def file(env: Mapping[str, str]) -> Path:
    """Return where it is kept who signed in: no secret."""
    folder = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "mlflow-entra" / "login.json"


def login(env: Mapping[str, str], scope: str, *, unencrypted: bool) -> str:
    """Show a code, wait until somebody signs in with it, and return the name.

    Raises SettingsError, and the errors of azure-identity, one of which is a missing keyring without `unencrypted`.
    """
    tenant, authority = env.get("AZURE_TENANT_ID", _ANY_TENANT), settings.authority(env)
    credential = DeviceCodeCredential(
        tenant_id=tenant,
        authority=authority,
        cache_persistence_options=_cache(unencrypted=unencrypted),
        prompt_callback=_show,
        **_trust(authority),
    )
    record = credential.authenticate(scopes=[scope])
    kept = file(env)
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Not the record's own authority, which some of Microsoft's clouds call by another name.
    document = {"authority": authority, "record": json.loads(record.serialize()), "unencrypted": unencrypted}
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(document, output)
    return str(record.username)


def remembered(env: Mapping[str, str]) -> Any:
    """Return the credential of who signed in on this machine to the Entra of the environment, None if nobody did.

    Raises SettingsError.
    """
    authority = settings.authority(env)
    try:
        found = json.loads(file(env).read_text())
        if found["authority"] != authority:
            return None
        record = AuthenticationRecord.deserialize(json.dumps(found["record"]))
        cache = _cache(unencrypted=bool(found["unencrypted"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Never a code in the middle of a run: whoever is not signed in any more is asked to run `login`.
    return DeviceCodeCredential(
        tenant_id=record.tenant_id,
        authentication_record=record,
        cache_persistence_options=cache,
        disable_automatic_authentication=True,
        **_trust(authority),
    )


def logout(env: Mapping[str, str]) -> str:
    """Forget who signed in, and remove the file with tokens. Return what is left to do, empty if nothing is."""
    unencrypted: bool | None = None
    # Otherwise nobody signed in.
    with suppress(OSError, ValueError, KeyError, TypeError):
        unencrypted = bool(json.loads(file(env).read_text())["unencrypted"])
    file(env).unlink(missing_ok=True)
    # Where azure-identity keeps them: azure/identity/_persistent_cache.py. On Windows the file itself is encrypted.
    folder = Path(env["LOCALAPPDATA"]) if "LOCALAPPDATA" in env else Path.home()
    files = [folder / ".IdentityService" / f"{_CACHE}{suffix}" for suffix in (".cae", ".nocae")]
    # With a keyring, which is used where there is one, the file is empty: it only says when tokens changed.
    plain = any(each.exists() and each.stat().st_size for each in files)
    for each in files:
        each.unlink(missing_ok=True)
    if unencrypted is None or (unencrypted and plain) or "LOCALAPPDATA" in env:
        return ""
    return f"Tokens are still in this machine's keyring: remove the entries {_CACHE}.cae and {_CACHE}.nocae there."


def explained(error: Exception) -> str:
    """Return an error as a line, with what to do where it is that azure-identity found no keyring."""
    # Its words in azure/identity/_persistent_cache.py; other errors come by the same types.
    if "Cache encryption is impossible" not in str(error):
        return str(error)
    return "this machine has no keyring for tokens. Install libsecret, or run: mlflow-entra login --unencrypted"


def _show(page: str, code: str, _: datetime) -> None:
    # At once, also where it goes to a file or another program.
    print(f"To sign in, open {page} in any browser and enter the code {code}", flush=True)


def _trust(authority: str) -> dict[str, Any]:
    """Return the options for a host of Entra. One on this machine, an emulator, is in no list of Microsoft's clouds."""
    return {"disable_instance_discovery": True} if urlsplit(authority).hostname in settings.THIS_MACHINE else {}


def _cache(*, unencrypted: bool) -> TokenCachePersistenceOptions:
    return TokenCachePersistenceOptions(name=_CACHE, allow_unencrypted_storage=unencrypted)
