"""`python -m delivery.offline_azure --port N --state FILE [--rest-port M]`: an offline Azure until it is interrupted.

It prints the variables by which the engine and the program find it, for the `eval` of a shell.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from delivery.local.configuration import shell
from delivery.offline_azure.cloud import Azure
from delivery.offline_azure.provider import serve
from delivery.offline_azure.rest import ManagementApi, identity_environment


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m delivery.offline_azure", description="An Azure offline.")
    parser.add_argument("--port", type=int, default=0, help="for the engine; 0 (default) takes a free one")
    parser.add_argument("--rest-port", type=int, default=0, help="of the management API; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="file that keeps the resources")
    options = parser.parse_args()
    azure = Azure(options.state)
    server, port = serve(azure, options.port)
    management = ManagementApi(azure, options.rest_port)
    variables = {
        "PULUMI_DEBUG_PROVIDERS": f"azure-native:{port}",
        "ARM_ENDPOINT": management.url,
        **identity_environment(management.url),
    }
    print(shell(variables), flush=True)
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(None)


if __name__ == "__main__":
    main()
