"""`python -m delivery.preview.command --stack prod`: what the stack would create on Azure, without an Azure.

The real engine runs the program with the stack's file against the stand-in, which starts empty: all is to be created.
Nothing is kept and nothing of the user's is touched. Exit code of the engine; 130 after Ctrl-C, 2 for a stack that
cannot be shown.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.product import PLACEHOLDER_DIGEST, Product, stacks
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi
from delivery.offline_azure.running import REPOSITORY

LOCAL: Final = "local"
REFUSED: Final = 2
INTERRUPTED: Final = 130
TERMINATED: Final = 143

_BEFORE: Final = (
    "OFFLINE PREVIEW of stack {stack}: no subscription, no login. The engine is real, Azure is a stand-in that starts "
    "empty; ids, tenants and addresses are made up."
)
_AFTER: Final = (
    "OFFLINE: nothing was created, asked or kept; no subscription, no login, names and ids are made up by a stand-in. "
    "What Azure itself says: `pulumi preview --stack {stack}`, signed in."
)
_PLACEHOLDER: Final = "The stack's file names no image yet (digest: none): {digest} is a placeholder."


def main(arguments: Sequence[str] | None = None, repository: Path = REPOSITORY) -> int:
    """Show the preview; gives the exit code."""
    options = _parser().parse_args(arguments)
    if refusal := refused(options.stack, repository):
        print(refusal, file=sys.stderr)
        return REFUSED
    with tempfile.TemporaryDirectory(prefix="mlflow-platform-offline-") as folder:
        return _shown(options, Path(folder), repository)


def refused(stack: str, repository: Path = REPOSITORY) -> str | None:
    """Why this stack has no offline preview, None if it has."""
    others = [name for name in stacks(repository) if name != LOCAL]
    if stack == LOCAL:
        return f"stack local needs no Azure: `make up` runs it on this machine. Offline there are {_listed(others)}."
    if stack not in others:
        return (
            f"stack {stack!r} has no file stacks/Pulumi.{stack}.yaml; there are {_listed(others)}. Give one of these."
        )
    return None


def _shown(options: argparse.Namespace, folder: Path, repository: Path) -> int:
    azure = Azure(folder / "azure.json")
    server, port = serve(azure)
    management = ManagementApi(azure)
    # A document goes to stdout alone.
    notices = sys.stderr if options.json else sys.stdout
    try:
        product = Product(folder, options.stack, port, management.url, repository=repository)
        _say(_BEFORE.format(stack=options.stack), notices)
        code = _run(product, _flags(options))
        if product.placeholder:
            _say(_PLACEHOLDER.format(digest=PLACEHOLDER_DIGEST), notices)
        _say(_AFTER.format(stack=options.stack), notices)
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except (RuntimeError, ValueError) as error:
        _say(str(error), sys.stderr)
        return REFUSED
    finally:
        server.stop(None)
        management.close()


def _run(product: Product, flags: Sequence[str]) -> int:
    """The engine's preview, printed as it goes."""
    child = subprocess.Popen(
        ["pulumi", *product.arguments("preview", *flags)], cwd=product.repository, env=product.environment
    )
    try:
        return child.wait()
    except KeyboardInterrupt:
        # The terminal has sent the signal to the engine as well, which ends in good order.
        child.wait()
        return INTERRUPTED
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def _flags(options: argparse.Namespace) -> list[str]:
    flags = ["--non-interactive", f"--color={'always' if sys.stdout.isatty() else 'never'}"]
    return [*flags, *(f"--{name}" for name in ("json", "diff") if getattr(options, name))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m delivery.preview.command",
        description="Show what a stack would create on Azure. Offline: no subscription and no login are needed.",
    )
    parser.add_argument("--stack", required=True, help="a stack with a file in stacks/: dev, staging or prod")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, for programs")
    parser.add_argument("--diff", action="store_true", help="every property of every resource")
    return parser


def _say(line: str, stream: TextIO) -> None:
    print(line, file=stream, flush=True)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none yet"


def terminated(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminated)
    sys.exit(main())
