"""The commands in the messages: pasted into a shell beside the stack's file, they make the program accept it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.offline_azure.running import engine, engine_environment, must
from delivery.offline_azure.session import offline
from infra.guardrails.enforcement import waiver_command
from infra.settings.encryption import encrypted
from infra.settings.model import SettingsError, parse
from tests.support import offline_key
from tests.support.stacks import DIGEST, PROJECT, REPOSITORY

_COMMAND = re.compile(r"`(pulumi [^`]+)`")
# A command may uncover a problem that another one hid: a valid number of replicas needs a smaller pool.
_ROUNDS = 4
_ID = "11111111-1111-1111-1111-111111111111"
_HIDDEN = "hush9f3a1c"

_AZURE: Mapping[str, Any] = {
    "profile": "dev",
    "location": "westeurope",
    "tags": {"owner": "a", "costCenter": "b", "dataClassification": "internal"},
    "image": {"digest": DIGEST},
}

CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "nothing is there": ("dev", {}),
    "no azure setting": ("dev", {"profile": "dev"}),
    "unknown keys": ("local", {"profile": "local", "trakcing": 1, "tracking": {"replicas": 2}, "limits": {"a b": 1}}),
    "wrong types": (
        "local",
        {"profile": "local", "tracking": 3, "registry": {"cpu": True}, "limits": {"maxBodyMib": []}},
    ),
    "wrong local values": (
        "local",
        {
            "profile": "local",
            "compute": "aks",
            "gateway": {"minReplicas": 2},
            "registry": {"minReplicas": 3, "maxReplicas": 2, "cpu": 0.1},
            "tracking": {"minReplicas": 31, "memoryMib": 1, "concurrency": 2000},
            "limits": {"maxBodyMib": 5000, "databasePool": 1, "graceSeconds": "soon"},
            "local": {"portBase": 80, "stateDirectory": " ", "image": "--privileged"},
            "location": "westeurope",
        },
    ),
    "wrong azure values": (
        "dev",
        {
            **_AZURE,
            "tags": {"owner": 1, "dataClassification": "secret", "extra": {"stack": "x", "a b": "<", "9": "x"}},
            "image": {"digest": "latest", "repository": "A"},
            "ingress": "external",
            "access": {"mode": "oauth", "tenantId": "contoso.com", "groups": {"x": ["y"]}, "blocked": [1]},
            "teams": ["A", "default"],
            "protect": "maybe",
            "network": {"cidr": "8.8.8.0/24", "clientRanges": ["10.0.0.1/8", "x"], "internetOutbound": "perhaps"},
            "database": {"sku": "Standard_F2", "storageGib": 5, "highAvailability": "some"},
            "storage": {"redundancy": "none", "coolAfterDays": 0},
            "monitoring": {"emails": ["nobody", "a@b.example"], "metricsSeconds": 301},
            "nameGeneration": "NEW",
            "local": {"portBase": 6000},
        },
    ),
    "what does not go together": (
        "dev",
        {
            **_AZURE,
            "tags": {**_AZURE["tags"], "extra": {f"t{number}": "x" for number in range(10)}},
            "compute": "local",
            "ingress": "public",
            "protect": "true",
            "tracking": {"cpu": 0.3, "memoryMib": 4096, "spoolMib": 9000},
            "database": {"storageGib": 100, "highAvailability": "zone-redundant"},
            "storage": {"coolAfterDays": 400, "clientsReachBlob": True},
            "monitoring": {"monthlyBudget": 100},
            "github": {"repository": "a/b", "deployEnvironment": "x", "previewEnvironment": "x"},
        },
    ),
    "access control without its directory": (
        "dev",
        {
            **_AZURE,
            **{"ingress": "public", "access": {"mode": "entra"}, "teams": ["team-a", "default", "team-a"]},
            "quotas": {"team-b": 5},
            "shares": {
                "team-b/models/churn": ["team-a"],
                **{key: ["team-a", "default", "default"] for key in ("team-a", "team-a/models/churn-*")},
            },
        },
    ),
    "access control that is off": (
        "dev",
        {
            **_AZURE,
            "access": {"clientId": _ID, "groups": {_ID: ["team-a.Admin"]}, "blocked": [_ID], "contact": "a"},
            "teams": ["team-a"],
        },
    ),
    "a repository without an owner": ("dev", {**_AZURE, "github": {"repository": "acme", "deployEnvironment": "*"}}),
    "too many replicas": ("dev", {**_AZURE, "tracking": {"maxReplicas": 30}, "registry": {"maxReplicas": 30}}),
    "too large a pool": ("dev", {**_AZURE, "limits": {"databasePool": 99}}),
    "a prod that a loss would stop": (
        "prod",
        {
            **_AZURE,
            "profile": "prod",
            "gateway": {"minReplicas": 1},
            "tracking": {"minReplicas": 0, "maxReplicas": 1},
            "database": {"sku": "Standard_B2s", "highAvailability": "none"},
        },
    ),
    "a prod without what prod promises": (
        "prod",
        {
            **_AZURE,
            "profile": "prod",
            "location": "westeurop",
            "zoneRedundant": "false",
            "privateRegistry": "false",
            "protect": "false",
            "purgeProtection": "false",
            "network": {"clientRanges": ["0.0.0.0/1", "128.0.0.0/1"]},
            "database": {"highAvailability": "same-zone", "backupDays": 7},
            "storage": {"redundancy": "local", "softDeleteDays": 1, "oldVersionsAfterDays": 1},
            "monitoring": {"retentionDays": 30},
            "registry": {"minReplicas": 1},
            "github": {
                "repository": "examp1e/mlflow-platform",
                "deployEnvironment": "dev",
                "previewEnvironment": "staging-preview",
            },
        },
    ),
    "a prod with the profile of dev": ("prod", _AZURE),
    "what is named twice, and a cluster of fewer nodes than its least": (
        "dev",
        {
            **_AZURE,
            "compute": "aks",
            "aks": {"maxNodes": 1},
            "network": {
                "clientRanges": ["10.1.0.0/16", "10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"],
                "callerRanges": ["10.40.0.0/26", "10.8.0.0/22", "10.8.1.0/24"],
            },
            "monitoring": {"emails": [f"{name}@example.com" for name in ("a", "A", "b", "B", "a")]},
        },
    ),
}


class StackFile:
    """A copy of the project's schema with one stack's file, and a shell beside it."""

    def __init__(self, folder: Path, stack: str, values: Mapping[str, Any]) -> None:
        self._folder, self._stack = folder / "project", stack
        (self._folder / "stacks").mkdir(parents=True)
        shutil.copy(REPOSITORY / "Pulumi.yaml", self._folder)
        self._environment = {**engine_environment(folder, 1), **offline_key.environment()}
        created = ("stack", "init", stack, "--secrets-provider", offline_key.PROVIDER)
        must(engine(*created, folder=self._folder, environment=self._environment))
        self._path = self._folder / "stacks" / f"Pulumi.{stack}.yaml"
        document = yaml.safe_load(self._path.read_text()) if self._path.exists() else {}
        config = {f"{PROJECT}:{key}": value for key, value in values.items()}
        self._path.write_text(yaml.safe_dump({**(document or {}), "config": config}))

    def problems(self) -> str:
        config = yaml.safe_load(self._path.read_text())["config"] or {}
        values = {key.removeprefix(f"{PROJECT}:"): value for key, value in config.items()}
        secrets = [found for key, value in values.items() for found in encrypted(value, key)]
        try:
            parse(values, self._stack, secrets=secrets, checkout="example/mlflow-platform")
        except SettingsError as error:
            return str(error)
        return ""

    def paste(self, command: str) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize(("stack", "values"), CASES.values(), ids=CASES.keys())
def test_the_pasted_commands_make_the_program_accept_the_file(
    stack: str, values: Mapping[str, Any], tmp_path: Path
) -> None:
    file = StackFile(tmp_path, stack, values)
    message = file.problems()
    assert message, "the case has no problem"
    solve(file, message)


def solve(file: StackFile, message: str) -> None:
    """Paste each command of the message, and of the next, until there is none. AssertionError if that does not help."""
    for _ in range(_ROUNDS):
        for line in message.splitlines()[1:]:
            found = _COMMAND.findall(line)
            assert len(found) == 1, line
            file.paste(found[0])
        message = file.problems()
        if not message:
            return
    pytest.fail(message)


def test_encrypted_values_are_removed_by_their_paths(tmp_path: Path) -> None:
    file = StackFile(tmp_path, "dev", {**_AZURE, "monitoring": {"emails": ["one@example.com"]}})
    for key in ("location", "tags.costCenter", "'monitoring.emails[0]'", "'monitoring.emails[1]'"):
        file.paste(f"pulumi config set --secret --path {key} hush -s dev")
    message = file.problems()
    assert {*_COMMAND.findall(message)} == {
        "pulumi config rm --path location -s dev",
        "pulumi config rm --path 'monitoring.emails[0]' -s dev",
        "pulumi config rm --path 'monitoring.emails[1]' -s dev",
        "pulumi config rm --path tags.costCenter -s dev",
    }
    solve(file, message)


def test_the_waiver_that_a_message_about_a_resource_offers_is_one_of_the_stack_when_pasted(tmp_path: Path) -> None:
    file = StackFile(tmp_path, "dev", _AZURE)
    file.paste(waiver_command("shared-keys", "dev"))
    assert file.problems() == ""
    waivers = yaml.safe_load((tmp_path / "project" / "stacks" / "Pulumi.dev.yaml").read_text())["config"]
    assert waivers[f"{PROJECT}:waivers"]["shared-keys"].keys() == {"owner", "reason", "expires"}


@pytest.mark.parametrize("key", ["location", "tags.costCenter"])
def test_the_program_refuses_a_value_that_the_engine_marks_as_secret(key: str) -> None:
    with offline("dev") as product:
        must(product.run("config", "set", "--secret", "--path", key, _HIDDEN))
        result = product.preview("--json")
    assert result.code != 0
    assert f"{key.split('.')[0]}: '[secret]' is not allowed; allowed: plain values" in result.text
    assert _HIDDEN not in result.text


def test_a_stack_with_an_unusable_name_is_renamed(tmp_path: Path) -> None:
    file = StackFile(tmp_path, "Local_1", {"profile": "local"})
    (command,) = _COMMAND.findall(file.problems())
    file.paste(command)
    assert (tmp_path / "project" / "stacks" / "Pulumi.mlflow.yaml").exists()
