"""`mlflow-platform offline-azure`: the stand-in for plain `pulumi` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi, identity_environment
from delivery.outcome import ExitCode, reported
from delivery.pulumi.installation import shell
from delivery.terminal import say


def offline_azure(
    state: Annotated[Path, typer.Option(metavar="FILE", help="File that keeps the resources.")],
    port: Annotated[int, typer.Option(help="Port for the engine.", min=0, max=65535, show_default="0: a free one")] = 0,
    rest_port: Annotated[
        int,
        typer.Option(help="Port of the management API.", min=0, max=65535, show_default="0: a free one"),
    ] = 0,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGISTRY/REPOSITORY@DIGEST",
            help="An image that an `up` can import, its registry by address or ARM id. Repeatable.",
        ),
    ] = None,
) -> int:
    """Run an offline Azure for plain `pulumi` commands, until Ctrl-C.

    It prints the variables by which the engine and the program find it, for the `eval` of a shell.

    Example: mlflow-platform offline-azure --state azure.json
    """
    azure = Azure(state)
    with reported(ValueError, code=ExitCode.USAGE):
        for one in image or ():
            azure.publish(one)
    server, engine_port = serve(azure, port)
    management = ManagementApi(azure, rest_port)
    variables = {
        "PULUMI_DEBUG_PROVIDERS": f"azure-native:{engine_port}",
        "ARM_ENDPOINT": management.url,
        **identity_environment(management.url),
    }
    say(shell(variables))
    try:
        server.wait_for_termination()
    except (KeyboardInterrupt, SystemExit):
        pass  # the way to end it
    finally:
        server.stop(None)
        management.close()
    return ExitCode.DONE
