"""The settings of a local stack alone. Importing it loads no Pulumi, so that the local commands start fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator

from infra.settings import ports
from infra.settings.fields import Section, Whole, bounded, described, text

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
OWN: Final = ".local"
"""The folder of the project that a stack may be in, with those below it."""
_FOLDER_WORDS: Final = f"a folder's path: {OWN} of the project or a folder below it, or one outside of the project"


def _folder(value: object) -> object:
    """Refuse the project itself, the folders above it, and what is no path.

    Folders of the project are refused to a new stack alone, by its first `up`: one that is there has to be stopped and
    removed.
    """
    if not isinstance(value, str | Path) or not str(value).strip() or not str(value).isprintable():
        raise ValueError(_FOLDER_WORDS)
    if _REPOSITORY.is_relative_to((_REPOSITORY / value).resolve()):
        raise ValueError(_FOLDER_WORDS)
    return value


class LocalSettings(Section):
    """What a stack on one machine needs: its ports, its folder, its tokens and its image."""

    port_base: Whole = bounded(
        f"The gateway's port on 127.0.0.1. The {ports.COUNT} ports from it on belong to the stack",
        1024,
        65535 - ports.COUNT,
        default=5500,
    )
    state_directory: Annotated[Path, BeforeValidator(_folder)] = described(
        "Folder for everything that the stack keeps, from the project's root. No other files may be in it",
        _FOLDER_WORDS,
        default=Path(OWN),
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
