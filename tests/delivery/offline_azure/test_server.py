"""The platform's database server by the real engine: its administrator, and the databases of an earlier version."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.offline_azure import postgres
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import must
from tests.support.engine import Program

SOURCE = Path(__file__).with_name("server_program.py").read_text()
NOT_ACCESSIBLE = "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible"


def databases(azure: Azure) -> list[str]:
    return [str(one["inputs"]["databaseName"]) for one in azure.resources.values() if one["type"].endswith(":Database")]


def written(azure: Azure, operation: str) -> list[str]:
    return [call["type"].split(":")[-1] for call in azure.calls() if call["operation"] == operation]


def test_the_administrator_is_set_as_soon_as_the_server_lets_it(program: Program, checked: Azure) -> None:
    up = must(program.up())
    refused = [call for call in checked.calls() if NOT_ACCESSIBLE in call.get("refused", "")]
    assert len(refused) == postgres.SETTLING_CALLS
    assert "retrying create" in up.text
    created = written(checked, "create")
    assert created.index("AdministratorsMicrosoftEntra") < created.index("Configuration")
    assert databases(checked) == []
    must(program.preview("--expect-no-changes"))
    must(program.destroy())
    assert checked.resources == {}
    # They went with the server: nothing was set or deleted one by one.
    assert not {"AdministratorsMicrosoftEntra", "Configuration"} & set(written(checked, "delete"))


@pytest.mark.parametrize("protect", [False, True], ids=["dev", "prod"])
def test_a_database_that_an_earlier_version_made_stays_on_azure(
    program: Program, checked: Azure, protect: bool
) -> None:
    program.configure(older="true", protect=str(protect).lower())
    must(program.up())
    assert sorted(databases(checked)) == ["registry", "tracking"]

    program.configure(older="false")
    first = must(program.up())
    assert "It stays on Azure: this `up` marks it as retained, and the next one forgets it." in first.text
    assert "postgres-database-tracking" in must(program.run("stack", "--show-urns", "--stack=test")).text

    # A person sees that nothing is deleted on Azure.
    assert must(program.preview("--diff")).text.count("[retain]") == 2
    must(program.up())
    assert "postgres-database" not in must(program.run("stack", "--show-urns", "--stack=test")).text
    must(program.preview("--expect-no-changes"))
    assert sorted(databases(checked)) == ["registry", "tracking"]
    assert "Database" not in written(checked, "delete")
