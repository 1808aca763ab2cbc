"""Every route for each kind of caller, at its own service's port and at the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlflow_runtime.middleware.access import matching
from mlflow_runtime.middleware.access.classes import CLASSES, Class
from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.doors import GATEWAY, OWN_PORT, doors
from tests.runtime.access.teams import MEMBERS, NO_ROLE, Teams
from tests.support.access_rules import MAY

TEAM = "team-a"
# Each refusal of the gate has the contact of the settings in it.
REFUSED = b"ml-platform@example.com"
# What the gateway answers where it asked no service, or got no answer.
NOT_ASKED = (502, 503, 504)


def served() -> Iterator[tuple[str, str, str]]:
    """Every route of the table with its method, and a path for it that MLflow has: not each is below `/api/`."""
    match = matching.of_mlflow()
    for route in sorted(CLASSES):
        method, _, template = route.partition(" ")
        path = template.replace("{}", "x1")
        twin = f"/ajax-{path[1:]}"
        yield route, method, path if match(method, path) == route else twin


def test_each_route_passes_who_has_the_role_for_it_and_nobody_else(teams: Teams, tmp_path: Path) -> None:
    tokens = {
        "anonymous": None,
        "no role": teams.entra.token(NO_ROLE),
        **{role.title: teams.entra.token(MEMBERS[TEAM, role]) for role in Role},
    }
    passed: dict[str, dict[str, set[str]]] = {OWN_PORT: {}, GATEWAY: {}}
    refusals: dict[str, dict[tuple[str, str], int]] = {OWN_PORT: {}, GATEWAY: {}}
    with doors(teams, tmp_path) as both:
        for route, method, path in served():
            body: dict[str, str] | None = None if method in ("GET", "DELETE") else {}
            for who, token in tokens.items():
                for door in both:
                    answer = door.send(token, method, path, body, workspace=TEAM)
                    assert answer.status not in NOT_ASKED, (door.name, route, who, answer)
                    if REFUSED in answer.content:
                        refusals[door.name][route, who] = answer.status
                    else:
                        passed[door.name].setdefault(route, set()).add(who)
    for name, found in passed.items():
        assert {route: who for route, who in found.items() if who != MAY[CLASSES[route]]} == {}, name
        assert found.keys() == {route for route, kind in CLASSES.items() if kind is not Class.FORBIDDEN}, name
    assert refusals[GATEWAY] == refusals[OWN_PORT]
    assert {who: {refusals[GATEWAY][route, who] for route in CLASSES} for who in ("anonymous", "no role")} == {
        "anonymous": {401},
        "no role": {403},
    }
