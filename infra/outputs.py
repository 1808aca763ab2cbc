"""What a stack tells its users and other programs. A name here is a contract; values are never secret."""

from __future__ import annotations

import pulumi

from components.mlflow.platform import Platform
from infra.settings.model import Settings
from infra.stack import Stack
from infra.tags import tags


def export(settings: Settings, stack: Stack, platform: Platform | None) -> None:
    """Export the stack's outputs. There is no url where no service runs yet."""
    if platform is not None:
        pulumi.export("url", platform.url)
    pulumi.export("profile", settings.profile.value)
    pulumi.export("compute", settings.compute.value)
    pulumi.export("tags", tags(settings))
    for name, value in stack.outputs.items():
        pulumi.export(name, value)
