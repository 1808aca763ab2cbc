"""One table says who listens where on a machine."""

from __future__ import annotations

import pytest

from components.mlflow.roles import SERVICES, Role
from infra import local
from infra.settings.model import parse
from infra.settings.ports import COUNT, OFFSETS, LocalPort, port


def test_each_listener_has_ports_of_its_own() -> None:
    assert OFFSETS.keys() == {*LocalPort}
    taken = [offset for offsets in OFFSETS.values() for offset in offsets]
    assert sorted(taken) == list(range(COUNT))


@pytest.mark.parametrize("role", SERVICES)
def test_a_service_listens_where_the_table_says(role: Role) -> None:
    settings = parse({"profile": "local", "local": {"portBase": 7000}}, "local")
    assert local.ports(settings)[role] == port(7000, LocalPort(role.value)) == 7000 + OFFSETS[LocalPort(role)].start


def test_the_highest_base_leaves_room_for_every_port() -> None:
    highest = 65535 - COUNT
    assert parse({"profile": "local", "local": {"portBase": highest}}, "local").local.port_base == highest
    assert highest + COUNT <= 65535
