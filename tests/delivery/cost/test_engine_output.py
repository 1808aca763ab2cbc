"""What the real engine prints of a stack on the offline Azure can be read, before and after its update."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from delivery.cost.resources import InputError, read
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.provider import serve
from delivery.offline_azure.running import Result
from tests.support import arm
from tests.support.engine import Program

SOURCE = """
import pulumi
from pulumi_azure_native import privatedns, resources

group = resources.ResourceGroup("group", resource_group_name="rg-cost", location="westeurope")
zone = privatedns.PrivateZone(
    "zone", private_zone_name="cost.internal", location="global", resource_group_name=group.name
)
"""


def document(result: Result) -> Any:
    assert result.code == 0, result.text
    return json.loads(result.text[result.text.index("{") :])


def test_a_preview_and_an_export_hold_the_same_resources(tmp_path: Path) -> None:
    server, port = serve(Azure(tmp_path / "azure.json", checks=arm.CHECKS))
    try:
        program = Program.written(tmp_path, SOURCE, port)
        before = read(document(program.run("preview", "--json", "--stack=test")))
        assert program.up().code == 0
        changes = document(program.run("preview", "--json", "--stack=test"))
        after = read(document(program.run("preview", "--json", "--show-sames", "--stack=test")))
        exported = read(document(program.run("stack", "export", "--stack=test")))
    finally:
        server.stop(None)
    names = ["group", "zone"]
    assert [resource.name for resource in before] == names
    assert [resource.name for resource in after] == names
    assert [resource.name for resource in exported] == names
    assert exported[1].type == "azure-native:privatedns:PrivateZone"
    assert exported[1].text("privateZoneName") == "cost.internal"
    with pytest.raises(InputError, match="--show-sames"):
        read(changes)
