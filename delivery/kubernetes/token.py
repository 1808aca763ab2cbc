"""`mlflow-platform kubernetes-token`: a token of whoever runs it, for the API server of an AKS cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from components.azure import arm
from components.azure.cluster_access import CREDENTIAL_VERSION, SCOPE
from delivery.outcome import CommandError, ExitCode, reported
from delivery.terminal import interactive, say

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken


def kubernetes_token() -> int:
    """Print a token for an AKS cluster, as kubectl and Pulumi ask for it.

    A kubeconfig names the command. The token is of whoever runs it: a workflow's identity, a managed one, or
    `az login`. It is not printed on a terminal, where it would stay in the scrollback.

    Example: mlflow-platform kubernetes-token | jq .status.expirationTimestamp
    """
    if interactive():
        raise CommandError(
            "kubernetes-token: got a terminal; expected a program that reads the token, such as kubectl by its "
            "kubeconfig. Run: mlflow-platform kubernetes-token | jq .status.expirationTimestamp",
            ExitCode.USAGE,
        )
    with reported(arm.ArmError):
        found = arm.default_access(SCOPE)
    say(document(found))
    return ExitCode.DONE


def document(token: AccessToken) -> str:
    """Return the ExecCredential of a token."""
    until = datetime.fromtimestamp(token.expires_on, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"token": token.token, "expirationTimestamp": until}
    return json.dumps({"apiVersion": CREDENTIAL_VERSION, "kind": "ExecCredential", "status": status})
