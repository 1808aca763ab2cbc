"""The public keys that Entra signs tokens with: fetched seldom, and kept when Entra cannot be reached."""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Final

import certifi
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from mlflow_runtime.reasons import first_line
from mlflow_runtime.service.health import NotReadyError

LIFE_SECONDS: Final = 24 * 3600
"""How long keys are used before they are fetched again. Entra announces new ones days ahead."""

PAUSE_SECONDS: Final = 30
"""The least time between two fetches, so that tokens with invented key ids make no storm of requests."""

FIRST_PAUSE_SECONDS: Final = 1
"""The same as long as there are no keys at all: the replica is not ready and has nothing else to do."""

_TIMEOUT_SECONDS: Final = 5
_LARGEST: Final = 1 << 20

_log = logging.getLogger(__name__)

Document = Mapping[str, Any]


class NoKeysError(Exception):
    """The keys were never fetched, so no token can be judged. The message says why."""


class Keys:
    """The keys of a tenant by their ids. Threads may share it. `fetch` returns the key set's document, or raises."""

    def __init__(self, fetch: Callable[[], Document], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = 0.0
        self._asked_at: float | None = None
        self._reason = "they were not asked for yet"

    def get(self, key_id: str) -> PyJWK | None:
        """Return a key that is at hand and not too old, and ask nobody."""
        fresh = self._clock() - self._fetched_at < LIFE_SECONDS
        return self._keys.get(key_id) if fresh else None

    def find(self, key_id: str) -> PyJWK | None:
        """Return the key of an id, None if Entra has no such key. Blocks; raises NoKeysError if there are no keys."""
        with self._lock:
            found = self.get(key_id)
            if found is not None:
                return found
            self._refresh()
            if not self._keys:
                raise NoKeysError(self._reason)
            # However old: those of a tenant stay its own while Entra is away.
            return self._keys.get(key_id)

    def probe(self) -> str | None:
        """Pass once there are keys: a check of `/ready`. Blocks; raises NotReadyError while there were never any."""
        if not self._keys:
            with self._lock:
                self._refresh()
        if not self._keys:
            raise NotReadyError(f"the keys of Entra's tokens could not be fetched: {self._reason}")
        return None

    def _refresh(self) -> None:
        now = self._clock()
        pause = PAUSE_SECONDS if self._keys else FIRST_PAUSE_SECONDS
        if self._asked_at is not None and now - self._asked_at < pause:
            return
        self._asked_at = now
        try:
            keys = parsed(self._fetch())
        # An answer that is cut or no HTTP is neither of the first two.
        except (OSError, ValueError, HTTPException) as error:
            self._reason = first_line(error)
            _log.warning("the keys of Entra's tokens could not be fetched: %s", self._reason)
            return
        self._keys, self._fetched_at = keys, now


def parsed(document: Document) -> Mapping[str, PyJWK]:
    """Return the RSA signing keys of a key set by their ids. Raises ValueError for a document without any."""
    entries = document.get("keys") if isinstance(document, dict) else None
    found: dict[str, PyJWK] = {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
            continue
        try:
            found[str(entry["kid"])] = PyJWK(entry, algorithm="RS256")
        except (PyJWTError, KeyError, ValueError):
            continue
    if not found:
        raise ValueError("the answer holds no RSA signing key")
    return found


def fetched_from(url: str) -> Callable[[], Document]:
    """Return a function that fetches the document at an HTTPS address, from the settings."""

    def fetch() -> Document:
        context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS, context=context) as answer:  # noqa: S310 - https
            document: Document = json.loads(answer.read(_LARGEST))
        return document

    return fetch
