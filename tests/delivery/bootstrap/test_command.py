"""What the command refuses before anything is made, and what it says at the end."""

from __future__ import annotations

import pytest

from delivery import cli
from delivery.bootstrap.command import document, text
from delivery.bootstrap.moving import Bootstrapped, Step
from delivery.bootstrap.places import Target
from delivery.outcome import ExitCode


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("nowhere", "is missing or has another profile than bootstrap"),
        ("dev", "is missing or has another profile than bootstrap"),
        ("bootstrap", "bootstrap.administrators: got the example's zeros"),
    ],
)
def test_a_stack_that_cannot_be_bootstrapped_is_refused(
    stack: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bootstrap", stack, "--yes"]) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_the_end_says_where_the_state_is() -> None:
    target = Target(backend="azblob://pulumi-bootstrap?storage_account=st", secrets_provider="azurekeyvault://kv")
    found = Bootstrapped(target=target, outputs={"build_registry_id": "/r"})
    assert "pulumi login 'azblob://pulumi-bootstrap?storage_account=st'" in text("bootstrap", found)
    assert document("bootstrap", [Step(name="move the state", needed=True)], found) == {
        "stack": "bootstrap",
        "backend": target.backend,
        "secretsProvider": target.secrets_provider,
        "outputs": {"build_registry_id": "/r"},
        "steps": [{"name": "move the state", "needed": True}],
    }
