"""Spares the program what Pulumi's SDK does in each resource and nobody reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from pulumi import log, resource

DEBUG: Final = "SDK_DEBUG"
"""The variable with which, at any value, the SDK sends its debug messages: for `pulumi preview --debug`."""


def spare(environ: Mapping[str, str] = os.environ) -> None:
    """Have the SDK work out no URNs of aliases and send no debug messages. Call it before resources are made.

    azure-native gives each resource an alias for each of its API versions, up to 30, and `pulumi.Resource` works out
    the URN of each: half of the program's time. Only an engine that takes no alias specifications reads them;
    Pulumi.yaml requires a later one, which gets the specifications as before.

    The SDK tells the engine of each step of a registration, and waits for its answer: a third of a preview's time. The
    engine shows the messages with `--debug` alone.
    """
    resource.collapse_alias_to_urn = _nothing  # type: ignore[assignment, attr-defined]
    if DEBUG not in environ:
        log.debug = _nothing


def _nothing(*_: object, **__: object) -> None:
    """Stand in for `collapse_alias_to_urn` and `log.debug` of the SDK."""
