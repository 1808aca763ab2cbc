"""`python -m delivery.local COMMAND`: the local stack's commands, as the Makefile calls them.

Exit codes: 0 done, 1 failed or not healthy, 2 wrong usage, 3 another command works on the stack, 130 interrupted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from components.compute.local.containers import ContainerError
from components.compute.local.supervisor import SupervisorError
from delivery.local import commands
from delivery.local.configuration import CONFIG_FILE, LocalStack
from delivery.local.engine import EngineError, StackBusyError
from infra.settings.problems import SettingsError

BUSY = 3
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m delivery.local", description="MLflow's platform on one machine.")
    root.add_argument(
        "--config-file", type=Path, default=CONFIG_FILE, help="stack configuration (default: stacks/Pulumi.local.yaml)"
    )
    verbs = root.add_subparsers(dest="command", required=True)
    up = verbs.add_parser("up", help="bring everything up and check it")
    up.add_argument("--no-smoke", action="store_true", help="do not run the smoke program at the end")
    up.add_argument(
        "--image",
        help=f"what to run from now on: an image of this machine, or {commands.WORKING_TREE} (default: as before)",
    )
    verbs.add_parser("down", help="stop everything, keep the data")
    destroy = verbs.add_parser("destroy", help="remove everything with its data")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    status = verbs.add_parser("status", help="show the processes; exit code 1 unless all are ready")
    status.add_argument("--json", action="store_true", help="print a JSON document")
    logs = verbs.add_parser("logs", help="show the end of the logs")
    logs.add_argument("services", nargs="*", help="names as `status` shows them (default: all)")
    logs.add_argument("--follow", action="store_true", help="go on as they grow")
    logs.add_argument("--lines", type=int, default=40, help="lines of each log (default: 40)")
    smoke = verbs.add_parser("smoke", help="run the smoke program against the stack")
    smoke.add_argument("arguments", nargs=argparse.REMAINDER, help="options of the smoke program")
    verbs.add_parser("env", help="print the exports with which plain `pulumi` commands work on the stack")
    return root


def run(arguments: argparse.Namespace) -> int:
    """Run one command."""
    if not arguments.config_file.is_file():
        raise FileNotFoundError(f"--config-file: {arguments.config_file} is no file; give a stack configuration file.")
    stack = LocalStack.read(arguments.config_file)
    match arguments.command:
        case "up":
            return commands.up(stack, image=arguments.image, smoke_too=not arguments.no_smoke)
        case "down":
            return commands.down(stack)
        case "destroy":
            return commands.destroy(stack, confirmed=arguments.yes)
        case "status":
            return commands.status(stack, as_json=arguments.json)
        case "logs":
            return commands.logs(stack, services=arguments.services, follow=arguments.follow, lines=arguments.lines)
        case "smoke":
            return commands.smoke(stack, arguments.arguments)
        case _:
            return commands.env(stack)


def main() -> int:
    """Parse, run, and turn what users can mend into one line."""
    arguments = parser().parse_args()
    try:
        return run(arguments)
    except StackBusyError as error:
        return _fail(str(error), BUSY)
    except EngineError as error:
        return _fail(str(error), error.code)
    except (SettingsError, SupervisorError, ContainerError, FileNotFoundError, subprocess.CalledProcessError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("Interrupted.", INTERRUPTED)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
