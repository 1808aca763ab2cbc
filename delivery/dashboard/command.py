"""The command line. Exit codes: 0 ended by Ctrl-C or all printed, 1 the stack is not up or what draws the charts cannot
be installed, 2 wrong usage."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from delivery.dashboard import document
from delivery.dashboard.scraping import EVERY_SECONDS, History, Scraper, scrape, targets
from delivery.dashboard.server import serve
from delivery.local.configuration import CONFIG_FILE, LocalStack
from infra.settings.ports import OFFSETS, LocalPort
from infra.settings.problems import SettingsError
from tools import node_packages
from tools.steps import Report, ToolError

DONE, FAILED, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="python -m delivery.dashboard",
        description="The local stack's metrics as charts, on a page of 127.0.0.1, until Ctrl-C. Reads each process's "
        f"/metrics every {EVERY_SECONDS} seconds and keeps half an hour in memory; changes nothing.",
        epilog="Exit codes: 0 ended by Ctrl-C or all printed, 1 the stack is not up or what draws the charts cannot be "
        "installed, 2 wrong usage.",
    )
    options.add_argument(
        "--port",
        type=_port,
        help=f"port of the page (default: a free one from portBase + {OFFSETS[LocalPort.DASHBOARD].start} on)",
    )
    options.add_argument("--json", action="store_true", help="print the present values as a JSON document and end")
    options.add_argument(
        "--config-file", type=Path, default=CONFIG_FILE, help="stack configuration (default: stacks/Pulumi.local.yaml)"
    )
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the program; returns its exit code."""
    try:
        options = parser().parse_args(arguments)
    except SystemExit as end:  # argparse has printed why
        return int(end.code or 0)
    if not options.config_file.is_file():
        return _fail(f"--config-file: {options.config_file} is no file; give a stack configuration file.", USAGE)
    try:
        stack = LocalStack.read(options.config_file)
    except SettingsError as error:
        return _fail(str(error), FAILED)
    if not scrape(targets(stack)):
        return _fail(f"No process of the stack in {stack.root} shows metrics; `make up` brings it up.", FAILED)
    try:
        return _print_present(stack) if options.json else _show(stack, options.port)
    except ToolError as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return DONE


def _print_present(stack: LocalStack) -> int:
    """Rates are of the seconds between two scrapes."""
    history, begun = History(), time.time()
    history.add(begun, scrape(targets(stack)))
    time.sleep(EVERY_SECONDS)
    ended = time.time()
    history.add(ended, scrape(targets(stack)))
    readings = [reading for reading in history.readings() if reading.at == ended]
    print(json.dumps(document.present(readings, seconds=ended - begun), indent=2))
    return DONE


def _show(stack: LocalStack, port: int | None) -> int:
    charts = node_packages.charts(Report("dashboard"))
    history = History()
    try:
        server = _listening(stack, history, charts, port)
    except OSError as error:
        return _fail(f"--port: {port} cannot be used ({error.strerror}); give another or none.", USAGE)
    signal.signal(signal.SIGTERM, _interrupt)
    scraper = Scraper(stack, history)
    with server:
        scraper.start()
        try:
            print(f"Metrics of the stack in {stack.root}: http://127.0.0.1:{server.server_address[1]}", flush=True)
            print("Ctrl-C ends it.", flush=True)
            server.serve_forever()
        finally:
            scraper.end()
    return DONE


def _listening(stack: LocalStack, history: History, charts: Path, port: int | None) -> ThreadingHTTPServer:
    if port is not None:
        return serve(history, charts, port)
    for offset in OFFSETS[LocalPort.DASHBOARD]:
        try:
            return serve(history, charts, stack.port + offset)
        except OSError:
            continue
    return serve(history, charts, 0)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 1 to 65535, or leave it out.")
    return int(text)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"dashboard: {message}\n")
    return code
