"""The ACCESS_* settings of a service."""

from __future__ import annotations

import pytest

from mlflow_runtime.environment import SettingsError
from mlflow_runtime.routes import ServiceRole
from mlflow_runtime.service.settings import read
from tests.support.entra_tokens import ANNA, CLIENT, TENANT
from tests.support.role_environment import whole

PREFIX = "MLFLOW_RUNTIME_ACCESS_"
ENTRA = {
    f"{PREFIX}MODE": "entra",
    f"{PREFIX}TENANT_ID": TENANT.upper(),
    f"{PREFIX}CLIENT_ID": CLIENT,
    f"{PREFIX}TEAMS": "team-a, team-b",
    f"{PREFIX}GROUPS": f"{ANNA}=team-a.Reader,{ANNA}=team-b.Admin",
    f"{PREFIX}SHARES": "team-a=team-b,team-a=default,team-a/models/churn=team-b,team-a/models/churn=default,"
    "team-a/models/fraud-*=team-b,team-a/artifacts/12=team-b",
    f"{PREFIX}BLOCKED": ANNA,
}


@pytest.mark.parametrize("role", list(ServiceRole))
def test_every_service_reads_them(role: ServiceRole) -> None:
    found = read(role, whole(role) | ENTRA).access
    assert found is not None
    assert found.workspaces == ("default", "team-a", "team-b")
    assert found.groups == {ANNA: ("team-a.Reader", "team-b.Admin")}
    assert found.blocked == {ANNA}
    assert found.shares == {"team-a": ("team-b", "default")}
    assert found.shared_models == {("team-a", "churn"): ("team-b", "default"), ("team-a", "fraud-*"): ("team-b",)}
    assert found.shared_artifacts == {("team-a", "12"): ("team-b",)}
    assert found.issuer == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert found.keys_url == f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MODE", "all", "'all' must be none or entra. Leave it out for none."),
        ("MODE", "none", f"{PREFIX}TENANT_ID: is not read by this role"),
        ("TENANT_ID", "", "is not set; it must be a GUID"),
        ("CLIENT_ID", "api://mlflow", "must be a GUID"),
        ("TEAMS", "Team-A", "must be names of 2 to 63 lower-case letters"),
        ("TEAMS", "workspaces", "not ajax-api, api, static-files, workspaces"),
        ("TEAMS", "team-a,team-a", "must not name anything twice"),
        ("GROUPS", "everyone=team-a.Reader", "must be GROUP-ID=ROLE"),
        ("GROUPS", f"{ANNA}=team-a.Owner", "Reader|Contributor|Registrar|Admin or Platform.Admin"),
        ("GROUPS", f"{ANNA}=team-c.Reader", "name one of default, team-a, team-b, or add team-c to"),
        ("SHARES", "team-a", "must be TEAM=READER"),
        ("SHARES", "team-a=team-a", "must be TEAM=READER"),
        ("SHARES", "team-a=team-c", "there is no workspace team-c; name those of default, team-a, team-b"),
        ("SHARES", "team-a/churn=team-b", "in place of TEAM also TEAM/models/NAME"),
        ("SHARES", "team-a/models/*=team-b", "must be TEAM=READER"),
        ("SHARES", "team-a/models/a*b=team-b", "must be TEAM=READER"),
        ("SHARES", "team-a/models/churn=team-a", "must be TEAM=READER"),
        ("SHARES", "team-a/artifacts/churn=team-b", "TEAM/artifacts/EXPERIMENT-ID"),
        ("SHARES", "team-c/models/churn=team-a", "there is no workspace team-c; name those of default, team-a, team-b"),
        ("SHARES", "team-a/artifacts/12=team-c", "there is no workspace team-c; name those of"),
        ("BLOCKED", "anna@example.com", "must be a GUID"),
        ("AUTHORITY", "http://login.microsoftonline.com", "must be the address of Entra's sign-in"),
        ("CONTACT", "a\nb", "must be one printable line"),
        ("TENANT", TENANT, f"Rename it to {PREFIX}TENANT_ID."),
    ],
)
def test_wrong_ones_are_refused_with_what_is_allowed(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(ServiceRole.ARTIFACTS, whole("artifacts") | ENTRA | {f"{PREFIX}{name}": value})
    assert expected in str(raised.value)
