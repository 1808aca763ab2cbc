"""Apply an approved plan of a stack on Azure, and say how it ended."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from delivery.apply import approval, report
from delivery.apply.applying import DriftCheck, Ran, Request, apply
from delivery.apply.command import Form
from delivery.apply.unreached import Unreached
from delivery.drift.check import blocking
from delivery.local import progress
from delivery.outcome import CommandError
from delivery.recover.engine import Engine
from delivery.terminal import interactive, say


def run(engine: Engine, approved: str, form: Form, *, smoke: bool, url: str, drift: DriftCheck | None = None) -> int:
    """Apply an approved plan and write how it ended to stdout; return the exit code.

    Raises CommandError, with its document.
    """
    # A document goes to stdout alone.
    notices = sys.stdout if form is Form.TERMINAL else sys.stderr
    wanted = approval.read(approved, engine.stack)
    more: dict[str, Any] = {"drift": drift} if drift else {}
    request = Request(engine=engine, approval=wanted, smoke=smoke, url=url, **more)

    def follow(what: str, *arguments: str) -> Ran:
        return _followed(engine, what, arguments, notices)

    try:
        found = apply(request, follow, lambda line: say(f"{engine.stack}: {line}", notices))
    except CommandError as error:
        error.document = report.stopped(engine.stack, wanted, str(error))
        raise
    match form:
        case Form.JSON:
            say(json.dumps(report.document(wanted, found), indent=2))
        case Form.SUMMARY:
            say(report.summary(wanted, found))
        case Form.TERMINAL:
            report.show(wanted, found)
    return report.exit_code(found)


def look_for_drift(engine: Engine) -> list[str]:
    """Return what differs on Azure already and has to be settled before."""
    return blocking(engine.pulumi, engine.stack)


def _followed(engine: Engine, what: str, arguments: tuple[str, ...], notices: TextIO) -> Ran:
    """Run a long command. A person sees its progress, and its output only if it failed."""
    unreached = Unreached()

    def passed(line: str) -> None:
        notices.writelines(unreached.left(line))
        notices.flush()

    if notices is not sys.stdout or not interactive():
        code = engine.pulumi.pass_on(*arguments, line=passed)
    else:
        with progress.shown(what) as event:
            result = engine.pulumi.follow(*arguments, event=event)
        code = result.code
        for line in result.text.splitlines(keepends=True) if code != 0 else ():
            passed(line)
    return Ran(code=code, unreached=[*unreached.names])
