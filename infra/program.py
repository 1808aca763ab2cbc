"""The program: settings -> data plane and compute -> MLflow -> outputs."""

from __future__ import annotations

import pulumi

from components.mlflow.platform import Platform
from infra import outputs
from infra.guardrails.enforcement import enforced
from infra.settings.bootstrap import Bootstrap
from infra.settings.load import load
from infra.settings.model import Settings
from infra.settings.problems import SettingsError
from infra.stack import Stack


def main() -> None:
    """Create the stack. Bad configuration, and what a guardrail refuses, end it before anything is created."""
    try:
        chosen = load()
        with enforced(chosen):
            _create(chosen)
    except SettingsError as error:
        # RunError is shown to the user as it is, without a traceback.
        raise pulumi.RunError(str(error)) from None


def _create(chosen: Settings | Bootstrap) -> None:
    if isinstance(chosen, Bootstrap):
        _bootstrap(chosen)
        return
    stack = _created(chosen)
    platform = Platform("mlflow", stack.platform) if stack.platform else None
    if platform is not None:
        stack.publish(platform.url)
    outputs.export(chosen, stack, platform)


def _created(chosen: Settings) -> Stack:
    # Imported where it is needed: either way's SDKs take half a second of every preview and `up` of the other.
    if chosen.azure is None:
        from infra import local

        return local.create_stack(chosen)
    from infra.azure import program as azure

    return azure.create_stack(chosen, chosen.azure)


def _bootstrap(chosen: Bootstrap) -> None:
    from infra.azure import bootstrap

    for name, value in bootstrap.create_stack(chosen).items():
        pulumi.export(name, value)
