"""What kubectl and Pulumi get from the command that their kubeconfig names."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from components.azure import arm
from components.azure.cluster_access import Address, kubeconfig
from delivery.cli import run
from delivery.kubernetes import token


class Token(NamedTuple):
    token: str
    expires_on: int


def test_a_token_comes_as_the_credential_that_a_kubeconfig_asks_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def access(scope: str) -> Any:
        asked.append(scope)
        return Token("of-the-caller", 1767225600)

    monkeypatch.setattr(arm, "default_access", access)
    assert run(["kubernetes-token"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == {"token": "of-the-caller", "expirationTimestamp": "2026-01-01T00:00:00Z"}
    # The server application of every AKS cluster.
    assert asked == ["6dae42f8-4368-4678-94ff-3960e28e3630/.default"]
    asking = json.loads(kubeconfig(Address(server="https://api", authority="Q0E="), ["mlflow-platform"]))
    assert asking["users"][0]["user"]["exec"]["apiVersion"] == document["apiVersion"]
    assert document["kind"] == "ExecCredential"


def test_no_token_is_printed_where_a_person_reads_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(token, "interactive", lambda: True)
    assert run(["kubernetes-token"]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert "got a terminal" in found.err


def test_somebody_who_is_not_signed_in_reads_how_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def access(scope: str) -> Any:
        raise arm.ArmError("Nobody is signed in to Azure; run `az login` or set AZURE_*.")

    monkeypatch.setattr(arm, "default_access", access)
    assert run(["kubernetes-token"]) == 1
    assert "run `az login`" in capsys.readouterr().err
