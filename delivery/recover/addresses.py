"""The ARM ID that a resource has on Azure, from its Pulumi type and its inputs alone.

A create that was interrupted has left no ID in the state. All that the program makes is named by its inputs, so that
the ID is known without asking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types import paths

AZURE: Final = "azure-native:"

_BY_HAND: Final = (
    "if it was made, bring it in with `pulumi import` under its URN; once nothing else is left over, "
    "`pulumi refresh --clear-pending-creates` takes the note of it out of the state"
)


class AddressError(ValueError):
    """The ID of a resource is unknown; the message says what is missing and what to do."""


def address(token: str, inputs: Mapping[str, Any], subscription: str | None) -> str:
    """The ID on Azure of a resource of this type token, with or without an API version in it.

    `subscription` is the one of the stack, None where nobody knows it. Raises AddressError for a type without a row, an
    input that is missing, or an ID that needs the subscription.
    """
    path = paths.path(token)
    if path is None:
        raise AddressError(f"no rule tells the ID of type {token}; {_BY_HAND}")
    known = {key: value.strip("/") for key, value in inputs.items() if isinstance(value, str)}
    known |= {"subscriptionId": subscription} if subscription else {}
    missing = [name for name in paths.inputs(path) if name not in known]
    if "subscriptionId" in missing:
        raise AddressError(
            "nothing in the state tells the subscription; run the recovery again after "
            "`export ARM_SUBSCRIPTION_ID=$(az account show --query id --output tsv)`"
        )
    if missing:
        raise AddressError(f"the interrupted create names no {', '.join(missing)}; {_BY_HAND}")
    return f"/{path.format_map(known).strip('/')}"
