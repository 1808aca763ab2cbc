"""The settings of a local stack alone. Importing it loads no Pulumi, so that the local commands start fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from infra.settings import ports
from infra.settings.fields import Section, Whole, bounded, described, text


def _folder(value: object) -> object:
    if isinstance(value, Path) or (isinstance(value, str) and value.strip()):
        return value
    raise ValueError("a folder's path")


class LocalSettings(Section):
    """What a stack on one machine needs: its ports, its folder, its tokens and its image."""

    port_base: Whole = bounded(
        f"The gateway's port on 127.0.0.1. The {ports.COUNT} ports from it on belong to the stack",
        1024,
        65535 - ports.COUNT,
        default=5500,
    )
    state_directory: Annotated[Path, BeforeValidator(_folder)] = described(
        "Folder for everything that the stack keeps, from the project's root", "a folder's path", default=Path(".local")
    )
    token_seconds: Whole = bounded("Lifetime of the managed identities' tokens", 5, 86400, unit="seconds", default=3600)
    # No option of podman's can be given in its place.
    image: str | None = text(
        "Image of this machine that the services run from, as containers with the cpu and memory of their sizes. "
        "Without it they run from the working tree. `make up IMAGE=…` sets it",
        r"[A-Za-z0-9][A-Za-z0-9._/:@-]*",
        "a name, NAME@sha256:… or an id of an image that this machine has",
        default=None,
    )


class LocalPart(Section):
    """The part of a stack's file that only a stack on one machine has."""

    local: LocalSettings = LocalSettings()
