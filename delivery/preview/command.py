"""`mlflow-platform preview`: what a stack would create on Azure.

Offline the real engine runs the program with the stack's file against the stand-in, which starts empty: everything is
to be created. Nothing is kept, and nothing of the user's is touched.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import PLACEHOLDER_DIGEST, Product, stacks
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.outcome import CommandError, ExitCode, reported
from delivery.pulumi.installation import REPOSITORY
from delivery.terminal import interactive, say

LOCAL: Final = "local"

_FIRST: Final = (
    "OFFLINE PREVIEW of stack {stack}: no subscription, no login. The engine is real, Azure is a stand-in that starts "
    "empty; ids, tenants and addresses are made up."
)
_LAST: Final = (
    "OFFLINE: nothing was created, asked or kept; no subscription, no login, names and ids are made up by a stand-in. "
    "What Azure itself says: `pulumi preview --stack {stack}`, signed in."
)
_PLACEHOLDER: Final = "The stack's file names no image yet (digest: none): {digest} is a placeholder."


def preview(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="A stack with a file in stacks/: dev, staging, prod.")],
    offline: Annotated[bool, typer.Option("--offline", help="Against a stand-in for Azure.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, for programs.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show every property of every resource.")] = False,
) -> int:
    """Show what a stack would create on Azure.

    Only the offline preview exists: no subscription and no login are needed. Its exit code is the engine's.

    Example: mlflow-platform preview prod --offline --diff
    """
    if not offline:
        raise CommandError(
            f"preview: got no --offline; expected it, since only the offline preview exists so far. "
            f"Run: mlflow-platform preview {stack} --offline",
            ExitCode.USAGE,
        )
    return show(stack, [f"--{name}" for name, wanted in (("json", as_json), ("diff", diff)) if wanted])


def show(stack: str, flags: Sequence[str], repository: Path = REPOSITORY) -> int:
    """Show the offline preview of a repository's stack; return the engine's exit code.

    `flags` are the engine's. Raises CommandError for a stack that cannot be shown.
    """
    refuse(stack, repository)
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-offline-") as folder:
        return _shown(stack, flags, Path(folder), repository)


def refuse(stack: str, repository: Path = REPOSITORY) -> None:
    """Raise CommandError for a stack that has no offline preview."""
    others = [name for name in stacks(repository) if name != LOCAL]
    if stack == LOCAL:
        raise CommandError(
            f"stack local needs no Azure: `make up` runs it on this machine. Offline there are {_listed(others)}.",
            ExitCode.USAGE,
        )
    if stack not in others:
        raise CommandError(
            f"stack {stack!r} has no file stacks/Pulumi.{stack}.yaml; there are {_listed(others)}. Give one of these.",
            ExitCode.USAGE,
        )


def _shown(stack: str, flags: Sequence[str], folder: Path, repository: Path) -> int:
    azure = Azure(folder / "azure.json")
    server, port = serve(azure)
    management = ManagementApi(azure)
    # A document goes to stdout alone.
    notices = sys.stderr if "--json" in flags else sys.stdout
    colour = f"--color={'always' if interactive() else 'never'}"
    try:
        with reported(RuntimeError, ValueError, code=ExitCode.USAGE):
            product = Product(folder, stack, port, management.url, repository=repository)
        say(_FIRST.format(stack=stack), notices)
        code = product.engine.show(*product.arguments("preview", colour, *flags))
        if product.placeholder:
            say(_PLACEHOLDER.format(digest=PLACEHOLDER_DIGEST), notices)
        say(_LAST.format(stack=stack), notices)
        return code
    finally:
        server.stop(None)
        management.close()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none yet"
