"""A shared workbook on a Log Analytics workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import applicationinsights


@dataclass(frozen=True, kw_only=True)
class WorkbookContent:
    """What a workbook shows.

    `name_of` returns the GUID that Azure wants as its name, and `document_of` its JSON, both of a workspace's ARM id.
    `version` is of the document's form. `title` begins the name by which the portal lists it.
    """

    title: str
    description: str
    version: str
    name_of: Callable[[str], str]
    document_of: Callable[[str], str]


def workbook(
    name: str,
    content: WorkbookContent,
    *,
    workspace_name: str,
    workspace_id: pulumi.Output[str],
    location: pulumi.Input[str],
    resource_group_name: pulumi.Input[str],
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> applicationinsights.Workbook:
    """Create the workbook of a workspace."""
    return applicationinsights.Workbook(
        name,
        resource_name_=workspace_id.apply(content.name_of),
        # The portal lists the workbooks of all workspaces by this name.
        display_name=f"{content.title}, {workspace_name}",
        description=content.description,
        location=location,
        resource_group_name=resource_group_name,
        tags=tags,
        kind=applicationinsights.WorkbookSharedTypeKind.SHARED,
        category="workbook",
        # Azure answers in lower case (azurerm refuses any other); else each preview would show a change.
        source_id=workspace_id.apply(str.lower),
        serialized_data=workspace_id.apply(content.document_of),
        version=content.version,
        opts=pulumi.ResourceOptions(parent=parent),
    )
