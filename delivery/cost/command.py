"""`mlflow-platform cost`: what a stack costs a month."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from delivery.cost import report, retail
from delivery.cost.estimate import estimate
from delivery.cost.load import IDLE, WORKING, Load
from delivery.cost.prices import FILE
from delivery.cost.resources import InputError, read
from delivery.outcome import CommandError, ExitCode, reported
from delivery.stacks import on_azure
from delivery.terminal import leave_closed_pipe, say


def cost(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="STACK|FILE",
            help="A stack with a file in stacks/, as it would be made; or the output of `pulumi preview --json "
            "--show-sames` or of `pulumi stack export`, - for standard input.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    active_hours: Annotated[
        float, typer.Option(help="Hours (of 730) in which the services are at work.")
    ] = WORKING.active_hours,
    scale: Annotated[
        float, typer.Option(help="How far between fewest and most replicas they are then, 0 to 1.")
    ] = WORKING.scale,
    requests: Annotated[float, typer.Option(help="Requests from outside, in millions.")] = WORKING.requests,
    log_gb: Annotated[
        float, typer.Option(help="GB of logs that come in besides lines of requests and metrics.")
    ] = WORKING.log_gb,
    blob_gb: Annotated[float, typer.Option(help="GB of blobs that are stored.")] = WORKING.blob_gb,
    private_gb: Annotated[float, typer.Option(help="GB through each private endpoint.")] = WORKING.private_gb,
    outbound_gb: Annotated[float, typer.Option(help="GB through the NAT gateway.")] = WORKING.outbound_gb,
    vault_operations: Annotated[float, typer.Option(help="Operations on the vault.")] = WORKING.vault_operations,
    job_runs: Annotated[float, typer.Option(help="Runs of each job.")] = WORKING.job_runs,
    job_minutes: Annotated[float, typer.Option(help="Minutes that a run takes.")] = WORKING.job_minutes,
    update: Annotated[
        str | None, typer.Option(metavar="REGION", help="Read all list prices of a region again, and show no cost.")
    ] = None,
) -> int:
    """Show what a stack costs a month by list prices.

    It shows the cost when nobody uses the stack, and at the load that the options describe. It fails if something has
    no price. A stack is planned against the stand-in for Azure, as by `preview --offline`. It asks nobody, except with
    --update: that reads delivery/cost/prices.json again from the public Azure Retail Prices API.

    Example: mlflow-platform cost prod
    """
    if update is not None:
        return _update(update)
    if file is None:
        raise CommandError(
            "got no stack and no file; expected a stack, a file, or - for standard input. "
            "Run: mlflow-platform cost prod",
            ExitCode.USAGE,
        )
    with reported(ValueError, code=ExitCode.USAGE):
        load = Load(
            active_hours=active_hours,
            scale=scale,
            requests=requests,
            log_gb=log_gb,
            blob_gb=blob_gb,
            private_gb=private_gb,
            outbound_gb=outbound_gb,
            vault_operations=vault_operations,
            job_runs=job_runs,
            job_minutes=job_minutes,
        )
        resources = read(_planned(file) if file in on_azure() else _loaded(file))
    found = estimate(resources, IDLE, load)
    try:
        say(json.dumps(report.document(found), indent=2) if as_json else report.text(found))
    except BrokenPipeError:
        leave_closed_pipe()
    return ExitCode.FAILED if found.not_priced else ExitCode.DONE


def _update(region: str) -> int:
    with reported(retail.PriceError):
        read_again = retail.updated(json.loads(FILE.read_text()), region, today=datetime.date.today())
    FILE.write_text(json.dumps(read_again, indent=2) + "\n")
    say(f"{FILE} has the list prices of {region} of {read_again['read']}; `mlflow-platform reference` writes them on.")
    return ExitCode.DONE


def _planned(stack: str) -> Any:
    """Return the engine's plan of a stack on an empty subscription. Raises CommandError where it has none."""
    # What runs the engine takes half a second to import.
    from delivery.offline_azure.session import offline

    with reported(RuntimeError, ValueError), offline(stack) as product:
        result = product.preview("--json", "--show-sames")
        if result.code != 0:
            raise CommandError(f"{stack}: no plan. Run: mlflow-platform preview {stack} --offline")
        return json.loads(result.out)


def _loaded(file: str) -> Any:
    try:
        content = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}; give a file that can, or - for standard input") from None
    try:
        return json.loads(content)
    except ValueError as error:
        raise InputError(
            f"{file} is not JSON: {error}; give the output of `pulumi preview --json --show-sames` or of "
            "`pulumi stack export`"
        ) from None
