"""Sign-ins by a code that a person enters in a browser of any machine.

Source: Microsoft Learn, "Microsoft identity platform and the OAuth 2.0 device authorization grant flow".
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass

from components.emulators.azure.entra.directory import Principal
from components.emulators.azure.entra.refused import GrantRefused

SECONDS = 900
"""How long a person has to enter the code."""

INTERVAL_SECONDS = 1
"""How often a client may ask. Entra says 5; here somebody waits for it."""

# Without vowels no code is a word, and 0 and 1 look like letters.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ23456789"
_LENGTH = 9


@dataclass
class _Begun:
    client_id: str
    scope: str
    user_code: str
    at: float
    person: Principal | None = None
    declined: bool = False

    @property
    def age(self) -> float:
        return time.monotonic() - self.at

    @property
    def waits(self) -> bool:
        return self.age <= SECONDS and self.person is None and not self.declined


class DeviceCodes:
    """The sign-ins under way. Threads may share it."""

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}
        self._lock = threading.Lock()

    def begin(self, client_id: str, scope: str) -> tuple[str, str]:
        """Return the code that the client keeps and the one that the person enters."""
        device_code = secrets.token_urlsafe(48)
        user_code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
        with self._lock:
            # A client that asks soon after the end still learns that its code expired.
            self._begun = {key: each for key, each in self._begun.items() if each.age <= 2 * SECONDS}
            self._begun[device_code] = _Begun(client_id, scope, user_code, time.monotonic())
        return device_code, user_code

    def waits(self, user_code: str) -> bool:
        """Return whether a sign-in waits for the person who enters this code."""
        with self._lock:
            return self._of(user_code) is not None

    def choose(self, user_code: str, person: Principal | None) -> bool:
        """Let a person sign in, None where they decline. Return whether a sign-in waited for it."""
        with self._lock:
            found = self._of(user_code)
            if found is None:
                return False
            found.person, found.declined = person, person is None
            return True

    def redeem(self, device_code: str, client_id: str) -> tuple[Principal, str]:
        """Return who signed in, once, and the scope that was asked for. Raises GrantRefused until then."""
        with self._lock:
            found = self._begun.get(device_code)
            if found is None or found.client_id != client_id:
                raise GrantRefused(70018, "bad_verification_code", "Invalid verification code.")
            if found.waits:
                raise GrantRefused(70016, "authorization_pending", "Authorization is pending. Continue polling.")
            del self._begun[device_code]
            if found.age > SECONDS:
                raise GrantRefused(70019, "expired_token", "Verification code expired.")
            if found.person is None:
                raise GrantRefused(65004, "authorization_declined", "The user declined to sign in.")
            return found.person, found.scope

    def _of(self, user_code: str) -> _Begun | None:
        entered = user_code.strip().upper()
        return next((each for each in self._begun.values() if each.waits and each.user_code == entered), None)
