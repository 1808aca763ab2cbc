"""Encryption of what travels."""

from __future__ import annotations

from collections.abc import Iterator

from infra.guardrails import types
from infra.guardrails.resource import Resource
from infra.guardrails.rule import Broken, differs, properties

_TLS_OF_THE_SERVER = ("TLSv1.2", "TLSv1.3")
_OF_THE_SERVER = {"require_secure_transport": ("on",), "ssl_min_protocol_version": _TLS_OF_THE_SERVER}

_account_takes_new_tls = properties({types.STORAGE: {"minimumTlsVersion": ("TLS1_2", "TLS1_3")}})
_nothing_is_plain = properties(
    {
        types.STORAGE: {"enableHttpsTrafficOnly": (None, True)},
        types.ENVIRONMENT: {"peerTrafficConfiguration.encryption.enabled": (True,)},
        types.CONTAINER_APP: {"configuration.ingress.allowInsecure": (None, False)},
    }
)


def old_tls(resource: Resource) -> Iterator[Broken]:
    """Refuse versions of TLS before 1.2."""
    yield from _account_takes_new_tls(resource)
    yield from _parameter(resource, "ssl_min_protocol_version")


def plain_traffic(resource: Resource) -> Iterator[Broken]:
    """Refuse what answers without TLS."""
    yield from _nothing_is_plain(resource)
    yield from _parameter(resource, "require_secure_transport")


def _parameter(resource: Resource, name: str) -> Iterator[Broken]:
    if resource.type == types.PARAMETER and resource.at("configurationName") == name:
        yield from differs(resource, "value", *_OF_THE_SERVER[name])
