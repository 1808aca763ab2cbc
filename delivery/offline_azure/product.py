"""The product's own program, run by the real engine against an offline Azure, with one of its own stack files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from components.azure.image_source import ImageSource
from delivery.offline_azure import rest, stacks_key
from delivery.offline_azure.running import WRITTEN_ONCE, engine_environment
from delivery.offline_azure.values import merged
from delivery.pulumi.engine import Engine, Result
from delivery.pulumi.installation import REPOSITORY, state_file
from delivery.pulumi.project import own_values, project_name
from delivery.stacks import stacks
from infra.settings import stack_file
from infra.settings.azure import ImageSettings
from infra.settings.encryption import encrypted

IMAGE: Final = "image"
NO_DIGEST: Final = "none"
PLACEHOLDER_DIGEST: Final = f"sha256:{'0ff11e' * 10}0ff1"
"""Stands for an image where a stack's file names none; nobody can take it for a real one."""

_REPOSITORY: Final = ImageSettings.model_fields["repository"].default

# How a stack keeps its secrets; here it is by `stacks_key`.
_SECRETS_KEYS: Final = ("encryptionsalt", "encryptedkey", "secretsprovider")

# Commands on the state alone.
_WITHOUT_FILE: Final = ("cancel", "stack", "state")


class Product:
    """One stack of the repository's program.

    The folder keeps the stack's state, a copy of its file, in which `configure` sets values, and the engine's home: the
    repository and the user's own state stay as they are. The provider is on `provider_port`; ARM and the tokens for it
    are at `rest_url`. `placeholder` says whether the stack's file names no image, and a made-up digest stands for it.
    `repository` is the folder with Pulumi.yaml and stacks/. `written_once` is for an engine that nobody kills: see
    `WRITTEN_ONCE`. Raises FileNotFoundError where the repository has no such stack, ValueError for an encrypted value
    in its file.
    """

    def __init__(
        self,
        folder: Path,
        stack: str,
        provider_port: int,
        rest_url: str,
        *,
        repository: Path = REPOSITORY,
        written_once: bool = False,
    ) -> None:
        self.folder, self.stack, self.repository, self.written_once = folder, stack, repository, written_once
        self._offline_azure = (provider_port, rest_url)
        source = repository / "stacks" / f"Pulumi.{stack}.yaml"
        if not source.is_file():
            raise FileNotFoundError(f"stack {stack!r}: {source} is no file; there are {', '.join(stacks(repository))}.")
        self.project = project_name(repository)
        self.environment = engine_environment(folder, provider_port) | {
            "ARM_ENDPOINT": rest_url,
            **rest.identity_environment(rest_url),
            **stacks_key.environment(rest_url),
            **(WRITTEN_ONCE if written_once else {}),
        }
        self.config_file = self._copied(source)

    def of(self, repository: Path) -> Product:
        """The same stack, with its state, by another revision of the program and of the stack's file."""
        provider_port, rest_url = self._offline_azure
        return Product(
            self.folder, self.stack, provider_port, rest_url, repository=repository, written_once=self.written_once
        )

    @property
    def values(self) -> dict[str, Any]:
        """Return the program's values in the stack's configuration, without their namespace."""
        return own_values(self._read(), self.project)

    @property
    def configuration(self) -> dict[str, str]:
        """Return the stack's configuration as the engine prints it: objects as JSON."""
        config = self._read().get("config") or {}
        return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}

    @property
    def imported_image(self) -> str | None:
        """The image that an `up` imports, as REGISTRY/REPOSITORY@DIGEST; None if the stack's file names no source.

        Raises ValueError for one that the program refuses.
        """
        image = self.values.get(IMAGE)
        if not isinstance(image, Mapping) or not image.get("source"):
            return None
        source = ImageSource.named(str(image["source"]), str(image.get("repository") or _REPOSITORY))
        return f"{source.words}@{image['digest']}"

    def configure(self, **values: Any) -> None:
        """Set values of the program's configuration: objects are merged, None removes a key."""
        document = self._read()
        config = dict(document.get("config") or {})
        for key, value in values.items():
            name = f"{self.project}:{key}"
            config[name] = merged(config.get(name, {}), value) if isinstance(value, Mapping) else value
        self._write({**document, "config": {key: value for key, value in config.items() if value is not None}})

    def arguments(self, command: str, *arguments: str) -> list[str]:
        """Return the arguments of a `pulumi` command on this stack, to run in `environment`."""
        file = [] if command in _WITHOUT_FILE else ["--config-file", str(self.config_file)]
        return [command, *arguments, "--stack", self.stack, *file]

    @property
    def engine(self) -> Engine:
        """The engine in the repository's root; whoever calls it adds the stack with `arguments`."""
        return Engine(folder=self.repository, environment=self.environment)

    def run(self, command: str, *arguments: str, timeout: float = 300) -> Result:
        """Run one command of the engine from the repository's root to its end."""
        line = self.arguments(command, *arguments)
        return self.engine.run(*line, timeout=timeout)

    def up(self, *arguments: str) -> Result:
        return self.run("up", "--yes", "--skip-preview", *arguments)

    def preview(self, *arguments: str) -> Result:
        return self.run("preview", *arguments)

    def refresh(self, *arguments: str) -> Result:
        """Show what differs on Azure; the state stays as it is."""
        return self.run("refresh", "--preview-only", *arguments)

    def destroy(self, *arguments: str) -> Result:
        return self.run("destroy", "--yes", "--skip-preview", *arguments)

    def unlock(self) -> Result:
        """Remove the lock that a killed engine left on the state."""
        return self.run("cancel", "--yes")

    def _copied(self, source: Path) -> Path:
        """Make the stack in the state, and its file.

        `pulumi stack init` writes to the stack's file. So it works on a project of the same name in the folder, which
        has the same stacks, as a stack belongs to a project by name.
        """
        project = self.folder / "project"
        project.mkdir(exist_ok=True)
        (project / "Pulumi.yaml").write_text(f"name: {self.project}\nruntime: python\n")
        document = stack_file.read(source)
        _refuse_secrets(source, document.get("config") or {})
        self.config_file = project / source.name
        exists = state_file(self.folder / "state", self.project, self.stack).exists()
        keys = {key: value for key, value in (self._read() if exists else {}).items() if key in _SECRETS_KEYS}
        self._write({key: value for key, value in document.items() if key not in _SECRETS_KEYS} | keys)
        if not exists:
            Engine(folder=project, environment=self.environment).must(
                "stack", "init", self.stack, "--no-select", "--secrets-provider", stacks_key.PROVIDER
            )
        self.placeholder = lacks_digest(self.values)
        if self.placeholder:
            self.configure(**{IMAGE: {"digest": PLACEHOLDER_DIGEST}})
        return self.config_file

    def _read(self) -> dict[str, Any]:
        return stack_file.read(self.config_file)

    def _write(self, document: Mapping[str, Any]) -> None:
        self.config_file.write_text(stack_file.dumped(document))


def lacks_digest(values: Mapping[str, Any]) -> bool:
    """Return whether a configuration (without its namespace) names no image yet."""
    image = values.get(IMAGE)
    return isinstance(image, Mapping) and str(image.get("digest")) == NO_DIGEST


def _refuse_secrets(source: Path, config: Mapping[str, Any]) -> None:
    for key, value in config.items():
        for found in encrypted(value, key.rpartition(":")[2]):
            raise ValueError(
                f"{source}: {found} is encrypted with the stack's own key, which is out of reach offline; "
                "take it out of a copy of the repository, or keep secrets in the stack's Key Vault."
            )
