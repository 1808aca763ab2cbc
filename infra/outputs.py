"""What a stack tells its users and other programs. A name here is a contract; values are never secret."""

from __future__ import annotations

import pulumi

from components.mlflow.platform import Platform
from infra.settings import Settings
from infra.tags import tags


def export(settings: Settings, platform: Platform) -> None:
    """Export the stack's outputs."""
    pulumi.export("url", platform.url)
    pulumi.export("profile", settings.profile.value)
    pulumi.export("compute", settings.compute.value)
    pulumi.export("tags", tags(settings))
