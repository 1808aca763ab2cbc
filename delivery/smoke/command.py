"""`mlflow-platform smoke`: whether a data scientist's day works."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from delivery.local.configuration import CONFIG_FILE
from delivery.local.options import ConfigFile, read
from delivery.outcome import CommandError, ExitCode, reported
from delivery.smoke import environment
from delivery.smoke.report import Outcome, Report, document, line, summary
from delivery.smoke.target import UsageError, parse_url, reach
from infra.settings.access import AccessMode

LONGEST_REQUEST_SECONDS: Final = 60
LARGEST_MIB: Final = 10_240
LONGEST_SECONDS: Final = 86_400


def smoke(
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="Address of the server.", show_default="the local stack's gateway"),
    ] = None,
    config_file: ConfigFile = CONFIG_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document; progress goes to stderr.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the large artifact.")] = False,
    large_mib: Annotated[int, typer.Option(help="Size of the large artifact, in MiB.", min=1, max=LARGEST_MIB)] = 64,
    timeout: Annotated[
        float, typer.Option(help="For all steps together, in seconds.", min=1, max=LONGEST_SECONDS)
    ] = 300,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything on the server and print where.")] = False,
    ca_bundle: Annotated[
        Path | None, typer.Option(help="Certificates to trust, as PEM.", exists=True, dir_okay=False, resolve_path=True)
    ] = None,
) -> int:
    """Check that a data scientist's day works against an MLflow, and clean up.

    Credentials are taken from MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_AUTH, or MLFLOW_TRACKING_USERNAME and _PASSWORD,
    and the team from MLFLOW_WORKSPACE. The local stack is signed in to as its pipeline. It fails if a step fails or
    something is left over on the server.

    Example: mlflow-platform smoke https://mlflow.example.com --quick
    """
    stack = read(config_file) if url is None else None
    target = url or (stack.url if stack else "")
    if stack is not None and stack.mode is AccessMode.ENTRA and "MLFLOW_TRACKING_TOKEN" not in os.environ:
        from delivery.local.sign_in import token  # imports Pulumi

        os.environ["MLFLOW_TRACKING_TOKEN"] = token(stack)
    try:
        with reported(UsageError, code=ExitCode.USAGE):
            report = _run(
                target,
                timeout=timeout,
                large_mib=large_mib,
                quick=quick,
                keep=keep,
                ca_bundle=ca_bundle,
                progress=sys.stderr if as_json else sys.stdout,
            )
    except KeyboardInterrupt:
        raise CommandError("smoke: interrupted before anything was created", ExitCode.INTERRUPTED) from None
    _print(json.dumps(document(report), indent=2) if as_json else summary(report), sys.stdout)
    sys.stdout.flush()
    sys.stderr.flush()
    # The MLflow client transfers files in threads that a normal exit would wait for, however long the server takes.
    os._exit(_code(report))


def _code(report: Report) -> int:
    if report.interrupt:
        return 128 + report.interrupt  # as a shell says it of a program that a signal ended
    return ExitCode.DONE if report.passed else ExitCode.FAILED


def _run(
    url: str,
    *,
    timeout: float,
    large_mib: int,
    quick: bool,
    keep: bool,
    ca_bundle: Path | None,
    progress: TextIO,
) -> Report:
    url = parse_url(url)
    missing = [name for name in ("mlflow", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this Python has no {' and no '.join(missing)}; run smoke with the one of the platform's venv"
        )
    request_seconds = max(1, min(LONGEST_REQUEST_SECONDS, int(timeout)))
    environment.adopt(environment.client_environment(os.environ, request_seconds=request_seconds, ca_bundle=ca_bundle))
    reach(url, seconds=timeout, verify=environment.verification(os.environ))

    gc.disable()  # looking for garbage among what stays is a fifth of the import's time
    from delivery.smoke import session  # imports MLflow, which reads its environment then

    gc.freeze()
    gc.enable()
    order = session.Order(url=url, timeout=timeout, large_mib=large_mib, quick=quick, keep=keep)

    def emit(outcome: Outcome) -> None:
        _print(line(outcome, session.NAME_WIDTH), progress)

    return session.run(order, emit)


def _print(text: str, stream: TextIO) -> None:
    """A reader who has gone away (a closed pipe) must not keep the program from cleaning up."""
    with contextlib.suppress(OSError):
        print(text, file=stream, flush=True)
