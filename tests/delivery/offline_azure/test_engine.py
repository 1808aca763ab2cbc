"""The real engine with the real azure-native SDK against the offline Azure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.offline_azure import retrying
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.running import NO_CHANGES_EXPECTED, must
from tests.support import arm
from tests.support.engine import Program, copied, served
from tests.support.once import once

SOURCE = Path(__file__).with_name("small_program.py").read_text()


@pytest.fixture
def living(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Azure]]:
    """A copy of the program's stack as its first `up` left it, and its Azure."""
    folder = copied(once(tmp_path_factory, "small-plane", make), tmp_path)
    azure = Azure(folder / "azure.json", checks=arm.CHECKS)
    with served(azure) as port:
        yield Program.opened(folder, port), azure


def make(folder: Path) -> None:
    with served(Azure(folder / "azure.json", checks=arm.CHECKS)) as port:
        must(Program.written(folder, SOURCE, port).up())


def steps(program: Program) -> dict[str, str]:
    """What a preview would do, by resource name; what stays is left out."""
    result = program.run("preview", "--json", "--stack=test")
    assert result.code == 0, result.text
    document = json.loads(result.text[result.text.index("{") :])
    return {step["urn"].split("::")[-1]: step["op"] for step in document["steps"] if step["op"] != "same"}


def written(azure: Azure, operation: str) -> list[str]:
    return [call["type"].split(":")[-1] for call in azure.calls() if call["operation"] == operation]


def account(azure: Azure) -> str:
    return next(key for key in azure.resources if "/storageaccounts/" in key and "/blobservices/" not in key)


def test_a_life_from_up_to_destroy(program: Program, checked: Azure) -> None:
    assert "[unknown]" in program.preview().text
    assert checked.calls() == []

    up = program.up()
    assert up.code == 0, up.text
    assert "psql-small-7f3a.postgres.database.azure.com" in up.text
    assert "https://kv-small-7f3a.vault.azure.net/" in up.text
    assert len(checked.resources) == 6
    again = program.preview("--expect-no-changes")
    assert again.code == 0, again.text

    program.configure(owner="research")
    assert steps(program) == {"account": "update"}
    assert program.up().code == 0
    assert written(checked, "update") == ["StorageAccount"]

    refresh = ("refresh", "--preview-only", "--expect-no-changes", "--stack=test")
    assert program.run(*refresh).code == 0
    checked.change(account(checked), minimumTlsVersion="TLS1_0")
    drifted = program.run(*refresh, "--diff")
    assert drifted.code == NO_CHANGES_EXPECTED, drifted.text
    assert "TLS1_0" in drifted.text
    assert program.preview("--refresh", "--expect-no-changes").code != 0

    assert program.destroy().code == 0
    assert checked.resources == {}


def test_an_immutable_change_is_shown_as_a_replacement(living: tuple[Program, Azure]) -> None:
    program, azure = living
    program.configure(accountLocation="northeurope")
    assert "replace" in steps(program)["account"]
    before = len(azure.calls())
    changed = program.up()
    assert changed.code == 0, changed.text
    # What has a given name is deleted first.
    done = [call["operation"] for call in azure.calls()[before:] if call["type"].endswith(":StorageAccount")]
    assert [operation for operation in done if operation != "read"] == ["delete", "create"]
    assert program.preview("--expect-no-changes").code == 0


def test_an_update_that_azure_refuses_names_the_reason(living: tuple[Program, Azure]) -> None:
    program, _ = living
    program.configure(storage=32)
    refused = program.up()
    assert refused.code != 0
    assert "Storage cannot be reduced from 64 to 32 GiB." in refused.text


def test_a_misspelt_property_fails_in_the_preview_already(program: Program, checked: Azure) -> None:
    program.configure(misspelt=True)
    for result in (program.preview(), program.up()):
        assert result.code != 0
        assert 'Status=400 Code="InvalidRequestContent"' in result.text
        assert "deleteRetentionPolicy.dayz: is unknown or read-only" in result.text
    assert "BlobServiceProperties" not in {one["type"].split(":")[-1] for one in checked.resources.values()}


def test_after_faults_the_next_up_finishes(program: Program, checked: Azure) -> None:
    faults = {
        "Status=403": ("forbidden", "/storageAccounts/[^/]+$"),
        "QuotaExceeded": ("quota", "/flexibleServers/[^/]+$"),
        "provisioning": ("half", "/vaults/[^/]+$"),
    }
    for kind, matching in faults.values():
        checked.inject(kind, operation="create", matching=matching)
    failed = program.up("--continue-on-error")
    assert failed.code != 0
    assert [message for message in faults if message not in failed.text] == []
    finished = program.up()
    assert finished.code == 0, finished.text
    assert len(checked.resources) == 6
    assert program.destroy().code == 0
    assert checked.resources == {}


@pytest.mark.parametrize("kind", ["throttled", "conflict"])
def test_what_passes_is_repeated_by_the_provider(program: Program, checked: Azure, kind: str) -> None:
    checked.inject(kind, operation="create", matching="", every=3)
    done = program.up()
    assert done.code == 0, done.text
    refused = [call for call in checked.calls() if "refused" in call]
    assert len(refused) == 2
    assert len(written(checked, "create")) == len(refused) + len(checked.resources)


def test_what_goes_on_reaches_the_engine(program: Program, checked: Azure) -> None:
    checked.inject("throttled", operation="create", matching="/storageAccounts/[^/]+$", every=1)
    checked.inject("conflict", operation="create", matching="/vaults/[^/]+$", every=1)
    failed = program.up("--continue-on-error")
    assert failed.code != 0
    assert "TooManyRequests" in failed.text
    assert "Status=409" in failed.text
    created = written(checked, "create")
    assert (created.count("StorageAccount"), created.count("Vault")) == (retrying.MOST_TRIES, retrying.MOST_TRIES)
    checked.clear_faults()
    finished = program.up()
    assert finished.code == 0, finished.text


def test_a_lock_is_taken_off_before_what_it_holds(program: Program, checked: Azure) -> None:
    program.configure(locked=True)
    assert program.up().code == 0
    destroyed = program.destroy()
    assert destroyed.code == 0, destroyed.text
    deleted = written(checked, "delete")
    assert deleted.index("ManagementLockByScope") < deleted.index("BlobContainer") < deleted.index("StorageAccount")
    assert checked.resources == {}
