"""How every role reads its environment: one variable at a time, and all that is wrong in one message.

A setting is the variable MLFLOW_RUNTIME_NAME; code here and in the roles says NAME. A role refuses every variable with
the prefix that it does not read, so that a mistyped one is never ignored. `PLATFORM_VARIABLES` carry no prefix.

The platform that starts a role passes every value, so defaults and the ranges of the product are not here: a reader
bounds a value only where the code behind it needs that.

A parser takes a variable's text and returns its value, or raises ValueError with a sentence that follows "it" ("must be
…"). It refuses an empty text so too, unless the variable may be left out.
"""

from __future__ import annotations

import difflib
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

from mlflow_runtime.addresses import is_host, is_host_header, split_https

T = TypeVar("T")

PREFIX: Final = "MLFLOW_RUNTIME_"

# Names that platforms and Azure's clients set by convention, for any program.
PLATFORM_VARIABLES: Final = frozenset(
    {
        "PORT",
        "TMPDIR",
        "AZURE_CLIENT_ID",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_TENANT_ID",
    }
)

_AFTER_DRAIN_SECONDS: Final = 3

_PLATFORM_IDENTITIES: Final = (
    ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"),
    ("AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID"),
)


class SettingsError(ValueError):
    """The environment does not describe what is to run. The message names every variable that is wrong, one a line."""


def variable(name: str) -> str:
    """Return the variable that holds a setting: its name with the prefix, or the name itself if platforms set it."""
    return name if name in PLATFORM_VARIABLES else f"{PREFIX}{name}"


class Reader:
    """Reads settings by their names and collects what is wrong for `check`. An empty variable counts as not set."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._read: set[str] = set()
        self._values: dict[str, Any] = {}
        self._problems: list[str] = []

    def given(self, name: str) -> str:
        """Return the text of a setting, empty when it is not set."""
        self._read.add(variable(name))
        return self._env.get(variable(name), "").strip()

    def get(self, name: str, parse: Callable[[str], T], default: str = "", *, secret: bool = False) -> T:
        """Return what `parse` makes of the setting, or of `default` when it is not set.

        A refused value is None here and never used, because `check` raises. `secret` keeps the given text out of the
        message: set it for every URL, which may hold a password or a signature.
        """
        given = self.given(name)
        try:
            value = parse(given or default)
        except ValueError as error:
            what = ("its value" if secret else repr(given)) if given else "is not set; it"
            remedy = f" Leave it out for {default}." if default else ""
            self.refuse(variable(name), f"{what} {error}{remedy}")
            return cast("T", None)
        self._values[name] = value
        return value

    def distinct(self, first: str, second: str, what: Callable[[Any], str] = str) -> None:
        """Refuse two settings, both read before, that name the same; `what` says what a value names."""
        if first in self._values and second in self._values:
            one, other = what(self._values[first]), what(self._values[second])
            if one == other:
                self.refuse(f"{variable(first)} and {variable(second)}", f"both name {one!r}; give each its own.")

    def refuse(self, names: str, problem: str) -> None:
        """Add a problem of one variable or of several, named in full."""
        self._problems.append(f"{names}: {problem}")

    def check(self, subject: str) -> None:
        """Raise SettingsError if anything was wrong, a variable with the prefix that was not read included.

        `subject` is what cannot start, such as "The gateway". Call it after every setting was read.
        """
        for name in sorted(self._env.keys() - self._read):
            if name.startswith(PREFIX):
                self.refuse(name, f"is not read by this role. {_remedy(name, self._read)}")
        if self._problems:
            raise SettingsError("\n".join([f"{subject} cannot start with these settings:", *self._problems]))


def host(reader: Reader) -> str:
    """HOST: the host name or IP address to listen on, without brackets."""
    return reader.get("HOST", _listen_host)


def port(reader: Reader) -> int:
    """PORT: where to listen."""
    return reader.get("PORT", number(1, 65535))


def public_hosts(reader: Reader) -> tuple[str, ...]:
    """PUBLIC_HOSTS: the Host headers that are served, in lower case."""
    return reader.get("PUBLIC_HOSTS", list_of(_host_header))


def grace_seconds(reader: Reader) -> int:
    """GRACE_SECONDS: how long the requests in flight have at a stop. A service needs two for its own end."""
    return reader.get("GRACE_SECONDS", number(_AFTER_DRAIN_SECONDS))


def drain_seconds(reader: Reader, grace: int) -> int:
    """DRAIN_SECONDS: how long of that, at its beginning, requests are still taken while callers are sent away.

    It must leave three of the grace seconds.
    """
    seconds = reader.get("DRAIN_SECONDS", number(0))
    if seconds and grace and seconds > grace - _AFTER_DRAIN_SECONDS:
        most = max(0, grace - _AFTER_DRAIN_SECONDS)
        with_grace = f"with {grace} in {variable('GRACE_SECONDS')}"
        reader.refuse(variable("DRAIN_SECONDS"), f"{seconds} must be at most {most} {with_grace}; change one.")
    return seconds


def key_vault_url(reader: Reader) -> str:
    """KEY_VAULT_URL: the vault's address, without a slash at its end."""
    return reader.get("KEY_VAULT_URL", _vault_url, secret=True)


