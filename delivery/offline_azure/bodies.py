"""From the inputs of an azure-native resource to the body of an ARM request or answer.

The rule is the provider's plain one: an input is at the body's root if ARM has it there for every type, else under
`properties`. Properties that the provider renames keep the provider's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delivery.offline_azure import addresses
from delivery.offline_azure.values import UNKNOWN, Json, known, merged

# Microsoft Learn, "Understand the structure and syntax of ARM templates", section Resources.
_AT_ROOT: Final = frozenset(
    (
        *("etag", "extendedLocation", "identity", "kind", "location", "managedBy", "plan", "properties", "sku"),
        *("tags", "zones"),
    )
)


def body(type_token: str, inputs: Mapping[str, Any]) -> dict[str, Json]:
    """Return the ARM body for these inputs, without what is in the address. The name is `UNKNOWN` if it is not given.

    Raises addresses.UnknownTypeError for a type without a path.
    """
    given = known(inputs)
    names = addresses.names(type_token)
    sent = {key: value for key, value in given.items() if key not in {*names, *addresses.SCOPES}}
    at_root = {key: value for key, value in sent.items() if key in _AT_ROOT}
    below = {key: value for key, value in sent.items() if key not in _AT_ROOT}
    written = merged(at_root, {"properties": below} if below else {})
    return {"name": given.get(names[-1], UNKNOWN), **written}
