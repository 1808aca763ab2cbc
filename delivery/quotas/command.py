"""`mlflow-platform quotas`: what each team stores."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from delivery.local.configuration import CONFIG_FILE, PROJECT, REPOSITORY
from delivery.local.options import ConfigFile
from delivery.local.options import read as read_local
from delivery.outcome import CommandError, ExitCode, reported
from delivery.quotas import report
from delivery.stacks import LOCAL, refuse
from delivery.terminal import say


def quotas(
    stack: Annotated[str, typer.Argument(metavar="[STACK]", help="On Azure: a stack, whose listing is read.")] = LOCAL,
    listing: Annotated[
        Path | None,
        typer.Option(help="On Azure: the file with the listing, - for standard input. Without it, how to make it."),
    ] = None,
    config_file: ConfigFile = CONFIG_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> int:
    """Show what each team stores of artifacts, and fail if one is over its quota.

    A quota is GiB in the stack's setting `quotas`. It refuses nobody's upload: a schedule that runs this command fails.

    Locally the container is listed. On Azure it is private: without --listing the command is printed by which whoever
    may read it, from within the network, makes the listing and the report.

    Example: mlflow-platform quotas prod
    """
    from delivery.pulumi.project import own_values, stack_document
    from infra.settings.model import parse
    from infra.settings.problems import SettingsError

    if stack == LOCAL and listing is None:
        from delivery.local.artifacts import sizes  # imports Pulumi

        local = read_local(config_file)
        return _reported(report.stored(sizes(local), local.teams, local.quotas), as_json=as_json)
    if stack == LOCAL:
        raise CommandError(
            "--listing: got a file for the local stack; expected a stack on Azure, as the local container is listed by "
            "the command itself. Run: mlflow-platform quotas",
            ExitCode.USAGE,
        )
    refuse(stack)
    if listing is None and as_json:
        raise CommandError(
            f"--json: got it without --listing; expected both for {stack}, whose container this command does not list. "
            f"Run: {_listing_command(stack)} --json",
            ExitCode.USAGE,
        )
    if listing is None:
        say(_listing_command(stack))
        return ExitCode.DONE
    with reported(SettingsError):
        settings = parse(own_values(stack_document(REPOSITORY, stack), PROJECT), stack)
    try:
        found = report.stored(report.parsed(_lines(listing)), settings.teams, settings.quotas)
    except (OSError, ValueError) as error:
        raise CommandError(f"--listing: {error}. Run: {_listing_command(stack)}", ExitCode.USAGE) from error
    return _reported(found, as_json=as_json)


def _reported(found: tuple[report.Stored, ...], *, as_json: bool) -> int:
    if as_json:
        say(json.dumps([{**asdict(each), "over": each.is_over} for each in found], indent=2))
    else:
        for each in found:
            say(report.text(each))
    return ExitCode.FAILED if any(each.is_over for each in found) else ExitCode.DONE


def _lines(listing: Path) -> Iterator[str]:
    if str(listing) == "-":
        yield from sys.stdin
        return
    with listing.open(encoding="utf-8") as file:
        yield from file


def _listing_command(stack: str) -> str:
    """Return the command that lists a stack's container and reads the listing."""
    from infra.naming import ARTIFACT_CONTAINER

    account = f'"$(pulumi stack output storage_account -s {stack})"'
    return (
        f"az storage blob list --account-name {account} --container-name {ARTIFACT_CONTAINER} --auth-mode login "
        "--num-results '*' --query '[].[name, properties.contentLength]' --output tsv > listing.tsv && "
        f"mlflow-platform quotas {stack} --listing listing.tsv"
    )
