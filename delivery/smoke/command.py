"""The command line. Exit codes: 0 all steps passed, 1 something failed or is left over, 2 wrong usage."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from delivery.smoke import environment
from delivery.smoke.report import Outcome, Report, document, line, summary
from delivery.smoke.target import UsageError, parse_url, reach

PASSED, FAILED, USAGE = 0, 1, 2
LONGEST_REQUEST_SECONDS = 60
LARGEST_MIB = 10_240


def parser() -> argparse.ArgumentParser:
    """The options and their defaults."""
    options = argparse.ArgumentParser(
        prog="python -m delivery.smoke",
        description="Checks that a data scientist's day works against the MLflow behind URL; cleans up after itself.",
        epilog="Credentials are taken from MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD. "
        "Exit codes: 0 all passed, 1 something failed or is left over, 2 wrong usage or nobody at URL.",
    )
    options.add_argument("url", metavar="URL", help="address of the server, such as http://localhost:5500")
    options.add_argument("--json", action="store_true", help="print one JSON document; progress goes to stderr")
    options.add_argument("--quick", action="store_true", help="leave out the large artifact")
    options.add_argument(
        "--large-mib", type=_mebibytes, default=64, metavar="MIB", help="size of the large artifact (default: 64)"
    )
    options.add_argument(
        "--timeout", type=_seconds, default=300.0, metavar="SECONDS", help="for all steps together (default: 300)"
    )
    options.add_argument("--keep", action="store_true", help="leave everything on the server and print where")
    options.add_argument("--ca-bundle", type=_file, metavar="FILE", help="certificates to trust, as PEM")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the program; returns its exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as end:  # argparse has printed why
        return int(end.code or 0)
    try:
        report = _run(options)
    except UsageError as error:
        _print(f"smoke: {error}", sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        _print("smoke: interrupted before anything was made", sys.stderr)
        return FAILED
    _print(json.dumps(document(report), indent=2) if options.json else summary(report), sys.stdout)
    return PASSED if report.passed else FAILED


def _run(options: argparse.Namespace) -> Report:
    url = parse_url(options.url)
    missing = [name for name in ("mlflow", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this Python has no {' and no '.join(missing)}; run smoke with the one of the platform's venv"
        )
    request_seconds = max(1, min(LONGEST_REQUEST_SECONDS, int(options.timeout)))
    environment.adopt(
        environment.client_environment(os.environ, request_seconds=request_seconds, ca_bundle=options.ca_bundle)
    )
    reach(url, seconds=options.timeout, verify=environment.verification(os.environ))

    from delivery.smoke import session  # imports MLflow, which reads its environment then

    order = session.Order(
        url=url, timeout=options.timeout, large_mib=options.large_mib, quick=options.quick, keep=options.keep
    )
    progress = sys.stderr if options.json else sys.stdout

    def emit(outcome: Outcome) -> None:
        _print(line(outcome, session.NAME_WIDTH), progress)

    return session.run(order, emit)


def _print(text: str, stream: TextIO) -> None:
    """A reader who has gone away (a closed pipe) must not keep the program from cleaning up."""
    with contextlib.suppress(OSError):
        print(text, file=stream, flush=True)


def _mebibytes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_MIB:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of MiB from 1 to {LARGEST_MIB}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to 86400")
    return seconds


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file; give the PEM file of the certificates to trust")
    return path.resolve()
