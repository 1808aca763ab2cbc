"""The names that the provider makes up for resources without one.

Source: pulumi-azure-native, provider/pkg/provider/provider.go (getDefaultName), and "Auto-naming" of its documentation:
a resource directly in a resource group, and the group itself, has a random end; what is inside of another resource, or
extends it, bears the plain logical name; a role's assignment and definition are a random GUID.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Final

from delivery.azure_types import paths
from delivery.azure_types.type_tokens import short

_GUIDS: Final = ("authorization:RoleAssignment", "authorization:RoleDefinition")


@dataclass(frozen=True, kw_only=True)
class Name:
    """A made-up name; with a random part, the resource's replacement can be created before it is deleted."""

    text: str
    random: bool


def name(type_token: str, logical: str, seed: bytes) -> Name:
    """Return the name for a logical one; the same seed gives the same name."""
    digest = hashlib.sha256(seed + logical.encode()).digest()
    if short(type_token) in _GUIDS:
        return Name(text=str(uuid.UUID(bytes=digest[:16])), random=True)
    path = paths.path(type_token) or ""
    _, provider, tail = path.rpartition("/providers/")
    nested = (bool(provider) and tail.count("/") > 2) or path.startswith("{")
    return Name(text=logical, random=False) if nested else Name(text=f"{logical}{digest.hex()[:8]}", random=True)
