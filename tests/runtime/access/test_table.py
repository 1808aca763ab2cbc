"""Every route at its own service's port, for each kind of caller."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_runtime.middleware.access import matching
from mlflow_runtime.middleware.access.classes import CLASSES, Class
from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.teams import MEMBERS, NO_ROLE, Teams
from tests.support.access_rules import MAY

TEAM = "team-a"
# Each refusal of the gate has the contact of the settings in it.
REFUSED = b"ml-platform@example.com"


def served() -> Iterator[tuple[str, str, str]]:
    """Every route of the table with its method, and a path for it that MLflow has: not each is below `/api/`."""
    match = matching.of_mlflow()
    for route in sorted(CLASSES):
        method, _, template = route.partition(" ")
        path = template.replace("{}", "x1")
        twin = f"/ajax-{path[1:]}"
        yield route, method, path if match(method, path) == route else twin


def test_each_route_passes_who_has_the_role_for_it_and_nobody_else(teams: Teams) -> None:
    tokens = {
        "anonymous": None,
        "no role": teams.entra.token(NO_ROLE),
        **{role.title: teams.entra.token(MEMBERS[TEAM, role]) for role in Role},
    }
    found: dict[str, set[str]] = {}
    for route, method, path in served():
        body: dict[str, str] | None = None if method in ("GET", "DELETE") else {}
        for who, token in tokens.items():
            answer = teams.send(token, path, body, workspace=TEAM, method=method)
            if REFUSED not in answer.content:
                found.setdefault(route, set()).add(who)
    assert {route: who for route, who in found.items() if who != MAY[CLASSES[route]]} == {}
    assert found.keys() == {route for route, kind in CLASSES.items() if kind is not Class.FORBIDDEN}
