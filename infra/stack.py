"""What every backend returns: platform arguments and stack outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pulumi

from components.mlflow.platform import PlatformArgs


@dataclass(frozen=True, kw_only=True)
class Stack:
    """`platform` is None where there is no image yet; `outputs` are exported, and are never secret.

    `publish` makes the gateway's address known, once it answers there.
    """

    platform: PlatformArgs | None
    outputs: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    publish: Callable[[pulumi.Output[str]], None] = lambda _: None
