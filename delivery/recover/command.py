"""The command line. Exit codes: 0 all is well again, or was; 1 not all; 2 wrong usage; 130 interrupted."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from delivery.recover import report
from delivery.recover.engine import Engine, EngineError, environment
from delivery.recover.recovery import look, recover

DONE: Final = 0
INCOMPLETE: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m delivery.recover",
        description="Bring a stack back whose `pulumi up` was killed: take its lock off, bring what Azure has made "
        "meanwhile into the state, and leave the rest to the next `up`. Says what it found and asks first.",
        epilog="Exit codes: 0 all is well again, or was; 1 something could not be brought back; 2 wrong usage.",
    )
    options.add_argument("--stack", required=True, help="name of the stack, as in `pulumi up --stack`")
    options.add_argument("--config-file", type=Path, help="the stack's file, where it is not stacks/Pulumi.STACK.yaml")
    options.add_argument("--yes", action="store_true", help="do not ask: nothing else works on the stack, for certain")
    options.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the program; returns its exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as end:  # argparse has printed why
        return int(end.code or 0)
    file: Path | None = options.config_file
    if not options.stack:
        return _refuse("--stack: '' is no name; give the name of the stack, as in `make recover STACK=prod`.")
    if file is not None and not file.is_file():
        return _refuse(f"--config-file: {file} is no file; give the stack's file, or leave the option out.")
    try:
        engine = Engine(
            stack=options.stack,
            config_file=file and file.resolve(),
            environment=environment(),
        )
        return _run(engine, confirmed=options.yes, as_json=options.json)
    except EngineError as error:
        _say(f"{error}\nIt is safe to run the recovery again.", sys.stderr)
        return INCOMPLETE
    except KeyboardInterrupt:
        _say("Interrupted. Run the recovery again to go on.", sys.stderr)
        return INTERRUPTED


def _run(engine: Engine, *, confirmed: bool, as_json: bool) -> int:
    # A document goes to stdout alone.
    notices = sys.stderr if as_json else sys.stdout
    found = look(engine)
    _say(report.found_text(engine.stack, found), notices)
    if found.nothing:
        if as_json:
            _say(json.dumps(report.document(engine.stack, found, None), indent=2), sys.stdout)
        return DONE
    if not confirmed:
        if not sys.stdin.isatty():
            return _refuse(f"{report.question(engine.stack)} Not asked: there is no terminal. --yes goes ahead.")
        if not _confirmed(report.question(engine.stack), notices):
            _say("Nothing was changed.", notices)
            return INCOMPLETE
    done = recover(engine, found)
    _say(report.done_text(engine.stack, done), notices)
    if as_json:
        _say(json.dumps(report.document(engine.stack, found, done), indent=2), sys.stdout)
    return DONE if done.complete else INCOMPLETE


def _confirmed(question: str, stream: TextIO) -> bool:
    stream.write(f"{question} [y/N] ")
    stream.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _refuse(message: str) -> int:
    _say(message, sys.stderr)
    return USAGE


def _say(text: str, stream: TextIO) -> None:
    stream.write(f"{text}{os.linesep}")
    stream.flush()
