"""The two places of the bootstrap stack's state: a folder here at first, then the account that the stack makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from delivery.outcome import CommandError
from delivery.pulumi.engine import Engine
from delivery.pulumi.installation import file_url, state_file
from delivery.pulumi.project import project_name, stack_document
from delivery.recover.engine import Engine as StackEngine
from infra.settings import stack_file

_SECRETS_KEYS: Final = ("encryptionsalt", "encryptedkey", "secretsprovider")
# How the engine marks a secret in a state (pulumi/sdk, resource.SecretSig).
_ENCRYPTED: Final = "1b47061264138c4ac30d75fd1eb44270"

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the state goes: the engine's URLs of a backend and of a secrets provider."""

    backend: str
    secrets_provider: str

    @classmethod
    def of(cls, outputs: Mapping[str, Any], stack: str) -> Target:
        """The account and the key that a bootstrap stack has made for a stack."""
        state = f"pulumi-{stack}"
        return cls(
            backend=f"azblob://{state}?storage_account={outputs['state_account']}",
            secrets_provider=f"azurekeyvault://{outputs['key_vault']}.vault.azure.net/keys/{state}",
        )


@dataclass(frozen=True, kw_only=True)
class Here:
    """A state in a folder of this machine, with a copy of the stack's file.

    `pulumi stack init` writes how it keeps secrets into the stack's file. So it works on the copy: the file itself is
    first written to when the stack is in its account. The passphrase is empty, as the state holds no secret.
    """

    folder: Path
    stack: str
    repository: Path
    environment: Mapping[str, str]

    @property
    def exists(self) -> bool:
        """Whether the stack is there."""
        return state_file(self.state, self.project, self.stack).exists()

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def config_file(self) -> Path:
        return self.folder / "project" / f"Pulumi.{self.stack}.yaml"

    @property
    def project(self) -> str:
        return project_name(self.repository)

    @property
    def engine(self) -> StackEngine:
        return StackEngine(
            stack=self.stack, config_file=self.config_file, environment=self._environment, repository=self.repository
        )

    @property
    def pulumi(self) -> Engine:
        options = ("--stack", self.stack, "--config-file", str(self.config_file))
        return Engine(folder=self.repository, environment=self._environment, options=options)

    def prepare(self) -> None:
        """Make the stack where it is not there, and copy its file as it is now."""
        project = self.config_file.parent
        for folder in (self.state, project):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (project / "Pulumi.yaml").write_text(f"name: {self.project}\nruntime: python\n")
        kept = stack_file.read(self.config_file) if self.config_file.is_file() else {}
        salt = {key: value for key, value in kept.items() if key == _SECRETS_KEYS[0]}
        written = stack_document(self.repository, self.stack)
        plain = {key: value for key, value in written.items() if key not in _SECRETS_KEYS}
        self.config_file.write_text(stack_file.dumped({**plain, **salt}))
        if not self.exists:
            engine = Engine(folder=project, environment=self._environment)
            engine.must("stack", "init", self.stack, "--no-select", "--secrets-provider", "passphrase")

    def outputs(self) -> dict[str, Any]:
        """The outputs of the stack."""
        engine = Engine(folder=self.repository, environment=self._environment, options=("--stack", self.stack))
        found: dict[str, Any] = json.loads(engine.must("stack", "output", "--json").out)
        return found

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **self.environment,
            "PULUMI_BACKEND_URL": file_url(self.state),
            "PULUMI_CONFIG_PASSPHRASE": "",
        }


@dataclass(frozen=True, kw_only=True)
class There:
    """The same stack in the target."""

    target: Target
    stack: str
    repository: Path
    environment: Mapping[str, str]

    @property
    def engine(self) -> StackEngine:
        return StackEngine(
            stack=self.stack, config_file=None, environment=self._environment, repository=self.repository
        )

    @property
    def pulumi(self) -> Engine:
        """The engine without a stack's name: the caller adds it where the command takes one."""
        return Engine(folder=self.repository, environment=self._environment)

    @property
    def exists(self) -> bool:
        """Whether the target has the stack. Raises EngineError if it cannot be looked at."""
        listed = json.loads(self.pulumi.must("stack", "ls", "--json").out or "[]")
        return self.stack in {str(one["name"]).rsplit("/", 1)[-1] for one in listed}

    def make(self) -> None:
        """Make the stack, with the key that encrypts its secrets, which the engine notes in the stack's file."""
        provider = self.target.secrets_provider
        self.pulumi.must("stack", "init", self.stack, "--no-select", "--secrets-provider", provider)

    @property
    def _environment(self) -> dict[str, str]:
        return {**self.environment, "PULUMI_BACKEND_URL": self.target.backend}


def resources(state: Document) -> dict[str, str]:
    """The ids of a state's resources by URN."""
    found = state.get("deployment", {}).get("resources") or []
    return {str(one["urn"]): str(one.get("id", "")) for one in found}


def movable(state: Document) -> Document:
    """The state without the name of the key that its secrets are encrypted with. Raises CommandError if it has any."""
    if _ENCRYPTED in json.dumps(state):
        raise CommandError(
            "The state of the bootstrap stack holds a secret value, which cannot be moved to another key like this. "
            "Nothing was moved. Remove encrypted values from the stack's file, and run the command again."
        )
    deployment = {key: value for key, value in state["deployment"].items() if key != "secrets_providers"}
    return {**state, "deployment": deployment}


def keeps_secrets(file: Path) -> str:
    """How a stack's file says that its secrets are kept, as `key: value`; empty if the stack was never made."""
    document = stack_file.read(file)
    return next((f"{key}: {document[key]}" for key in reversed(_SECRETS_KEYS) if document.get(key)), "")
