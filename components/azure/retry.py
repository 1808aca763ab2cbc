"""Errors of Azure that pass, and that the azure-native provider does not retry by itself."""

from __future__ import annotations

import asyncio

import pulumi

_FIRST_WAIT_SECONDS = 2.0
_MOST_WAIT_SECONDS = 60.0
TRIES = 15
"""About ten minutes in all, with waits that double up to a minute."""


def retry_on(name: str, *codes: str) -> pulumi.ResourceHookBinding:
    """Return the hooks by which the engine repeats an operation that Azure refused with one of these error codes.

    The provider repeats 408, 429, 5xx and AnotherOperationInProgress alone. The engine asks a hook before it gives an
    operation up (Pulumi's error hooks), and says each retry as a warning. `name` is the hook's,
    unique in a program. A `destroy` runs no program: what fails there is not repeated, and the engine names the hook
    instead of the error, so give this to resources that go with their parent (`deleted_with`).

        AdministratorsMicrosoftEntra(..., opts=ResourceOptions(hooks=retry_on("administrator-retry", "ServerIsBusy")))
    """

    async def passes(args: pulumi.ErrorHookArgs) -> bool:
        if not retried(args.errors, codes):
            return False
        await asyncio.sleep(wait_seconds(len(args.errors)))
        return True

    return pulumi.ResourceHookBinding(on_error=[pulumi.ErrorHook(name, passes)])


def retried(errors: list[str], codes: tuple[str, ...]) -> bool:
    """Return whether the newest of the errors, which comes first, passes, and enough tries are left."""
    return len(errors) < TRIES and any(code in errors[0] for code in codes)


def wait_seconds(failures: int) -> float:
    """Return the wait before the next try after so many failures."""
    return float(min(_FIRST_WAIT_SECONDS * 2 ** (failures - 1), _MOST_WAIT_SECONDS))
