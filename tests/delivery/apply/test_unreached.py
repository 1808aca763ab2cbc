"""The engine's output of an update that failed in the middle: without a word about each resource behind the failure."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from delivery.apply.approved import run
from delivery.apply.command import Form
from delivery.apply.unreached import Unreached
from delivery.outcome import ExitCode
from tests.delivery.apply.stack import Stack, made
from tests.delivery.offline_azure import stub_repository

IDENTITIES = """
from pulumi_azure_native import managedidentity

def identity(name, after=()):
    return managedidentity.UserAssignedIdentity(
        name,
        resource_group_name="rg-stub",
        resource_name_=f"id-{name}",
        location="westeurope",
        opts=pulumi.ResourceOptions(depends_on=[group, *after]),
    )

first = identity("first")
for number in range(6):
    identity(f"later-{number}", [first])
"""
LATER = [f"later-{number}" for number in range(6)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    repository = stub_repository.written(tmp_path)
    program = repository / "__main__.py"
    program.write_text(program.read_text() + IDENTITIES)
    with made(tmp_path, repository) as stack:
        yield stack


def test_what_a_failed_update_did_not_reach_is_one_sentence(stack: Stack) -> None:
    stack.azure.inject("quota", operation="create", matching="id-first")
    planned = stack.preview()
    out = io.StringIO()
    with redirect_stdout(out):
        code = run(stack.engine, planned.plan, Form.TERMINAL, smoke=False, url="")
    said = out.getvalue()
    assert code == ExitCode.FAILED
    assert "expected resource operations" not in said
    assert said.count("later-") == 4, "the first ones, in the one sentence"
    assert "It did not reach 6 resources, which are as they were: later-" in said
    # What failed is still there, under its header.
    assert 'UserAssignedIdentity (first):\n    error: Status=400 Code="QuotaExceeded"' in said
    assert "Run: mlflow-platform preview dev" in said
    # The next one has what is left.
    document = stack.up(stack.preview().plan, smoke=False).document
    assert (document["result"], document.get("notReached")) == ("applied", [])


def filtered(text: str) -> tuple[str, list[str]]:
    unreached = Unreached()
    lines = [left for line in text.splitlines(keepends=True) for left in unreached.left(line)]
    return "".join(lines), [*unreached.names]


ERROR = "    error: expected resource operations for urn:pulumi:dev::p::azure-native:a:B::later but none were seen\n"


def test_other_lines_stay_as_they_are() -> None:
    other = "Diagnostics:\n  azure-native:a:B (first):\n    error: no\n\n"
    assert filtered(other) == (other, [])
    assert filtered(f"{other}  azure-native:a:B (later):\n{ERROR}\nOutputs:\n") == (f"{other}Outputs:\n", ["later"])
    both = f"  azure-native:a:B (later):\n{ERROR}    error: and another\n\n"
    assert filtered(both) == (both.replace(ERROR, ""), ["later"])
    failed = "    azure-native:a:B other **failed** 1 error\n"
    assert filtered(failed + ERROR + failed.replace("other", "later")) == (failed, ["later"])
    coloured = ERROR.replace("error: ", "\x1b[31merror: \x1b[0m")
    assert filtered(coloured) == ("", ["later"])
    assert (
        filtered("  azure-native:a:B (last):\n  azure-native:a:B (very last):\n")[0] == "  azure-native:a:B (last):\n"
    )
