"""IDs by the ARM schemas' own table of path arguments: the second source for what the product says they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from delivery.azure_types.type_tokens import short
from delivery.offline_azure.addresses import SUBSCRIPTION
from tests.support.arm_schemas import bodies

# Types without a schema: their ARM type and the inputs that name them, parents first.
_OTHERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "consumption:Budget": ("Microsoft.Consumption/budgets", ("budgetName",)),
    "applicationinsights:Workbook": ("Microsoft.Insights/workbooks", ("resourceName",)),
    "privatedns:PrivateRecordSet": (
        "Microsoft.Network/privateDnsZones/A",
        ("privateZoneName", "relativeRecordSetName"),
    ),
}


def address(type_token: str, inputs: Mapping[str, Any]) -> str:
    """Return a resource's ID. Raises KeyError for a type that is in neither table, and for a missing name."""
    if short(type_token) == "resources:ResourceGroup":
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{inputs['resourceGroupName']}"
    arm_type, names = _row(type_token)
    namespace, *kinds = arm_type.split("/")
    values = [str(inputs[name]) for name in names]
    # Azure has one blob service in an account and calls it `default`.
    values[1:1] = ["default"] * (len(kinds) - len(values))
    tail = "".join(f"/{kind}/{value}" for kind, value in zip(kinds, values, strict=True))
    scope = inputs.get("scope", inputs.get("resourceUri"))
    if scope is None:
        scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{inputs['resourceGroupName']}"
    return f"/{str(scope).strip('/')}/providers/{namespace}{tail}"


def _row(type_token: str) -> tuple[str, tuple[str, ...]]:
    if type_token not in bodies.table():
        return _OTHERS[short(type_token)]
    row, own = bodies.table()[type_token], bodies.name_argument(type_token)
    return str(row["armType"]), (*(name for name in row["pathArgs"] if name not in {*bodies.SCOPES, own}), own)
