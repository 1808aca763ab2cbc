"""The smoke program against a stack that was just applied, where its gateway can be reached from here."""

from __future__ import annotations

import json
import subprocess
import sys

from delivery.apply.record import Smoke, SmokeResult
from delivery.pulumi.installation import REPOSITORY
from delivery.smoke.report import State
from delivery.smoke.target import UsageError, parse_url, reach

REACH_SECONDS = 10.0


def smoke(url: str, *, asked: bool) -> Smoke:
    """Run the smoke program against a URL; its progress goes to stderr.

    A gateway that cannot be reached from here is no failure, as it has no public name, unless this URL was `asked` for.
    """
    if not url:
        return Smoke(result=SmokeResult.NOT_RUN, reason="the stack has no output url: no service runs yet")
    try:
        reach(parse_url(url), seconds=REACH_SECONDS, verify=True)
    except UsageError as error:
        return Smoke(result=SmokeResult.FAILED if asked else SmokeResult.NOT_RUN, reason=str(error))
    command = [sys.executable, "-m", "delivery", "smoke", url, "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        return Smoke(result=SmokeResult.PASSED)
    return Smoke(result=SmokeResult.FAILED, reason=_failed(done.stdout) or f"exit code {done.returncode}")


def _failed(printed: str) -> str:
    """The first step that failed in the program's document."""
    try:
        steps = json.loads(printed)["steps"]
        return next((f"{one['name']}: {one['detail']}" for one in steps if one["state"] == State.FAILED), "")
    except (ValueError, KeyError, TypeError):
        return ""