def require_identity(reader: Reader) -> None:
    """Refuse a process without a managed identity: AZURE_CLIENT_ID, and the platform's endpoint for its tokens.

    Without an endpoint the credential would look for a virtual machine's, for minutes.
    """
    reader.get("AZURE_CLIENT_ID", _client_id)
    if not any(all(reader.given(name) for name in names) for names in _PLATFORM_IDENTITIES):
        endpoint, workload = (" and ".join(names) for names in _PLATFORM_IDENTITIES)
        reader.refuse(
            endpoint,
            f"not both are set; the platform sets them for a process with a managed identity ({workload} for one with "
            "a workload identity). Give this process its identity.",
        )


def secret_name(text: str) -> str:
    """A parser of the name of a secret in a Key Vault."""
    if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", text):
        raise ValueError("must be a secret's name in the vault, 1 to 127 letters, digits and hyphens.")
    return text


def number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers within limits, both included; without `most` up to 12 digits."""
    allowed = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < least or (most is not None and int(text) > most):
            raise ValueError(f"must be a whole number {allowed}.")
        return int(text)

    return parse


def boolean(text: str) -> bool:
    """A parser of true and false."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false.")
    return text == "true"


def list_of(parse: Callable[[str], str], *, optional: bool = False) -> Callable[[str], tuple[str, ...]]:
    """A parser of values separated by commas, each once; of none only if the list is optional."""

    def parse_all(text: str) -> tuple[str, ...]:
        if optional and not text:
            return ()
        items = tuple(parse(item.strip()) for item in text.split(","))
        if len(set(items)) < len(items):
            raise ValueError("must not name anything twice.")
        return items

    return parse_all


def is_guid(text: str) -> bool:
    """A GUID in its one usual form, in either case."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _remedy(name: str, known: Iterable[str]) -> str:
    # Without the prefix, by which all would be near to each other.
    settings = sorted(own.removeprefix(PREFIX) for own in known if own.startswith(PREFIX))
    nearest = difflib.get_close_matches(name.removeprefix(PREFIX), settings, n=1)
    return f"Rename it to {PREFIX}{nearest[0]}." if nearest else "Remove it."


def _listen_host(text: str) -> str:
    if not is_host(text):
        raise ValueError("must be a host name or an IP address to listen on, such as 127.0.0.1.")
    return text


def _host_header(text: str) -> str:
    if not is_host_header(text):
        raise ValueError(
            "must be Host header values separated by commas, each a name or an address, with its port where that is not"
            " the scheme's own, such as mlflow.example.com,localhost:5500. Patterns are refused: they would let foreign"
            " names in."
        )
    return text.lower()


def _vault_url(text: str) -> str:
    parts = split_https(text)
    if parts is None or parts.path not in ("", "/"):
        raise ValueError("must be the vault's address, such as https://NAME.vault.azure.net.")
    return f"https://{parts.netloc}"


def _client_id(text: str) -> str:
    if not is_guid(text):
        raise ValueError("must be the client id (a GUID) of this process's managed identity.")
    return text.lower()
