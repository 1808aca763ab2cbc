"""The command line. Exit codes: 0 all is priced, 1 something has no price, 2 wrong usage or nothing to read."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from delivery.cost import report
from delivery.cost.estimate import estimate
from delivery.cost.load import IDLE, WORKING
from delivery.cost.resources import InputError, read

COMPLETE, INCOMPLETE, USAGE = 0, 1, 2

_MEANINGS = {
    "active_hours": "hours (of 730) in which the services are at work",
    "scale": "how far between fewest and most replicas they are then, 0 to 1",
    "requests": "requests from outside, in millions",
    "log_gb": "GB of logs that come in besides lines of requests and metrics",
    "blob_gb": "GB of blobs that are stored",
    "private_gb": "GB through each private endpoint",
    "outbound_gb": "GB through the NAT gateway",
    "vault_operations": "operations on the vault",
    "job_runs": "runs of each job",
    "job_minutes": "minutes that a run takes",
}


def parser() -> argparse.ArgumentParser:
    """The options; those of the load have the defaults of `WORKING`."""
    options = argparse.ArgumentParser(
        prog="python -m delivery.cost",
        description="What a stack costs a month by list prices, idle and at the load that the options describe. "
        "Talks to nobody.",
        epilog="Exit codes: 0 all is priced, 1 something has no price, 2 wrong usage or nothing to read.",
    )
    options.add_argument(
        "file",
        metavar="FILE",
        help="output of `pulumi preview --json --show-sames` or `pulumi stack export`; - for standard input",
    )
    options.add_argument("--json", action="store_true", help="print one JSON document")
    for field, meaning in _MEANINGS.items():
        default = getattr(WORKING, field)
        options.add_argument(
            f"--{field.replace('_', '-')}",
            type=float,
            default=default,
            metavar="N",
            help=f"{meaning} (default: {default:g})",
        )
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the program; returns its exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as end:  # argparse has printed why
        return int(end.code or 0)
    try:
        load = replace(WORKING, **{field: getattr(options, field) for field in _MEANINGS})
        resources = read(_loaded(options.file))
    except ValueError as error:
        sys.stderr.write(f"cost: {error}\n")
        return USAGE
    found = estimate(resources, IDLE, load)
    _print(json.dumps(report.document(found), indent=2) if options.json else report.text(found))
    return INCOMPLETE if found.not_priced else COMPLETE


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader has seen enough; without this the interpreter would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _loaded(file: str) -> Any:
    try:
        content = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}; give a file that can, or - for standard input") from None
    try:
        return json.loads(content)
    except ValueError as error:
        raise InputError(
            f"{file} is no JSON: {error}; give the output of `pulumi preview --json --show-sames` or of "
            "`pulumi stack export`"
        ) from None
