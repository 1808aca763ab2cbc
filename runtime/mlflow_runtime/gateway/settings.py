"""What the gateway is told by its environment."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mlflow_runtime.routes import ServiceRole

MIB: Final = 1024 * 1024
LARGEST_BODY_MIB: Final = 10 * 1024 * 1024
LONGEST_GRACE_SECONDS: Final = 3600

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)


class SettingsError(ValueError):
    """The environment does not describe a gateway. The message names every variable that is wrong, one a line."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A gateway. Made by `from_environment`; `render` relies on what that checked.

    `upstreams` are `host:port` addresses of each service, at least one a service. `public_hosts` are the Host header
    values that are served. Body limits in bytes; `grace_seconds` are for the requests in flight at a stop.
    """

    host: str
    port: int
    upstreams: Mapping[ServiceRole, tuple[str, ...]]
    upstream_tls: bool
    public_hosts: tuple[str, ...]
    max_body: int
    max_artifact: int
    grace_seconds: int


def from_environment(env: Mapping[str, str]) -> Settings:
    """Read the gateway's variables; an empty one counts as not set. Raises SettingsError with all that is wrong."""
    values: dict[str, Any] = {}
    problems = []
    for name, (parse, default) in _VARIABLES.items():
        given = env.get(name, "").strip() or default
        try:
            values[name] = parse(given)
        except ValueError as error:
            problems.append(f"{name}: {repr(given) if given else 'is not set;'} {error}")
    if problems:
        raise SettingsError("\n".join(["The gateway cannot start with these settings:", *problems]))
    return Settings(
        host=values["HOST"],
        port=values["PORT"],
        upstreams={role: values[_upstreams_variable(role)] for role in ServiceRole},
        upstream_tls=values["UPSTREAM_TLS"],
        public_hosts=values["PUBLIC_HOSTS"],
        max_body=values["MAX_BODY_MIB"] * MIB,
        max_artifact=values["MAX_ARTIFACT_MIB"] * MIB,
        grace_seconds=values["GRACE_SECONDS"],
    )


def _upstreams_variable(role: ServiceRole) -> str:
    return f"{role.name}_UPSTREAMS"


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}.")
        return int(text)

    return parse


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false.")
    return text == "true"


def _listen_host(text: str) -> str:
    """A name or an address, in the form that goes before `:PORT`."""
    if not _is_host(text):
        raise ValueError("must be a host name or an IP address to listen on, such as 127.0.0.1.")
    return f"[{text}]" if ":" in text else text


def _address(text: str) -> str:
    host, separator, port = text.rpartition(":")
    if not (separator and _is_bracketed_host(host) and _is_port(port)):
        raise ValueError("must be host:port pairs separated by commas, such as 10.0.0.4:5000,10.0.0.5:5000.")
    return text


def _host_header(text: str) -> str:
    host, separator, port = text.rpartition(":")
    with_port = bool(separator) and _is_bracketed_host(host) and _is_port(port)
    if not (with_port or _is_bracketed_host(text)):
        raise ValueError(
            "must be Host header values separated by commas, each a name or an address, with its port where that is not"
            " the scheme's own, such as mlflow.example.com,localhost:5500."
        )
    return text.lower()


def _list_of(parse: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    def parse_all(text: str) -> tuple[str, ...]:
        items = tuple(parse(item.strip()) for item in text.split(","))
        if len(set(items)) < len(items):
            raise ValueError("must not name anything twice.")
        return items

    return parse_all


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= 65535


def _is_host(text: str) -> bool:
    return _is_ip(text) or (len(text) <= 253 and _HOST_NAME.fullmatch(text) is not None)


def _is_bracketed_host(text: str) -> bool:
    """A host as it stands before a port: an IPv6 address only in brackets."""
    if text.startswith("[") and text.endswith("]"):
        return ":" in text and _is_ip(text[1:-1])
    return ":" not in text and _is_host(text)


def _is_ip(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


# Variable: how it is read and what it is when not set ("" for a variable that must be set).
_VARIABLES: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    "HOST": (_listen_host, "0.0.0.0"),  # noqa: S104 - a container listens on all its addresses
    "PORT": (_number(1, 65535), ""),
    **{_upstreams_variable(role): (_list_of(_address), "") for role in ServiceRole},
    "UPSTREAM_TLS": (_boolean, "false"),
    "PUBLIC_HOSTS": (_list_of(_host_header), ""),
    "MAX_BODY_MIB": (_number(1, LARGEST_BODY_MIB), "64"),
    "MAX_ARTIFACT_MIB": (_number(1, LARGEST_BODY_MIB), "10240"),
    "GRACE_SECONDS": (_number(1, LONGEST_GRACE_SECONDS), "30"),
}
